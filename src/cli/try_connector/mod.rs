//! `pollhook try`: one poll of a connector, without state.

mod changes;
mod found;
mod request;
mod stages;
mod stand_ins;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::Global;
use super::check::counted;
use super::client::ServiceOptions;
use super::failure::Failure;
use super::output::{Colour, Output};
use crate::clock::SystemClock;
use crate::config::Configuration;
use crate::http::HttpClient;
use crate::model::auth::{Auth, OAuth2Grant};
use crate::model::connector::Connector;
use crate::model::id::SubscriptionName;
use crate::model::item::Completeness;
use crate::model::subscription::Subscription;
use crate::poll::{self, FetchContext, Look, Tape};
use crate::telemetry::Telemetry;
use changes::Changes;
use found::Found;
use request::{Requests, Show};
use stages::Stages;
use stand_ins::{STOOD_IN, made};

pub(super) use stand_ins::lacks_secrets;

#[derive(Debug, clap::Args)]
pub struct TryArguments {
    /// The connector's name in the configuration; of one with `each`, the first element, or NAME/ELEMENT
    connector: String,
    /// How many items to show
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    limit: usize,
    /// Show exactly what would be sent of the first item if it were new, and nothing else
    #[arg(long, value_name = "WHAT")]
    show: Option<Show>,
    /// Show the item with this key instead of the first one
    #[arg(long, value_name = "KEY", requires = "show")]
    item: Option<String>,
    /// Save the answers to a folder, to try the connector with them again
    #[arg(long, value_name = "FOLDER", conflicts_with = "replay")]
    save: Option<PathBuf>,
    /// Take the answers from a folder instead of asking for them: nothing leaves this machine, and no secret is needed
    #[arg(long, value_name = "FOLDER")]
    replay: Option<PathBuf>,
    /// Print JSON: all items and the events that they would make
    #[arg(long)]
    json: bool,
    /// Ask for an access token with the connector's refresh token, although that may be good for one use only
    #[arg(long)]
    use_refresh_token: bool,
    #[command(flatten)]
    service: ServiceOptions,
}

