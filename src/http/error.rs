//! Why an exchange gave no answer.

use std::error::Error;
use std::io;
use std::time::Duration;

use hyper_util::client::legacy::connect::Connected;

use super::guard::LookupError;
use super::tls;
use crate::model::delivery::FailureClass;
use crate::model::egress::Refusal;
use crate::model::quantity::{ByteSize, format_duration};

/// Why an exchange gave no answer. Names and paths are left out: whoever handles the error knows which ones it was, and
/// which parts of them are secret.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("the request cannot be made: {0}")]
    Request(String),
    #[error("no answer within {}", format_duration(*.0))]
    Deadline(Duration),
    #[error("the answer is larger than {0}")]
    BodyTooLarge(ByteSize),
    #[error("the name cannot be resolved: {0}")]
    Dns(String),
    #[error(transparent)]
    Egress(#[from] Refusal),
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
            Self::Egress(_) => FailureClass::Egress,
            Self::Connect(_) => FailureClass::Connect,
            Self::Tls(_) => FailureClass::Tls,
            Self::Transport(_) => FailureClass::Transport,
        }
    }

    pub(super) fn of(error: &reqwest::Error) -> Self {
        if let Some(refusal) = find::<Refusal>(error) {
            return Self::Egress(refusal.clone());
        }
        if let Some(LookupError(problem)) = find(error) {
            return Self::Dns(problem.clone());
        }
        // With TLS 1.3 a server refuses a client's certificate after the client thinks that they are connected.
        if let Some(error) = find(error) {
            return Self::Tls(tls::failure(error));
        }
        let innermost = innermost(error);
        if error.is_builder() {
            Self::Request(innermost)
        } else if error.is_connect() {
            match innermost.strip_prefix("tunnel error: ") {
                Some(problem) => Self::Connect(format!("the proxy does not lead there ({problem})")),
                None => Self::Connect(innermost),
            }
        } else if error.is_decode() || error.is_body() {
            Self::Body(innermost)
        } else {
            Self::Transport(innermost)
        }
    }
}

/// Returns the connection on which a request failed, if there was one.
pub(super) fn connection_of(error: &reqwest::Error) -> Option<&Connected> {
    find::<hyper_util::client::legacy::Error>(error)?.connect_info()
}

/// Tells whether a request failed because its connection was closed by the other side, or is dead.
pub(super) fn is_closed(error: &reqwest::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof};
    let kind = find::<io::Error>(error).map(io::Error::kind);
    let is_closed = |kind| matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | TimedOut | UnexpectedEof);
    let text = innermost(error);
    kind.is_some_and(is_closed) || text == CLOSED || text == DEAD_HTTP2 || text.starts_with(CLOSED_HTTP2)
}

/// Tells whether the connection that a request was to share with others was closed before the request was given to it.
pub(super) fn is_unasked(error: &reqwest::Error) -> bool {
    let is_shared = connection_of(error).is_some_and(Connected::is_negotiated_h2);
    let is_canceled = find(error).is_some_and(hyper::Error::is_canceled);
    is_shared && is_canceled || UNASKED.contains(&innermost(error).as_str())
}

/// Tells whether the other side says that it did nothing with a request. If reqwest can copy the body, it has sent it again
/// by itself.
pub(super) fn is_refused(error: &reqwest::Error) -> bool {
    let text = innermost(error);
    REFUSED.iter().any(|refused| text.starts_with(refused))
}

/// How hyper-util says that a connection was closed while it was handed over, and that one was not made because that of
/// somebody else, gone since, was to be shared. It tries again by itself only where HTTP/2 is not negotiated.
const UNASKED: [&str; 2] = ["checked out connection was closed", "ALPN upgraded to HTTP/2"];

/// How h2 says that the other side ended a connection before it came to a request, or refused its stream.
const REFUSED: [&str; 2] = [
    "connection error received: not a result of an error",
    "stream error received: refused stream before processing any application logic",
];

/// How hyper and h2 say that a connection was closed, or that nobody is there any more. A stream that was reset is another matter: its connection lives on.
const CLOSED: &str = "connection closed before message completed";
const CLOSED_HTTP2: &str = "connection error";
const DEAD_HTTP2: &str = "operation timed out";

/// Returns the first error of this type: the error itself, one of those behind it, or one that an I/O error hides.
fn find<'e, T: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e T> {
    std::iter::successors(Some(error), |error| behind(*error)).find_map(|error| error.downcast_ref())
}

fn behind<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(hidden) => Some(hidden),
        None => error.source(),
    }
}

/// Returns the text of the last cause, which says best what happened; one that only repeats the end of another is none.
fn innermost(error: &reqwest::Error) -> String {
    let mut innermost: Option<String> = None;
    for cause in std::iter::successors(error.source(), |cause| (*cause).source()) {
        let text = cause.to_string();
        if innermost.as_ref().is_none_or(|last| !last.ends_with(&text)) {
            innermost = Some(text);
        }
    }
    innermost.unwrap_or_else(|| error.to_string())
}
