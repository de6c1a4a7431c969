//! `pollhook events`: what was detected.

use super::Global;
use super::client::ServiceOptions;
use super::failure::Failure;
use super::output::{Cell, Output};
use super::status::time;
use crate::model::id::{ConnectorName, EventId, SubscriptionName};
use crate::server::wire::{EventView, List};

#[derive(Debug, clap::Args)]
pub struct EventsArguments {
    /// Show this event whole
    id: Option<EventId>,
    /// Only events of this connector
    #[arg(long, value_name = "NAME", conflicts_with = "id")]
    connector: Option<ConnectorName>,
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
    let query = [
        ("connector", arguments.connector.map(|name| name.to_string())),
        ("before", arguments.before.map(|id| id.to_string())),
        ("limit", Some(arguments.limit.to_string())),
    ];
    let list: List<EventView> = client.get("/v1/events", &query).await?;
    if arguments.json {
        return output.json(&list);
    }
    if list.data.is_empty() {
        return output.line("no events yet");
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
        Some(next) => output.line(format_args!("\nolder ones: pollhook events --before {next}")),
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
