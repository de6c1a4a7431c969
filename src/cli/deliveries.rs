//! `pollhook deliveries`: what is on its way, has arrived, or is dead.

use clap::ValueEnum;

use super::Global;
use super::check::counted;
use super::client::ServiceOptions;
use super::failure::Failure;
use super::output::{Cell, Colour, Output, beginning};
use super::status::time;
use super::when::EventOptions;
use crate::clock::SystemClock;
use crate::model::delivery::{Attempt, DeathReason, Outcome, Phases};
use crate::model::id::{DeliveryId, SubscriptionName};
use crate::server::wire::{DeliveryDetail, DeliveryView, List};
use crate::store::DeliveryStateName;

#[derive(Debug, clap::Args)]
pub struct DeliveriesArguments {
    /// Show this delivery with its attempts
    #[arg(conflicts_with_all = ["connector", "event_type", "from", "until"])]
    id: Option<DeliveryId>,
    /// Only deliveries to this subscription
    #[arg(long, value_name = "NAME", conflicts_with = "id")]
    subscription: Option<SubscriptionName>,
    /// Only deliveries in this state
    #[arg(long, value_name = "STATE", conflicts_with = "id")]
    state: Option<State>,
    /// Only dead letters that died of this
    #[arg(long, value_name = "REASON", conflicts_with = "id", value_parser = reason)]
    reason: Option<DeathReason>,
    #[command(flatten)]
    events: EventOptions,
    /// Only deliveries before this one
    #[arg(long, value_name = "ID", conflicts_with = "id")]
    before: Option<DeliveryId>,
    /// How many to list, 1 to 500
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=500))]
    limit: u16,
    /// Show the answers of the receiver whole, as far as they were kept
    #[arg(long, requires = "id")]
    full: bool,
    #[command(flatten)]
    service: ServiceOptions,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The states of a delivery, as the command line names them.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum State {
    Pending,
    Delivered,
    Dead,
}

/// Lists deliveries, those of the newest events first, or shows one with its attempts.
pub async fn deliveries(arguments: DeliveriesArguments, global: &Global, output: &mut Output) -> Result<(), Failure> {
    let query = arguments.query();
    let DeliveriesArguments { id, full, json, limit, before, service, .. } = arguments;
    let client = service.connect(global)?;
    if let Some(id) = id {
        let detail: DeliveryDetail = client.get(&format!("/v1/deliveries/{id}"), &[]).await?;
        return if json { output.json(&detail) } else { print_detail(&detail, full, output) };
    }
    let before = before.map(|id| id.to_string());
    let list: List<DeliveryView> = client.list("/v1/deliveries", &query, before, limit).await?;
    if json { output.json(&list) } else { print_list(&list, output) }
}

impl DeliveriesArguments {
    fn query(&self) -> Vec<(&'static str, Option<String>)> {
        let state = self.state.map(|state| match state {
            State::Pending => "pending",
            State::Delivered => "delivered",
            State::Dead => "dead",
        });
        let mut query = vec![
            ("subscription", self.subscription.as_ref().map(ToString::to_string)),
            ("state", state.map(ToOwned::to_owned)),
            ("reason", self.reason.map(|reason| reason.as_str().to_owned())),
        ];
        query.extend(self.events.query(SystemClock::shared().now()));
        query
    }
}

/// Reads why a delivery died.
fn reason(text: &str) -> Result<DeathReason, String> {
    let found = DeathReason::ALL.into_iter().find(|reason| reason.as_str() == text);
    let names = || DeathReason::ALL.map(DeathReason::as_str).join(", ");
    found.ok_or_else(|| format!("dead letters have one of these reasons: {}", names()))
}

fn print_list(list: &List<DeliveryView>, output: &mut Output) -> Result<(), Failure> {
    if list.data.is_empty() && list.next.is_none() {
        return output.line("no deliveries");
    }
    let rows = list.data.iter().map(|one| {
        let (colour, state) = state_in_colour(one.state);
        let at = time(one.settled_at.or(one.due));
        [Cell::from(&one.id), Cell::painted(colour, state), Cell::from(one.attempts), at.into(), last(one).into()]
    });
    output.table(["DELIVERY", "STATE", "ATTEMPTS", "SETTLED OR DUE", "LAST"], rows)?;
    match &list.next {
        Some(next) => output.line(format_args!("\nolder ones: add --before {next}")),
        None => Ok(()),
    }
}

