//! `pollhook try`: one poll of a connector, without state.

use std::sync::Arc;

use serde_json::json;

use super::Global;
use super::check::counted;
use super::failure::Failure;
use super::output::{Cell, Colour, Output, beginning};
use crate::clock::{SharedClock, SystemClock};
use crate::config::Configuration;
use crate::deliver::SubscriptionSet;
use crate::http::HttpClient;
use crate::model::auth::{Auth, OAuth2Grant};
use crate::model::connector::Connector;
use crate::model::event::{Event, Route};
use crate::model::id::SubscriptionName;
use crate::model::item::Completeness;
use crate::poll::{self, FetchContext, Look, created_event};
use crate::telemetry::{SharedTelemetry, Telemetry};

#[derive(Debug, clap::Args)]
pub struct TryArguments {
    /// The connector's name in the configuration; of one with `each`, the first element, or NAME/ELEMENT
    connector: String,
    /// How many items to show
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    limit: usize,
    /// Print JSON: all items and the events that they would make
    #[arg(long)]
    json: bool,
    /// Ask for an access token with the connector's refresh token, although that may be good for one use only
    #[arg(long)]
    use_refresh_token: bool,
}

/// Polls a connector once and shows what it finds. Nothing is remembered and nothing is sent.
pub async fn try_connector(arguments: TryArguments, global: &Global, output: &mut Output) -> Result<(), Failure> {
    global.log.start(Some("warn"))?;
    let configuration = global.load()?;
    let connector = find(&configuration, &arguments.connector)?;
    if uses_refresh_token(&connector) && !arguments.use_refresh_token {
        return Err(Failure::Usage(REFRESH_TOKEN_NEEDED.to_owned()));
    }
    let telemetry = Telemetry::shared();
    let clock = SystemClock::shared();
    let http = HttpClient::with_egress(configuration.egress.clone())
        .map_err(|error| Failure::caused("cannot set up the HTTP client", error))?;
    let began = clock.monotonic();
    let context = FetchContext::new(http, clock.clone(), telemetry.clone()).with_hosts(configuration.hosts.clone());
    let mut look = poll::look(&connector, &context).await;
    look.add_details(&connector, &context, arguments.limit).await;
    let shown = Shown {
        arguments: &arguments,
        connector: &connector,
        look: &look,
        elapsed_millis: clock.monotonic().saturating_sub(began).as_millis(),
        events: events(&configuration, &connector, &look, &clock, telemetry)?,
    };
    if arguments.json {
        shown.print_json(output)?;
    } else {
        shown.print(output)?;
    }
    context.credentials.settled().await;
    if context.credentials.lost_a_grant() {
        output.say(GRANT_LOST);
    }
    if look.problem.is_some() { Err(Failure::Said) } else { Ok(()) }
}

/// What is said instead of spending a token that the service lives on.
const REFRESH_TOKEN_NEEDED: &str = "this connector has a refresh token, and many sources replace it each time that it \
    is used: the service could then ask no more. Nothing was asked. To use the configured one all the same, and \
    configure a new one afterwards if need be, add --use-refresh-token";

/// What is said when that has happened.
const GRANT_LOST: &str = "warning: the source has replaced the refresh token, and nothing is kept here: allow access \
    anew and configure the new one";

fn uses_refresh_token(connector: &Connector) -> bool {
    matches!(&connector.auth, Some(Auth::OAuth2(oauth2)) if matches!(oauth2.grant, OAuth2Grant::RefreshToken(_)))
}

fn find(configuration: &Configuration, name: &str) -> Result<Arc<Connector>, Failure> {
    let connectors = &configuration.connectors;
    let is_named = |connector: &&Arc<Connector>| connector.name.as_str() == name;
    let is_element = |connector: &&Arc<Connector>| connector.events_as.as_str() == name;
    if let Some(found) = connectors.iter().find(is_named).or_else(|| connectors.iter().find(is_element)) {
        return Ok(found.clone());
    }
    let names: Vec<&str> = connectors.iter().map(|connector| connector.name.as_str()).collect();
    let known = match names.as_slice() {
        [] => "none is configured".to_owned(),
        names => format!("configured are {}", names.join(", ")),
    };
    Err(Failure::Usage(format!("there is no connector {name:?}; {known}")))
}

