//! What an exchange took, and where it went: looked at from inside, because the client only tells of the whole.
//!
//! Each connection is made within a scope of its own, whoever drives it. So what happens on the way (a name is resolved, TLS
//! begins) is noted with that connection, without a lock that anybody waits for and without another task.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::client::legacy::connect::{Connected, Connection as _, HttpInfo};
use tower_layer::Layer;
use tower_service::Service;

use crate::clock::SharedClock;
use crate::model::delivery::Phases;

tokio::task_local! {
    static EXCHANGE: Arc<Exchange>;
    static CONNECTION: Arc<Connection>;
}

/// What is known of an exchange when it is over, well or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Trace {
    /// What was connected to: the proxy, if there is one between. Also that of an attempt to connect, if there was only
    /// one address to try.
    pub address: Option<SocketAddr>,
    pub phases: Phases,
    /// Whether it failed because a connection that had been kept open turned out to be closed. That says nothing of the
    /// request.
    pub stale: bool,
    /// Whether it failed because the connection that was to be used did not take the request, or refused it unread.
    pub unasked: bool,
}

/// An exchange that is under way.
pub(super) struct Exchange {
    clock: SharedClock,
    begun: Duration,
    /// The only address that there is to connect to, if the URL names it.
    literal: Option<SocketAddr>,
    port: u16,
    is_proxied: bool,
    marks: Mutex<Marks>,
}

#[derive(Default)]
struct Marks {
    /// The last connection that was begun for this exchange. Another one may have been used in the end.
    connection: Option<Arc<Connection>>,
    used: Option<Ends>,
    /// Whether the connection that was used is closed, and gave no answer.
    is_closed: bool,
    /// Whether the connection that was to be used did not take the request.
    is_unasked: bool,
    answered_at: Option<Duration>,
}

/// The two ends of a connection, which no other has at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ends {
    here: SocketAddr,
    there: SocketAddr,
}

/// A connection that is being made.
pub(super) struct Connection {
    clock: SharedClock,
    pub port: u16,
    is_proxied: bool,
    begun: Duration,
    times: Mutex<Times>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Times {
    resolving: Option<Duration>,
    resolved: Option<Duration>,
    securing: Option<Duration>,
    made: Option<Duration>,
    ends: Option<Ends>,
    /// Whether the exchange that began it also saw it made.
    in_foreground: bool,
    /// The only address to try.
    only: Option<SocketAddr>,
}

impl Exchange {
    /// Returns an exchange that begins now; of the address that the URL names, if it is one that is connected to.
    pub fn begin(clock: SharedClock, literal: Option<SocketAddr>, port: u16, is_proxied: bool) -> Arc<Self> {
        let begun = clock.monotonic();
        Arc::new(Self { clock, begun, literal, port, is_proxied, marks: Mutex::default() })
    }

    /// Does something as part of this exchange.
    pub async fn scope<T>(self: &Arc<Self>, future: impl Future<Output = T>) -> T {
        EXCHANGE.scope(Arc::clone(self), future).await
    }

    /// Takes note that the answer's head is there, and by which connection it came.
    pub fn answered(&self, info: Option<&HttpInfo>) {
        let mut marks = self.marks();
        marks.answered_at = Some(self.clock.monotonic());
        marks.used = info.map(Ends::of);
    }

    /// Takes note of the connection on which the exchange failed, and whether that is because it was closed.
    pub fn failed_on(&self, connected: &Connected, is_closed: bool) {
        let mut marks = self.marks();
        (marks.used, marks.is_closed) = (ends(connected), is_closed);
    }

    /// Takes note that the connection that was to be used did not take the request.
    pub fn was_unasked(&self) {
        self.marks().is_unasked = true;
    }

    /// Tells whether a connection is being made for this exchange.
    pub fn is_connecting(&self) -> bool {
        self.marks().connection.as_ref().is_some_and(|connection| connection.times().made.is_none())
    }

    /// Tells whether the last connection was begun to be made secure, and that never ended.
    pub fn was_securing(&self) -> bool {
        let times = self.marks().connection.as_ref().map(|connection| *connection.times());
        times.is_some_and(|times| times.securing.is_some() && times.made.is_none())
    }

