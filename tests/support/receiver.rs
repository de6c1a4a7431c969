//! A receiver on a real socket that answers as a test tells it to and remembers what it was sent.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pollhook::deliver::{VerifyError, VerifyingKey, verify};
use pollhook::http::header::{HeaderMap, HeaderName, HeaderValue};
use pollhook::model::time::Timestamp;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long a test waits for something that should happen at once.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a request is answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// With this status and an empty body.
    Status(u16),
    /// With this status, headers and body.
    Full(u16, Vec<(&'static str, String)>, String),
    /// With this status, after which the connection is closed without having announced it.
    StatusThenClose(u16),
    /// As said, but not before [`Receiver::release`].
    Held(Box<Answer>),
    /// The connection is reset instead.
    Reset,
    /// The status line comes, and then nothing more.
    StalledHeader,
    /// Status 200 and the beginning of the body come, and then nothing more.
    StalledBody,
    /// Status 200 and a body without end.
    EndlessBody,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Received {
    pub method: String,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Received {
    /// Returns a header's value, which may be empty but must be there.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no header {name}")).to_str().expect("plain text")
    }

    /// Checks the signature with keys in the notation of Standard Webhooks.
    pub fn verify(&self, keys: &[&str], now: Timestamp) -> Result<(), VerifyError> {
        let keys: Vec<_> = keys.iter().map(|text| VerifyingKey::parse(text).expect("a key")).collect();
        verify(&keys, &self.headers, &self.body, now)
    }

    /// Returns the body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }
}

/// A receiver that listens until it is dropped.
pub struct Receiver {
    address: SocketAddr,
    state: Arc<State>,
    _listening: JoinSet<()>,
}

struct State {
    script: Mutex<Script>,
    received: watch::Sender<Vec<Received>>,
    released: watch::Sender<bool>,
}

/// What is answered: first these, one each, then always the same.
struct Script {
    next: VecDeque<Answer>,
    then: Answer,
}

impl Receiver {
    /// Returns a receiver that answers 200 until it is told otherwise.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("the port that was bound");
        let state = Arc::new(State {
            script: Mutex::new(Script { next: VecDeque::new(), then: Answer::Status(200) }),
            received: watch::Sender::default(),
            released: watch::Sender::default(),
        });
        let mut listening = JoinSet::new();
        listening.spawn(listen(listener, Arc::clone(&state)));
        Self { address, state, _listening: listening }
    }

    /// Returns the address that it listens at.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Answers the next requests so, one each.
    pub fn answer_next(&self, answers: impl IntoIterator<Item = Answer>) {
        self.script().next.extend(answers);
    }

    /// Answers all requests so for which nothing else was said.
    pub fn answer_always(&self, answer: Answer) {
        self.script().then = answer;
    }

    /// Lets the answers go that are held, and all later ones.
    pub fn release(&self) {
        self.state.released.send_replace(true);
    }

    /// Returns what was received so far.
    pub fn so_far(&self) -> Vec<Received> {
        self.state.received.borrow().clone()
    }

    /// Waits until this many requests were received and returns them; more would be a mistake.
    pub async fn received(&self, count: usize) -> Vec<Received> {
        let mut received = self.state.received.subscribe();
        let waited = tokio::time::timeout(PATIENCE, received.wait_for(|received| received.len() >= count)).await;
        let Ok(received) = waited else { panic!("only {} of {count} requests came", self.so_far().len()) };
        let received = received.expect("the sender lives as long as the receiver").clone();
        assert_eq!(received.len(), count, "more requests came than expected");
        received
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.state.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for a condition that other tasks bring about.
pub async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(result) = condition().await {
                return result;
            }
            tokio::task::yield_now().await;
        }
    };
    let Ok(result) = tokio::time::timeout(PATIENCE, wait).await else { panic!("{what}: not within {PATIENCE:?}") };
    result
}

async fn listen(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let mut stream = BufReader::new(stream);
            // A client may go away at any point; what it sent until then is what counts.
            while let Ok(Some(request)) = read_request(&mut stream).await {
                let answer = {
                    let mut script = state.script.lock().unwrap_or_else(PoisonError::into_inner);
                    script.next.pop_front().unwrap_or_else(|| script.then.clone())
                };
                state.received.send_modify(|received| received.push(request));
                match respond(stream.get_mut(), answer, &state).await {
                    Ok(true) => {}
                    Ok(false) | Err(_) => break,
                }
            }
        });
    }
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Received>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ').map(str::to_owned);
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(None) };
    let mut headers = HeaderMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        let name: HeaderName = name.parse().expect("the client sends names");
        headers.append(name, HeaderValue::from_str(value).expect("the client sends values"));
    }
    let length = headers.get("content-length").map_or("0", |value| value.to_str().expect("a number"));
    let mut body = vec![0; length.parse().expect("a number")];
    stream.read_exact(&mut body).await?;
    Ok(Some(Received { method, path, headers, body }))
}

/// Answers a request; returns whether the connection stays open.
async fn respond(stream: &mut TcpStream, answer: Answer, state: &State) -> std::io::Result<bool> {
    let mut answer = answer;
    while let Answer::Held(inner) = answer {
        let _ = state.released.subscribe().wait_for(|released| *released).await;
        answer = *inner;
    }
    match answer {
        Answer::Held(_) => unreachable!("it was unwrapped above"),
        Answer::Status(status) => write(stream, status, &[], "").await.map(|()| true),
        Answer::StatusThenClose(status) => write(stream, status, &[], "").await.map(|()| false),
        Answer::Full(status, headers, body) => write(stream, status, &headers, &body).await.map(|()| true),
        Answer::Reset => {
            stream.set_zero_linger()?;
            Ok(false)
        }
        Answer::StalledHeader => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
            gone(stream).await
        }
        Answer::StalledBody => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc").await?;
            gone(stream).await
        }
        Answer::EndlessBody => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n").await?;
            let chunk = [b'x'; 8192];
            loop {
                stream.write_all(&chunk).await?;
            }
        }
    }
}

async fn write(
    stream: &mut TcpStream,
    status: u16,
    headers: &[(&'static str, String)],
    body: &str,
) -> std::io::Result<()> {
    let mut text = format!("HTTP/1.1 {status} Said\r\n");
    for (name, value) in headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    // A 204 has no body, and so no length.
    if status != 204 {
        let _ = write!(text, "content-length: {}\r\n", body.len());
    }
    text.push_str("\r\n");
    text.push_str(body);
    stream.write_all(text.as_bytes()).await
}

/// Waits until the client has closed the connection.
async fn gone(stream: &mut TcpStream) -> std::io::Result<bool> {
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(false)
}
