//! Servers that do what a test says, names that lead where it says, and requests.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pollhook::http::header::HeaderMap;
use pollhook::http::{BodyLimit, HttpClient, HttpError, HttpRequest, HttpResponse, Limits, Lookup, Method, Trace};
use pollhook::model::egress::{Destination, Egress};
use pollhook::model::subscription::Origin;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

pub type Stream = BufReader<TcpStream>;

/// A server on a real socket. Dropping it closes all its connections.
pub struct Server {
    pub address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Starts a server that does this with each connection, the first of which has the number 1.
    pub async fn start<F, T>(handle: F) -> Self
    where
        F: Fn(usize, Stream) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        Self::at("127.0.0.1:0", handle).await
    }

    /// Starts one at this address.
    pub async fn at<F, T>(address: &str, handle: F) -> Self
    where
        F: Fn(usize, Stream) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.expect("an address to listen on");
        let address = listener.local_addr().expect("a bound socket");
        let accepted = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&accepted);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let number = counted.fetch_add(1, Ordering::SeqCst) + 1;
                connections.spawn(handle(number, BufReader::new(stream)));
            }
        });
        Self { address, accepted, _tasks: tasks }
    }

    /// Starts a server that answers every request with 200.
    pub async fn answering() -> Self {
        Self::start(|_, mut stream| async move { while answer_one(&mut stream, OK).await {} }).await
    }

    /// Returns how many connections there have been.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Returns the server's address with this host in place of its own.
    pub fn url(&self, host: &str) -> String {
        format!("http://{host}:{}/hook", self.address.port())
    }
}

pub const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Reads a request and writes this answer. Tells whether both was possible.
pub async fn answer_one(stream: &mut Stream, answer: &str) -> bool {
    read_request(stream).await.is_some() && stream.write_all(answer.as_bytes()).await.is_ok()
}

/// Reads a request with its body and returns its head; `None` at the end of the connection.
pub async fn read_request(stream: &mut Stream) -> Option<String> {
    let head = read_head(stream).await?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(head)
}

/// Reads the head of a request only.
pub async fn read_head(stream: &mut Stream) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        match stream.read_line(&mut head).await {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
    }
    Some(head)
}

/// What names lead to: the first answer for the first look-up, and so on; the last one then stays.
pub struct Names {
    answers: Mutex<VecDeque<Vec<SocketAddr>>>,
    asked: AtomicUsize,
}

impl Names {
    pub fn leading_to<const N: usize>(answers: [&[&str]; N]) -> Arc<Self> {
        let address = |text: &&str| SocketAddr::new(text.parse().expect("an address"), 0);
        let answers = answers.iter().map(|answer| answer.iter().map(address).collect()).collect();
        Arc::new(Self { answers: Mutex::new(answers), asked: AtomicUsize::new(0) })
    }

    /// Returns how often a name was looked up.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Lookup for Names {
    async fn addresses(&self, _: &str) -> io::Result<Vec<SocketAddr>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        answer.ok_or_else(|| io::Error::other("no such name"))
    }
}

/// A name server that never answers.
pub struct Silence;

#[async_trait]
impl Lookup for Silence {
    async fn addresses(&self, _: &str) -> io::Result<Vec<SocketAddr>> {
        pending().await
    }
}

pub fn egress(allow: &[&str], deny: &[&str]) -> Egress {
    let read = |texts: &[&str]| -> Vec<Destination> { texts.iter().map(|text| text.parse().expect(text)).collect() };
    Egress { allow: read(allow), deny: read(deny), proxy: None }
}

/// Returns a client for URLs of the configuration.
pub fn trusted() -> HttpClient {
    HttpClient::new().expect("a client")
}

/// Returns a client for URLs that came over the API.
pub fn guarded(egress: Egress, names: Arc<dyn Lookup>) -> HttpClient {
    HttpClient::with_lookup(egress, names).expect("a client").for_origin(Origin::Api)
}

/// POSTs something, with a deadline of ten seconds.
pub async fn post(client: &HttpClient, url: &str) -> (Trace, Result<HttpResponse, HttpError>) {
    post_within(client, url, Duration::from_secs(10)).await
}

pub async fn post_within(
    client: &HttpClient,
    url: &str,
    deadline: Duration,
) -> (Trace, Result<HttpResponse, HttpError>) {
    post_body(client, url, deadline, b"{}").await
}

pub async fn post_body(
    client: &HttpClient,
    url: &str,
    deadline: Duration,
    body: &[u8],
) -> (Trace, Result<HttpResponse, HttpError>) {
    client.send_traced(request(url, body), Limits { deadline, body: BodyLimit::Keep(1024) }).await
}

/// Returns a POST of this.
pub fn request(url: &str, body: &[u8]) -> HttpRequest {
    let url = url.parse().expect("a URL");
    HttpRequest { method: Method::POST, url, headers: HeaderMap::new(), body: body.to_vec().into() }
}
