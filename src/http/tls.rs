//! Secure connections: what they are made with, and what is said when they cannot be made.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, SignatureScheme,
};
use rustls_platform_verifier::Verifier;

use super::trace;
use crate::model::time::Timestamp;
use crate::model::tls::{Authorities, Tls, TlsVersion, is_self_issued};

/// Returns what connections are made secure with: HTTP/2 or HTTP/1.1 over it, the authorities of this machine, and
/// what is needed beyond the usual.
pub(super) fn configuration(tls: Option<&Tls>) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let authorities = tls.and_then(Tls::authorities).into_iter().flat_map(Authorities::certificates);
    let authorities = authorities.map(|der| CertificateDer::from(der.to_vec()));
    let verifier = Verifier::new_with_extra_roots(authorities, Arc::clone(&provider))?;
    let versions = match tls.map(Tls::min_version).unwrap_or_default() {
        TlsVersion::V1_2 => rustls::DEFAULT_VERSIONS,
        TlsVersion::V1_3 => &[&rustls::version::TLS13],
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Watched(verifier)));
    let mut configuration = match tls.and_then(Tls::identity) {
        Some(identity) => {
            let (chain, key) = identity.chain_and_key();
            builder.with_client_auth_cert(chain, key)?
        }
        None => builder.with_no_client_auth(),
    };
    configuration.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(configuration)
}

/// Verifies servers as the platform does. It also tells when a handshake begins, because it is then that it is asked for
/// the signatures it knows, and why a certificate is not trusted.
#[derive(Debug)]
struct Watched(Verifier);

impl ServerCertVerifier for Watched {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        verified.map_err(|error| match error {
            Error::InvalidCertificate(problem) if is_of_trust(&problem) && is_self_issued(end_entity) => {
                Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(SelfSigned))))
            }
            other => other,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        trace::securing();
        self.0.supported_verify_schemes()
    }
}

/// Tells whether the problem is who signed a certificate, rather than what it says.
fn is_of_trust(problem: &CertificateError) -> bool {
    use CertificateError as Problem;
    !matches!(
        problem,
        Problem::Expired
            | Problem::ExpiredContext { .. }
            | Problem::NotValidYet
            | Problem::NotValidYetContext { .. }
            | Problem::NotValidForName
            | Problem::NotValidForNameContext { .. }
            | Problem::BadEncoding
    )
}

#[derive(Debug, thiserror::Error)]
#[error("the certificate is signed by nobody but itself")]
struct SelfSigned;

/// Returns what is wrong with a secure connection, and what can be done about it.
pub(super) fn failure(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => certificate_failure(error),
        Error::InvalidMessage(_) => "the server does not speak TLS there; check the address and its port".to_owned(),
        Error::AlertReceived(AlertDescription::ProtocolVersion) | Error::PeerIncompatible(_) => {
            format!("the server speaks no version of TLS or no ciphers that are spoken here ({})", plain(error))
        }
        Error::AlertReceived(AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity) => format!(
            "the server found nothing that both sides speak, or wants a certificate, which `tls.cert` presents ({})",
            plain(error)
        ),
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "the server wants the client to present a certificate; `tls.cert` and `tls.key` name one".to_owned()
        }
        Error::AlertReceived(AlertDescription::UnrecognisedName) => {
            "the server does not know the name in the address".to_owned()
        }
        Error::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied,
        ) => format!("the server does not accept the client's certificate in `tls.cert` ({})", plain(error)),
        other => other.to_string(),
    }
}

fn certificate_failure(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired => "the server's certificate has expired; it must be renewed there".to_owned(),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("the server's certificate expired at {}; it must be renewed there", time(*not_after))
        }
        CertificateError::NotValidYet => {
            "the server's certificate is not valid yet; perhaps the clock of this machine is wrong".to_owned()
        }
        CertificateError::NotValidYetContext { not_before, .. } => format!(
            "the server's certificate is not valid before {}; perhaps the clock of this machine is wrong",
            time(*not_before)
        ),
        CertificateError::Revoked => "the server's certificate was revoked by its authority".to_owned(),
        CertificateError::UnknownIssuer => "the server's certificate leads to no authority that is trusted here; \
             `tls.ca` can name one, unless the server forgets to send what lies between"
            .to_owned(),
        CertificateError::NotValidForName => {
            "the server's certificate is for another name than that in the address".to_owned()
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            format!("the server's certificate is not for the name in the address, but for {}", names(presented))
        }
        CertificateError::Other(OtherError(other)) if other.is::<SelfSigned>() => {
            "the server's certificate is signed by itself, and not trusted here; `tls.ca` can name it, if it is not \
             one for an authority"
                .to_owned()
        }
        other => format!("the server's certificate cannot be trusted ({})", Error::InvalidCertificate(other.clone())),
    }
}

/// Returns the first few names of a certificate: `DnsName("a.example.com")` is how they come.
fn names(presented: &[String]) -> String {
    const MOST: usize = 3;
    let plain = |name: &String| name.split('"').nth(1).unwrap_or(name).to_owned();
    let mut names: Vec<String> = presented.iter().take(MOST).map(plain).collect();
    if presented.is_empty() {
        return "none".to_owned();
    }
    if presented.len() > MOST {
        names.push(format!("{} others", presented.len() - MOST));
    }
    names.join(", ")
}

fn plain(error: &Error) -> String {
    error.to_string()
}

fn time(at: UnixTime) -> Timestamp {
    Timestamp::from_millis(i64::try_from(at.as_secs()).unwrap_or(i64::MAX).saturating_mul(1000))
}
