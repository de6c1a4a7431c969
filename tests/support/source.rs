//! An HTTP API on a real socket that answers what a test tells it to, faults included.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pollhook::clock::SystemClock;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A running API. Dropping it closes all its connections.
pub struct Source {
    origin: String,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

type Respond = Box<dyn FnMut(&Request) -> Reply + Send>;

struct Shared {
    respond: Mutex<Respond>,
    requests: Mutex<Vec<Request>>,
}

/// What the API was asked.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Request {
    /// Returns the value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What the API answers.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub fault: Fault,
}

/// What goes wrong on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    None,
    /// The connection is closed without an answer.
    Close,
    /// It is closed after so many bytes of the body.
    CutAfter(usize),
    /// No answer ever comes.
    Hang,
    /// This is done to the connection instead of answering on it; then it is closed.
    Wire(Vec<Step>),
}

/// One thing that is done to a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Send(Vec<u8>),
    /// The same bytes, for as long as they are taken.
    Forever(Vec<u8>),
    /// One byte after the other, with this pause before each.
    Drip(Vec<u8>, Duration),
    Pause(Duration),
    Hang,
    /// What is still under way is lost.
    Reset,
}

impl Reply {
    /// Returns an answer with a JSON body.
    pub fn json(body: impl Into<Vec<u8>>) -> Self {
        Self::of(200, body).with("content-type", "application/json")
    }

    /// Returns an answer with a status and a body.
    pub fn of(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), fault: Fault::None }
    }

    /// Returns an answer that a fault keeps from arriving.
    pub fn fault(fault: Fault) -> Self {
        Self { fault, ..Self::json("[]") }
    }

    /// Returns an answer that is whatever these steps make of it.
    pub fn wire(steps: impl Into<Vec<Step>>) -> Self {
        Self::fault(Fault::Wire(steps.into()))
    }

    /// Returns the answer with one header more.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

impl Source {
    /// Starts an API that answers this way.
    pub async fn start(respond: impl FnMut(&Request) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let origin = format!("http://{}", listener.local_addr().expect("a bound socket"));
        let shared = Arc::new(Shared { respond: Mutex::new(Box::new(respond)), requests: Mutex::new(Vec::new()) });
        let mut tasks = JoinSet::new();
        let accepting = Arc::clone(&shared);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&accepting)));
            }
        });
        Self { origin, shared, _tasks: tasks }
    }

    /// Answers differently from now on.
    pub fn respond(&self, respond: impl FnMut(&Request) -> Reply + Send + 'static) {
        *lock(&self.shared.respond) = Box::new(respond);
    }

    /// Returns the address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// Returns what was asked since the last call.
    pub fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut *lock(&self.shared.requests))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers the requests of one connection, until it or an answer's fault ends it.
async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read_request(&mut stream).await {
        lock(&shared.requests).push(request.clone());
        let reply = (lock(&shared.respond))(&request);
        match &reply.fault {
            Fault::Close => return,
            Fault::Hang => std::future::pending::<()>().await,
            // It ends when the client takes no more.
            Fault::Wire(steps) => return perform(steps, stream.get_mut()).await.unwrap_or_default(),
            Fault::None | Fault::CutAfter(_) => {}
        }
        let mut head = format!("HTTP/1.1 {} Answer\r\ncontent-length: {}\r\n", reply.status, reply.body.len());
        if reply.status == 304 {
            "HTTP/1.1 304 Not Modified\r\n".clone_into(&mut head);
        }
        for (name, value) in &reply.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str("\r\n");
        let body = match &reply.fault {
            Fault::CutAfter(bytes) => &reply.body[..*bytes],
            _ => &reply.body[..],
        };
        // In one piece: a head alone would wait for the acknowledgement that the client puts off.
        let answer = [head.as_bytes(), body].concat();
        let sent = stream.write_all(&answer).await;
        if sent.is_err() || reply.fault != Fault::None {
            return;
        }
    }
}

async fn perform(steps: &[Step], stream: &mut TcpStream) -> io::Result<()> {
    let clock = SystemClock::shared();
    for step in steps {
        match step {
            Step::Send(bytes) => stream.write_all(bytes).await?,
            Step::Forever(bytes) => loop {
                stream.write_all(bytes).await?;
            },
            Step::Drip(bytes, pause) => {
                for byte in bytes {
                    clock.sleep_until(clock.now() + *pause).await;
                    stream.write_all(&[*byte]).await?;
                }
            }
            Step::Pause(pause) => clock.sleep_until(clock.now() + *pause).await,
            Step::Hang => std::future::pending().await,
            Step::Reset => stream.set_zero_linger()?,
        }
    }
    Ok(())
}

/// What a TLS client's first message begins with.
const TLS_HANDSHAKE: u8 = 0x16;

/// Reads what a client asks; `None` if it asks nothing, or not in plain HTTP, which it is told.
async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
        if head[0] == TLS_HANDSHAKE {
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await.ok()?;
            return None;
        }
    }
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut request = Request { method, target, headers, body: String::new() };
    let length = request.header("content-length").map_or(0, |text| text.parse().expect("a length"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    request.body = String::from_utf8(body).ok()?;
    Some(request)
}
