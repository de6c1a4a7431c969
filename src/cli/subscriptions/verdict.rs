//! What the outcome of a test means, and what to do about it.

use serde::Serialize;

use crate::model::delivery::{Attempt, FailureClass};

/// What came of a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub acknowledged: bool,
    /// What happened.
    pub outcome: String,
    /// What to do, if it was not acknowledged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<&'static str>,
}

impl Verdict {
    /// Returns what an attempt means.
    pub fn of(attempt: &Attempt) -> Self {
        match (attempt.status, &attempt.failure) {
            (Some(status @ 200..=299), None) => Self {
                acknowledged: true,
                outcome: format!("the receiver acknowledged it with {status}"),
                advice: None,
            },
            (Some(status), failure) if failure.as_ref().is_none_or(|failure| failure.class == FailureClass::Status) => {
                Self {
                    acknowledged: false,
                    outcome: format!("the receiver answered {status}"),
                    advice: Some(advice_on_status(status)),
                }
            }
            (_, Some(failure)) => Self {
                acknowledged: false,
                outcome: failure.message.clone(),
                advice: Some(advice_on_failure(failure.class)),
            },
            _ => Self { acknowledged: false, outcome: "no outcome was recorded".to_owned(), advice: None },
        }
    }
}

fn advice_on_status(status: u16) -> &'static str {
    match status {
        300..=399 => {
            "redirects are not followed, because they would carry signed events elsewhere: write the address that \
                      it leads to into `url`"
        }
        400 | 422 => {
            "the receiver could not use it: does it expect another `format`, or fail to verify the signature? \
                      Compare what it computes with the lines above"
        }
        401 | 403 => {
            "the receiver refuses who it is from: check `auth` and `headers`, and that it verifies with the same \
                      secret; the fingerprint above is that of the key"
        }
        404 => "there is nothing at this address: check the path of `url`",
        405 => "the address takes no POST: check the path of `url`",
        408 | 425 | 429 | 503 => {
            "the receiver is busy: it is attempted again by itself, and `rate` keeps the lane slower"
        }
        410 => {
            "the receiver says that it is gone for good, so the subscription is disabled: check `url`, then `pollhook \
                subscriptions enable`"
        }
        413 => "the receiver takes no bodies as large as this: raise its limit",
        415 => "the receiver expects another content type: check `format`, or set `Content-Type` in `headers`",
        400..=499 => "the receiver refuses it: its log may say why",
        _ => "the receiver failed with it: its log may say why",
    }
}

fn advice_on_failure(class: FailureClass) -> &'static str {
    match class {
        FailureClass::Dns => "check the host in `url`, and that this machine resolves it",
        FailureClass::Connect => {
            "check that the receiver runs and listens on that port, and that no firewall is in between"
        }
        FailureClass::Tls => {
            "check the receiver's certificate; `tls.ca` takes an authority of your own, `tls.cert` and \
                              `tls.key` what it asks of its clients"
        }
        FailureClass::Timeout => {
            "answer first and work later, or raise `timeout`; the phases above show where the time went"
        }
        FailureClass::Transport => "the connection broke, or what listens there speaks no HTTP: is it http or https?",
        FailureClass::Body => "the receiver's answer could not be read to its end: keep it short",
        FailureClass::Render => {
            "nothing was sent, because the event could not be rendered or signed: check `body`, `format` \
                                 and `secret`"
        }
        FailureClass::Status => "the receiver's log may say why",
        FailureClass::Egress => {
            "what is added over the API reaches public addresses, and those that `[egress] allow` in the configuration names"
        }
        FailureClass::Auth => "what proves who deliveries are from could not be had: check `auth`",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::delivery::AttemptFailure;
    use crate::model::time::Timestamp;

    #[track_caller]
    fn check(status: Option<u16>, class: Option<FailureClass>, outcome: &str, advice: Option<&str>) {
        let failure = class.map(|class| AttemptFailure { class, message: "no connection".to_owned() });
        let verdict = Verdict::of(&Attempt { status, failure, ..Attempt::begun(1, Timestamp::EPOCH) });
        assert_eq!((verdict.acknowledged, verdict.outcome.as_str()), (advice.is_none(), outcome));
        match (verdict.advice, advice) {
            (Some(said), Some(expected)) => assert!(said.contains(expected), "{said}"),
            (said, expected) => assert_eq!(said, expected),
        }
    }

    #[test]
    fn each_outcome_says_what_to_do() {
        check(Some(204), None, "the receiver acknowledged it with 204", None);
        check(Some(401), None, "the receiver answered 401", Some("same secret"));
        check(Some(301), Some(FailureClass::Status), "the receiver answered 301", Some("not followed"));
        check(Some(500), None, "the receiver answered 500", Some("its log"));
        check(Some(410), None, "the receiver answered 410", Some("disabled"));
        check(None, Some(FailureClass::Connect), "no connection", Some("listens"));
        check(Some(200), Some(FailureClass::Body), "no connection", Some("to its end"));
        check(None, Some(FailureClass::Egress), "no connection", Some("[egress]"));
    }
}
