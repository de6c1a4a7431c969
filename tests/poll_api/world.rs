//! A connector between a source on a real socket and a store, with a clock that is moved by hand.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use pollhook::clock::{Clock, ManualClock, SharedClock};
use pollhook::config::{Configuration, Environment, load};
use pollhook::http::HttpClient;
use pollhook::model::connector::Connector;
use pollhook::model::event::{Event, Route};
use pollhook::model::id::{ConnectorName, SubscriptionName};
use pollhook::model::time::Timestamp;
use pollhook::poll::{FetchContext, PollContext, PollReport, Poller};
use pollhook::store::memory::MemoryStore;
use pollhook::store::{ConnectorState, EventQuery, SeenSelection, SharedStore};
use pollhook::telemetry::Telemetry;

use crate::source::{Reply, Request, Source};

/// A connector named `orders`, and all that it needs.
pub struct World {
    pub source: Source,
    pub clock: Arc<ManualClock>,
    pub store: SharedStore,
    pub context: PollContext,
    pub connector: Arc<Connector>,
    poller: Poller,
}

/// Every event goes to one subscription.
struct ToAll;

impl Route for ToAll {
    fn subscriptions(&self, _event: &Event) -> Vec<SubscriptionName> {
        vec!["all".parse().expect("a name")]
    }
}

/// How often the clock is moved while a poll waits for it, in real time.
const TICK: Duration = Duration::from_millis(2);

impl World {
    /// Returns a world whose source answers this way and whose connector has these rules, `SOURCE` standing for the
    /// source's origin.
    pub async fn new(rules: &str, respond: impl FnMut(&Request) -> Reply + Send + 'static) -> Self {
        Self::on(MemoryStore::new(), rules, respond).await
    }

    /// Returns a world that keeps what it knows in this store.
    pub async fn on(store: SharedStore, rules: &str, respond: impl FnMut(&Request) -> Reply + Send + 'static) -> Self {
        let source = Source::start(respond).await;
        let clock = ManualClock::starting_at(Timestamp::from_millis(1_795_000_000_000));
        let configuration = configuration(&source, "orders", rules);
        let context = PollContext {
            fetching: FetchContext::new(HttpClient::new().expect("a client"), clock.clone(), Telemetry::shared())
                .with_hosts(configuration.hosts.clone())
                .keeping_grants_in(store.clone()),
            store: store.clone(),
            route: Arc::new(ToAll),
        };
        let connector = connector(configuration);
        let poller = Poller::new(Arc::clone(&connector), context.clone());
        Self { source, clock, store, context, connector, poller }
    }

    /// Starts anew with what the store has, as after a crash.
    pub fn restart(&mut self) {
        let FetchContext { http, clock, telemetry, .. } = self.context.fetching.clone();
        self.context.fetching = FetchContext::new(http, clock, telemetry).keeping_grants_in(self.store.clone());
        self.poller = Poller::new(Arc::clone(&self.connector), self.context.clone());
    }

    /// Edits the connector's rules.
    pub fn edit(&mut self, rules: &str) {
        self.connector = connector(configuration(&self.source, "orders", rules));
        self.poller = Poller::new(Arc::clone(&self.connector), self.context.clone());
    }

    /// Returns the poller of another connector, with these rules and all else in common.
    pub fn another(&self, name: &str, rules: &str) -> Poller {
        Poller::new(connector(configuration(&self.source, name, rules)), self.context.clone())
    }

    /// Answers with this JSON from now on.
    pub fn serve(&self, json: &str) {
        let json = json.to_owned();
        self.source.respond(move |_| Reply::json(json.clone()));
    }

    pub fn poller(&self) -> Poller {
        self.poller.clone()
    }

    pub fn shared_clock(&self) -> SharedClock {
        self.clock.clone()
    }

    /// Polls once, a minute later. Whatever the poll waits for comes.
    pub async fn poll(&self) -> PollReport {
        self.poll_with_ticks_of(Duration::from_millis(50)).await
    }

    /// Polls once, with a clock that goes on by so much each [`TICK`].
    pub async fn poll_with_ticks_of(&self, step: Duration) -> PollReport {
        self.clock.advance(Duration::from_secs(60));
        self.poll_by(&self.poller, step).await
    }

