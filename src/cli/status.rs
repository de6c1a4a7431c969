//! `pollhook status`: connectors and subscriptions, what fails and since when.

use serde_json::json;

use super::Global;
use super::client::ServiceOptions;
use super::failure::Failure;
use super::output::{Cell, Colour, Output};
use crate::model::time::Timestamp;
use crate::server::wire::{ConnectorStatus, ConnectorView, LaneStatus, List, MOST_COUNTED, SubscriptionView};

#[derive(Debug, clap::Args)]
pub struct StatusArguments {
    #[command(flatten)]
    service: ServiceOptions,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Asks the service how it is doing and prints it.
pub async fn status(arguments: StatusArguments, global: &Global, output: &mut Output) -> Result<(), Failure> {
    let client = arguments.service.connect(global)?;
    let connectors: List<ConnectorView> = client.get("/v1/connectors", &[]).await?;
    let subscriptions: List<SubscriptionView> = client.get("/v1/subscriptions", &[]).await?;
    if arguments.json {
        return output.json(&json!({ "connectors": connectors.data, "subscriptions": subscriptions.data }));
    }
    print_connectors(&connectors.data, output)?;
    output.line("")?;
    print_subscriptions(&subscriptions.data, output)
}

fn print_connectors(connectors: &[ConnectorView], output: &mut Output) -> Result<(), Failure> {
    if connectors.is_empty() {
        return output.line("no connectors are configured");
    }
    let painted = |status: ConnectorStatus| {
        let colour = match status {
            ConnectorStatus::Ok => Colour::Green,
            ConnectorStatus::Waiting => Colour::Dim,
            ConnectorStatus::Failing => Colour::Red,
        };
        Cell::painted(colour, status.as_str())
    };
    let rows = connectors.iter().map(|one| {
        [
            Cell::from(&one.name),
            painted(one.status),
            Cell::from(&one.schedule),
            Cell::from(one.items),
            time(one.polled_at).into(),
            time(one.succeeded_at).into(),
        ]
    });
    output.table(["CONNECTOR", "STATUS", "SCHEDULE", "ITEMS", "POLLED", "SUCCEEDED"], rows)?;
    for connector in connectors.iter().filter(|one| one.status == ConnectorStatus::Failing) {
        let since = connector.failing_since.map_or_else(String::new, |since| format!(" since {since}"));
        let error = connector.error.as_deref().unwrap_or("no cause was recorded");
        output.line(format_args!(
            "\n{} fails{since}, {} times in a row:\n  {error}",
            connector.name, connector.failures
        ))?;
        if let Some(not_before) = connector.not_before {
            output.line(format_args!("  it asked not to be polled before {not_before}"))?;
        }
    }
    Ok(())
}

fn print_subscriptions(subscriptions: &[SubscriptionView], output: &mut Output) -> Result<(), Failure> {
    if subscriptions.is_empty() {
        return output.line("no subscriptions are configured: nobody is told of anything");
    }
    let painted = |status: LaneStatus| {
        let colour = match status {
            LaneStatus::Ok => Colour::Green,
            LaneStatus::Retrying | LaneStatus::Paused => Colour::Yellow,
            LaneStatus::Disabled => Colour::Red,
        };
        Cell::painted(colour, status.as_str())
    };
    let rows = subscriptions.iter().map(|one| {
        [
            Cell::from(&one.name),
            painted(one.status),
            Cell::from(&one.url),
            bounded(one.deliveries.waiting).into(),
            bounded(one.deliveries.retrying).into(),
            bounded(one.deliveries.dead).into(),
        ]
    });
    output.table(["SUBSCRIPTION", "STATUS", "URL", "WAITING", "RETRYING", "DEAD"], rows)?;
    for subscription in subscriptions {
        let name = &subscription.name;
        if let Some(disabled) = &subscription.disabled {
            output.line(format_args!(
                "\n{name} is disabled since {}: {}\n  change its url, or POST /v1/subscriptions/{name}/enable",
                disabled.at, disabled.reason
            ))?;
        } else if let Some(until) = subscription.paused_until {
            output.line(format_args!("\n{name} is paused until {until}: its receiver asked for it"))?;
        }
        if subscription.deliveries.dead > 0 {
            output
                .line(format_args!("\n{name} has dead letters: `pollhook replay --dead {name}` queues them again"))?;
        }
    }
    Ok(())
}

fn bounded(count: usize) -> String {
    if count >= MOST_COUNTED { format!("{count}+") } else { count.to_string() }
}

/// Returns a time to the second, or a dash.
pub fn time(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| at.to_utc().format("%Y-%m-%d %H:%M:%SZ").to_string())
}