/// Returns what each item would send if it were new, and to whom; only those that are whole.
fn events(
    configuration: &Configuration,
    connector: &Connector,
    look: &Look,
    clock: &SharedClock,
    telemetry: SharedTelemetry,
) -> Result<Vec<(Event, Vec<SubscriptionName>)>, Failure> {
    let route = SubscriptionSet::new(configuration.subscriptions.clone(), telemetry);
    let now = clock.now();
    look.items
        .iter()
        .take(look.detailed.unwrap_or(usize::MAX))
        .map(|item| {
            let event = created_event(connector, item, now)
                .map_err(|error| Failure::caused(format!("the item {} makes no event", item.key), error))?;
            let subscriptions = route.subscriptions(&event);
            Ok((event, subscriptions))
        })
        .collect()
}

struct Shown<'a> {
    arguments: &'a TryArguments,
    connector: &'a Connector,
    look: &'a Look,
    elapsed_millis: u128,
    events: Vec<(Event, Vec<SubscriptionName>)>,
}

impl Shown<'_> {
    fn print_json(&self, output: &mut Output) -> Result<(), Failure> {
        let pages: Vec<_> = self
            .look
            .pages
            .iter()
            .map(|page| {
                json!({
                    "url": page.url,
                    "status": page.status,
                    "bytes": page.bytes.to_string(),
                    "elapsed_ms": page.elapsed.as_millis().to_string(),
                    "items": page.items,
                })
            })
            .collect();
        let items: Vec<_> = self
            .events
            .iter()
            .zip(&self.look.items)
            .map(|((event, subscriptions), item)| {
                json!({
                    "key": item.key,
                    "fingerprint": item.fingerprint,
                    "event": event,
                    "subscriptions": subscriptions,
                })
            })
            .collect();
        output.json(&json!({
            "connector": self.connector.name,
            "pages": pages,
            "requests": self.look.requests,
            "completeness": self.look.completeness,
            "problem": self.look.problem.as_ref().map(ToString::to_string),
            "items": items,
        }))
    }

    fn print(&self, output: &mut Output) -> Result<(), Failure> {
        let rows = self.look.pages.iter().map(|page| {
            let status = Colour::of_status(page.status);
            [
                Cell::painted(status, page.status.to_string()),
                Cell::from(format_args!("{} ms", page.elapsed.as_millis())),
                Cell::from(crate::model::quantity::ByteSize(page.bytes as u64)),
                Cell::from(page.items),
                Cell::from(&page.url),
            ]
        });
        if !self.look.pages.is_empty() {
            output.table(["STATUS", "TOOK", "SIZE", "ITEMS", "PAGE"], rows)?;
            output.line("")?;
        }
        if !self.look.items.is_empty() {
            self.print_items(output)?;
        }
        if let Some(problem) = &self.look.problem {
            output.error(&problem.to_string());
        }
        if let Some(truncation) = &self.look.truncation {
            output.say(&format!("not all pages were read: {truncation}"));
        }
        self.print_outcome(output)
    }

    fn print_items(&self, output: &mut Output) -> Result<(), Failure> {
        let shown = self.events.iter().take(self.arguments.limit);
        let rows = shown.map(|(event, subscriptions)| {
            let names: Vec<&str> = subscriptions.iter().map(SubscriptionName::as_str).collect();
            let to = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
            [Cell::from(&event.key), to.into(), beginning(event.data.get(), LONGEST_DATA).into()]
        });
        output.table(["KEY", "WOULD GO TO", "DATA"], rows)?;
        let left = self.look.items.len().saturating_sub(self.arguments.limit.min(self.events.len()));
        if left > 0 {
            output.line(format_args!("and {}", counted(left, "more item")))?;
        }
        if let Some((event, _)) = self.events.first() {
            let body = serde_json::to_string(event).map_err(|error| Failure::caused("cannot write JSON", error))?;
            output.line(format_args!("\nThe first one, if it were new, would be sent as\n{body}\n"))?;
        }
        Ok(())
    }

    fn print_outcome(&self, output: &mut Output) -> Result<(), Failure> {
        let completeness = match self.look.completeness {
            Completeness::Complete | Completeness::Known => output.paint(Colour::Green, "complete"),
            Completeness::Truncated => output.paint(Colour::Yellow, "truncated"),
            Completeness::Partial => output.paint(Colour::Red, "partial"),
        };
        output.line(format_args!(
            "{} on {} in {} ms, {}: {completeness}",
            counted(self.look.items.len(), "item"),
            counted(self.look.pages.len(), "page"),
            self.elapsed_millis,
            counted(self.look.requests, "request"),
        ))
    }
}

/// How much of an item's data the table shows, in characters.
const LONGEST_DATA: usize = 80;
