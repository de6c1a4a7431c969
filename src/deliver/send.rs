//! One attempt: a POST out, an answer back, all within the subscription's timeout.

use std::sync::Arc;
use std::time::Duration;

use super::authorize::{Authorized, Authorizer, Unproven};
use super::lane::DeliverContext;
use super::request::{RequestWriter, Unsendable};
use super::verdict::Outcome;
use crate::auth::Proof;
use crate::clock::SharedClock;
use crate::http::{BodyLimit, HttpError, HttpRequest, HttpResponse, Limits, retry_after};
use crate::model::delivery::{ANSWER_KEPT, Attempt, AttemptFailure, FailureClass};
use crate::model::event::Event;
use crate::model::secret::Redactor;
use crate::model::subscription::Subscription;
use crate::store::ClaimedDelivery;

/// Makes the attempts of one subscription.
pub(super) struct Sender {
    subscription: Arc<Subscription>,
    writer: RequestWriter,
    authorizer: Authorizer,
    clock: SharedClock,
}

impl Sender {
    /// Returns what makes this subscription's attempts.
    pub fn new(subscription: Arc<Subscription>, context: &DeliverContext) -> Self {
        let DeliverContext { http, clock, renderer, credentials, .. } = context;
        let writer = RequestWriter::new(Arc::clone(&subscription), Arc::clone(renderer));
        let http = http.clone().for_origin(subscription.origin);
        let authorizer = Authorizer::new(Arc::clone(&subscription), credentials.clone(), http, Arc::clone(clock));
        Self { subscription, writer, authorizer, clock: Arc::clone(clock) }
    }

    /// Returns how many bytes an event takes in a body, or somewhat more; `None` if it must not be joined with others.
    pub fn most_bytes(&self, event: &Event) -> Option<usize> {
        self.writer.most_bytes(event)
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
        let result = self.exchange(&request, begun, &mut attempt).await;
        attempt.duration = self.clock.monotonic().saturating_sub(begun);
        let outcome = match result {
            Ok(response) => {
                attempt.status = Some(response.status);
                attempt.answer = readable(&self.subscription.redactor, &response.body);
                let retry_after = retry_after(&response.headers, self.clock.now());
                Outcome::Answered { status: response.status, retry_after }
            }
            Err(failure) => {
                let message = self.subscription.redactor.redact(&failure.to_string());
                attempt.failure = Some(AttemptFailure { class: failure.class(), message });
                match failure {
                    Failure::Unproven(unproven) => Outcome::Unproven { not_before: unproven.not_before() },
                    Failure::Http(_) => Outcome::Failed,
                }
            }
        };
        (attempt, outcome)
    }

    /// Sends a request; once more if the receiver refuses what proves who it is from and there will be another proof.
    async fn exchange(
        &self,
        request: &HttpRequest,
        begun: Duration,
        attempt: &mut Attempt,
    ) -> Result<HttpResponse, Failure> {
        let (response, proof) = self.exchange_once(request, begun, attempt).await?;
        if response.status != 401 || !self.authorizer.renew(&proof, &response) {
            return Ok(response);
        }
        Ok(self.exchange_once(request, begun, attempt).await?.0)
    }

    /// Sends a request with what proves who it is from.
    ///
    /// A receiver may close a connection that it kept open just as the next request goes out on it. That says nothing
    /// of the request, which is therefore sent again; the receiver knows it by its id if it did read it.
    async fn exchange_once(
        &self,
        request: &HttpRequest,
        begun: Duration,
        attempt: &mut Attempt,
    ) -> Result<(HttpResponse, Proof), Failure> {
        let Authorized { request, client, proof } = self.authorizer.authorize(request, self.time_left(begun)).await?;
        let (trace, result) = client.send_again(request, self.limits(begun)).await;
        (attempt.address, attempt.phases) = (trace.address, trace.phases);
        match result {
            Ok(response) => Ok((response, proof)),
            // Of the time that was left, nobody knows.
            Err(HttpError::Deadline(_)) => Err(HttpError::Deadline(self.subscription.timeout).into()),
            Err(error) => Err(error.into()),
        }
    }

    fn limits(&self, begun: Duration) -> Limits {
        Limits { deadline: self.time_left(begun), body: BodyLimit::Keep(ANSWER_KEPT + MARGIN) }
    }

    fn time_left(&self, begun: Duration) -> Duration {
        let elapsed = self.clock.monotonic().saturating_sub(begun);
        self.subscription.timeout.saturating_sub(elapsed)
    }
}

/// How much more is read of an answer than is kept: enough that a secret which is cut off there is not shown.
const MARGIN: usize = 16 * 1024;

/// Returns the beginning of an answer as people may read it.
fn readable(redactor: &Redactor, body: &[u8]) -> String {
    if body.is_empty() {
        return String::new();
    }
    let mut text = redactor.redact(&String::from_utf8_lossy(body));
    if text.len() > ANSWER_KEPT {
        let end = (0..=ANSWER_KEPT).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

/// Why an attempt got no whole answer.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Unproven(#[from] Unproven),
    #[error(transparent)]
    Http(#[from] HttpError),
}

impl Failure {
    fn class(&self) -> FailureClass {
        match self {
            Self::Unproven(unproven) => unproven.class(),
            Self::Http(error) => error.class(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::secret::Secret;

    #[test]
    fn of_an_answer_the_beginning_is_kept_without_secrets() {
        let redactor = Redactor::new([Secret::new("s3cret-token".to_owned())]);
        let check = |body: &[u8], expected_length: usize, expected_end: &str| {
            let text = readable(&redactor, body);
            assert_eq!(text.len(), expected_length);
            assert!(
                text.ends_with(expected_end) && !text.contains("s3cr"),
                "{}",
                &text[text.len().saturating_sub(20)..]
            );
        };
        check(b"", 0, "");
        check(b"no s3cret-token", 6, "no ***");
        check(&[b'a', 0xff, b'b'], 5, "a\u{fffd}b");
        check(&vec![b'x'; ANSWER_KEPT], ANSWER_KEPT, "xxx");
        check(&vec![b'x'; ANSWER_KEPT + MARGIN], ANSWER_KEPT, "xxx");
        // No character is cut in two, and of a secret that reaches over the end nothing is left.
        check("äöü".repeat(ANSWER_KEPT).as_bytes(), ANSWER_KEPT, "ö");
        let over_the_end = format!("{}s3cret-token and more", "x".repeat(ANSWER_KEPT - 4));
        check(over_the_end.as_bytes(), ANSWER_KEPT, "x*** ");
    }
}
