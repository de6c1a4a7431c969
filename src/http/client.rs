//! One exchange: a request out, an answer back, under one deadline and one body limit.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use reqwest::{Method, redirect};
use url::{Host, Url};

use super::error::{HttpError, connection_of, is_closed, is_refused, is_unasked};
use super::guard::{Lookup, Resolver, SystemLookup};
use super::handover::Handover;
use super::trace::{Exchange, Trace, TraceLayer};
use super::{body, tls};
use crate::clock::{SharedClock, SystemClock};
use crate::model::egress::Egress;
use crate::model::fingerprint::BodyHash;
use crate::model::quantity::ByteSize;
use crate::model::subscription::Origin;
use crate::model::tls::Tls;

/// The HTTP client of the whole process. It keeps connections open and hands them out again; clones share them.
#[derive(Clone)]
pub struct HttpClient {
    shared: Arc<Shared>,
    made: Arc<Made>,
    /// Who wrote the URLs that it is given.
    origin: Origin,
}

/// What all clones share.
struct Shared {
    egress: Arc<Egress>,
    lookup: Arc<dyn Lookup>,
    clock: SharedClock,
    /// The clients for connections with certificates of their own, by what tells these apart.
    special: Mutex<HashMap<BodyHash, Arc<Made>>>,
}

/// Clients for URLs of each origin. They share no connection, because one that is open was judged when it was made.
struct Made {
    trusted: Clients,
    guarded: Clients,
}

struct Clients {
    direct: reqwest::Client,
    proxied: Option<reqwest::Client>,
}

/// By which way a request goes.
struct Way {
    port: u16,
    is_proxied: bool,
    /// The address that is connected to, if the URL itself says it.
    literal: Option<SocketAddr>,
}

/// A request, ready to be sent.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    pub method: Method,
    /// `http` or `https`.
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What an exchange may take at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From resolving the name to the last byte of the answer that is read.
    pub deadline: Duration,
    pub body: BodyLimit,
}

/// What happens to an answer with a large body. Bytes count after decompression.
#[derive(Debug, Clone, Copy)]
pub enum BodyLimit {
    /// More than this is an error.
    Refuse(ByteSize),
    /// More than this is not read, and less where the body cannot be decoded.
    Keep(usize),
}

/// An answer whose body was read.
#[derive(Debug, Clone)]
pub struct HttpResponse {
    pub status: u16,
    pub headers: HeaderMap,
    /// The decompressed body.
    pub body: Bytes,
    /// How many bytes of the body came, before decompression; zero if nothing came over the network.
    pub received: u64,
}

/// Returns the usual phrase for a status, such as `Not Found`.
pub fn reason(status: u16) -> Option<&'static str> {
    reqwest::StatusCode::from_u16(status).ok()?.canonical_reason()
}

/// The most bytes that are read of a body whose status says that it is not what was asked for.
const MOST_OF_FAILURE: usize = 64 * 1024;

/// The most bytes of an address that can be asked for.
const LONGEST_ADDRESS: usize = 65_534;

/// How often a request is sent again because a connection that was kept open turns out to be closed. Each time, one such
/// connection is gone; this is for servers that only seem to keep them open.
const MOST_STALE: usize = 32;

/// How often it is sent again because the connection that it was to use did not take it: it was used by others, and closed,
/// before its turn, refused it, or left it behind.
const MOST_UNASKED: usize = 4;

/// For how long, twice, a request may wait to be taken while no connection is being made for it. A connection takes it at
/// once, except where others fill it: there it loses its place, and no more.
const LONGEST_HANDOVER: Duration = Duration::from_millis(500);

/// How long nothing may come over an HTTP/2 connection before the other side is asked whether it is still there, and how
/// long it may take to say so. Without that, all requests over a dead connection would time out. Together they are less
/// than deliveries usually take at most, so that one that meets a dead connection can still go out on another.
const QUIET: Duration = Duration::from_secs(5);
const LONGEST_PONG: Duration = Duration::from_secs(8);

impl HttpClient {
    /// Returns a client that may go anywhere, for URLs of those who run it. It follows no redirects, uses no proxy, and
    /// decompresses gzip, deflate, brotli and zstd.
    pub fn new() -> Result<Self, HttpError> {
        Self::with_egress(Egress::default())
    }

    /// Returns a client that goes only where it may, for URLs of the configuration.
    pub fn with_egress(egress: Egress) -> Result<Self, HttpError> {
        Self::with_lookup(egress, Arc::new(SystemLookup::default()))
    }

    /// Returns the same, but finds the addresses of names in its own way.
    pub fn with_lookup(egress: Egress, lookup: Arc<dyn Lookup>) -> Result<Self, HttpError> {
        let shared =
            Shared { egress: Arc::new(egress), lookup, clock: SystemClock::shared(), special: Mutex::default() };
        let usual = shared.make(None)?;
        Ok(Self { shared: Arc::new(shared), made: Arc::new(usual), origin: Origin::Configuration })
    }

