//! Every template through the whole pipeline, from the configuration to durable events, with the answers of its fixture.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use pollhook::clock::ManualClock;
use pollhook::http::HttpClient;
use pollhook::model::connector::Connector;
use pollhook::model::event::{Event, Route};
use pollhook::model::id::SubscriptionName;
use pollhook::model::time::Timestamp;
use pollhook::poll::{self, FetchContext, Look, PollContext, PollReport, Poller, Tape, created_event};
use pollhook::store::memory::MemoryStore;
use pollhook::store::{EventQuery, SharedStore};
use pollhook::telemetry::Telemetry;
use serde_json::Value;

use crate::fixture::{Change, Expected, Fixture};

/// When the first answers come, in milliseconds: 2026-11-20T12:00:00Z. The second ones come an hour later.
const BEGINNING: i64 = 1_795_176_000_000;

/// How often the clock is moved while a poll waits for it, in real time.
const TICK: Duration = Duration::from_millis(2);

/// No subscription is needed for an event to be durable.
struct ToNobody;

impl Route for ToNobody {
    fn subscriptions(&self, _event: &Event) -> Vec<SubscriptionName> {
        Vec::new()
    }
}

/// A template's connector, its store, and a clock that is moved by hand.
struct Bench {
    connector: Arc<Connector>,
    store: SharedStore,
    clock: Arc<ManualClock>,
    http: HttpClient,
}

impl Bench {
    fn new(fixture: &Fixture, expected: &Expected, http: &HttpClient) -> Self {
        let configuration = fixture.configuration(expected);
        let connector = configuration.connectors.into_iter().next().expect("a connector");
        let clock = ManualClock::starting_at(Timestamp::from_millis(BEGINNING));
        Self { connector, store: MemoryStore::new(), clock, http: http.clone() }
    }

    fn fetching(&self, tape: Tape) -> FetchContext {
        FetchContext::new(self.http.clone(), self.clock.clone(), Telemetry::shared()).with_tape(tape)
    }

    /// Polls once, with these answers. Whatever the poll waits for comes.
    async fn poll(&self, tape: Tape) -> PollReport {
        let context =
            PollContext { fetching: self.fetching(tape), store: self.store.clone(), route: Arc::new(ToNobody) };
        let poller = Poller::new(self.connector.clone(), context);
        let mut poll = pin!(poller.poll());
        loop {
            match tokio::time::timeout(TICK, &mut poll).await {
                Ok(report) => return report.expect("the store works"),
                Err(_) => self.clock.advance(Duration::from_secs(1)),
            }
        }
    }

    /// Returns what a look finds in these answers, details included.
    async fn look(&self, tape: Tape) -> Look {
        let context = self.fetching(tape);
        let mut look = poll::look(&self.connector, &context).await;
        look.add_details(&self.connector, &context, usize::MAX).await;
        look
    }

    /// Returns all events as changes, sorted.
    async fn changes(&self) -> Vec<Change> {
        let query = EventQuery { limit: usize::MAX, ..EventQuery::default() };
        let events = self.store.events(query).await.expect("the store works");
        let change = |event: &Event| Change { kind: event.event_type.action().to_owned(), key: event.key.clone() };
        let mut changes: Vec<Change> = events.iter().map(|routed| change(&routed.event)).collect();
        changes.sort();
        changes
    }
}

#[tokio::test]
async fn every_template_makes_of_its_answers_the_items_and_changes_that_are_expected() {
    let mut problems = String::new();
    let http = HttpClient::new().expect("a client");
    for fixture in Fixture::all() {
        for problem in problems_of(&fixture, &http).await {
            writeln!(problems, "{}: {problem}", fixture.name).expect("a string");
        }
    }
    assert!(problems.is_empty(), "\n{problems}");
}

async fn problems_of(fixture: &Fixture, http: &HttpClient) -> Vec<String> {
    let expected = fixture.expected();
    let bench = Bench::new(fixture, &expected, http);
    let mut problems = Vec::new();

    let look = bench.look(fixture.tape("first")).await;
    problems.extend(look.problem.as_ref().map(|problem| format!("first: {problem}")));
    problems.extend(not_as_asked(&bench.connector, &look, &fixture.tape("first")));
    let items = data(&bench.connector, &look);

    let baseline = bench.poll(fixture.tape("first")).await;
    problems.extend(went_wrong("first", &baseline));
    problems.extend(bench.changes().await.iter().map(|change| format!("the baseline makes an event: {change:?}")));
    bench.clock.advance(Duration::from_secs(3600));
    // What several pages list is believed to be gone only when it was missed twice.
    for _ in 0..bench.connector.changes.removed_after.get().max(2) {
        let report = bench.poll(fixture.tape("second")).await;
        problems.extend(went_wrong("second", &report));
        bench.clock.advance(Duration::from_secs(60));
    }
    let changes = bench.changes().await;
    let report = bench.poll(fixture.tape("second")).await;
    problems.extend(went_wrong("second, once more", &report));
    if bench.changes().await != changes {
        problems.push("the second answers make other changes each time that they are polled".to_owned());
    }

    let mut wanted = expected.changes.clone();
    wanted.sort();
    let is_as_expected = items == expected.items && changes == wanted;
    if std::env::var_os("UPDATE_FIXTURES").is_some() && !is_as_expected {
        fixture.update(&Expected { items, changes, ..expected });
        return problems;
    }
    if items != expected.items {
        problems.push(format!("expected are {:#?}\nbut there are {items:#?}", expected.items));
    }
    if changes != wanted {
        problems.push(format!("expected are {wanted:?}\nbut there are {changes:?}"));
    }
    if wanted.is_empty() {
        problems.push("the second answers have no change".to_owned());
    }
    let changed: BTreeSet<&str> = wanted.iter().map(|change| change.key.as_str()).collect();
    if expected.items.keys().all(|key| changed.contains(key.as_str())) {
        problems.push("no item stays as it is, so nothing shows that habits make no changes".to_owned());
    }
    problems
}

/// Returns the data of the event that each item would make, by key.
fn data(connector: &Connector, look: &Look) -> BTreeMap<String, Value> {
    let data = look.items.iter().map(|item| {
        let event = created_event(connector, item, Timestamp::from_millis(BEGINNING))
            .unwrap_or_else(|error| panic!("{}: {}: {error:?}", connector.name, item.key));
        (item.key.to_string(), serde_json::from_str(event.data.get()).expect("an event's data is JSON"))
    });
    data.collect()
}

/// Returns why a poll is not one that read all there is.
fn went_wrong(which: &str, report: &PollReport) -> Vec<String> {
    let failure = report.outcome.failure().map(|failure| format!("{which}: {failure}"));
    let held = (report.held > 0).then(|| format!("{which}: {} changes are held", report.held));
    let notes = report.notes.iter().map(|note| format!("{which}: {note}"));
    failure.into_iter().chain(held).chain(notes).collect()
}

/// Tells which answers nobody asks for, and which addresses have others' answers.
fn not_as_asked(connector: &Connector, look: &Look, tape: &Tape) -> Vec<String> {
    let answers = tape.answers();
    let mut problems = Vec::new();
    if look.requests != answers.len() {
        problems.push(format!("first: {} answers for {} requests", answers.len(), look.requests));
    }
    // The address of an incremental source holds a time.
    if connector.cursor.is_none() {
        let unknown = look.pages.iter().filter(|page| answers.iter().all(|answer| answer.url != page.url));
        problems.extend(unknown.map(|page| format!("first: {} is asked for, but not recorded", page.url)));
    }
    problems
}
