//! The service is killed at random moments while it replays thousands of deliveries. Afterwards each was queued exactly
//! once, nothing is lost, and repeats have the id and body of the first time. And a replay of many events takes little
//! memory.
//!
//! What was queued how often shows in the attempts that the store has of a delivery: without retries, each time that it
//! is queued leaves one, however often the process dies between an attempt and its record.

mod support {
    pub mod process;
    #[expect(dead_code, reason = "the tests of other faults use all of it")]
    pub mod service;
    #[expect(dead_code, reason = "the tests of other faults use all of it")]
    pub mod source;
    pub mod wait;
    pub mod web;
}

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use pollhook::clock::SystemClock;
use pollhook::http::Method;
use pollhook::model::change::ChangeKind;
use pollhook::model::event::{Event, EventType, RoutedEvent};
use pollhook::model::id::{ConnectorName, EventId};
use pollhook::store::embedded::{self, Options};
use pollhook::store::{DeliveryStore, HistoryStore};
use pollhook::telemetry::Telemetry;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use support::service::{Home, Service};
use support::source::{Reply, Request, Source};
use support::{wait, web};

/// How many items the source has.
const ITEMS: usize = 2_000;

/// How often the service is killed in each part.
const KILLS: usize = 10;

/// The longest that it lives before.
const LONGEST_LIFE: Duration = Duration::from_millis(1200);

const PATIENCE: Duration = Duration::from_secs(120);

/// What the receiver was sent: of each delivery the body, and how often it came.
#[derive(Default)]
struct Book {
    received: BTreeMap<(String, String), (String, usize)>,
    refuses: bool,
}

impl Book {
    fn receive(&mut self, request: &Request) -> Reply {
        let id = request.header("webhook-id").expect("a delivery has an id").to_owned();
        let entry = self.received.entry((request.target.clone(), id)).or_insert_with(|| (request.body.clone(), 0));
        assert_eq!(entry.0, request.body, "a repeat has another body");
        entry.1 += 1;
        Reply::of(if self.refuses { 500 } else { 200 }, "")
    }

