//! Requests that go through a proxy.

use std::sync::{Arc, Mutex, PoisonError};

use assert_cmd::Command;
use pollhook::http::HttpClient;
use pollhook::model::delivery::FailureClass;
use pollhook::model::egress::{Egress, Proxy};
use pollhook::model::subscription::Origin;
use pollhook::model::tls::{Authorities, Tls, TlsVersion};
use tokio::io::{AsyncWriteExt as _, copy_bidirectional};
use tokio::net::TcpStream;

use crate::tls::{ClientCertificate, Presence, TlsFront, fixture};
use crate::world::{Names, OK, Server, egress, post, read_request};

/// A proxy that answers for all servers, and leads to one at `tunnels_to` if it is asked for a tunnel.
struct ProxyServer {
    server: Server,
    heads: Arc<Mutex<Vec<String>>>,
}

impl ProxyServer {
    async fn start(tunnels_to: Option<u16>) -> Self {
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        let server = Server::start(move |_, mut stream| {
            let seen = Arc::clone(&seen);
            async move {
                while let Some(head) = read_request(&mut stream).await {
                    let is_tunnel = head.starts_with("CONNECT ");
                    seen.lock().unwrap_or_else(PoisonError::into_inner).push(head);
                    let answer = match (is_tunnel, tunnels_to) {
                        (false, _) => OK,
                        (true, Some(_)) => "HTTP/1.1 200 Connected\r\n\r\n",
                        (true, None) => "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n",
                    };
                    stream.write_all(answer.as_bytes()).await.expect("the client listens");
                    if let (true, Some(port)) = (is_tunnel, tunnels_to) {
                        let mut inside = TcpStream::connect(("127.0.0.1", port)).await.expect("a server");
                        let _ = copy_bidirectional(&mut stream, &mut inside).await;
                    }
                }
            }
        })
        .await;
        Self { server, heads }
    }

