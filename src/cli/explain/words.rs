//! Words that the stages and the conclusion share.

use std::fmt::Display;

use crate::model::delivery::{FailureClass, Outcome};
use crate::server::wire::{DeliveryDetail, MatchVerdict, MatchView};

/// Returns the names as a text: `a`, `a and b`, `a, b and c`.
pub fn joined(names: &[impl Display]) -> String {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    match names.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

/// Returns what a subscription says to an event, behind its name.
pub fn says(view: &MatchView) -> String {
    let wanted = &view.wanted;
    match view.verdict {
        MatchVerdict::Matches => "wants it".to_owned(),
        MatchVerdict::OtherConnectors if wanted.is_empty() => "wants no events of the service itself".to_owned(),
        MatchVerdict::OtherConnectors => format!("wants other connectors ({wanted})"),
        MatchVerdict::OtherEvents => format!("wants other events ({wanted})"),
        MatchVerdict::FilterFalse => format!("has a filter that says no ({wanted})"),
        MatchVerdict::FilterFailed => {
            let error = view.error.as_deref().unwrap_or_default();
            // Most errors begin with the expression.
            let filter = if error.contains(wanted.as_str()) { String::new() } else { format!(" ({wanted})") };
            format!("has a filter that fails{filter}: {error}")
        }
    }
}

/// Returns what the last attempt of a delivery came to: a status, or where it failed.
pub fn last_outcome(one: &DeliveryDetail) -> Option<String> {
    let Outcome { status, failure } = one.delivery.last?;
    status.map(|status| status.to_string()).or_else(|| failure.map(|failure| in_words(failure).to_owned()))
}

fn in_words(failure: FailureClass) -> &'static str {
    match failure {
        FailureClass::Dns => "its name could not be resolved",
        FailureClass::Connect => "no connection",
        FailureClass::Tls => "no secure connection",
        FailureClass::Timeout => "no answer in time",
        FailureClass::Transport => "the connection broke",
        FailureClass::Body => "its answer could not be read",
        FailureClass::Render => "nothing could be sent",
        FailureClass::Status => "it was not taken",
        FailureClass::Egress => "its address is not allowed",
        FailureClass::Auth => "no token could be had",
    }
}

/// Returns the ordinal of an attempt: `1st`, `2nd`, `3rd`, `11th`.
pub fn attempt_number(number: u32) -> String {
    let ending = match (number % 100, number % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}
