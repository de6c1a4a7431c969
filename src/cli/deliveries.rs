//! `pollhook deliveries`: what is on its way, has arrived, or is dead.

use clap::ValueEnum;

use super::Global;
use super::client::ServiceOptions;
use super::failure::Failure;
use super::output::{Cell, Colour, Output, beginning};
use super::status::time;
use crate::model::delivery::Attempt;
use crate::model::id::{DeliveryId, SubscriptionName};
use crate::server::wire::{DeliveryDetail, DeliveryView, List};
use crate::store::DeliveryStateName;

#[derive(Debug, clap::Args)]
pub struct DeliveriesArguments {
    /// Show this delivery with its attempts
    id: Option<DeliveryId>,
    /// Only deliveries to this subscription
    #[arg(long, value_name = "NAME", conflicts_with = "id")]
    subscription: Option<SubscriptionName>,
    /// Only deliveries in this state
    #[arg(long, value_name = "STATE", conflicts_with = "id")]
    state: Option<State>,
    /// Only deliveries before this one
    #[arg(long, value_name = "ID", conflicts_with = "id")]
    before: Option<DeliveryId>,
    /// How many to list, 1 to 500
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=500))]
    limit: u16,
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
    let client = arguments.service.connect(global)?;
    if let Some(id) = arguments.id {
        let detail: DeliveryDetail = client.get(&format!("/v1/deliveries/{id}"), &[]).await?;
        return if arguments.json { output.json(&detail) } else { print_detail(&detail, output) };
    }
    let state = arguments.state.map(|state| match state {
        State::Pending => "pending".to_owned(),
        State::Delivered => "delivered".to_owned(),
        State::Dead => "dead".to_owned(),
    });
    let query = [
        ("subscription", arguments.subscription.map(|name| name.to_string())),
        ("state", state),
        ("before", arguments.before.map(|id| id.to_string())),
        ("limit", Some(arguments.limit.to_string())),
    ];
    let list: List<DeliveryView> = client.get("/v1/deliveries", &query).await?;
    if arguments.json {
        return output.json(&list);
    }
    if list.data.is_empty() {
        return output.line("no deliveries");
    }
    let rows = list.data.iter().map(|one| {
        let (colour, state) = state_in_colour(one.state);
        let at = time(one.settled_at.or(one.due));
        [Cell::from(&one.id), Cell::painted(colour, state), Cell::from(one.attempts), at.into()]
    });
    output.table(["DELIVERY", "STATE", "ATTEMPTS", "SETTLED OR DUE"], rows)?;
    match list.next {
        Some(next) => output.line(format_args!("\nolder ones: pollhook deliveries --before {next}")),
        None => Ok(()),
    }
}

fn state_in_colour(state: DeliveryStateName) -> (Colour, &'static str) {
    match state {
        DeliveryStateName::Pending => (Colour::Yellow, "pending"),
        DeliveryStateName::Delivered => (Colour::Green, "delivered"),
        DeliveryStateName::Dead => (Colour::Red, "dead"),
    }
}

fn print_detail(detail: &DeliveryDetail, output: &mut Output) -> Result<(), Failure> {
    let delivery = &detail.delivery;
    output.line(format_args!("delivery      {}", delivery.id))?;
    output.line(format_args!("event         {}", delivery.event))?;
    output.line(format_args!("subscription  {}", delivery.subscription))?;
    let (colour, state) = state_in_colour(delivery.state);
    let state = output.paint(colour, state);
    match (delivery.due, delivery.settled_at) {
        (Some(due), _) => output.line(format_args!("state         {state}, due {due}"))?,
        (None, Some(at)) => output.line(format_args!("state         {state} at {at}"))?,
        (None, None) => output.line(format_args!("state         {state}"))?,
    }
    if detail.attempts.is_empty() {
        return output.line("\nnot attempted yet");
    }
    output.line("")?;
    let rows = detail.attempts.iter().map(|attempt| {
        [
            Cell::from(attempt.number),
            Cell::from(attempt.started_at),
            format!("{} ms", attempt.duration.as_millis()).into(),
            outcome(attempt).into(),
        ]
    });
    output.table(["ATTEMPT", "AT", "TOOK", "OUTCOME"], rows)
}

/// How much of a receiver's answer is shown, in characters.
const LONGEST_ANSWER: usize = 80;

fn outcome(attempt: &Attempt) -> String {
    let status = attempt.status.map(|status| status.to_string());
    let failure = attempt.failure.as_ref().map(|failure| failure.message.clone());
    let mut text = status.or(failure).unwrap_or_else(|| "no outcome was recorded".to_owned());
    if !attempt.answer.trim().is_empty() {
        text.push(' ');
        text.push_str(&beginning(attempt.answer.trim(), LONGEST_ANSWER));
    }
    text
}