    fn ids(&self, path: &str) -> Vec<&String> {
        self.received.keys().filter(|(target, _)| target == path).map(|(_, id)| id).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_replay_queues_each_delivery_once() {
    let seed = std::env::var_os("POLLHOOK_SEED")
        .map_or_else(|| fastrand::u64(..), |seed| seed.to_string_lossy().parse().expect("the seed is a number"));
    report(&format!("POLLHOOK_SEED={seed}"));
    let mut random = Rng::with_seed(seed);
    let items: Vec<Value> = (0..ITEMS).map(|id| json!({ "id": id })).collect();
    let body = Value::from(items).to_string();
    let source = Source::start(move |_| Reply::json(body.clone())).await;
    let book = Arc::new(Mutex::new(Book { refuses: true, ..Book::default() }));
    let kept = Arc::clone(&book);
    let receiver = Source::start(move |request| lock(&kept).receive(request)).await;
    let configuration = configuration(&source.url("/items"), &receiver.url("/hooks"));
    let home = Home::new(&configuration);
    let service = home.start().await;
    drained(&service, "hooks", json!({ "waiting": 0, "retrying": 0, "dead": ITEMS })).await;

    // All are refused again, so that each time they are queued shows.
    let dead = make(&service, &json!({ "dead_of": "hooks", "rate": "1000/s" })).await;
    let service = killed(&home, service, &mut random, &dead).await;
    check_done(&service, &dead).await;
    drained(&service, "hooks", json!({ "waiting": 0, "retrying": 0, "dead": ITEMS })).await;
    check_attempts(&service, "hooks", 2).await;

    lock(&book).refuses = false;
    let again = make(&service, &json!({ "subscription": "hooks", "state": "all", "rate": "1000/s" })).await;
    let service = killed(&home, service, &mut random, &again).await;
    check_done(&service, &again).await;
    drained(&service, "hooks", json!({ "waiting": 0, "retrying": 0, "dead": 0 })).await;
    check_attempts(&service, "hooks", 3).await;

    // Somebody else subscribes and wants what was.
    service.stop().await;
    let late = format!("\n[subscriptions.late]\nurl = \"{}\"\nretry = []\nbreaker = false\n", receiver.url("/late"));
    let path = home.path().join("config.toml");
    let text = fs::read_to_string(&path).expect("the configuration can be read");
    fs::write(path, text + &late).expect("the configuration can be written");
    let service = home.start().await;
    let backfill = make(&service, &json!({ "to": "late", "connector": "items", "rate": "1000/s" })).await;
    let service = killed(&home, service, &mut random, &backfill).await;
    check_done(&service, &backfill).await;
    drained(&service, "late", json!({ "waiting": 0, "retrying": 0, "dead": 0 })).await;
    check_attempts(&service, "late", 1).await;
    service.stop().await;

    let book = lock(&book);
    assert_eq!(book.ids("/late"), book.ids("/hooks"), "the same events, with the same ids");
    assert_eq!(book.ids("/late").len(), ITEMS);
    for ((path, id), (body, _)) in &book.received {
        let other = book.received.get(&("/hooks".to_owned(), id.clone()));
        assert_eq!(other.map(|(body, _)| body), Some(body), "{path} {id}");
    }
}

fn configuration(source: &str, receiver: &str) -> String {
    format!(
        r#"
        [connectors.items]
        every = "1h"
        request.url = "{source}"
        item.key = ".id"
        changes.first_poll = "send"

        [subscriptions.hooks]
        url = "{receiver}"
        retry = []
        breaker = false
        concurrency = 32
        "#
    )
}

/// Kills the service at random moments and returns the one that is left alone until the replay has ended.
async fn killed(home: &Home, service: Service, random: &mut Rng, replay: &str) -> Service {
    wait::pause(LONGEST_LIFE.mul_f64(random.f64())).await;
    drop(service);
    for _ in 0..KILLS {
        let service = home.launch();
        wait::pause(LONGEST_LIFE.mul_f64(random.f64())).await;
        drop(service);
    }
    let service = home.start().await;
    wait::until("the replay ends", PATIENCE, async || {
        let view = service.get(&format!("/v1/replays/{replay}")).await;
        (view["state"] != "running").then_some(())
    })
    .await;
    service
}

/// Makes a replay and returns its id.
async fn make(service: &Service, request: &Value) -> String {
    let url = format!("{}/v1/replays", service.url());
    let headers = [("content-type", "application/json")];
    let response = web::send(Method::POST, &url, &headers, request.to_string().as_bytes()).await.expect("an answer");
    assert_eq!(response.status, 202, "{}", String::from_utf8_lossy(&response.body));
    let view: Value = serde_json::from_slice(&response.body).expect("JSON");
    view["id"].as_str().expect("a replay has an id").to_owned()
}

async fn check_done(service: &Service, replay: &str) {
    let view = service.get(&format!("/v1/replays/{replay}")).await;
    assert_eq!((&view["state"], &view["queued"]), (&json!("done"), &json!(ITEMS)), "{view}");
    assert_eq!((&view["looked_at"], &view["of"]), (&json!(ITEMS), &json!(ITEMS)), "{view}");
}

async fn drained(service: &Service, name: &str, expected: Value) {
    wait::until("all is settled", PATIENCE, async || {
        let view = service.get(&format!("/v1/subscriptions/{name}")).await;
        (view["deliveries"] == expected).then_some(())
    })
    .await;
}

async fn check_attempts(service: &Service, name: &str, expected: usize) {
    let mut before = String::new();
    let mut count = 0;
    loop {
        let part = service.get(&format!("/v1/deliveries?subscription={name}&limit=500{before}")).await;
        for one in part["data"].as_array().expect("a list has data") {
            assert_eq!(one["attempts"], expected, "{one}");
            count += 1;
        }
        match part["next"].as_str() {
            Some(next) => before = format!("&before={next}"),
            None => break,
        }
    }
    assert_eq!(count, ITEMS);
}

/// How many events the store has in the test of memory.
const MANY: usize = 60_000;

/// How many bytes of memory the service may take while it queues them all: most of it is the store's.
#[cfg(target_os = "linux")]
const MOST_MEMORY: u64 = 230 << 20;

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_of_many_events_takes_little_memory() {
    let stalls = Arc::new(AtomicBool::new(true));
    let receiver = Source::start({
        let stalls = Arc::clone(&stalls);
        move |_| Reply::of(if stalls.load(Ordering::Relaxed) { 503 } else { 200 }, "")
    })
    .await;
    let home = Home::new(&format!("[subscriptions.late]\nurl = \"{}\"\n", receiver.url("/late")));
    fill(&home.path().join("data")).await;
    let service = home.start().await;
    let before = resident(service.process.id());
    let replay = make(&service, &json!({ "to": "late", "rate": "100000/s" })).await;
    let mut largest = before;
    wait::until("all is queued", Duration::from_secs(600), async || {
        largest = largest.max(resident(service.process.id()));
        let view = service.get(&format!("/v1/replays/{replay}")).await;
        (view["state"] == "done").then(|| assert_eq!(view["queued"], MANY))
    })
    .await;
    report(&format!("{} MB before, {} MB at most", before >> 20, largest >> 20));
    assert!(largest < MOST_MEMORY, "{} MB before, {} MB at most", before >> 20, largest >> 20);
}

/// Makes a store with many events of about 1 KiB that went to nobody.
async fn fill(path: &std::path::Path) {
    let options = Options { ballast_bytes: 0, ..Options::default() };
    let store = embedded::open(path, options, Telemetry::shared()).expect("a new store");
    let connector: ConnectorName = "orders".parse().expect("a name");
    let data = format!("{:?}", "d".repeat(1000));
    let now = SystemClock::shared().now();
    for part in 0..MANY / 1000 {
        let event = |number: usize| Event {
            event_type: EventType::of_change(&connector, ChangeKind::Created),
            time: now,
            id: EventId::new(now),
            connector: connector.clone(),
            element: None,
            key: (part * 1000 + number).to_string(),
            data: RawValue::from_string(data.clone()).expect("JSON"),
            changes: None,
            previous: None,
            reappeared: false,
        };
        let events = (0..1000).map(|number| RoutedEvent { event: Arc::new(event(number)), subscriptions: Vec::new() });
        store.record_events(events.collect()).await.expect("the events are durable");
    }
    store.close().await.expect("it closes");
}

/// Returns how many bytes of a process are in memory.
#[cfg(target_os = "linux")]
fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().expect("a number");
    kibibytes << 10
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(clippy::print_stderr, reason = "whoever repeats a failed run needs the seed")]
fn report(line: &str) {
    eprintln!("{line}");
}