    /// Returns a client that uses it; names lead to this address.
    fn client(&self, egress: Egress, except: &[&str], leads_to: &'static [&'static str]) -> HttpClient {
        let url = format!("http://me:s%20ecret@127.0.0.1:{}", self.server.address.port());
        let except = except.iter().map(|text| text.parse().expect(text)).collect();
        let proxy = Some(Proxy { url: url.parse().expect("a URL"), except });
        HttpClient::with_lookup(Egress { proxy, ..egress }, Names::leading_to([leads_to])).expect("a client")
    }

    fn take_heads(&self) -> Vec<String> {
        std::mem::take(&mut *self.heads.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

const AUTHORIZATION: &str = "proxy-authorization: Basic bWU6cyBlY3JldA==";

#[tokio::test]
async fn a_request_goes_through_the_proxy_which_is_not_judged() {
    let proxy = ProxyServer::start(None).await;
    for origin in [Origin::Configuration, Origin::Api] {
        let client = proxy.client(Egress::default(), &[], &["1.1.1.1"]).for_origin(origin);
        let (trace, result) = post(&client, "http://hooks.example.com/hook?a=b").await;
        assert_eq!((result.expect("an answer").status, trace.address), (200, Some(proxy.server.address)));
        let heads = proxy.take_heads();
        assert!(heads[0].starts_with("POST http://hooks.example.com/hook?a=b HTTP/1.1\r\n"), "{heads:?}");
        assert!(heads[0].contains(AUTHORIZATION), "{heads:?}");
    }
}

#[tokio::test]
async fn a_secure_request_goes_through_a_tunnel() {
    let receiver = Server::answering().await;
    let presence = Presence { certificate: "other-name.pem", ..Presence::usual(ClientCertificate::Wanted) };
    let front = TlsFront::present(&receiver.address.to_string(), presence).await;
    let url: url::Url = front.url("/hook").parse().expect("a URL");
    let proxy = ProxyServer::start(url.port()).await;
    let authority = std::fs::read_to_string(fixture("other-ca.pem")).expect("a certificate");
    let authorities = Authorities::parse(&authority).expect("an authority");
    let tls = Tls::new(Some(authorities), None, TlsVersion::V1_3);
    let client = proxy.client(Egress::default(), &[], &["1.1.1.1"]).with_tls(&tls).expect("a client");
    let (trace, result) = post(&client, "https://elsewhere.example/hook").await;
    assert_eq!((result.expect("an answer").status, trace.address), (200, Some(proxy.server.address)));
    assert!(trace.phases.connect.is_some() && trace.phases.tls.is_some(), "{trace:?}");
    let (trace, result) = post(&client, "https://elsewhere.example/hook").await;
    assert_eq!((result.expect("an answer").status, trace.phases.connect), (200, None));
    let heads = proxy.take_heads();
    assert!(heads[0].starts_with("CONNECT elsewhere.example:443 HTTP/1.1\r\n"), "{heads:?}");
    assert!(heads[0].to_ascii_lowercase().contains(&AUTHORIZATION.to_ascii_lowercase()), "{heads:?}");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_no_connection() {
    let proxy = ProxyServer::start(None).await;
    let client = proxy.client(Egress::default(), &[], &["1.1.1.1"]);
    let error = post(&client, "https://hooks.example.com/").await.1.expect_err("no tunnel");
    assert_eq!((error.class(), error.to_string().contains("s ecret")), (FailureClass::Connect, false));
    assert_eq!(error.to_string(), "no connection: the proxy does not lead there (unsuccessful)");
}

#[tokio::test]
async fn what_may_not_be_connected_to_may_not_be_asked_for_through_a_proxy() {
    let proxy = ProxyServer::start(None).await;
    let check = async |client: &HttpClient, url: &str, is_allowed: bool| {
        let (_, result) = post(client, url).await;
        match result {
            Ok(_) => assert!(is_allowed, "{url}"),
            Err(error) => assert_eq!((error.class(), is_allowed), (FailureClass::Egress, false), "{url}: {error}"),
        }
        assert_eq!(proxy.take_heads().len(), usize::from(is_allowed), "{url}");
    };
    let client = proxy.client(egress(&["hooks.internal.example.com"], &[]), &[], &["10.0.0.1"]);
    check(&client, "http://hooks.example.com/", true).await;
    let client = client.for_origin(Origin::Api);
    check(&client, "http://hooks.example.com/", false).await;
    check(&client, "http://10.0.0.1/", false).await;
    check(&client, "http://127.0.0.1/", false).await;
    check(&client, "http://hooks.internal.example.com/", true).await;
    let client = proxy.client(egress(&[], &["10.0.0.0/8"]), &[], &["10.0.0.1"]);
    check(&client, "http://hooks.example.com/", false).await;
}

#[tokio::test]
async fn this_machine_and_what_is_excepted_are_connected_to_directly() {
    let (proxy, server) = (ProxyServer::start(None).await, Server::answering().await);
    let client = proxy.client(Egress::default(), &["*.internal.example.com"], &["127.0.0.1"]);
    for host in ["127.0.0.1", "localhost", "a.internal.example.com"] {
        let (trace, result) = post(&client, &server.url(host)).await;
        assert_eq!((result.expect("an answer").status, trace.address), (200, Some(server.address)), "{host}");
    }
    // Of those for whom this machine is forbidden, it is so without a proxy as well.
    let error = post(&client.for_origin(Origin::Api), &server.url("a.internal.example.com")).await.1;
    assert_eq!(error.expect_err("a refusal").class(), FailureClass::Egress);
    assert_eq!(proxy.take_heads(), [""; 0]);
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_no_connection() {
    let proxy = Some(Proxy { url: "http://127.0.0.1:1".parse().expect("a URL"), except: Vec::new() });
    let client = HttpClient::with_lookup(Egress { proxy, ..Egress::default() }, Names::leading_to([&["1.1.1.1"]]));
    let error = post(&client.expect("a client"), "http://hooks.example.com/").await.1.expect_err("no proxy");
    assert_eq!(error.class(), FailureClass::Connect, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn proxies_of_the_environment_are_not_used() {
    let source = Server::start(|_, mut stream| async move {
        let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\r\n[{\"id\":17}]";
        while crate::world::answer_one(&mut stream, answer).await {}
    })
    .await;
    let folder = tempfile::tempdir().expect("a folder");
    let configuration = format!(
        "[connectors.orders]\nevery = \"1m\"\nrequest.url = \"{}\"\nitem.key = \".id\"\n",
        source.url("127.0.0.1")
    );
    std::fs::write(folder.path().join("config.toml"), configuration).expect("a file");
    let mut command = Command::cargo_bin("pollhook").expect("the binary is built");
    command.current_dir(folder.path()).args(["try", "orders"]);
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env(name, "http://127.0.0.1:1");
    }
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("it ran");
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success() && said.contains("17"), "{said}{:?}", output.stderr);
}
