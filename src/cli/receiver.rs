//! A receiver of deliveries that verifies them, for `listen` and `demo`.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::clock::SharedClock;
use crate::deliver::{VerifyError, VerifyingKey, verify};
use crate::model::time::Timestamp;

/// A delivery as it arrived.
#[derive(Debug)]
pub struct Received {
    pub at: Timestamp,
    pub path: String,
    /// The `webhook-id` header, or nothing if there was none.
    pub webhook_id: Option<String>,
    /// The type and key of a CloudEvent in binary mode, which has them in headers.
    pub cloud_event: Option<(String, String)>,
    /// The body as JSON; `None` if it is none.
    pub event: Option<Value>,
    pub body: Bytes,
    /// `None` if there is no secret to verify with.
    pub verified: Option<Result<(), VerifyError>>,
    /// What was answered.
    pub answered: StatusCode,
}

/// Decides what is answered to a delivery whose signature is right, or that cannot be verified.
pub type Answer = Box<dyn Fn(&HeaderMap) -> StatusCode + Send + Sync>;

/// A receiver that tells of each delivery over a channel.
pub struct Receiver {
    /// Any of these makes a signature right; none means that nothing is verified.
    pub keys: Vec<VerifyingKey>,
    pub answer: Answer,
    pub clock: SharedClock,
    pub received: mpsc::UnboundedSender<Received>,
}

/// The largest delivery that is taken.
const LARGEST_BODY: usize = 64 * 1024 * 1024;

impl Receiver {
    /// Receives on this listener for as long as it is polled.
    pub async fn serve(self, listener: TcpListener) -> std::io::Result<()> {
        let router =
            Router::new().fallback(receive).layer(DefaultBodyLimit::max(LARGEST_BODY)).with_state(Arc::new(self));
        axum::serve(listener, router).await
    }
}

async fn receive(State(receiver): State<Arc<Receiver>>, uri: Uri, headers: HeaderMap, body: Bytes) -> StatusCode {
    let at = receiver.clock.now();
    let verified = (!receiver.keys.is_empty()).then(|| verify(&receiver.keys, &headers, &body, at));
    let answered = if matches!(verified, Some(Err(_))) { StatusCode::BAD_REQUEST } else { (receiver.answer)(&headers) };
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let received = Received {
        at,
        cloud_event: header("ce-type").map(|kind| (kind, header("ce-subject").unwrap_or_default())),
        path: uri.path().to_owned(),
        webhook_id: header("webhook-id"),
        event: serde_json::from_slice(&body).ok(),
        body,
        verified,
        answered,
    };
    // Nobody listens any more when the command is ending.
    let _ = receiver.received.send(received);
    answered
}
