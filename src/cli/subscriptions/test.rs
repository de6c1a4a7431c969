//! `pollhook subscriptions test`: does the receiver work, and if not, why?

use std::time::Duration;

use serde_json::json;

use super::verdict::Verdict;
use super::{Common, path};
use crate::cli::Global;
use crate::cli::client::ServiceClient;
use crate::cli::failure::Failure;
use crate::cli::output::{Colour, Output, beginning};
use crate::cli::status::time;
use crate::clock::SystemClock;
use crate::deliver::{RequestDescription, SignatureDescription};
use crate::model::delivery::{Attempt, Phases};
use crate::model::id::SubscriptionName;
use crate::model::quantity::parse_duration;
use crate::server::wire::{LaneStatus, TestAnswer, TestDetail, TestHindrance};
use crate::store::DeliveryStateName;

#[derive(Debug, clap::Args)]
pub struct TestArguments {
    name: SubscriptionName,
    /// How long to wait for the first attempt
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    timeout: Duration,
    #[command(flatten)]
    common: Common,
}

/// How long the service is left alone between two looks.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// How much of a body or an answer is shown, in characters.
const LONGEST_SHOWN: usize = 2000;

/// Sends a test event to a subscription and shows what came of it. Fails if it was not acknowledged.
pub async fn test(arguments: TestArguments, global: &Global, output: &mut Output) -> Result<(), Failure> {
    let TestArguments { name, timeout, common } = arguments;
    let client = common.service.connect(global)?;
    let answer: TestAnswer = client.post(&path(&name, "/test"), &json!({})).await?;
    if let Some(hindrance) = &answer.hindrance {
        output.say(&in_words(&name, hindrance));
    }
    let detail = attempted(&client, &name, &answer, timeout).await?;
    let verdict = detail.attempts.last().map(Verdict::of);
    let acknowledged = verdict.as_ref().is_some_and(|verdict| verdict.acknowledged);
    if common.json {
        output.json(&json!({ "test": detail, "hindrance": answer.hindrance, "verdict": verdict }))?;
    } else {
        print(&detail, verdict.as_ref(), timeout, output)?;
    }
    if acknowledged { Ok(()) } else { Err(Failure::Said) }
}

/// Waits for the first attempt; returns what there is when that takes too long.
async fn attempted(
    client: &ServiceClient,
    name: &SubscriptionName,
    answer: &TestAnswer,
    timeout: Duration,
) -> Result<TestDetail, Failure> {
    let clock = SystemClock::shared();
    let deadline = clock.now() + timeout;
    let path = path(name, &format!("/tests/{}", answer.delivery.event));
    loop {
        let detail: TestDetail = client.get(&path, &[]).await?;
        if !detail.attempts.is_empty() || clock.now() >= deadline {
            return Ok(detail);
        }
        clock.sleep_until(clock.now() + BETWEEN_LOOKS).await;
    }
}

fn in_words(name: &SubscriptionName, hindrance: &TestHindrance) -> String {
    let until = time(Some(hindrance.until));
    match hindrance.status {
        LaneStatus::Failing => format!(
            "{name} has failed so often that nothing is sent until {until}; `pollhook subscriptions enable {name}` sends at \
             once"
        ),
        _ => format!(
            "the receiver of {name} asked for nothing before {until}; `pollhook subscriptions enable {name}` sends at once \
             nevertheless"
        ),
    }
}

