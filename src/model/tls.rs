//! Certificates and keys of one's own, checked when they are read.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, RootCertStore};

use super::fingerprint::BodyHash;
use super::secret::Secret;
use super::time::Timestamp;

/// What secure connections need beyond the usual.
#[derive(Debug, Clone)]
pub struct Tls {
    authorities: Option<Authorities>,
    identity: Option<ClientIdentity>,
    min_version: TlsVersion,
    id: BodyHash,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum TlsVersion {
    #[default]
    V1_2,
    V1_3,
}

impl Tls {
    /// Returns what connections need that trust these authorities beside the usual ones, have this identity, and speak this
    /// version at least.
    pub fn new(authorities: Option<Authorities>, identity: Option<ClientIdentity>, min_version: TlsVersion) -> Self {
        let mut hashed = vec![min_version as u8];
        for certificate in authorities.iter().flat_map(Authorities::certificates) {
            hashed.extend(BodyHash::of(certificate).0);
        }
        if let Some(identity) = &identity {
            hashed.extend(BodyHash::of(identity.pem.expose().as_bytes()).0);
        }
        Self { id: BodyHash::of(&hashed), authorities, identity, min_version }
    }

    /// Returns the same without an identity; `None` if then nothing is left.
    pub fn without_identity(&self) -> Option<Self> {
        let is_usual = self.authorities.is_none() && self.min_version == TlsVersion::default();
        (!is_usual).then(|| Self::new(self.authorities.clone(), None, self.min_version))
    }

    /// Returns the authorities that are trusted beside the usual ones.
    pub fn authorities(&self) -> Option<&Authorities> {
        self.authorities.as_ref()
    }

    /// Returns what the client proves who it is with.
    pub fn identity(&self) -> Option<&ClientIdentity> {
        self.identity.as_ref()
    }

    /// Returns the oldest version that is spoken.
    pub fn min_version(&self) -> TlsVersion {
        self.min_version
    }

    /// Returns what tells this apart from any other.
    pub fn id(&self) -> BodyHash {
        self.id
    }
}

/// Certificates of authorities; at least one.
#[derive(Clone)]
pub struct Authorities(Arc<[Vec<u8>]>);

impl Authorities {
    /// Reads all certificates of a PEM file.
    pub fn parse(pem: &str) -> Result<Self, TlsError> {
        let certificates = certificates(pem)?;
        for certificate in &certificates {
            RootCertStore::empty().add(certificate.clone()).map_err(|error| TlsError::Certificate(plain(&error)))?;
        }
        Ok(Self(certificates.into_iter().map(|certificate| certificate.to_vec()).collect()))
    }

    /// Returns the certificates as DER.
    pub fn certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(Vec::as_slice)
    }
}

impl std::fmt::Debug for Authorities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authorities({})", self.0.len())
    }
}

/// What a client proves who it is with: a certificate with its chain, and the key that belongs to it.
#[derive(Debug, Clone)]
pub struct ClientIdentity {
    pem: Secret,
    expires_at: Option<Timestamp>,
}

impl ClientIdentity {
    /// Reads a PEM file with a certificate, followed by those that lead to its authority, and one with its key.
    pub fn parse(certificate: &str, key: &Secret) -> Result<Self, TlsError> {
        let chain = certificates(certificate)?;
        let expires_at = chain.first().and_then(|leaf| expiry(leaf));
        let private_key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())
            .map_err(|_| if key.expose().contains("ENCRYPTED") { TlsError::EncryptedKey } else { TlsError::NoKey })?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let private_key = provider.key_provider.load_private_key(private_key).map_err(|_| TlsError::Key)?;
        match CertifiedKey::new(chain, private_key).keys_match() {
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(Error::InconsistentKeys(_)) => return Err(TlsError::Mismatch),
            Err(error) => return Err(TlsError::Certificate(plain(&error))),
        }
        Ok(Self { pem: Secret::new(format!("{certificate}\n{}", key.expose())), expires_at })
    }

    /// Returns the certificates, the client's own first, and the key, as rustls wants them.
    pub fn chain_and_key(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = PrivateKeyDer::from_pem_slice(self.pem.expose().as_bytes());
        let chain = certificates(self.pem.expose());
        (chain.expect("it was read before"), key.expect("it was read before"))
    }

    /// Returns when the certificate expires, if it says so.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }
}

/// Why certificates or keys cannot be used. Nothing of a key is repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    #[error("there is no certificate in it: one begins with `-----BEGIN CERTIFICATE-----`")]
    NoCertificate,
    #[error("this certificate cannot be read: {0}")]
    Certificate(String),
    #[error("there is no private key in it: one begins with `-----BEGIN PRIVATE KEY-----`")]
    NoKey,
    #[error("this key is encrypted, and nobody is there to type its password; `openssl pkey -in FILE` decrypts it")]
    EncryptedKey,
    #[error("this private key cannot be read")]
    Key,
    #[error("this key does not belong to the certificate in `cert`")]
    Mismatch,
}

impl TlsError {
    /// Tells whether the fault lies with the key, not with a certificate.
    pub fn is_of_key(&self) -> bool {
        matches!(self, Self::NoKey | Self::EncryptedKey | Self::Key | Self::Mismatch)
    }
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|_| TlsError::Certificate("it is not PEM".to_owned()))?;
    if certificates.is_empty() { Err(TlsError::NoCertificate) } else { Ok(certificates) }
}

