//! What is sent: events rendered, signed and addressed.

mod description;

use std::sync::Arc;

use super::render::{Recipe, Rendered, Renderer};
use super::sign::{self, Signer};
use crate::http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use crate::http::{HttpRequest, Method};
use crate::model::content::TooLarge;
use crate::model::delivery::DeathReason;
use crate::model::event::Event;
use crate::model::quantity::ByteSize;
use crate::model::subscription::Subscription;
use crate::model::time::Timestamp;
use crate::store::ClaimedDelivery;

pub use description::{KeyDescription, RequestDescription, SignatureDescription};

/// Writes the requests of one subscription. All that is the same for each of them is prepared once.
#[derive(Debug)]
pub struct RequestWriter {
    subscription: Arc<Subscription>,
    prepared: Result<Prepared, String>,
    signer: Signer,
    recipe: Recipe,
    renderer: Arc<Renderer>,
}

/// The headers that each request has.
#[derive(Debug)]
struct Prepared {
    configured: HeaderMap,
    signature: HeaderName,
}

/// Why there is nothing that could be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsendable {
    /// Why that lasts; `None` if a later attempt may succeed, because it depends on the time or on others.
    pub reason: Option<DeathReason>,
    /// In words, secrets taken out.
    pub message: String,
}

impl RequestWriter {
    /// Returns what writes this subscription's requests.
    pub fn new(subscription: Arc<Subscription>, renderer: Arc<Renderer>) -> Self {
        let signer = Signer::new(&subscription.signing);
        let prepared = Prepared::new(&subscription, &signer);
        let recipe = Recipe::new(&subscription.content);
        Self { subscription, prepared, signer, recipe, renderer }
    }

    /// Returns the request that delivers this, signed at the given time. The same delivery has the same id and body each
    /// time.
    pub fn write(&self, claimed: &ClaimedDelivery, at: Timestamp) -> Result<HttpRequest, Unsendable> {
        let Prepared { configured, signature } =
            self.prepared.as_ref().map_err(|message| self.unsendable(DeathReason::Unsendable, message))?;
        let Rendered { content_type, headers: of_format, body } = self.render(claimed)?;
        let id = delivery_id(claimed);
        let mut headers = configured.clone();
        headers.entry(CONTENT_TYPE).or_insert_with(|| HeaderValue::from_static(content_type));
        for (name, value) in &*of_format {
            headers.insert(name, value.clone());
        }
        let signed = self.signer.sign(&id, at, &body);
        let signed = signed.map_err(|error| Unsendable { reason: None, message: error.to_string() })?;
        if let Some(value) = signed {
            headers.insert(signature, plain(&value)?);
        }
        headers.insert(sign::ID, plain(&id)?);
        headers.insert(sign::TIMESTAMP, HeaderValue::from(at.as_seconds()));
        Ok(HttpRequest { method: Method::POST, url: self.subscription.url.clone(), headers, body })
    }

    /// Returns how many bytes an event takes in a body, or somewhat more; `None` if it cannot be rendered, so that it must
    /// not be joined with others. Cheap unless the subscription has a `body`, which is then evaluated.
    pub fn most_bytes(&self, event: &Event) -> Option<usize> {
        self.recipe.most_bytes(event)
    }

    fn render(&self, claimed: &ClaimedDelivery) -> Result<Rendered, Unsendable> {
        let joined = claimed.joined.iter().map(|event| &**event);
        let events: Vec<&Event> = std::iter::once(&*claimed.event).chain(joined).collect();
        let failed = |error| self.unsendable(DeathReason::Unsendable, &in_words(&error));
        let content = &self.subscription.content;
        let rendered = self.renderer.render(&self.recipe, &events).map_err(failed)?;
        if rendered.body.len() <= content.max_body.as_usize() {
            return Ok(rendered);
        }
        let whole = rendered.body.len();
        let mut without = None;
        if content.too_large == TooLarge::WithoutPrevious && events.iter().any(|event| event.previous.is_some()) {
            let shorter: Vec<Event> =
                events.iter().map(|event| Event { previous: None, ..Event::clone(event) }).collect();
            // Not by the renderer, which would remember it in place of the whole events.
            let rendered = self.recipe.render(&shorter.iter().collect::<Vec<_>>()).map_err(failed)?;
            if rendered.body.len() <= content.max_body.as_usize() {
                return Ok(rendered);
            }
            without = Some(rendered.body.len());
        }
        let of_batch = if events.len() > 1 { format!(" of {} events", events.len()) } else { String::new() };
        let without = without.map(|bytes| format!(", {} without `previous`", size(bytes))).unwrap_or_default();
        let message =
            format!("the body{of_batch} has {}{without}, and `max_body` is {}", size(whole), content.max_body);
        Err(self.unsendable(DeathReason::TooLarge, &message))
    }

    fn unsendable(&self, reason: DeathReason, message: &str) -> Unsendable {
        Unsendable { reason: Some(reason), message: self.subscription.redactor.redact(message) }
    }
}

impl Prepared {
    fn new(subscription: &Subscription, signer: &Signer) -> Result<Self, String> {
        let header_name = |name: &str| -> Result<HeaderName, String> {
            name.parse().map_err(|_| format!("{name:?} is no name of a header"))
        };
        let mut configured = HeaderMap::with_capacity(subscription.headers.len() + 4);
        for (name, value) in &subscription.headers {
            let mut value = HeaderValue::from_str(value.expose())
                .map_err(|_| format!("the value of the header `{name}` has characters that a header cannot have"))?;
            value.set_sensitive(true);
            configured.insert(header_name(name)?, value);
        }
        Ok(Self { configured, signature: header_name(signer.header())? })
    }
}

/// Returns the value of `webhook-id`: the event's id, or that of the batch which the event begins.
fn delivery_id(claimed: &ClaimedDelivery) -> String {
    let id = claimed.event.id.to_string();
    if claimed.joined.is_empty() { id } else { id.replacen("evt_", "bat_", 1) }
}

fn plain(text: &str) -> Result<HeaderValue, Unsendable> {
    HeaderValue::from_str(text).map_err(|_| Unsendable {
        reason: Some(DeathReason::Unsendable),
        message: "the prefix of the signature has characters that a header cannot have".to_owned(),
    })
}

fn size(bytes: usize) -> String {
    let size = ByteSize(bytes as u64);
    if bytes < 1024 { size.to_string() } else { format!("{size} ({bytes} bytes)") }
}

/// Returns what went wrong with all its causes.
fn in_words(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", in_words(source)),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
