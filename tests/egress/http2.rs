//! HTTP/2: connections that many requests share, and how they end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use pollhook::clock::SystemClock;
use pollhook::http::{BodyLimit, HttpClient, Limits};
use pollhook::model::delivery::FailureClass;
use pollhook::model::tls::{Authorities, Tls, TlsVersion};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::tls::fixture;
use crate::world::{post, post_within, request, trusted};

/// What a server does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Answer,
    /// It takes its time, and no other request meanwhile.
    AnswerLate,
    /// It answers, and says that this connection takes no more.
    AnswerAndEnd,
    Reset(Reason),
    /// It says that this connection has failed.
    Fail(Reason),
    /// The connection is closed without a word.
    Close,
    /// Nothing is ever heard of this connection again.
    Die,
    /// It answers with far too many headers.
    TooManyHeaders,
}

/// How long a server takes that takes its time.
const LATE: Duration = Duration::from_millis(600);

/// A server that does this with each request, by the number of its connection and its own number there, from 1.
struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Server {
    async fn start(act: fn(usize, usize) -> Act) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("a bound socket").port();
        let acceptor = TlsAcceptor::from(Arc::new(configuration()));
        let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (counted, counted_requests) = (Arc::clone(&connections), Arc::clone(&requests));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut running = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let number = counted.fetch_add(1, Ordering::SeqCst) + 1;
                let (acceptor, requests) = (acceptor.clone(), Arc::clone(&counted_requests));
                running.spawn(async move {
                    let stream = acceptor.accept(stream).await.expect("a secure connection");
                    let most = if act(number, 2) == Act::AnswerLate { 1 } else { 100 };
                    let builder = h2::server::Builder::new().max_concurrent_streams(most).handshake(stream);
                    let mut connection = builder.await.expect("HTTP/2");
                    let (mut count, mut late) = (0, JoinSet::new());
                    while let Some(Ok((_, respond))) = connection.accept().await {
                        requests.fetch_add(1, Ordering::SeqCst);
                        count += 1;
                        let act = act(number, count);
                        if act == Act::AnswerLate {
                            late.spawn(async move {
                                let clock = SystemClock::shared();
                                clock.sleep_until(clock.now() + LATE).await;
                                carry_out(Act::Answer, respond);
                            });
                            continue;
                        }
                        carry_out(act, respond);
                        match act {
                            Act::AnswerAndEnd => connection.graceful_shutdown(),
                            Act::Fail(reason) => connection.abrupt_shutdown(reason),
                            Act::Close => return,
                            Act::Die => std::future::pending().await,
                            Act::Answer | Act::AnswerLate | Act::Reset(_) | Act::TooManyHeaders => {}
                        }
                    }
                });
            }
        });
        Self { port, connections, requests, _tasks: tasks }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}/hook", self.port)
    }

    /// Returns how many connections and requests there have been.
    fn seen(&self) -> (usize, usize) {
        (self.connections.load(Ordering::SeqCst), self.requests.load(Ordering::SeqCst))
    }
}

fn carry_out(act: Act, mut respond: h2::server::SendResponse<Bytes>) {
    let mut response = ::http::Response::new(());
    match act {
        Act::Answer | Act::AnswerLate | Act::AnswerAndEnd => {}
        Act::TooManyHeaders => {
            for number in 0..1000 {
                let name = ::http::HeaderName::try_from(format!("x-more-{number}")).expect("a name");
                response.headers_mut().insert(name, ::http::HeaderValue::from_static("and more and more and more"));
            }
        }
        Act::Reset(reason) => return respond.send_reset(reason),
        Act::Fail(_) | Act::Close | Act::Die => return,
    }
    let mut body = respond.send_response(response, false).expect("the client listens");
    body.send_data(Bytes::from_static(b"ok"), true).expect("the client listens");
}

fn configuration() -> ServerConfig {
    let key = PrivateKeyDer::from_pem_file(fixture("server.key")).expect("a key");
    let certificate = CertificateDer::from_pem_file(fixture("server.pem")).expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.expect("the usual versions").with_no_client_auth();
    let mut configuration = builder.with_single_cert(vec![certificate], key).expect("the server's certificate");
    configuration.alpn_protocols = vec![b"h2".to_vec()];
    configuration
}

fn client() -> HttpClient {
    let pem = std::fs::read_to_string(fixture("ca.pem")).expect("a certificate");
    let authorities = Authorities::parse(&pem).expect("an authority");
    trusted().with_tls(&Tls::new(Some(authorities), None, TlsVersion::default())).expect("a client")
}

async fn check_answered(client: &HttpClient, server: &Server, opens: bool) {
    let (trace, result) = post(client, &server.url()).await;
    assert_eq!(result.expect("an answer").body, "ok");
    let phases = trace.phases;
    assert_eq!((phases.connect.is_some(), phases.tls.is_some()), (opens, opens), "{trace:?}");
    assert_eq!(trace.address.map(|address| address.port()), Some(server.port));
}

