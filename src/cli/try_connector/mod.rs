//! `pollhook try`: one poll of a connector, without state.

mod found;

use std::sync::Arc;

use serde_json::json;

use super::Global;
use super::check::counted;
use super::failure::Failure;
use super::output::{Colour, Output};
use crate::clock::SystemClock;
use crate::config::Configuration;
use crate::http::HttpClient;
use crate::model::auth::{Auth, OAuth2Grant};
use crate::model::connector::Connector;
use crate::model::item::Completeness;
use crate::model::subscription::Subscription;
use crate::poll::{self, FetchContext, Look};
use crate::telemetry::Telemetry;
use found::Found;

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
        found: Found::new(&connector, &look, configuration.subscriptions.clone(), clock.now(), telemetry)?,
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

/// Prints what a look at a connector found: its pages, and its first items with those of these subscriptions that would
/// get them.
pub(super) fn show(
    connector: &Connector,
    look: &Look,
    subscriptions: Vec<Arc<Subscription>>,
    limit: usize,
    output: &mut Output,
) -> Result<(), Failure> {
    let found = Found::new(connector, look, subscriptions, SystemClock::shared().now(), Telemetry::shared())?;
    found.print_pages(output)?;
    found.print_items(limit, output)
}

struct Shown<'a> {
    arguments: &'a TryArguments,
    connector: &'a Connector,
    look: &'a Look,
    elapsed_millis: u128,
    found: Found<'a>,
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
            .found
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
        self.found.print_pages(output)?;
        self.found.print_items(self.arguments.limit, output)?;
        if let Some((event, _)) = self.found.events.first() {
            let body = serde_json::to_string(event).map_err(|error| Failure::caused("cannot write JSON", error))?;
            output.line(format_args!("\nThe first one, if it were new, would be sent as\n{body}\n"))?;
        }
        if let Some(problem) = &self.look.problem {
            output.error(&problem.to_string());
        }
        if let Some(truncation) = &self.look.truncation {
            output.say(&format!("not all pages were read: {truncation}"));
        }
        self.print_outcome(output)
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
