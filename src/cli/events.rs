//! `pollhook events`: what was detected.

use super::Global;
use super::client::ServiceOptions;
use super::failure::Failure;
use super::output::{Cell, Output};
use super::status::time;
use super::when::EventOptions;
use crate::clock::SystemClock;
use crate::model::id::{EventId, SubscriptionName};
use crate::server::wire::{EventView, List};

#[derive(Debug, clap::Args)]
pub struct EventsArguments {
    /// Show this event whole
    #[arg(conflicts_with_all = ["connector", "event_type", "from", "until"])]
    id: Option<EventId>,
    #[command(flatten)]
    events: EventOptions,
    /// Only of the item with this key
    #[arg(long, value_name = "KEY", conflicts_with = "id")]
    key: Option<String>,
    /// Only events before this one
    #[arg(long, value_name = "ID", conflicts_with = "id")]
    before: Option<EventId>,
    /// How many to list, 1 to 500
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=500))]
    limit: u16,
    #[command(flatten)]
    service: ServiceOptions,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Lists events, the newest first, or shows one.
pub async fn events(arguments: EventsArguments, global: &Global, output: &mut Output) -> Result<(), Failure> {
    let client = arguments.service.connect(global)?;
    if let Some(id) = arguments.id {
        let view: EventView = client.get(&format!("/v1/events/{id}"), &[]).await?;
        return output.json(&view);
    }
    let mut query = arguments.events.query(SystemClock::shared().now()).to_vec();
    query.push(("key", arguments.key));
    let before = arguments.before.map(|id| id.to_string());
    let list: List<EventView> = client.list("/v1/events", &query, before, arguments.limit).await?;
    if arguments.json {
        return output.json(&list);
    }
    if list.data.is_empty() && list.next.is_none() {
        return output.line("no events");
    }
    let rows = list.data.iter().map(|view| {
        let event = &view.event;
        [
            Cell::from(event.id),
            time(Some(event.time)).into(),
            Cell::from(&event.event_type),
            Cell::from(&event.key),
            subscriptions(&view.subscriptions).into(),
        ]
    });
    output.table(["EVENT", "TIME", "TYPE", "KEY", "SUBSCRIPTIONS"], rows)?;
    match list.next {
        Some(next) => output.line(format_args!("\nolder ones: add --before {next}")),
        None => Ok(()),
    }
}

fn subscriptions(names: &[SubscriptionName]) -> String {
    match names {
        [] => "nobody".to_owned(),
        [one] => one.to_string(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }
}
