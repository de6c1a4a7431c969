//! One attempt: a POST out, an answer back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::render::Renderer;
use super::request::{RequestWriter, Unsendable};
use super::verdict::Outcome;
use crate::clock::SharedClock;
use crate::http::{BodyLimit, HttpClient, HttpError, HttpRequest, HttpResponse, Limits, retry_after};
use crate::model::delivery::{ANSWER_KEPT, Attempt, AttemptFailure, FailureClass};
use crate::model::subscription::Subscription;
use crate::store::ClaimedDelivery;

/// Makes the attempts of one subscription.
pub(super) struct Sender {
    subscription: Arc<Subscription>,
    writer: RequestWriter,
    http: HttpClient,
    clock: SharedClock,
    /// Whether the last exchange was answered, so that the next one may find a connection that was kept open.
    answered: AtomicBool,
}

impl Sender {
    /// Returns what makes this subscription's attempts.
    pub fn new(subscription: Arc<Subscription>, renderer: Arc<Renderer>, http: HttpClient, clock: SharedClock) -> Self {
        let writer = RequestWriter::new(Arc::clone(&subscription), renderer);
        Self { subscription, writer, http, clock, answered: AtomicBool::new(false) }
    }

    /// Sends the delivery once, signed with the present time, and returns what came of it. Takes no longer than the
    /// subscription's timeout.
    pub async fn attempt(&self, claimed: &ClaimedDelivery) -> (Attempt, Outcome) {
        let mut attempt = Attempt::begun(claimed.attempts.saturating_add(1), self.clock.now());
        let request = match self.writer.write(claimed, attempt.started_at) {
            Ok(request) => request,
            Err(Unsendable { reason, message }) => {
                attempt.failure = Some(AttemptFailure { class: FailureClass::Render, message });
                return (attempt, reason.map_or(Outcome::Failed, Outcome::Unsendable));
            }
        };
        let begun = self.clock.monotonic();
        let result = self.exchange(request).await;
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
    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let begun = self.clock.monotonic();
        let limits = Limits { deadline: self.subscription.timeout, body: BodyLimit::Keep(ANSWER_KEPT) };
        let may_be_stale = self.answered.load(Ordering::Relaxed);
        let mut result = self.http.send(request.clone(), limits).await;
        if may_be_stale && matches!(result, Err(HttpError::Transport(_))) {
            let elapsed = self.clock.monotonic().saturating_sub(begun);
            let limits = Limits { deadline: limits.deadline.saturating_sub(elapsed), ..limits };
            result = self.http.send(request, limits).await;
        }
        self.answered.store(result.is_ok(), Ordering::Relaxed);
        result
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