    /// Polls once, now, with a clock that goes on by so much each [`TICK`].
    pub async fn poll_by(&self, poller: &Poller, step: Duration) -> PollReport {
        let mut poll = pin!(poller.poll());
        loop {
            match tokio::time::timeout(TICK, &mut poll).await {
                Ok(report) => return report.expect("the store works"),
                Err(_) => self.clock.advance(step),
            }
        }
    }

    /// Polls once and returns the changes: `created 1`, `updated 2`, …
    pub async fn changes(&self) -> Vec<String> {
        let before = self.events().await.len();
        let report = self.poll().await;
        assert_eq!(report.outcome.failure(), None);
        let changes = self.events().await.split_off(before);
        changes.iter().map(|event| format!("{} {}", event.event_type.action(), event.key)).collect()
    }

    /// Polls once and returns why that failed.
    pub async fn failure(&self) -> String {
        self.failure_of(&self.poll().await)
    }

    /// Returns why a poll failed.
    pub fn failure_of(&self, report: &PollReport) -> String {
        let failure = report.outcome.failure().unwrap_or_else(|| panic!("no failure: {report:?}")).to_string();
        failure.replace(&self.source.url(""), "SOURCE")
    }

    /// Returns all events, the oldest first.
    pub async fn events(&self) -> Vec<Event> {
        let query = EventQuery { limit: usize::MAX, ..EventQuery::default() };
        let events = self.store.events(query).await.expect("the store works");
        events.iter().rev().map(|routed| Event::clone(&routed.event)).collect()
    }

    pub async fn state(&self) -> Option<ConnectorState> {
        self.store.connector_state(&name()).await.expect("the store works")
    }

    /// Returns all that is remembered but how polls failed, when the last one was, and what is remembered of pages, which
    /// a failure forgets.
    pub async fn memory(&self) -> String {
        let state = self.state().await.map(|state| ConnectorState {
            polled_at: Timestamp::EPOCH,
            failures: 0,
            failing_since: None,
            last_error: None,
            not_before: None,
            pages: Vec::new(),
            ..state
        });
        let seen = self.store.seen_items(&name(), SeenSelection::All).await.expect("the store works");
        format!("{state:?} {seen:?} {}", self.events().await.len())
    }

    /// Returns the targets of the requests since the last call, `?` behind those that were conditional.
    pub fn asked(&self) -> Vec<String> {
        let conditional = |request: &Request| {
            request.header("if-none-match").is_some() || request.header("if-modified-since").is_some()
        };
        let requests = self.source.take_requests();
        requests
            .iter()
            .map(|request| format!("{}{}", request.target, if conditional(request) { " if" } else { "" }))
            .collect()
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

pub fn name() -> ConnectorName {
    "orders".parse().expect("a name")
}

fn connector(configuration: Configuration) -> Arc<Connector> {
    configuration.connectors.into_iter().next().expect("a connector")
}

/// Returns the connector with these rules.
pub fn configured(source: &Source, rules: &str) -> Arc<Connector> {
    connector(configuration(source, "orders", rules))
}

/// Returns a configuration whose first connector has this name and these rules.
fn configuration(source: &Source, name: &str, rules: &str) -> Configuration {
    let host = source.url("").replace("http://", "");
    let rules = rules.replace("SOURCE", &source.url("")).replace("HOST", &host);
    let url = format!("request.url = \"{}\"", source.url("/items"));
    let usual = ["every = \"1m\"", &url, "response.items = \".[]\"", "item.key = \".id\""];
    let mut text = format!("[connectors.{name}]\n");
    for line in usual.iter().filter(|line| !rules.contains(line.split('=').next().expect("a key"))) {
        text.push_str(line);
        text.push('\n');
    }
    text.push_str(&rules);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.toml");
    std::fs::write(&path, text).expect("a file");
    let configuration = load(&path, &Environment::from([("TOKEN", "s3cret-token")]));
    configuration.unwrap_or_else(|mistakes| panic!("{mistakes}"))
}