#[tokio::test]
async fn a_connection_is_shared_until_it_takes_no_more() {
    let server = Server::start(|_, request| if request == 2 { Act::AnswerAndEnd } else { Act::Answer }).await;
    let client = client();
    check_answered(&client, &server, true).await;
    check_answered(&client, &server, false).await;
    assert_eq!(server.seen(), (1, 2));
    check_answered(&client, &server, true).await;
    assert_eq!(server.seen(), (2, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_wait_for_the_same_connection_do_not_tell_of_it_as_theirs() {
    let server = Server::start(|_, _| Act::Answer).await;
    let client = client();
    let mut requests = JoinSet::new();
    for _ in 0..50 {
        let (client, url) = (client.clone(), server.url());
        requests.spawn(async move {
            let (trace, result) = post(&client, &url).await;
            assert_eq!(result.expect("an answer").status, 200);
            usize::from(trace.phases.connect.is_some())
        });
    }
    let opened: usize = requests.join_all().await.into_iter().sum();
    let (connections, requests) = server.seen();
    assert!((1..=connections).contains(&opened) && requests == 50, "{opened} of {connections}, {requests}");
}

#[tokio::test]
async fn a_request_that_was_refused_unread_is_sent_again() {
    let refusing = |connection, request| {
        if (connection, request) == (1, 1) { Act::Reset(Reason::REFUSED_STREAM) } else { Act::Answer }
    };
    let server = Server::start(refusing).await;
    let (_, result) = post(&client(), &server.url()).await;
    assert_eq!(result.expect("an answer").status, 200);
    assert_eq!(server.seen().1, 2);
}

#[tokio::test]
async fn a_request_that_waits_long_for_its_turn_is_sent_once() {
    let server = Server::start(|_, request| if request == 1 { Act::Answer } else { Act::AnswerLate }).await;
    let client = client();
    check_answered(&client, &server, true).await;
    let mut requests = JoinSet::new();
    for _ in 0..5 {
        let (client, url) = (client.clone(), server.url());
        requests.spawn(async move {
            let request = request(&url, b"{}");
            let limits = Limits { deadline: Duration::from_secs(30), body: BodyLimit::Keep(1024) };
            client.send_again(request, limits).await.1.expect("an answer").status
        });
    }
    assert_eq!(requests.join_all().await, [200; 5]);
    assert_eq!(server.seen(), (1, 6));
}

#[tokio::test]
async fn a_request_that_is_broken_off_fails_and_the_connection_lives_on() {
    let server =
        Server::start(|_, request| if request == 2 { Act::Reset(Reason::INTERNAL_ERROR) } else { Act::Answer }).await;
    let client = client();
    check_answered(&client, &server, true).await;
    let (trace, result) = post(&client, &server.url()).await;
    let error = result.expect_err("it was broken off");
    // Nothing says that the receiver did not read it, and sending it again at once would meet the same.
    assert_eq!((error.class(), trace.stale), (FailureClass::Transport, false), "{error}");
    check_answered(&client, &server, false).await;
    assert_eq!(server.seen(), (1, 3));
}

#[tokio::test]
async fn a_connection_that_fails_under_a_request_says_nothing_of_the_request() {
    let failing: [fn(usize, usize) -> Act; 2] = [
        |connection, request| match (connection, request) {
            (1, 2) => Act::Fail(Reason::ENHANCE_YOUR_CALM),
            _ => Act::Answer,
        },
        |connection, request| if (connection, request) == (1, 2) { Act::Close } else { Act::Answer },
    ];
    for act in failing {
        let server = Server::start(act).await;
        let client = client();
        check_answered(&client, &server, true).await;
        let (trace, result) = post(&client, &server.url()).await;
        let error = result.expect_err("the connection failed");
        assert_eq!((error.class(), trace.stale), (FailureClass::Transport, true), "{error}");
        check_answered(&client, &server, true).await;
    }
}

/// Without that, every request that comes to it would take its whole time, until the system gives the connection up.
#[tokio::test]
async fn a_dead_connection_is_noticed_long_before_the_deadline() {
    let server =
        Server::start(|connection, request| if (connection, request) == (1, 2) { Act::Die } else { Act::Answer });
    let (server, client) = (server.await, client());
    check_answered(&client, &server, true).await;
    let (trace, result) = post_within(&client, &server.url(), Duration::from_secs(300)).await;
    let error = result.expect_err("the connection is dead");
    assert_eq!((error.class(), trace.stale), (FailureClass::Transport, true), "{error}");
    assert!(trace.phases.answer.is_some_and(|answer| answer < Duration::from_secs(30)), "{trace:?}");
    check_answered(&client, &server, true).await;
}

#[tokio::test]
async fn headers_are_bounded() {
    let server = Server::start(|_, _| Act::TooManyHeaders).await;
    let error = post(&client(), &server.url()).await.1.expect_err("too many headers");
    assert_eq!(error.class(), FailureClass::Transport, "{error}");
}