fn plain(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(rustls::CertificateError::BadEncoding) => "it is damaged".to_owned(),
        other => other.to_string(),
    }
}

/// Tells whether a certificate names itself as its issuer.
pub fn is_self_issued(certificate: &[u8]) -> bool {
    let names = || {
        let (_, issuer, rest) = element(from_issuer(certificate)?)?;
        let (_, _, rest) = element(rest)?;
        let (_, subject, _) = element(rest)?;
        Some((issuer, subject))
    };
    names().is_some_and(|(issuer, subject)| issuer == subject)
}

/// Returns when a certificate expires: the second time of its validity (RFC 5280, 4.1).
fn expiry(certificate: &[u8]) -> Option<Timestamp> {
    let (_, _, rest) = element(from_issuer(certificate)?)?;
    let (_, validity, _) = element(rest)?;
    let (_, _, rest) = element(validity)?;
    let (tag, time, _) = element(rest)?;
    let time = std::str::from_utf8(time).ok()?;
    let with_century = match tag {
        UTC_TIME if *time.as_bytes().first()? >= b'5' => format!("19{time}"),
        UTC_TIME => format!("20{time}"),
        _ => time.to_owned(),
    };
    let at = chrono::NaiveDateTime::parse_from_str(&with_century, "%Y%m%d%H%M%SZ").ok()?;
    Some(Timestamp::from(at.and_utc()))
}

/// Returns the parts of a certificate from its issuer on: that, validity, subject and what follows.
fn from_issuer(certificate: &[u8]) -> Option<&[u8]> {
    let (_, certificate, _) = element(certificate)?;
    let (_, parts, _) = element(certificate)?;
    // A version comes first if it is not 1; then serial number and algorithm.
    let (tag, _, mut rest) = element(parts)?;
    let skipped = if tag == VERSION { 2 } else { 1 };
    for _ in 0..skipped {
        rest = element(rest)?.2;
    }
    Some(rest)
}

const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;

/// Returns the tag and the content of the DER element that comes first, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, short], rest) = der.split_first_chunk()?;
    let (length, rest) = match usize::from(short) {
        short @ ..0x80 => (short, rest),
        long => {
            let (bytes, rest) = rest.split_at_checked(long - 0x80)?;
            let length =
                bytes.iter().try_fold(0_usize, |length, byte| Some(length.checked_mul(256)? + usize::from(*byte)));
            (length?, rest)
        }
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUTHORITY: &str = include_str!("../../tests/fixtures/tls/ca.pem");
    const CLIENT: &str = include_str!("../../tests/fixtures/tls/client.pem");
    const EXPIRED: &str = include_str!("../../tests/fixtures/tls/expired.pem");

    fn identity(certificate: &str) -> ClientIdentity {
        let key = Secret::new(include_str!("../../tests/fixtures/tls/client.key").to_owned());
        ClientIdentity::parse(certificate, &key).expect("an identity")
    }

    #[test]
    fn it_is_known_when_a_certificate_expires() {
        let check = |certificate: &str, expected: &str| {
            let expires_at = identity(certificate).expires_at().expect("a time");
            assert_eq!(expires_at, Timestamp::parse(expected).expect("a time"));
        };
        check(EXPIRED, "2020-02-01T00:00:00Z");
        // Beyond 2049, certificates write times differently.
        check(CLIENT, "2120-01-01T00:00:00Z");
        // Those of the chain behind it do not count.
        check(&format!("{CLIENT}{EXPIRED}"), "2120-01-01T00:00:00Z");
    }

    #[test]
    fn an_authority_is_its_own_issuer() {
        let der = |pem: &str| Authorities::parse(pem).expect("a certificate").0[0].clone();
        assert!(is_self_issued(&der(AUTHORITY)));
        assert!(!is_self_issued(&der(CLIENT)) && !is_self_issued(b"no certificate"));
    }

    #[test]
    fn what_is_no_certificate_expires_never() {
        let der = Authorities::parse(AUTHORITY).expect("an authority").0[0].clone();
        assert!(expiry(&der).is_some());
        for length in 0..der.len().min(200) {
            assert_eq!(expiry(&der[..length]), None, "{length}");
        }
        assert_eq!(expiry(&[0x30, 0xff, 0xff, 0xff]), None);
    }

    #[test]
    fn connections_with_other_certificates_are_other_connections() {
        let authorities = || Authorities::parse(AUTHORITY).expect("an authority");
        let all = [
            Tls::new(Some(authorities()), None, TlsVersion::V1_2),
            Tls::new(None, Some(identity(CLIENT)), TlsVersion::V1_2),
            Tls::new(None, Some(identity(EXPIRED)), TlsVersion::V1_2),
            Tls::new(Some(authorities()), Some(identity(CLIENT)), TlsVersion::V1_2),
            Tls::new(Some(authorities()), None, TlsVersion::V1_3),
            Tls::new(None, None, TlsVersion::V1_3),
        ];
        let ids: std::collections::HashSet<_> = all.iter().map(Tls::id).collect();
        assert_eq!(ids.len(), all.len());
        assert_eq!(all[3].without_identity().map(|tls| tls.id()), Some(all[0].id()));
        assert!(all[1].without_identity().is_none());
        assert_eq!(all[5].without_identity().map(|tls| tls.id()), Some(all[5].id()));
        assert!(!format!("{all:?}").contains("BEGIN"), "{all:?}");
    }
}
