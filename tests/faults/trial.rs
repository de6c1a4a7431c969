//! One misbehaviour after another: a source is well, falls ill, and recovers, and the events are held against what it
//! really had all the time.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use pollhook::model::event::Event;
use pollhook::model::time::Timestamp;
use pollhook::poll::{PollOutcome, PollReport};
use pollhook::store::embedded::{self, Options};
use pollhook::telemetry::Telemetry;
use serde_json::Value;

use crate::source::{Reply, Request, Source};
use crate::world::World;

/// What a source lists while it is well, at first and in the end.
pub const BEFORE: &str = r#"[{"id":1,"state":"open"},{"id":2,"state":"open"}]"#;
const AFTER: &str = r#"[{"id":1,"state":"paid"},{"id":3,"state":"open"}]"#;

/// What a source lists that is odd but well: one item more.
pub const MORE: &str = r#"[{"id":1,"state":"open"},{"id":2,"state":"open"},{"id":9,"state":"open"}]"#;

/// How many polls a source that is well again may take until all is told. Before the last of them a day passes, after
/// which no validators are believed.
const POLLS_TO_RECOVER: usize = 4;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A minute before the source is polled again, whatever happened before: so that what it says about time comes to the
/// same each time.
fn fell_ill() -> Timestamp {
    Timestamp::parse("2026-11-18T11:29:00Z").expect("a time")
}

/// How many trials run at a time.
const AT_A_TIME: usize = 8;

/// The longest that one poll may take on a machine that is busy with other tests. None of them comes near.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a source does when it is asked.
pub type Respond = Box<dyn FnMut(&Request) -> Reply + Send>;

/// A misbehaviour.
pub struct Trial {
    name: &'static str,
    rules: String,
    ill: Respond,
    well: fn(&'static str) -> Respond,
    /// What the source truly has while it is ill.
    truth: &'static str,
    polls: usize,
    /// How far the clock goes on each time that the poll is looked at.
    tick: Duration,
    /// Other sources that it leads to.
    kept: Vec<Source>,
}

impl Trial {
    /// Returns the trial of a source that answers like this while it is ill.
    pub fn new(name: &'static str, ill: impl FnMut(&Request) -> Reply + Send + 'static) -> Self {
        let well = |listing| -> Respond { Box::new(move |_| Reply::json(listing)) };
        let tick = Duration::from_millis(20);
        Self { name, rules: String::new(), ill: Box::new(ill), well, truth: BEFORE, polls: 1, tick, kept: Vec::new() }
    }

    /// Adds a line to the connector's rules.
    pub fn rules(mut self, rules: &str) -> Self {
        self.rules.push_str(rules);
        self.rules.push('\n');
        self
    }

    /// Says what the source truly has while it is ill.
    pub fn truth(self, truth: &'static str) -> Self {
        Self { truth, ..self }
    }

    /// Says how often the source is polled while it is ill.
    pub fn polls(self, polls: usize) -> Self {
        Self { polls, ..self }
    }