    /// Returns what is known now that the exchange is over.
    pub fn trace(&self) -> Trace {
        let end = self.clock.monotonic();
        let marks = self.marks();
        let own = marks.connection.as_ref().map(|connection| (connection.begun, *connection.times()));
        let own = own.filter(|(_, times)| match marks.used {
            Some(used) => times.ends == Some(used),
            None => times.made.is_none() || times.in_foreground,
        });
        let mut phases = Phases::default();
        let mut asked_at = marks.used.map(|_| self.begun);
        if let Some((begun, times)) = own {
            let made_or_end = times.made.unwrap_or(end);
            phases.dns = times.resolving.map(|at| times.resolved.unwrap_or(end).saturating_sub(at));
            if times.resolving.is_none() || times.resolved.is_some() {
                let connecting = times.resolved.unwrap_or(begun);
                phases.connect = Some(times.securing.unwrap_or(made_or_end).saturating_sub(connecting));
            }
            phases.tls = times.securing.map(|at| made_or_end.saturating_sub(at));
            asked_at = times.made;
        }
        phases.answer = asked_at.map(|at| marks.answered_at.unwrap_or(end).saturating_sub(at));
        phases.body = marks.answered_at.map(|at| end.saturating_sub(at));
        let tried = own.and_then(|(_, times)| times.ends.map(|ends| ends.there).or(times.only));
        // One that was made in the background may have served others before it came to this exchange after all.
        let is_new = own.is_some_and(|(_, times)| times.in_foreground);
        let stale = marks.is_closed && !is_new;
        Trace { address: marks.used.map(|used| used.there).or(tried), phases, stale, unasked: marks.is_unasked }
    }

    fn marks(&self) -> std::sync::MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connecting(&self) -> Arc<Connection> {
        let only = self.literal;
        let connection = Arc::new(Connection {
            clock: self.clock.clone(),
            port: self.port,
            is_proxied: self.is_proxied,
            begun: self.clock.monotonic(),
            times: Mutex::new(Times { only, ..Times::default() }),
        });
        self.marks().connection = Some(Arc::clone(&connection));
        connection
    }
}

impl Connection {
    /// Takes note that the name begins to be resolved.
    pub fn resolving(&self) {
        self.times().resolving = Some(self.clock.monotonic());
    }

    /// Takes note of what the name leads to.
    pub fn resolved(&self, addresses: &[SocketAddr]) {
        let mut times = self.times();
        times.resolved = Some(self.clock.monotonic());
        if let [only] = addresses
            && !self.is_proxied
        {
            times.only = Some(SocketAddr::new(only.ip(), self.port));
        }
    }

    fn securing(&self) {
        let mut times = self.times();
        // Through a proxy that speaks TLS itself, the second handshake is the one with the receiver.
        if times.securing.is_none() || self.is_proxied {
            times.securing = Some(self.clock.monotonic());
        }
    }

    fn made(&self, connected: &Connected) {
        let in_foreground = EXCHANGE.try_with(|_| ()).is_ok();
        let mut times = self.times();
        times.made = Some(self.clock.monotonic());
        times.ends = ends(connected);
        times.in_foreground = in_foreground;
    }

    fn times(&self) -> std::sync::MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ends {
    fn of(info: &HttpInfo) -> Self {
        Self { here: info.local_addr(), there: info.remote_addr() }
    }
}

fn ends(connected: &Connected) -> Option<Ends> {
    let mut extras = ::http::Extensions::new();
    connected.get_extras(&mut extras);
    extras.get().map(Ends::of)
}

/// Returns the connection that is being made here, if one is.
pub(super) fn connection() -> Option<Arc<Connection>> {
    CONNECTION.try_with(Arc::clone).ok()
}

/// Takes note that the connection that is being made here begins to be made secure.
pub(super) fn securing() {
    // What is not part of an exchange is not measured.
    let _ = CONNECTION.try_with(|connection| connection.securing());
}

/// Puts each connection that is made into a scope of its own.
#[derive(Debug, Clone)]
pub(super) struct TraceLayer;

/// What makes connections, within scopes.
#[derive(Debug, Clone)]
pub(super) struct Traced<S>(S);

impl<S> Layer<S> for TraceLayer {
    type Service = Traced<S>;

    fn layer(&self, connector: S) -> Traced<S> {
        Traced(connector)
    }
}

impl<S, R> Service<R> for Traced<S>
where
    S: Service<R>,
    S::Response: hyper_util::client::legacy::connect::Connection,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let connecting = self.0.call(request);
        let Ok(connection) = EXCHANGE.try_with(|exchange| exchange.connecting()) else { return Box::pin(connecting) };
        let scoped = CONNECTION.scope(Arc::clone(&connection), connecting);
        Box::pin(async move {
            let stream = scoped.await?;
            connection.made(&stream.connected());
            Ok(stream)
        })
    }
}
