//! A front that speaks TLS before a plain server, with the certificates in `fixtures/tls`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// A server at `https://localhost:…`. Dropping it closes all its connections.
pub struct TlsFront {
    port: u16,
    presented: Arc<Mutex<Vec<bool>>>,
    _tasks: JoinSet<()>,
}

/// Whether clients have to present a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificate {
    Wanted,
    Required,
}

/// How a front presents itself.
#[derive(Debug, Clone, Copy)]
pub struct Presence {
    /// Its certificate, a file in `fixtures/tls` that belongs to `server.key`.
    pub certificate: &'static str,
    pub clients: ClientCertificate,
    pub versions: &'static [&'static SupportedProtocolVersion],
}

impl Presence {
    /// Returns a front that is what it should be.
    pub fn usual(clients: ClientCertificate) -> Self {
        Self { certificate: "server.pem", clients, versions: rustls::ALL_VERSIONS }
    }
}

impl TlsFront {
    /// Starts a front for the server at this address, such as `127.0.0.1:8080`.
    pub async fn start(behind: &str, certificate: ClientCertificate) -> Self {
        Self::present(behind, Presence::usual(certificate)).await
    }

    /// Starts a front that presents itself like this.
    pub async fn present(behind: &str, presence: Presence) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("a bound socket").port();
        let acceptor = TlsAcceptor::from(Arc::new(configuration(presence)));
        let presented = Arc::new(Mutex::new(Vec::new()));
        let (behind, seen) = (behind.to_owned(), Arc::clone(&presented));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, behind, seen) = (acceptor.clone(), behind.clone(), Arc::clone(&seen));
                connections.spawn(async move {
                    // A client that does not trust this server goes away.
                    let Ok(mut outside) = acceptor.accept(stream).await else { return };
                    let has_certificate = outside.get_ref().1.peer_certificates().is_some();
                    seen.lock().unwrap_or_else(PoisonError::into_inner).push(has_certificate);
                    let mut inside = TcpStream::connect(behind).await.expect("the server behind listens");
                    let _ = copy_bidirectional(&mut outside, &mut inside).await;
                });
            }
        });
        Self { port, presented, _tasks: tasks }
    }

    /// Returns the address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    /// Returns for each connection since the last call whether the client presented a certificate.
    pub fn take_presented(&self) -> Vec<bool> {
        std::mem::take(&mut *self.presented.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Returns the path of a file in `fixtures/tls`.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name)
}

fn configuration(presence: Presence) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let read = |name: &str| CertificateDer::from_pem_file(fixture(name)).expect("a certificate");
    let mut authorities = RootCertStore::empty();
    authorities.add(read("ca.pem")).expect("a certificate");
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), Arc::clone(&provider));
    let verifier = match presence.clients {
        ClientCertificate::Wanted => verifier.allow_unauthenticated(),
        ClientCertificate::Required => verifier,
    };
    let key = PrivateKeyDer::from_pem_file(fixture("server.key")).expect("a key");
    ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(presence.versions)
        .expect("versions that are known")
        .with_client_cert_verifier(verifier.build().expect("a verifier"))
        .with_single_cert(vec![read(presence.certificate)], key)
        .expect("the server's certificate")
}