    /// Says how the source answers while it is well, with a listing.
    pub fn well(self, well: fn(&'static str) -> Respond) -> Self {
        Self { well, ..self }
    }

    /// Lets no time pass during a poll, so that it must not wait for any.
    pub fn standing_still(self) -> Self {
        Self { tick: Duration::ZERO, ..self }
    }

    /// Keeps another source for as long as the trial takes.
    pub fn keeping(mut self, source: Source) -> Self {
        self.kept.push(source);
        self
    }

    /// Returns the trial of an odd but well source: it has one item more, which is to be told.
    pub fn harmless(name: &'static str, odd: impl FnMut(&Request) -> Reply + Send + 'static) -> Self {
        Self::new(name, odd).truth(MORE)
    }

    /// Goes through with it and returns its name and what each poll of the ill source said.
    async fn run(self) -> String {
        let Self { name, rules, ill, well, truth, polls, tick, kept } = self;
        let folder = tempfile::tempdir().expect("a folder");
        let options = Options { ballast_bytes: 0, ..Options::default() };
        let store = embedded::open(folder.path(), options, Telemetry::shared()).expect("a store");
        let usual = "changes.events = [\"created\", \"updated\", \"removed\"]\nchanges.lists = \"everything\"\n";
        let world = World::on(Arc::new(store), &format!("{usual}{rules}"), well(BEFORE)).await;
        let mut receiver = Receiver::of(BEFORE);
        let report = poll(&world, Duration::from_millis(50)).await;
        assert_eq!(report.outcome.failure(), None, "{name}: while it is well");
        world.clock.advance(fell_ill().since(world.now()));

        let mut said = format!("{name}\n");
        world.source.respond(ill);
        for _ in 0..polls {
            let before = world.memory().await;
            let report = poll(&world, tick).await;
            let told = receiver.read(&world.events().await, truth, name);
            if matches!(report.outcome, PollOutcome::Failed(_)) {
                assert_eq!(world.memory().await, before, "{name}: a failed poll changes nothing");
            }
            writeln!(said, "  {}", line(&world, &kept, &report, &told).await).expect("a string takes it");
        }

        world.source.respond(well(AFTER));
        for poll_number in 1..=POLLS_TO_RECOVER {
            if poll_number == POLLS_TO_RECOVER {
                world.clock.advance(DAY);
            }
            poll(&world, Duration::from_millis(50)).await;
            receiver.read(&world.events().await, AFTER, name);
        }
        assert_eq!(receiver.known, listing(AFTER), "{name}: when it is well again, all is told");
        said
    }
}

/// Runs trials and holds what they say against the fixture of this name.
pub async fn check(fixture: &str, trials: Vec<Trial>) {
    let said: Vec<String> = stream::iter(trials).map(Trial::run).buffered(AT_A_TIME).collect().await;
    let said = said.join("\n");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/faults").join(format!("{fixture}.txt"));
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        fs::write(&path, &said).expect("a fixture");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    for (said, expected) in said.split("\n\n").zip(expected.split("\n\n")) {
        assert_eq!(said.trim_end(), expected.trim_end(), "{}", path.display());
    }
    assert_eq!(said.len(), expected.len(), "{} has other trials", path.display());
}

async fn poll(world: &World, tick: Duration) -> PollReport {
    let polled = tokio::time::timeout(PATIENCE, world.poll_with_ticks_of(tick)).await;
    polled.expect("a poll ends, whatever the source does")
}

/// Returns in one line what came of a poll.
async fn line(world: &World, kept: &[Source], report: &PollReport, told: &[String]) -> String {
    let requests = if report.requests == 1 { "1 request" } else { &format!("{} requests", report.requests) };
    let mut line = format!("{}, {requests}", report.outcome.as_str());
    let not_before = world.state().await.and_then(|state| state.not_before);
    if let Some(at) = not_before {
        let seconds = at.since(report.at).as_secs();
        write!(line, ", not before {seconds} s").expect("a string takes it");
    }
    for text in told.iter().chain(&report.notes) {
        write!(line, "; {text}").expect("a string takes it");
    }
    if let Some(failure) = report.outcome.failure() {
        write!(line, ": {failure}").expect("a string takes it");
    }
    for other in kept {
        line = line.replace(&other.url(""), "OTHER");
    }
    line.replace(&world.source.url(""), "SOURCE").replace("connector orders: SOURCE/items: ", "")
}

/// What someone knows who only has the events.
struct Receiver {
    known: BTreeMap<String, Value>,
    read: usize,
}

impl Receiver {
    /// Returns someone who was given this listing, and no events yet.
    fn of(json: &str) -> Self {
        Self { known: listing(json), read: 0 }
    }

    /// Reads the events that are new, each of which has to be news and to agree with this listing.
    fn read(&mut self, events: &[Event], truth: &str, name: &str) -> Vec<String> {
        let truth = listing(truth);
        let mut told = Vec::new();
        for event in events[self.read..].iter().filter(|event| event.connector.as_str() == "orders") {
            let data: Value = serde_json::from_str(event.data.get()).expect("JSON");
            let summary = format!("{} {}", event.event_type.action(), event.key);
            let before = match event.event_type.action() {
                "removed" => self.known.remove(&event.key),
                _ => self.known.insert(event.key.clone(), data.clone()),
            };
            let is_news = match event.event_type.action() {
                "created" => before.is_none(),
                "updated" => before.is_some_and(|before| before != data),
                _ => before.is_some(),
            };
            assert!(is_news, "{name}: {summary} is no news");
            assert_eq!(self.known.get(&event.key), truth.get(&event.key), "{name}: {summary} is not so");
            told.push(summary);
        }
        self.read = events.len();
        told
    }
}

/// Returns the items of a listing by key.
fn listing(json: &str) -> BTreeMap<String, Value> {
    let items: Vec<Value> = serde_json::from_str(json).expect("a listing");
    items.into_iter().map(|item| (item["id"].to_string().replace('"', ""), item)).collect()
}
