//! A receiver on a real socket that does to its connections what a test tells it to.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use pollhook::clock::SystemClock;
use rustls::ServerConfig;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::http2::{self, Stream};

/// A receiver that listens until it is dropped.
pub struct FaultReceiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    _listening: JoinSet<()>,
}

/// How a receiver treats its connections.
#[derive(Debug, Clone)]
pub enum Conduct {
    /// It reads each request and answers 200, and keeps the connection.
    Well,
    /// It does this with each connection beneath what secures it; then it closes the connection.
    Raw(Arc<[Step]>),
    /// It does this with each stream of HTTP/2.
    Streams(Stream),
    /// It does this with each request; then it closes the connection, unless the last step keeps it.
    Ill(Arc<[Step]>),
    /// It answers the first request of each connection, and the others unless it closes the connection, when that hurts
    /// most.
    Fickle(Arc<Mutex<Rng>>),
}

impl Conduct {
    /// Returns what begins with something else than reading, and so does not wait for a request.
    fn unasked(&self) -> Option<Arc<[Step]>> {
        match self {
            Self::Ill(steps) if !matches!(steps.first(), Some(Step::Head | Step::Request)) => Some(Arc::clone(steps)),
            _ => None,
        }
    }
}

/// One thing that is done to a connection.
#[derive(Debug, Clone)]
pub enum Step {
    /// Reads the head of a request.
    Head,
    /// Reads so many bytes of the body.
    Part(usize),
    /// Reads what is left of the body, and notes the request.
    Rest,
    /// Reads a whole request, and notes it.
    Request,
    Send(Vec<u8>),
    /// The same bytes, for as long as they are taken.
    Forever(Vec<u8>),
    /// One byte after the other, with this pause before each.
    Drip(Vec<u8>, Duration),
    Pause(Duration),
    Hang,
    /// What is still under way is lost.
    Reset,
    /// The connection is kept for the next request.
    Keep,
}

/// A request that was read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    /// Whether the receiver was well, and so acknowledged it.
    pub is_acknowledged: bool,
}

impl Received {
    /// Returns the `webhook-id`.
    pub fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }
}

pub struct Shared {
    conduct: Mutex<Conduct>,
    /// How connections are secured.
    secured: Option<Arc<ServerConfig>>,
    /// How they are secured for now instead.
    secures_ill: Mutex<Option<Arc<ServerConfig>>>,
    received: Mutex<Vec<Received>>,
    /// How often a conduct that is ill was gone through.
    ill: Mutex<usize>,
    /// How many bytes clients took at most of something that has no end.
    taken: Mutex<usize>,
}

/// How many bytes the receiver's system keeps of what the receiver does not read.
const WINDOW: u32 = 16 << 10;

impl FaultReceiver {
    /// Starts a receiver that is well.
    pub fn start() -> Self {
        Self::with(None)
    }

    /// Starts a receiver that is well and secures its connections like this.
    pub fn secured(configuration: Arc<ServerConfig>) -> Self {
        Self::with(Some(configuration))
    }

    fn with(secured: Option<Arc<ServerConfig>>) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("the option is known");
        socket.set_recv_buffer_size(WINDOW).expect("the option is known");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        let listener = socket.listen(128).expect("it is bound");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            conduct: Mutex::new(Conduct::Well),
            secured,
            secures_ill: Mutex::default(),
            received: Mutex::default(),
            ill: Mutex::default(),
            taken: Mutex::default(),
        });
        let mut listening = JoinSet::new();
        listening.spawn(listen(listener, Arc::clone(&shared)));
        Self { address, shared, _listening: listening }
    }

    /// Returns the address that it listens at.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the address that deliveries are sent to.
    pub fn url(&self) -> String {
        if self.shared.secured.is_some() {
            format!("https://localhost:{}/hook", self.address.port())
        } else {
            format!("http://{}/hook", self.address)
        }
    }

    /// Secures connections like this that are opened from now on; `None` means as in the beginning.
    pub fn secures(&self, configuration: Option<Arc<ServerConfig>>) {
        *lock(&self.shared.secures_ill) = configuration;
    }

    /// Treats connections like this from now on; one that is open from the next request on.
    pub fn conducts(&self, conduct: Conduct) {
        *lock(&self.shared.conduct) = conduct;
    }

    /// Returns the requests that were read to their end.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.shared.received).clone()
    }

    /// Returns how many requests were treated badly since the last call, or connections that were not asked anything.
    pub fn take_ill(&self) -> usize {
        std::mem::take(&mut *lock(&self.shared.ill))
    }

    /// Returns how many bytes were taken at most of something that has no end.
    pub fn taken(&self) -> usize {
        *lock(&self.shared.taken)
    }
}

impl Shared {
    /// Returns how connections are treated now.
    pub fn conduct(&self) -> Conduct {
        lock(&self.conduct).clone()
    }

    /// Notes a request that was read to its end.
    pub fn note(&self, received: Received) {
        lock(&self.received).push(received);
    }

    /// Notes that a request is treated badly. Returns how many were before.
    pub fn note_ill(&self) -> usize {
        let mut ill = lock(&self.ill);
        *ill += 1;
        *ill - 1
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            // A client may go away at any point.
            let _ = serve(stream, shared).await;
        });
    }
}