/// Polls a connector once and shows what it finds. Nothing is remembered and nothing is sent.
pub async fn try_connector(mut arguments: TryArguments, global: &Global, output: &mut Output) -> Result<(), Failure> {
    global.log.start(Some("warn"))?;
    let tape = tape(&arguments)?;
    let (configuration, lacking) = global.load_without_secrets()?;
    let connector = find(&configuration, &arguments.connector)?;
    let lacks_any = lacking.is_some();
    if let Some(lacking) = lacking.filter(|_| arguments.replay.is_none() && lacks_secrets(&configuration, &connector)) {
        return Err(lacking);
    }
    if uses_refresh_token(&connector) && !arguments.use_refresh_token && arguments.replay.is_none() {
        return Err(Failure::Usage(REFRESH_TOKEN_NEEDED.to_owned()));
    }
    let telemetry = Telemetry::shared();
    let clock = SystemClock::shared();
    let http = HttpClient::with_egress(configuration.egress.clone())
        .map_err(|error| Failure::caused("cannot set up the HTTP client", error))?;
    let began = clock.monotonic();
    let mut context = FetchContext::new(http, clock.clone(), telemetry.clone()).with_hosts(configuration.hosts.clone());
    context.tape.clone_from(&tape);
    let mut look = poll::look(&connector, &context).await;
    if let Some(key) = arguments.item.as_ref().filter(|_| !look.items.is_empty()) {
        bring_forward(&mut look, key)?;
    }
    let wanted = if arguments.show.is_some() { 1 } else { arguments.limit };
    look.add_details(&connector, &context, wanted).await;
    let elapsed_millis = clock.monotonic().saturating_sub(began).as_millis();
    let at = clock.now();
    let service = std::mem::take(&mut arguments.service).connect_as_configured(&configuration.server);
    let service = service.ok().filter(|_| arguments.replay.is_none());
    let made = made(service.as_ref(), &configuration).await;
    let names: Vec<SubscriptionName> = made.iter().map(|made| made.name.clone()).collect();
    let subscriptions: Vec<Arc<Subscription>> = configuration.subscriptions.iter().cloned().chain(made).collect();
    let found = Found::new(&connector, &look, subscriptions.clone(), at, telemetry)?;
    let first = found.events.first().filter(|_| arguments.show.is_some());
    let requests = first.map(|(event, to)| Requests::new(event, to, &subscriptions, at));
    let has_stand_ins = lacks_any || first.is_some_and(|(_, to)| to.iter().any(|name| names.contains(name)));
    if has_stand_ins && (arguments.replay.is_some() || matches!(arguments.show, Some(Show::Request))) {
        output.say(STOOD_IN);
    }
    let changes = match service.filter(|_| arguments.show.is_none() && look.problem.is_none()) {
        Some(client) => Some(Changes::ask(&client, &connector, &look).await),
        None => None,
    };
    let shown = Shown {
        arguments: &arguments,
        connector: &connector,
        look: &look,
        elapsed_millis,
        changes,
        stages: Stages::new(&connector, &look, arguments.replay.is_some()),
        found,
        requests,
    };
    if arguments.json {
        shown.print_json(output)?;
    } else {
        shown.print(output)?;
    }
    if let Some((tape, folder)) = tape.zip(arguments.save.as_deref()) {
        save(&tape, folder, &arguments, output)?;
    }
    context.credentials.settled().await;
    if context.credentials.lost_a_grant() {
        output.say(GRANT_LOST);
    }
    if look.problem.is_some() { Err(Failure::Said) } else { Ok(()) }
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

/// What is said instead of spending a token that the service lives on.
const REFRESH_TOKEN_NEEDED: &str = "this connector has a refresh token, and many sources replace it each time that it \
    is used: the service could then ask no more. Nothing was asked. To use the configured one all the same, and \
    configure a new one afterwards if need be, add --use-refresh-token";

/// What is said when that has happened.
const GRANT_LOST: &str = "warning: the source has replaced the refresh token, and nothing is kept here: allow access \
    anew and configure the new one";

/// Tells whether asking the source may use up what the service asks with.
pub(super) fn uses_refresh_token(connector: &Connector) -> bool {
    matches!(&connector.auth, Some(Auth::OAuth2(oauth2)) if matches!(oauth2.grant, OAuth2Grant::RefreshToken(_)))
}

/// Returns what takes the answers down, or gives them again.
fn tape(arguments: &TryArguments) -> Result<Option<Tape>, Failure> {
    if let Some(folder) = &arguments.replay {
        return Ok(Some(Tape::read(folder).map_err(|error| Failure::caused("there is nothing to replay", error))?));
    }
    let Some(folder) = &arguments.save else { return Ok(None) };
    let is_taken = folder.read_dir().is_ok_and(|mut entries| entries.next().is_some());
    if is_taken && !Tape::is_at(folder) {
        let folder = folder.display();
        return Err(Failure::Usage(format!("`{folder}` holds other files: name a new folder to save the answers to")));
    }
    Ok(Some(Tape::recording()))
}

fn save(tape: &Tape, folder: &Path, arguments: &TryArguments, output: &mut Output) -> Result<(), Failure> {
    tape.write(folder).map_err(|error| Failure::caused("the answers were not saved", error))?;
    let (name, count) = (&arguments.connector, counted(tape.answers().len(), "answer"));
    let folder = folder.display();
    let said = [
        format!("saved {count} to {folder}, without the secrets of the configuration"),
        "they hold what the API answered: look before you publish them".to_owned(),
        format!("again without the API: pollhook try {name} --replay {folder}"),
    ];
    if arguments.json || arguments.show.is_some() {
        output.say(&said.join("\n"));
        return Ok(());
    }
    output.line("")?;
    said.iter().try_for_each(|line| output.line(line))
}

/// Returns the connector with this name; of one with `each`, its first element.
pub(super) fn find(configuration: &Configuration, name: &str) -> Result<Arc<Connector>, Failure> {
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

/// Makes the item with this key the first one.
fn bring_forward(look: &mut Look, key: &str) -> Result<(), Failure> {
    match look.items.iter().position(|item| &*item.key == key) {
        Some(index) => {
            look.items[..=index].rotate_right(1);
            Ok(())
        }
        None => {
            let example = look.items.first().map(|item| format!("; the first one is {}", item.key)).unwrap_or_default();
            let count = counted(look.items.len(), "item");
            Err(Failure::Failed(format!("no item has the key {key:?}: {count} found{example}")))
        }
    }
}

struct Shown<'a> {
    arguments: &'a TryArguments,
    connector: &'a Connector,
    look: &'a Look,
    elapsed_millis: u128,
    stages: Stages,
    changes: Option<Changes>,
    found: Found<'a>,
    requests: Option<Requests>,
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
                    "bytes": page.bytes,
                    "elapsed_ms": page.elapsed.as_secs_f64() * 1000.0,
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
        let mut shown = json!({
            "connector": self.connector.name,
            "pages": pages,
            "requests": self.look.requests,
            "stages": self.stages.json(),
            "completeness": self.look.completeness,
            "problem": self.look.problem.as_ref().map(ToString::to_string),
            "explanation": self.look.explanation,
            "warnings": self.look.warnings,
            "items": items,
        });
        if let Some(changes) = &self.changes {
            shown["changes"] = changes.json();
        }
        if let Some(requests) = &self.requests {
            shown["would_send"] = requests.json();
        }
        output.json(&shown)
    }

    fn print(&self, output: &mut Output) -> Result<(), Failure> {
        if let Some(show) = self.arguments.show {
            self.print_exactly(show, output)?;
            self.print_problem(output);
            return Ok(());
        }
        self.found.print_pages(output)?;
        self.stages.print(self.changes.as_ref(), output)?;
        if !self.look.items.is_empty() {
            output.line("")?;
            self.found.print_items(self.arguments.limit, output)?;
        }
        if let Some((event, _)) = self.found.events.first() {
            let body = serde_json::to_string(event).map_err(|error| Failure::caused("cannot write JSON", error))?;
            output.line(format_args!("\nThe first one, if it were new, would be sent as\n{body}"))?;
        }
        output.line("")?;
        self.print_problem(output);
        self.print_outcome(output)?;
        match self.found.events.first() {
            Some((_, to)) if !to.is_empty() => {
                let TryArguments { connector, replay, .. } = self.arguments;
                let replay = replay.as_ref().map(|folder| format!(" --replay {}", folder.display()));
                let replay = replay.unwrap_or_default();
                let next = format!("the exact requests: pollhook try {connector}{replay} --show request");
                output.line(output.paint(Colour::Dim, next))
            }
            _ => Ok(()),
        }
    }

    fn print_exactly(&self, show: Show, output: &mut Output) -> Result<(), Failure> {
        let Some((event, _)) = self.found.events.first() else { return Ok(()) };
        match (show, &self.requests) {
            (Show::Request, Some(requests)) => requests.print(&event.key, output),
            _ => {
                let text = serde_json::to_string(event);
                output.line(text.map_err(|error| Failure::caused("cannot write JSON", error))?)
            }
        }
    }

    fn print_problem(&self, output: &mut Output) {
        if let Some(problem) = &self.look.problem {
            output.error(&problem.to_string());
            for sentence in &self.look.explanation {
                output.note(sentence);
            }
        }
        if let [warning, rest @ ..] = &self.look.warnings[..] {
            output.say(&format!("warning: {warning}"));
            for sentence in rest {
                output.note(sentence);
            }
        }
        if let Some(truncation) = &self.look.truncation {
            output.say(&format!("not all pages were read: {truncation}"));
        }
    }

    fn print_outcome(&self, output: &mut Output) -> Result<(), Failure> {
        let completeness = match self.look.completeness {
            Completeness::Complete | Completeness::Known => output.paint(Colour::Green, "complete"),
            Completeness::Truncated => output.paint(Colour::Yellow, "truncated"),
            Completeness::Partial => output.paint(Colour::Red, "partial"),
        };
        let requests = match self.arguments.replay {
            Some(_) => "no request".to_owned(),
            None => counted(self.look.requests, "request"),
        };
        output.line(format_args!(
            "{} on {} in {} ms, {requests}: {completeness}",
            counted(self.look.items.len(), "item"),
            counted(self.look.pages.len(), "page"),
            self.elapsed_millis,
        ))
    }
}
