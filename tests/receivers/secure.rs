//! Connections that cannot be secured, each for another reason.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ProtocolVersion, RootCertStore, ServerConfig, SupportedProtocolVersion, version};

use crate::fault::{Conduct, Step};
use crate::send;
use crate::trial::Trial;

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        presenting("a certificate that has expired", "expired.pem"),
        presenting("a certificate that is not valid yet", "early.pem"),
        presenting("a certificate of another name", "other.pem"),
        presenting("a certificate of an authority that nobody trusts", "stranger.pem"),
        presenting("a certificate that it signed itself", "self.pem"),
        Trial::securing("a certificate is demanded", Arc::new(demanding())),
        raw("plain HTTP where TLS was asked", [send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")]),
        raw("another protocol's greeting", [send("220 mail.example.com ESMTP ready\r\n")]),
        raw("a handshake that stalls", [Step::Hang]).impatient(),
        raw("a handshake that stalls half-way", [send("\x16\x03\x03"), Step::Hang]).impatient(),
        raw("closed instead of a handshake", []),
        raw("reset instead of a handshake", [Step::Reset]),
        raw("a handshake of TLS 1.1", [Step::Send(hello(ProtocolVersion::TLSv1_1))]),
        raw("an alert: the version is too old", [alert(70)]),
        raw("an alert: no cipher in common", [alert(40)]),
        raw("an alert: no such name", [alert(112)]),
        raw("bytes without end that are no handshake", [Step::Forever(b"thank you ".repeat(100))]),
    ];
    trials = trials.into_iter().map(well).collect();
    trials
}

/// Lets the receiver be well with a certificate that its authority signed, and the subscription trust that.
pub fn well(trial: Trial) -> Trial {
    trial.secured(Arc::new(configuration("good.pem"))).rules(&trusting())
}

/// Returns the rule that makes a subscription trust the receivers' authority.
pub fn trusting() -> String {
    format!("tls = {{ ca = \"{}\" }}", fixture("ca.pem").display())
}

/// Returns what presents this certificate.
pub fn configuration(certificate: &str) -> ServerConfig {
    speaking(certificate, &[&version::TLS13, &version::TLS12])
}

fn speaking(certificate: &str, versions: &[&'static SupportedProtocolVersion]) -> ServerConfig {
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .expect("versions that there are")
        .with_no_client_auth()
        .with_single_cert(vec![read(certificate)], key())
        .expect("the certificate's key")
}

fn demanding() -> ServerConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut authorities = RootCertStore::empty();
    authorities.add(read("ca.pem")).expect("a certificate");
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), Arc::clone(&provider));
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the usual versions")
        .with_client_cert_verifier(verifier.build().expect("a verifier"))
        .with_single_cert(vec![read("good.pem")], key())
        .expect("the certificate's key")
}

fn read(name: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(fixture(name)).expect("a certificate")
}

fn key() -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_file(fixture("server.key")).expect("a key")
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls/receivers").join(name)
}

fn presenting(name: &'static str, certificate: &str) -> Trial {
    Trial::securing(name, Arc::new(configuration(certificate)))
}

fn raw(name: &'static str, steps: impl Into<Arc<[Step]>>) -> Trial {
    Trial::conducting(name, Conduct::Raw(steps.into()))
}

/// Returns the server's first message of a handshake in this version.
fn hello(version: ProtocolVersion) -> Vec<u8> {
    let version = u16::from(version).to_be_bytes();
    // A random number, no session, the cipher TLS_RSA_WITH_AES_128_CBC_SHA, no compression.
    let body = [&version[..], &[7; 32], &[0, 0, 0x2f, 0]].concat();
    let length = u8::try_from(body.len()).expect("a short message");
    [&[0x16], &version[..], &[0, length + 4, 2, 0, 0, length], &body].concat()
}

/// A fatal alert with this number.
fn alert(number: u8) -> Step {
    Step::Send(vec![0x15, 3, 3, 0, 2, 2, number])
}
