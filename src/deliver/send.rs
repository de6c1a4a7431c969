//! One attempt: a POST out, an answer back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::render::Renderer;
use super::sign::{self, Signer};
use super::verdict::Outcome;
use crate::clock::SharedClock;
use crate::http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use crate::http::{BodyLimit, HttpClient, HttpError, HttpRequest, HttpResponse, Limits, Method, retry_after};
use crate::model::delivery::{ANSWER_KEPT, Attempt, AttemptFailure, FailureClass};
use crate::model::subscription::Subscription;
use crate::store::ClaimedDelivery;

/// Makes the attempts of one subscription. All that is the same for each attempt is prepared once.
pub(super) struct Sender {
    subscription: Arc<Subscription>,
    /// The configured headers, or why they cannot be sent.
    headers: Result<HeaderMap, String>,
    signer: Signer,
    renderer: Arc<Renderer>,
    http: HttpClient,
    clock: SharedClock,
    /// Whether the last exchange was answered, so that the next one may find a connection that was kept open.
    answered: AtomicBool,
}

impl Sender {
    /// Returns what makes this subscription's attempts.
    pub fn new(subscription: Arc<Subscription>, renderer: Arc<Renderer>, http: HttpClient, clock: SharedClock) -> Self {
        let headers = configured_headers(&subscription);
        let signer = Signer::new(&subscription.secrets);
        Self { subscription, headers, signer, renderer, http, clock, answered: AtomicBool::new(false) }
    }

    /// Sends the event once, signed with the present time, and returns what came of it. Takes no longer than the
    /// subscription's timeout.
    pub async fn attempt(&self, claimed: &ClaimedDelivery) -> (Attempt, Outcome) {
        let mut attempt = Attempt {
            number: claimed.attempts.saturating_add(1),
            started_at: self.clock.now(),
            duration: std::time::Duration::ZERO,
            status: None,
            answer: String::new(),
            failure: None,
        };
        let headers = match &self.headers {
            Ok(headers) => headers,
            Err(message) => {
                attempt.failure = Some(AttemptFailure { class: FailureClass::Render, message: message.clone() });
                return (attempt, Outcome::Unsendable);
            }
        };
        let begun = self.clock.monotonic();
        let result = self.exchange(|| self.request(headers, claimed, &attempt)).await;
        attempt.duration = self.clock.monotonic().saturating_sub(begun);
        let outcome = match result {
            Ok(response) => {
                attempt.status = Some(response.status);
                attempt.answer = self.readable(&response.body);
                let retry_after = retry_after(&response.headers, self.clock.now());
                Outcome::Answered { status: response.status, retry_after }
            }
            Err(error) => {
                let message = self.subscription.redactor.redact(&error.to_string());
                attempt.failure = Some(AttemptFailure { class: error.class(), message });
                Outcome::Failed
            }
        };
        (attempt, outcome)
    }

    /// Sends a request under the subscription's deadline.
    ///
    /// A receiver may close a connection that it kept open just as the next request goes out on it. That says nothing
    /// of the request, which is therefore sent once more; the receiver knows it by its id if it did read it.
    async fn exchange(&self, request: impl Fn() -> HttpRequest) -> Result<HttpResponse, HttpError> {
        let begun = self.clock.monotonic();
        let limits = Limits { deadline: self.subscription.timeout, body: BodyLimit::Keep(ANSWER_KEPT) };
        let may_be_stale = self.answered.load(Ordering::Relaxed);
        let mut result = self.http.send(request(), limits).await;
        if may_be_stale && matches!(result, Err(HttpError::Transport(_))) {
            let elapsed = self.clock.monotonic().saturating_sub(begun);
            let limits = Limits { deadline: limits.deadline.saturating_sub(elapsed), ..limits };
            result = self.http.send(request(), limits).await;
        }
        self.answered.store(result.is_ok(), Ordering::Relaxed);
        result
    }

    fn request(&self, headers: &HeaderMap, claimed: &ClaimedDelivery, attempt: &Attempt) -> HttpRequest {
        let mut headers = headers.clone();
        let rendered = self.renderer.render(&claimed.event, self.subscription.format);
        let id = claimed.event.id.to_string();
        let plain = |text: &str| HeaderValue::from_str(text).expect("ids and base64 are plain text");
        headers.entry(CONTENT_TYPE).or_insert_with(|| HeaderValue::from_static(rendered.content_type));
        if let Some(signature) = self.signer.sign(&id, attempt.started_at, &rendered.body) {
            headers.insert(sign::SIGNATURE, plain(&signature));
        }
        headers.insert(sign::ID, plain(&id));
        headers.insert(sign::TIMESTAMP, HeaderValue::from(attempt.started_at.as_seconds()));
        HttpRequest { method: Method::POST, url: self.subscription.url.clone(), headers, body: rendered.body }
    }

    /// Returns the beginning of an answer as people may read it.
    fn readable(&self, body: &[u8]) -> String {
        if body.is_empty() {
            return String::new();
        }
        let mut text = self.subscription.redactor.redact(&String::from_utf8_lossy(body));
        if text.len() > ANSWER_KEPT {
            let end = (0..=ANSWER_KEPT).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
            text.truncate(end);
        }
        text
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
