//! `pollhook status`: connectors and subscriptions, what fails and since when; or one connector and its last polls.

mod connector;
mod failures;

use serde_json::json;

pub use connector::kinds;

use super::Global;
use super::client::{ServiceClient, ServiceOptions};
use super::failure::Failure;
use super::output::{Cell, Colour, Output};
use super::subscriptions;
use crate::model::id::ConnectorName;
use crate::model::poll_record::PollRecord;
use crate::model::time::Timestamp;
use crate::server::wire::{ConnectorStatus, ConnectorView, List, MOST_COUNTED, SubscriptionView};

#[derive(Debug, clap::Args)]
pub struct StatusArguments {
    /// Show this connector and its last polls
    connector: Option<ConnectorName>,
    /// How many of its last polls to list, 1 to 50
    #[arg(long, value_name = "COUNT", default_value_t = 10, requires = "connector",
        value_parser = clap::value_parser!(u16).range(1..=50))]
    polls: u16,
    #[command(flatten)]
    service: ServiceOptions,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Asks the service how it is doing and prints it.
pub async fn status(arguments: StatusArguments, global: &Global, output: &mut Output) -> Result<(), Failure> {
    let client = arguments.service.connect(global)?;
    if let Some(name) = &arguments.connector {
        let connector: Option<ConnectorView> = client.find(&ServiceClient::path_of(name, "")).await?;
        let Some(connector) = connector else { return Err(no_connector(&client, name).await) };
        let limit = ("limit", Some(arguments.polls.to_string()));
        let polls: List<PollRecord> = client.get(&ServiceClient::path_of(name, "/polls"), &[limit]).await?;
        return if arguments.json {
            output.json(&json!({ "connector": connector, "polls": polls.data }))
        } else {
            connector::print(&connector, &polls.data, output)
        };
    }
    let connectors: List<ConnectorView> = client.get("/v1/connectors", &[]).await?;
    let subscriptions = subscriptions::all(&client).await?;
    if arguments.json {
        return output.json(&json!({ "connectors": connectors.data, "subscriptions": subscriptions }));
    }
    let failures = failures::failures(&client, &subscriptions).await?;
    print_connectors(&connectors.data, output)?;
    output.line("")?;
    print_subscriptions(&subscriptions, &failures, output)
}

/// Returns what to say of a connector that the service does not have.
async fn no_connector(client: &ServiceClient, name: &ConnectorName) -> Failure {
    match client.find::<SubscriptionView>(&format!("/v1/subscriptions/{name}")).await {
        Ok(Some(_)) => {
            Failure::Failed(format!("{name} is a subscription: `pollhook subscriptions show {name}` shows it"))
        }
        _ => Failure::Failed(format!("there is no connector {name}: `pollhook status` lists those that there are")),
    }
}

fn print_connectors(connectors: &[ConnectorView], output: &mut Output) -> Result<(), Failure> {
    if connectors.is_empty() {
        return output.line("no connectors are configured");
    }
    let rows = connectors.iter().map(|one| {
        [
            Cell::from(&one.name),
            Cell::painted(colour(one.status), one.status.as_str()),
            Cell::from(&one.schedule),
            Cell::from(one.items),
            time(one.polled_at).into(),
            time(one.next_poll.map(|next| next.at)).into(),
        ]
    });
    output.table(["CONNECTOR", "STATUS", "SCHEDULE", "ITEMS", "POLLED", "NEXT"], rows)?;
    let news: Vec<String> = connectors.iter().flat_map(connector::news).collect();
    if !news.is_empty() {
        output.line("")?;
    }
    news.iter().try_for_each(|line| output.line(line))
}

fn colour(status: ConnectorStatus) -> Colour {
    match status {
        ConnectorStatus::Ok => Colour::Green,
        ConnectorStatus::Waiting => Colour::Dim,
        ConnectorStatus::Warning | ConnectorStatus::Behind | ConnectorStatus::Held => Colour::Yellow,
        ConnectorStatus::Failing => Colour::Red,
    }
}

fn print_subscriptions(views: &[SubscriptionView], failures: &[String], output: &mut Output) -> Result<(), Failure> {
    if views.is_empty() {
        return output.line("no subscriptions: nobody is told of anything");
    }
    let rows = views.iter().map(|one| {
        [
            Cell::from(&one.name),
            Cell::painted(subscriptions::colour(one.status), one.status.as_str()),
            Cell::from(&one.url),
            bounded(one.deliveries.waiting).into(),
            bounded(one.deliveries.retrying).into(),
            bounded(one.deliveries.dead).into(),
        ]
    });
    output.table(["SUBSCRIPTION", "STATUS", "URL", "WAITING", "RETRYING", "DEAD"], rows)?;
    let mut news: Vec<String> = views.iter().flat_map(subscriptions::news).collect();
    news.extend_from_slice(failures);
    if !news.is_empty() {
        output.line("")?;
    }
    news.iter().try_for_each(|line| output.line(line))
}

/// Returns a count of deliveries, which ends at a bound.
pub fn bounded(count: usize) -> String {
    if count >= MOST_COUNTED { format!("{count}+") } else { count.to_string() }
}

/// Returns a time to the second, or a dash.
pub fn time(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| at.to_utc().format("%Y-%m-%d %H:%M:%SZ").to_string())
}

#[cfg(test)]
mod tests;
