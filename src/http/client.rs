//! One exchange: a request out, an answer back, under one deadline and one body limit.

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use reqwest::{Method, redirect};
use url::Url;

use super::body;
use crate::model::delivery::FailureClass;
use crate::model::fingerprint::BodyHash;
use crate::model::quantity::ByteSize;
use crate::model::tls::Tls;

/// The HTTP client of the whole process. It keeps connections open and hands them out again; clones share them.
#[derive(Debug, Clone)]
pub struct HttpClient {
    client: reqwest::Client,
    /// The clients for connections with certificates of their own, by what tells these apart.
    special: Arc<Mutex<HashMap<BodyHash, reqwest::Client>>>,
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
}

/// Why an exchange gave no answer. Addresses are left out: whoever handles the error knows which one it was, and
/// which parts of it are secret.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("the request cannot be made: {0}")]
    Request(String),
    #[error("no answer within {}", crate::model::quantity::format_duration(*.0))]
    Deadline(Duration),
    #[error("the answer is larger than {0}")]
    BodyTooLarge(ByteSize),
    #[error("the name cannot be resolved: {0}")]
    Dns(String),
    #[error("no connection: {0}")]
    Connect(String),
    #[error("no secure connection: {0}")]
    Tls(String),
    #[error("the connection broke: {0}")]
    Transport(String),
    #[error("the answer's body cannot be read: {0}")]
    Body(String),
    #[error("the answer's content-encoding {0}")]
    Encoding(String),
}

impl HttpError {
    /// Returns in which part of the exchange the failure lay.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Request(_) => FailureClass::Render,
            Self::Deadline(_) => FailureClass::Timeout,
            Self::BodyTooLarge(_) | Self::Body(_) | Self::Encoding(_) => FailureClass::Body,
            Self::Dns(_) => FailureClass::Dns,
            Self::Connect(_) => FailureClass::Connect,
            Self::Tls(_) => FailureClass::Tls,
            Self::Transport(_) => FailureClass::Transport,
        }
    }

    pub(super) fn of(error: &reqwest::Error) -> Self {
        let mut texts = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // Some causes repeat the one behind them; the innermost one alone says it best.
            if texts.last().is_none_or(|last: &String| !last.ends_with(&text)) {
                texts.push(text);
            }
            source = cause.source();
        }
        let innermost = texts.last().cloned().unwrap_or_else(|| error.to_string());
        let chain = texts.join(": ");
        if error.is_builder() {
            Self::Request(innermost)
        } else if error.is_connect() {
            let lower = chain.to_ascii_lowercase();
            if lower.contains("dns error") || lower.contains("failed to lookup address") {
                Self::Dns(innermost)
            } else if lower.contains("received corrupt message") {
                Self::Tls(format!("the server does not speak TLS there ({innermost}); check the address and its port"))
            } else if lower.contains("certificate") || lower.contains("tls") || lower.contains("handshake") {
                Self::Tls(innermost)
            } else {
                Self::Connect(innermost)
            }
        } else if innermost.starts_with("received fatal alert") {
            // With TLS 1.3 a server refuses a client's certificate after the client thinks that they are connected.
            Self::Tls(innermost)
        } else if error.is_decode() || error.is_body() {
            Self::Body(innermost)
        } else {
            Self::Transport(innermost)
        }
    }
}

/// Returns the usual phrase for a status, such as `Not Found`.
pub fn reason(status: u16) -> Option<&'static str> {
    reqwest::StatusCode::from_u16(status).ok()?.canonical_reason()
}

/// The most bytes that are read of a body whose status says that it is not what was asked for.
const MOST_OF_FAILURE: usize = 64 * 1024;

/// The most bytes of an address that can be asked for.
const LONGEST_ADDRESS: usize = 65_534;

impl HttpClient {
    /// Returns a client. It follows no redirects, uses no proxy, and decompresses gzip, deflate, brotli and zstd.
    pub fn new() -> Result<Self, HttpError> {
        let client = usual().build().map_err(|error| HttpError::of(&error))?;
        Ok(Self { client, special: Arc::default() })
    }

    /// Returns the client for connections that need this beyond the usual. It shares no connection with others.
    pub fn with_tls(&self, tls: &Tls) -> Result<Self, HttpError> {
        let mut special = self.special.lock().unwrap_or_else(PoisonError::into_inner);
        let client = match special.get(&tls.id()) {
            Some(client) => client.clone(),
            None => {
                let client = special_client(tls).map_err(|error| HttpError::of(&error))?;
                special.insert(tls.id(), client.clone());
                client
            }
        };
        Ok(Self { client, special: Arc::clone(&self.special) })
    }

    /// Sends a request and reads the answer's body, all of it within the limits. Any status is an answer; if it is one of
    /// a failure, of the body only the beginning is read, as far as that can be.
    pub async fn send(&self, request: HttpRequest, limits: Limits) -> Result<HttpResponse, HttpError> {
        match tokio::time::timeout(limits.deadline, self.exchange(request, limits.body)).await {
            Ok(result) => result,
            Err(_) => Err(HttpError::Deadline(limits.deadline)),
        }
    }

    async fn exchange(&self, request: HttpRequest, limit: BodyLimit) -> Result<HttpResponse, HttpError> {
        let length = request.url.as_str().len();
        if length > LONGEST_ADDRESS {
            let problem = format!("its address has {length} bytes, and the most is {LONGEST_ADDRESS}");
            return Err(HttpError::Request(problem));
        }
        let sent =
            self.client.request(request.method, request.url).headers(request.headers).body(request.body).send().await;
        let mut response = sent.map_err(|error| HttpError::of(&error))?;
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let is_failure = status >= 400;
        let limit = match limit {
            BodyLimit::Refuse(most) if is_failure => BodyLimit::Keep(most.as_usize().min(MOST_OF_FAILURE)),
            limit => limit,
        };
        let mut body = BytesMut::new();
        match body::read(response, &headers, limit, &mut body).await {
            // The status says more than what is wrong with the body.
            Err(_) if is_failure => {}
            result => result?,
        }
        Ok(HttpResponse { status, headers, body: body.freeze() })
    }
}

fn usual() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("pollhook/", env!("CARGO_PKG_VERSION")))
        .default_headers(HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(body::ACCEPTED))]))
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .pool_idle_timeout(Duration::from_secs(30))
        .tcp_nodelay(true)
}

fn special_client(tls: &Tls) -> Result<reqwest::Client, reqwest::Error> {
    let mut builder = usual();
    if let Some(authorities) = tls.authorities() {
        let certificates = authorities.certificates().map(reqwest::Certificate::from_der);
        builder = builder.tls_certs_merge(certificates.collect::<Result<Vec<_>, _>>()?);
    }
    if let Some(identity) = tls.identity() {
        builder = builder.identity(reqwest::Identity::from_pem(identity.pem().expose().as_bytes())?);
    }
    builder.build()
}
