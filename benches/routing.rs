//! How long it takes to find the subscriptions of an event among many, beside asking each of them.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use pollhook::clock::SystemClock;
use pollhook::config::{Environment, load};
use pollhook::deliver::SubscriptionSet;
use pollhook::model::event::{Event, Route as _, ServiceNews};
use pollhook::model::time::Timestamp;
use pollhook::telemetry::Telemetry;
use serde_json::json;

const SUBSCRIPTIONS: usize = 10_000;
const EVENTS: usize = 200;

fn main() {
    // Each listens to one of a hundred groups of connectors, and a few to all.
    let subscription = |number: usize| {
        let group = number % 100;
        let connectors = if number.is_multiple_of(1000) {
            String::new()
        } else {
            format!("connectors = [\"group-{group}-*\", \"other-{group}\"]\n")
        };
        format!("[subscriptions.s{number}]\nurl = \"http://127.0.0.1/\"\nevents = [\"created\"]\n{connectors}")
    };
    let text: String = (0..SUBSCRIPTIONS).map(subscription).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.toml");
    std::fs::write(&path, text).expect("a file");
    let configuration = load(&path, &Environment::from([])).expect("a right configuration");
    let set = SubscriptionSet::new(configuration.subscriptions, Telemetry::shared());
    let events: Vec<Event> = (0..EVENTS).map(event).collect();
    let found: usize = events.iter().map(|event| set.subscriptions(event).len()).sum();

    let asked = took(|| events.iter().for_each(|event| drop(black_box(set.explain(event)))));
    let first: Vec<Arc<_>> = set.all().cloned().collect();
    let fresh = set.replaced_by(first);
    let first = took(|| events.iter().take(100).for_each(|event| drop(black_box(fresh.subscriptions(event)))));
    let known = took(|| events.iter().for_each(|event| drop(black_box(set.subscriptions(event)))));
    report(&format!("{SUBSCRIPTIONS} subscriptions, {} of them for an event", found / EVENTS));
    for (what, took, count) in [
        ("asking each of them", asked, EVENTS),
        ("the first event of its connector and type", first, 100),
        ("every other event", known, EVENTS),
    ] {
        report(&format!("{what:<42} {:>9.1} µs an event", took.as_secs_f64() * 1e6 / count as f64));
    }
}

fn event(number: usize) -> Event {
    let mut event = Event::of_service(ServiceNews::Test, "k", Timestamp::EPOCH, &json!({ "id": number }));
    event.connector = format!("group-{}-a", number % 100).parse().expect("a name");
    event.event_type = serde_json::from_value(json!(format!("{}.created", event.connector))).expect("a type");
    event
}

fn took(work: impl FnOnce()) -> Duration {
    let clock = SystemClock::shared();
    let begun = clock.monotonic();
    work();
    clock.monotonic().saturating_sub(begun)
}

#[expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]
fn report(line: &str) {
    println!("{line}");
}