/// Secures a connection, if that is how the receiver is reached, and serves it.
async fn serve(stream: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    let conduct = shared.conduct();
    if let Conduct::Raw(steps) = conduct {
        return Exchange::new(&mut BufReader::new(stream), &shared).perform(&steps).await.map(drop);
    }
    let secured = lock(&shared.secures_ill).clone().or_else(|| shared.secured.clone());
    let Some(configuration) = secured else { return serve_requests(BufReader::new(stream), &shared).await };
    if lock(&shared.secures_ill).is_some() {
        shared.note_ill();
    }
    let mut stream = TlsAcceptor::from(configuration).accept(stream).await?;
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") && !matches!(conduct, Conduct::Ill(_)) {
        return http2::serve(stream, shared).await.map_err(io::Error::other);
    }
    stream.flush().await?;
    serve_requests(BufReader::new(stream), &shared).await
}

/// A connection, also one that is secured.
pub trait Wire: AsyncRead + AsyncWrite + Unpin + Send {
    /// Returns what carries it.
    fn tcp(&self) -> &TcpStream;
}

impl Wire for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Wire for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// Treats one connection after the conduct of each moment, until that or the client ends it.
async fn serve_requests(mut stream: BufReader<impl Wire>, shared: &Shared) -> io::Result<()> {
    let (mut is_open, mut is_first) = (true, true);
    let unasked = lock(&shared.conduct).unasked();
    if let Some(steps) = unasked {
        is_open = Exchange::new(&mut stream, shared).perform(&steps).await?;
    }
    while is_open && !stream.fill_buf().await?.is_empty() {
        let conduct = shared.conduct();
        let mut exchange = Exchange::new(&mut stream, shared);
        match conduct {
            Conduct::Well | Conduct::Raw(_) | Conduct::Streams(_) => exchange.acknowledge().await?,
            Conduct::Ill(steps) => is_open = exchange.perform(&steps).await?,
            Conduct::Fickle(random) => {
                is_open = exchange.answer_or_close(&random, is_first).await?;
                is_first = false;
            }
        }
    }
    Ok(())
}

/// A request and what is done with it.
struct Exchange<'a, S> {
    stream: &'a mut BufReader<S>,
    shared: &'a Shared,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl<'a, S: Wire> Exchange<'a, S> {
    fn new(stream: &'a mut BufReader<S>, shared: &'a Shared) -> Self {
        Self { stream, shared, headers: BTreeMap::new(), body: Vec::new() }
    }

    async fn acknowledge(&mut self) -> io::Result<()> {
        self.read_head().await?;
        self.read_rest().await?;
        self.note(true);
        self.stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await?;
        self.stream.flush().await
    }

    /// Answers the request and closes the connection now and then: on a connection that was kept, also instead of
    /// answering. Returns whether it is kept.
    async fn answer_or_close(&mut self, random: &Mutex<Rng>, is_first: bool) -> io::Result<bool> {
        let dice = lock(random).u8(..8);
        let pause = Duration::from_millis(lock(random).u64(..4));
        match dice {
            0 if !is_first => return Ok(false),
            1 if !is_first => return self.perform(&[Step::Reset]).await,
            2 if !is_first => return self.perform(&[Step::Head]).await,
            3 if !is_first => {
                self.read_head().await?;
                self.read_rest().await?;
                return Ok(false);
            }
            _ => self.acknowledge().await?,
        }
        match dice {
            4 => Ok(false),
            5 => self.perform(&[Step::Pause(pause)]).await,
            6 => self.perform(&[Step::Pause(pause), Step::Reset]).await,
            _ => Ok(true),
        }
    }

    /// Goes through with these steps; returns whether the connection is kept.
    async fn perform(&mut self, steps: &[Step]) -> io::Result<bool> {
        self.shared.note_ill();
        let clock = SystemClock::shared();
        for step in steps {
            match step {
                Step::Head => self.read_head().await?,
                Step::Part(bytes) => self.read_body(*bytes).await?,
                Step::Rest => {
                    self.read_rest().await?;
                    self.note(false);
                }
                Step::Request => {
                    self.read_head().await?;
                    self.read_rest().await?;
                    self.note(false);
                }
                Step::Send(bytes) => {
                    self.stream.write_all(bytes).await?;
                    self.stream.flush().await?;
                }
                Step::Forever(bytes) => {
                    let mut taken = 0;
                    loop {
                        self.stream.write_all(bytes).await?;
                        taken += bytes.len();
                        let mut most = lock(&self.shared.taken);
                        *most = taken.max(*most);
                    }
                }
                Step::Drip(bytes, pause) => {
                    for byte in bytes {
                        clock.sleep_until(clock.now() + *pause).await;
                        self.stream.write_all(&[*byte]).await?;
                    }
                }
                Step::Pause(pause) => clock.sleep_until(clock.now() + *pause).await,
                Step::Hang => std::future::pending().await,
                Step::Reset => {
                    self.stream.get_ref().tcp().set_zero_linger()?;
                    return Ok(false);
                }
                Step::Keep => return Ok(true),
            }
        }
        Ok(false)
    }

    async fn read_head(&mut self) -> io::Result<()> {
        let mut line = String::new();
        self.stream.read_line(&mut line).await?;
        loop {
            line.clear();
            if self.stream.read_line(&mut line).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let Some((name, value)) = line.trim_end().split_once(": ") else { return Ok(()) };
            self.headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
    }

    async fn read_rest(&mut self) -> io::Result<()> {
        let length: usize = self.headers["content-length"].parse().expect("a length");
        self.read_body(length - self.body.len()).await
    }

    async fn read_body(&mut self, bytes: usize) -> io::Result<()> {
        let before = self.body.len();
        self.body.resize(before + bytes, 0);
        self.stream.read_exact(&mut self.body[before..]).await.map(drop)
    }

    fn note(&mut self, is_acknowledged: bool) {
        let (headers, body) = (std::mem::take(&mut self.headers), std::mem::take(&mut self.body));
        self.shared.note(Received { headers, body, is_acknowledged });
    }
}