fn print(
    detail: &TestDetail,
    verdict: Option<&Verdict>,
    timeout: Duration,
    output: &mut Output,
) -> Result<(), Failure> {
    let (Some(attempt), Some(verdict)) = (detail.attempts.last(), verdict) else {
        let waits = format!(
            "not attempted within {timeout:?}; it still waits, and `pollhook deliveries {}` shows what becomes of it",
            detail.delivery.id
        );
        return output.line(output.paint(Colour::Yellow, waits));
    };
    if let Some(request) = &detail.request {
        print_request(request, output)?;
    } else if let Some(message) = &detail.unsendable {
        output.line(format_args!("nothing was sent: {message}"))?;
    }
    print_answer(attempt, output)?;
    if let Some(signature) = detail.request.as_ref().and_then(|request| request.signature.as_ref()) {
        print_signature(signature, output)?;
    }
    let (colour, word) = if verdict.acknowledged { (Colour::Green, "works") } else { (Colour::Red, "failed") };
    output.line(format_args!("\n{}: {}", output.paint(colour, word), verdict.outcome))?;
    if let Some(advice) = verdict.advice {
        output.line(format_args!("        {advice}"))?;
    }
    match (detail.delivery.state, detail.delivery.due) {
        (DeliveryStateName::Pending, Some(due)) => output.line(format_args!(
            "        it is attempted again at {}; `pollhook deliveries {}` shows how that goes",
            time(Some(due)),
            detail.delivery.id
        )),
        _ => Ok(()),
    }
}

fn print_request(request: &RequestDescription, output: &mut Output) -> Result<(), Failure> {
    output.line(output.paint(Colour::Bold, format_args!("{} {}", request.method, request.url)))?;
    for (name, value) in &request.headers {
        output.line(format_args!("{name}: {value}"))?;
    }
    output.line(format_args!("\n{}\n", shortened(&request.body)))
}

fn print_answer(attempt: &Attempt, output: &mut Output) -> Result<(), Failure> {
    let status = attempt.status.map_or_else(
        || output.paint(Colour::Red, "no answer"),
        |status| output.paint(Colour::of_status(status), status),
    );
    let from = attempt.address.map(|address| format!(" from {address}")).unwrap_or_default();
    let phases = phases(&attempt.phases);
    let phases = if phases.is_empty() { String::new() } else { format!(" ({phases})") };
    output.line(format_args!("← {status}{from} after {} ms{phases}", attempt.duration.as_millis()))?;
    let answer = attempt.answer.trim();
    if answer.is_empty() { Ok(()) } else { output.line(shortened(answer)) }
}

/// Returns how long each phase took, as far as it came to them.
fn phases(phases: &Phases) -> String {
    let named = [
        ("name", phases.dns),
        ("connection", phases.connect),
        ("TLS", phases.tls),
        ("answer", phases.answer),
        ("body", phases.body),
    ];
    let taken = named.into_iter().filter_map(|(name, took)| took.map(|took| (name, took.as_secs_f64() * 1000.0)));
    taken.map(|(name, millis)| format!("{name} {millis:.1} ms")).collect::<Vec<_>>().join(", ")
}

fn print_signature(signature: &SignatureDescription, output: &mut Output) -> Result<(), Failure> {
    output.line(format_args!("\nwhat a verifier computes for {}", signature.header))?;
    output.line(format_args!("  signed       {}, {} bytes", signature.signed, signature.signed_bytes))?;
    output.line(format_args!("  body         sha256 {}", signature.body_sha256))?;
    for key in &signature.keys {
        output.line(format_args!("  {:<12} {}", key.scheme, key.expected))?;
        let until = key.until.map(|until| format!(", used until {}", time(Some(until)))).unwrap_or_default();
        let public = key.public_key.as_ref().map(|key| format!(", public {key}")).unwrap_or_default();
        output.line(format_args!("               with the key {}…{public}{until}", key.key_fingerprint))?;
    }
    Ok(())
}

fn shortened(text: &str) -> String {
    if text.chars().nth(LONGEST_SHOWN).is_some() { beginning(text, LONGEST_SHOWN) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_named_as_far_as_it_came_to_them() {
        let micros = |count| Some(Duration::from_micros(count));
        let reached = Phases { connect: micros(1500), answer: micros(20), ..Phases::default() };
        assert_eq!(phases(&reached), "connection 1.5 ms, answer 0.0 ms");
        assert_eq!(phases(&Phases::default()), "");
    }
}