    /// Returns the client for URLs of this origin. It shares no connection with that for others.
    pub fn for_origin(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    /// Returns who wrote the URLs that it is given.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Returns the client for connections that need this beyond the usual. It shares no connection with others.
    pub fn with_tls(&self, tls: &Tls) -> Result<Self, HttpError> {
        let mut special = self.shared.special.lock().unwrap_or_else(PoisonError::into_inner);
        let made = match special.get(&tls.id()) {
            Some(made) => Arc::clone(made),
            None => {
                let made = Arc::new(self.shared.make(Some(tls))?);
                special.insert(tls.id(), Arc::clone(&made));
                made
            }
        };
        Ok(Self { shared: Arc::clone(&self.shared), made, origin: self.origin })
    }

    /// Sends a request and reads the answer's body, all of it within the limits. Any status is an answer; if it is one of
    /// a failure, of the body only the beginning is read, as far as that can be done in time.
    pub async fn send(&self, request: HttpRequest, limits: Limits) -> Result<HttpResponse, HttpError> {
        self.send_traced(request, limits).await.1
    }

    /// Does the same, and tells what it took and where it went, also of an exchange that failed.
    pub async fn send_traced(&self, request: HttpRequest, limits: Limits) -> (Trace, Result<HttpResponse, HttpError>) {
        self.send_once(request, limits, None).await
    }

    /// Does the same. If the handover is watched, a request that no connection takes counts as unasked, and so does one that
    /// is refused unread.
    async fn send_once(
        &self,
        request: HttpRequest,
        limits: Limits,
        handover: Option<&Handover>,
    ) -> (Trace, Result<HttpResponse, HttpError>) {
        let way = Way::of(&request.url, &self.shared.egress);
        let exchange = Exchange::begin(self.shared.clock.clone(), way.literal, way.port, way.is_proxied);
        let refusal = Mutex::default();
        // Whoever sends requests need not carry along what an exchange remembers meanwhile.
        let answer = Box::pin(self.exchange(&exchange, &way, request, limits.body, &refusal, handover));
        let result = match tokio::time::timeout(limits.deadline, answer).await {
            Ok(result) => result,
            Err(_) => {
                let refusal = refusal.into_inner().unwrap_or_else(PoisonError::into_inner);
                refusal.ok_or(HttpError::Deadline(limits.deadline))
            }
        };
        (exchange.trace(), result)
    }

    /// Does the same, but sends the request again where a connection that had been kept open turns out to be closed: that
    /// says nothing of the request. Whoever does read it twice must know the second one for a repeat.
    pub async fn send_again(&self, request: HttpRequest, limits: Limits) -> (Trace, Result<HttpResponse, HttpError>) {
        let begun = self.shared.clock.monotonic();
        let (mut stale, mut unasked) = (0, 0);
        loop {
            let deadline = limits.deadline.saturating_sub(self.shared.clock.monotonic().saturating_sub(begun));
            let left = Limits { deadline, ..limits };
            let handover = (unasked == 0).then(Handover::default);
            let (trace, result) = self.send_once(request.clone(), left, handover.as_ref()).await;
            if trace.unasked && unasked < MOST_UNASKED {
                unasked += 1;
                continue;
            }
            if trace.stale && stale < MOST_STALE {
                stale += 1;
                continue;
            }
            let of_all = |error| match error {
                HttpError::Deadline(_) => HttpError::Deadline(limits.deadline),
                error => error,
            };
            return (trace, result.map_err(of_all));
        }
    }

    async fn exchange(
        &self,
        exchange: &Arc<Exchange>,
        way: &Way,
        request: HttpRequest,
        limit: BodyLimit,
        refusal: &Mutex<Option<HttpResponse>>,
        handover: Option<&Handover>,
    ) -> Result<HttpResponse, HttpError> {
        let length = request.url.as_str().len();
        if length > LONGEST_ADDRESS {
            let problem = format!("its address has {length} bytes, and the most is {LONGEST_ADDRESS}");
            return Err(HttpError::Request(problem));
        }
        self.judge(&request.url, way).await?;
        let clients = self.made.of(self.origin);
        let client = clients.proxied.as_ref().filter(|_| way.is_proxied).unwrap_or(&clients.direct);
        let body = match handover {
            Some(handover) => handover.body(request.body),
            None => request.body.into(),
        };
        let request = client.request(request.method, request.url).headers(request.headers).body(body);
        let Some(sent) = hand_over(exchange, request, handover).await else {
            exchange.was_unasked();
            return Err(HttpError::Transport("no connection took the request".to_owned()));
        };
        let mut response = sent.map_err(|error| {
            if let Some(connected) = connection_of(&error) {
                exchange.failed_on(connected, is_closed(&error));
            }
            if is_unasked(&error) || handover.is_some() && is_refused(&error) {
                exchange.was_unasked();
            }
            match HttpError::of(&error) {
                HttpError::Connect(problem) if exchange.was_securing() => {
                    HttpError::Tls(format!("{problem}; perhaps the server does not speak TLS there"))
                }
                other => other,
            }
        })?;
        exchange.answered(response.extensions().get());
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let is_failure = status >= 400;
        if is_failure {
            // If the body never ends, this is what was answered.
            let answered = HttpResponse { status, headers: headers.clone(), body: Bytes::new(), received: 0 };
            *refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(answered);
        }
        let limit = match limit {
            BodyLimit::Refuse(most) if is_failure => BodyLimit::Keep(most.as_usize().min(MOST_OF_FAILURE)),
            limit => limit,
        };
        let (mut body, received) = (BytesMut::new(), AtomicU64::new(0));
        match body::read(response, &headers, limit, &mut body, &received).await {
            // The status says more than what is wrong with the body.
            Err(_) if is_failure => {}
            result => result?,
        }
        Ok(HttpResponse { status, headers, body: body.freeze(), received: received.into_inner() })
    }

    /// Judges where a request goes. The addresses of names are judged when they are connected to, except where a proxy will
    /// do that.
    async fn judge(&self, url: &Url, way: &Way) -> Result<(), HttpError> {
        let Some(host) = url.host() else { return Ok(()) };
        let egress = &self.shared.egress;
        egress.judge_host(self.origin, &host, Some(way.port))?;
        if let Host::Domain(name) = host
            && way.is_proxied
            && egress.judges_addresses(self.origin)
        {
            self.shared.resolver(self.origin).judged(name, Some(way.port)).await?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HttpClient({:?}, {:?})", self.origin, self.shared.egress)
    }
}

impl Shared {
    fn make(&self, tls: Option<&Tls>) -> Result<Made, HttpError> {
        let configuration = tls::configuration(tls).map_err(|error| HttpError::Tls(error.to_string()))?;
        let clients = |origin| -> Result<Clients, HttpError> {
            let built = |builder: reqwest::ClientBuilder| builder.build().map_err(|error| HttpError::of(&error));
            let direct = built(usual(configuration.clone()).dns_resolver(self.resolver(origin)))?;
            let proxied = self.egress.proxy.as_ref().map(|proxy| {
                let resolver = Resolver::unguarded(Arc::clone(&self.lookup));
                let proxy = reqwest::Proxy::all(proxy.url.clone()).map_err(|error| HttpError::of(&error))?;
                built(usual(configuration.clone()).dns_resolver(resolver).proxy(proxy))
            });
            Ok(Clients { direct, proxied: proxied.transpose()? })
        };
        Ok(Made { trusted: clients(Origin::Configuration)?, guarded: clients(Origin::Api)? })
    }

    fn resolver(&self, origin: Origin) -> Resolver {
        Resolver::guarded(Arc::clone(&self.lookup), Arc::clone(&self.egress), origin)
    }
}

impl Made {
    fn of(&self, origin: Origin) -> &Clients {
        match origin {
            Origin::Configuration => &self.trusted,
            Origin::Api => &self.guarded,
        }
    }
}

impl Way {
    fn of(url: &Url, egress: &Egress) -> Self {
        let port = url.port_or_known_default().unwrap_or_default();
        let host = url.host();
        let is_proxied = host.as_ref().is_some_and(|host| egress.proxy_for(host, Some(port)).is_some());
        let address = match host {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) | None => None,
        };
        let literal = address.filter(|_| !is_proxied).map(|address| SocketAddr::new(address, port));
        Self { port, is_proxied, literal }
    }
}

/// Sends a request. Returns nothing if its handover is watched, and no connection takes it.
async fn hand_over(
    exchange: &Arc<Exchange>,
    request: reqwest::RequestBuilder,
    handover: Option<&Handover>,
) -> Option<reqwest::Result<reqwest::Response>> {
    let mut sending = pin!(exchange.scope(request.send()));
    let mut was_waiting = false;
    while let Some(handover) = handover {
        if let Ok(sent) = tokio::time::timeout(LONGEST_HANDOVER, &mut sending).await {
            return Some(sent);
        }
        let is_waiting = !exchange.is_connecting();
        if is_waiting && was_waiting && handover.give_up() {
            return None;
        }
        if handover.is_taken() {
            break;
        }
        was_waiting = is_waiting;
    }
    Some(sending.await)
}

fn usual(tls: rustls::ClientConfig) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("pollhook/", env!("CARGO_PKG_VERSION")))
        .default_headers(HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(body::ACCEPTED))]))
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .pool_idle_timeout(Duration::from_secs(30))
        .tcp_nodelay(true)
        .http2_keep_alive_interval(QUIET)
        .http2_keep_alive_timeout(LONGEST_PONG)
        .http2_keep_alive_while_idle(true)
        .tls_backend_preconfigured(tls)
        .connector_layer(TraceLayer)
}
