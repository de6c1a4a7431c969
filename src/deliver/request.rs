//! What is sent: an event rendered, signed and addressed.

use std::sync::Arc;

use super::render::Renderer;
use super::sign::{self, Signer};
use crate::http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use crate::http::{HttpRequest, Method};
use crate::model::delivery::DeathReason;
use crate::model::subscription::Subscription;
use crate::model::time::Timestamp;
use crate::store::ClaimedDelivery;

/// Writes the requests of one subscription. All that is the same for each of them is prepared once.
pub(super) struct RequestWriter {
    subscription: Arc<Subscription>,
    /// The configured headers, or why they cannot be sent.
    headers: Result<HeaderMap, String>,
    signer: Signer,
    renderer: Arc<Renderer>,
}

/// Why there is nothing that could be sent, now or later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unsendable {
    pub reason: DeathReason,
    /// In words, secrets taken out.
    pub message: String,
}

impl RequestWriter {
    /// Returns what writes this subscription's requests.
    pub fn new(subscription: Arc<Subscription>, renderer: Arc<Renderer>) -> Self {
        let headers = configured_headers(&subscription);
        let signer = Signer::new(&subscription.signing);
        Self { subscription, headers, signer, renderer }
    }

    /// Returns the request that delivers this, signed at the given time. The same delivery has the same id and body each
    /// time.
    pub fn write(&self, claimed: &ClaimedDelivery, at: Timestamp) -> Result<HttpRequest, Unsendable> {
        let unsendable = |message: &String| Unsendable { reason: DeathReason::Unsendable, message: message.clone() };
        let mut headers = self.headers.as_ref().map_err(unsendable)?.clone();
        let rendered = self.renderer.render(&claimed.event, self.subscription.content.format);
        let id = claimed.event.id.to_string();
        let plain = |text: &str| HeaderValue::from_str(text).expect("ids and base64 are plain text");
        headers.entry(CONTENT_TYPE).or_insert_with(|| HeaderValue::from_static(rendered.content_type));
        if let Some(signature) = self.signer.sign(&id, at, &rendered.body) {
            headers.insert(sign::SIGNATURE, plain(&signature));
        }
        headers.insert(sign::ID, plain(&id));
        headers.insert(sign::TIMESTAMP, HeaderValue::from(at.as_seconds()));
        Ok(HttpRequest { method: Method::POST, url: self.subscription.url.clone(), headers, body: rendered.body })
    }
}

fn configured_headers(subscription: &Subscription) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::with_capacity(subscription.headers.len() + 4);
    for (name, value) in &subscription.headers {
        let header_name: HeaderName = name.parse().map_err(|_| format!("{name:?} is no name of a header"))?;
        let mut value = HeaderValue::from_str(value.expose())
            .map_err(|_| format!("the value of the header `{name}` has characters that a header cannot have"))?;
        value.set_sensitive(true);
        headers.insert(header_name, value);
    }
    Ok(headers)
}