/// Says why a delivery is dead, and what its last attempt came to.
fn last(view: &DeliveryView) -> String {
    let mut words: Vec<String> = view.reason.iter().map(|reason| reason.as_str().to_owned()).collect();
    if let Some(Outcome { status, failure }) = view.last {
        words.extend(status.map(|status| status.to_string()));
        // A status says by itself that it failed.
        words.extend(failure.filter(|_| status.is_none()).map(|failure| failure.as_str().to_owned()));
    }
    if view.joined_to.is_some() {
        words.push("in a batch".to_owned());
    }
    if view.members > 0 {
        words.push(format!("with {} more", view.members));
    }
    words.join(", ")
}

fn state_in_colour(state: DeliveryStateName) -> (Colour, &'static str) {
    match state {
        DeliveryStateName::Pending => (Colour::Yellow, "pending"),
        DeliveryStateName::Delivered => (Colour::Green, "delivered"),
        DeliveryStateName::Dead => (Colour::Red, "dead"),
    }
}

fn print_detail(detail: &DeliveryDetail, full: bool, output: &mut Output) -> Result<(), Failure> {
    let delivery = &detail.delivery;
    output.line(format_args!("delivery      {}", delivery.id))?;
    output.line(format_args!("event         {}", delivery.event))?;
    output.line(format_args!("subscription  {}", delivery.subscription))?;
    let (colour, state) = state_in_colour(delivery.state);
    let state = output.paint(colour, state);
    let reason = delivery.reason.map(|reason| format!(": {}", reason.as_str())).unwrap_or_default();
    match (delivery.due, delivery.settled_at) {
        (Some(due), _) => output.line(format_args!("state         {state}, due {due}"))?,
        (None, Some(at)) => output.line(format_args!("state         {state} at {at}{reason}"))?,
        (None, None) => output.line(format_args!("state         {state}{reason}"))?,
    }
    if let Some(first) = &delivery.joined_to {
        output.line(format_args!("batch         a part of {first}: what follows is said of all of it"))?;
    }
    if delivery.members > 0 {
        let more = counted(usize::try_from(delivery.members).unwrap_or(usize::MAX), "further event");
        output.line(format_args!("batch         carries {more}"))?;
    }
    if detail.attempts.is_empty() {
        return output.line("\nnot attempted yet");
    }
    for attempt in &detail.attempts {
        print_attempt(attempt, full, output)?;
    }
    Ok(())
}

fn print_attempt(attempt: &Attempt, full: bool, output: &mut Output) -> Result<(), Failure> {
    let outcome = match (attempt.status, &attempt.failure) {
        (Some(status), _) => output.paint(Colour::of_status(status), status),
        (None, Some(failure)) => output.paint(Colour::Red, failure.class.as_str()),
        (None, None) => "no outcome was recorded".to_owned(),
    };
    output.line(format_args!("\nattempt {}  {}  {outcome}", attempt.number, attempt.started_at))?;
    output.line(format_args!("  took     {}", took(attempt)))?;
    if let Some(address) = attempt.address {
        output.line(format_args!("  address  {address}"))?;
    }
    if let Some(failure) = &attempt.failure {
        let class = if attempt.status.is_some() { format!("{}: ", failure.class.as_str()) } else { String::new() };
        output.line(format_args!("  failure  {class}{}", printable(&failure.message)))?;
    }
    if attempt.answer.trim().is_empty() {
        return Ok(());
    }
    if !full {
        return output.line(format_args!("  answer   {}", beginning(attempt.answer.trim(), LONGEST_ANSWER)));
    }
    output.line("  answer")?;
    for line in attempt.answer.lines() {
        output.line(format_args!("    {}", printable(line)))?;
    }
    Ok(())
}

/// Says how long an attempt took, and which phases of it.
fn took(attempt: &Attempt) -> String {
    let Phases { dns, connect, tls, answer, body } = attempt.phases;
    let phases = [("dns", dns), ("connect", connect), ("tls", tls), ("answer", answer), ("body", body)];
    let phases: Vec<String> = phases
        .into_iter()
        .filter_map(|(name, took)| took.map(|took| format!("{name} {:.1} ms", took.as_secs_f64() * 1000.0)))
        .collect();
    let whole = format!("{} ms", attempt.duration.as_millis());
    if phases.is_empty() { whole } else { format!("{whole} ({})", phases.join(", ")) }
}

/// How much of a receiver's answer is shown, in characters.
const LONGEST_ANSWER: usize = 80;

/// Returns a text without what could control a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}
