//! What is said when there is no secure connection.

use std::time::Duration;

use pollhook::http::HttpClient;
use pollhook::model::delivery::FailureClass;
use pollhook::model::tls::{Authorities, Tls, TlsVersion};
use tokio::io::AsyncWriteExt as _;

use crate::tls::{ClientCertificate, Presence, TlsFront, fixture};
use crate::world::{Server, post, post_within, trusted};

fn client(authority: Option<&str>, min_version: TlsVersion) -> HttpClient {
    let authorities = authority.map(|name| {
        let pem = std::fs::read_to_string(fixture(name)).expect("a certificate");
        Authorities::parse(&pem).expect("an authority")
    });
    trusted().with_tls(&Tls::new(authorities, None, min_version)).expect("a client")
}

const USUAL: Presence =
    Presence { certificate: "server.pem", clients: ClientCertificate::Wanted, versions: rustls::ALL_VERSIONS };

const ONLY_1_2: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];

/// Checks what is said when a server that presents itself like this is asked by those who trust this authority.
async fn check(presence: Presence, authority: Option<&str>, min_version: TlsVersion, expected: &str) {
    let behind = Server::answering().await;
    let front = TlsFront::present(&behind.address.to_string(), presence).await;
    let (trace, result) = post(&client(authority, min_version), &front.url("/hook")).await;
    let error = result.expect_err(expected);
    assert_eq!(error.class(), FailureClass::Tls, "{error}");
    assert_eq!(error.to_string(), format!("no secure connection: {expected}"));
    assert!(trace.phases.tls.is_some(), "{trace:?}");
}

#[tokio::test]
async fn each_failure_says_what_is_wrong_and_what_can_be_done() {
    let usual = TlsVersion::default();
    check(
        USUAL,
        None,
        usual,
        "the server's certificate leads to no authority that is trusted here; `tls.ca` can name one, unless the server \
         forgets to send what lies between",
    )
    .await;
    check(
        Presence { certificate: "self-signed.pem", ..USUAL },
        None,
        usual,
        "the server's certificate is signed by itself, and not trusted here; `tls.ca` can name it, if it is not one for \
         an authority",
    )
    .await;
    for versions in [rustls::ALL_VERSIONS, ONLY_1_2] {
        check(
            Presence { clients: ClientCertificate::Required, versions, ..USUAL },
            Some("ca.pem"),
            usual,
            "the server wants the client to present a certificate; `tls.cert` and `tls.key` name one",
        )
        .await;
    }
    check(
        Presence { versions: ONLY_1_2, ..USUAL },
        Some("ca.pem"),
        TlsVersion::V1_3,
        "the server speaks no version of TLS or no ciphers that are spoken here (received fatal alert: ProtocolVersion)",
    )
    .await;
}

#[tokio::test]
async fn a_certificate_that_is_named_is_trusted_although_nobody_else_signed_it() {
    let behind = Server::answering().await;
    let presence = Presence { certificate: "self-signed.pem", ..USUAL };
    let front = TlsFront::present(&behind.address.to_string(), presence).await;
    for version in [TlsVersion::V1_2, TlsVersion::V1_3] {
        let client = client(Some("self-signed.pem"), version);
        let (trace, result) = post(&client, &front.url("/hook")).await;
        assert_eq!(result.expect("an answer").status, 200);
        let phases = trace.phases;
        assert!(phases.dns.is_some() && phases.connect.is_some() && phases.tls.is_some(), "{phases:?}");
        // Making a connection secure takes longer than opening it on this machine: the two are not mixed up.
        assert!(phases.tls > Some(Duration::from_micros(100)), "{phases:?}");
    }
    let front = TlsFront::start(&behind.address.to_string(), ClientCertificate::Wanted).await;
    let (_, result) = post(&client(Some("ca.pem"), TlsVersion::V1_3), &front.url("/hook")).await;
    assert_eq!((result.expect("an answer").status, front.take_presented()), (200, vec![false]));
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_told_from_one_that_is_not_there() {
    let check = async |answer: &'static str, expected: &str| {
        let server = Server::start(move |_, mut stream| async move {
            stream.write_all(answer.as_bytes()).await.expect("the client listens");
        })
        .await;
        let url = server.url("127.0.0.1").replace("http://", "https://");
        let error = post(&trusted(), &url).await.1.expect_err("no TLS");
        assert_eq!(error.class(), FailureClass::Tls, "{error}");
        assert!(error.to_string().starts_with(&format!("no secure connection: {expected}")), "{error}");
    };
    check("HTTP/1.1 400 Bad Request\r\n\r\n", "the server does not speak TLS there; check the address and its port")
        .await;
    check("", "").await;
    let error = post(&trusted(), "https://127.0.0.1:1/").await.1.expect_err("nobody listens");
    assert_eq!(error.class(), FailureClass::Connect, "{error}");
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_cut_off_by_the_deadline() {
    let server = Server::start(|_, mut stream| async move {
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    })
    .await;
    let url = server.url("127.0.0.1").replace("http://", "https://");
    let deadline = Duration::from_secs(2);
    let (trace, result) = post_within(&trusted(), &url, deadline).await;
    assert_eq!(result.expect_err("no answer").class(), FailureClass::Timeout);
    let phases = trace.phases;
    assert!(phases.connect.is_some() && phases.tls.is_some() && phases.answer.is_none(), "{phases:?}");
    assert_eq!(trace.address, Some(server.address));
}
