//! The service is killed, or told to stop and then killed, at random moments while a receiver that fails now and then is
//! sent what changes. Afterwards nothing is lost, and whatever was sent again was the same, byte for byte.

mod support {
    pub mod process;
    pub mod service;
    #[expect(dead_code, reason = "the tests of faults use all of it")]
    pub mod source;
    pub mod wait;
    pub mod web;
}

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use support::process::Process;
use support::service::Home;
use support::source::{Fault, Reply, Request, Source, Step};
use support::wait;

/// How a scenario goes.
struct Plan {
    /// How the subscription's deliveries are put together and ordered.
    rules: &'static str,
    /// How often the service ends.
    ends: usize,
    /// Whether it is told to stop before it is killed, and so has some time for it.
    is_told: bool,
    /// The most events of a delivery.
    most_joined: usize,
    /// Whether changes of one item have to be acknowledged in their order.
    is_ordered: bool,
}

#[tokio::test(flavor = "multi_thread")]
async fn single_deliveries_survive_kills() {
    run(Plan { rules: "", ends: 8, is_told: false, most_joined: 1, is_ordered: false }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ordered_deliveries_survive_kills_in_their_order() {
    run(Plan { rules: "order = \"item\"", ends: 8, is_told: false, most_joined: 1, is_ordered: true }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_survive_kills_as_they_were_put_together() {
    let rules = "batch = { max = 7, wait = \"100ms\" }";
    run(Plan { rules, ends: 8, is_told: false, most_joined: 7, is_ordered: false }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_survive_a_shutdown_that_is_cut_short() {
    run(Plan { rules: "", ends: 8, is_told: true, most_joined: 1, is_ordered: false }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_survive_a_shutdown_that_is_cut_short() {
    let rules = "batch = { max = 7, wait = \"100ms\" }";
    run(Plan { rules, ends: 8, is_told: true, most_joined: 7, is_ordered: false }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_been_sent_alone_is_repeated_alone() {
    let batch = "batch = { max = 7, wait = \"100ms\" }";
    repeat_alone(batch, batch).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_configured_after_a_kill_takes_nothing_in_that_may_have_been_sent() {
    repeat_alone("", "batch = { max = 7, wait = \"100ms\" }").await;
}

/// Kills the service while its only attempt is under way, with one event, and further events wait. A receiver that got
/// the attempt knows its repeat by the id, so the event must not come as a part of something else.
async fn repeat_alone(rules: &str, rules_later: &str) {
    let items = Arc::new(Mutex::new(vec![1]));
    let served = Arc::clone(&items);
    let source = Source::start(move |_| {
        let items: Vec<Value> = lock(&served).iter().map(|id| json!({ "id": id })).collect();
        Reply::json(json!(items).to_string())
    })
    .await;
    let receiver = Source::start(|_| Reply::fault(Fault::Hang)).await;
    let rules = format!("concurrency = 1\n{rules}");
    let home = Home::new(&configuration(&source.url("/items"), &receiver.url("/hooks"), "1m", &rules));
    let service = home.start().await;
    let mut sent = Vec::new();
    wait::until("an attempt is under way", Duration::from_secs(30), async || {
        sent.extend(receiver.take_requests());
        (!sent.is_empty()).then_some(())
    })
    .await;
    lock(&items).extend([2, 3]);
    wait::until("others wait", Duration::from_secs(30), async || {
        (service.list("/v1/events").await.len() == 3).then_some(())
    })
    .await;
    drop(service);

    receiver.respond(|_| Reply::of(200, ""));
    let path = home.path().join("config.toml");
    let text = fs::read_to_string(&path).expect("the configuration can be read");
    fs::write(&path, text.replace(&rules, rules_later)).expect("the configuration can be written");
    let service = home.start().await;
    wait::until("everything is delivered", Duration::from_secs(30), async || {
        let lane = service.get("/v1/subscriptions/hooks").await["deliveries"].clone();
        let is_settled = ["waiting", "retrying", "dead"].iter().all(|state| lane[state] == json!(0));
        is_settled.then_some(())
    })
    .await;
    service.stop().await;
    let mut book = Book { random: Rng::new(), receipts: Vec::new(), calm: true };
    for request in sent.iter().chain(&receiver.take_requests()) {
        book.receive(request);
    }
    assert_eq!(book.acknowledged().len(), 3);
    book.check_batches(7);
}

/// How many items there are, and how many changes there are at most when they are looked at.
const ITEMS: usize = 40;
const CHANGES: usize = 30;

/// The longest that the service lives; it may not even have finished starting.
const LONGEST_LIFE: Duration = Duration::from_millis(1800);

/// The longest that it has for stopping.
const LONGEST_STOP: Duration = Duration::from_millis(400);

async fn run(plan: Plan) {
    let seed = std::env::var_os("POLLHOOK_SEED")
        .map_or_else(|| fastrand::u64(..), |seed| seed.to_string_lossy().parse().expect("the seed is a number"));
    report(&format!("POLLHOOK_SEED={seed}"));
    let mut random = Rng::with_seed(seed);
    let items = Arc::new(Mutex::new(Items::new(random.u64(..))));
    let served = Arc::clone(&items);
    let source = Source::start(move |_| Reply::json(lock(&served).look())).await;
    let book = Arc::new(Mutex::new(Book { random: Rng::with_seed(random.u64(..)), receipts: Vec::new(), calm: false }));
    let kept = Arc::clone(&book);
    let receiver = Source::start(move |request| lock(&kept).receive(request)).await;
    let home = Home::new(&configuration(&source.url("/items"), &receiver.url("/hooks"), "1s", plan.rules));

    for _ in 0..plan.ends {
        let service: Process = home.launch();
        wait::pause(LONGEST_LIFE.mul_f64(random.f64())).await;
        if plan.is_told {
            service.terminate();
            wait::pause(LONGEST_STOP.mul_f64(random.f64())).await;
        }
        drop(service);
    }
    let meanwhile = lock(&book).acknowledged().len();
    assert!(meanwhile > 20, "only {meanwhile} events arrived while the service was being killed");

    lock(&items).calm = true;
    lock(&book).calm = true;
    let service = home.start().await;
    wait::until("everything is delivered", Duration::from_secs(60), async || {
        let lane = service.get("/v1/subscriptions/hooks").await["deliveries"].clone();
        let settled = ["waiting", "retrying", "dead"].iter().all(|state| lane[state] == json!(0));
        (settled && lock(&book).newest() == lock(&items).versions).then_some(())
    })
    .await;
    let stored = service.list("/v1/events").await;
    let stored: BTreeSet<String> = stored.iter().map(|entry| text(&entry["event"]["id"])).collect();
    service.stop().await;

    let book = lock(&book);
    book.check_repeats();
    book.check_batches(plan.most_joined);
    assert_eq!(stored, book.acknowledged(), "the events in the store and those that were acknowledged");
    if plan.is_ordered {
        book.check_order();
    }
    report(&format!(
        "{} events in {} deliveries; {meanwhile} of them came before the last start",
        stored.len(),
        book.receipts.len()
    ));
}

fn configuration(source: &str, receiver: &str, timeout: &str, rules: &str) -> String {
    format!(
        r#"
        [connectors.items]
        every = "1s"
        request.url = "{source}"
        item.key = ".id"
        changes.first_poll = "send"

        [subscriptions.hooks]
        url = "{receiver}"
        secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        timeout = "{timeout}"
        retry = [{retry}]
        breaker = {{ rest = "1s" }}
        {rules}
        "#,
        retry = vec!["\"300ms\""; 50].join(", ")
    )
}

/// What the source has: items in versions that only grow.
struct Items {
    random: Rng,
    versions: BTreeMap<u64, u64>,
    /// From now on nothing changes.
    calm: bool,
}

impl Items {
    fn new(seed: u64) -> Self {
        let versions = (0..ITEMS as u64).map(|id| (id, 0)).collect();
        Self { random: Rng::with_seed(seed), versions, calm: false }
    }

    /// Returns the items, some of which have changed.
    fn look(&mut self) -> String {
        if !self.calm {
            for _ in 0..self.random.usize(1..=CHANGES) {
                let id = self.random.u64(..ITEMS as u64);
                *self.versions.entry(id).or_default() += 1;
            }
        }
        let items = self.versions.iter().map(|(id, version)| json!({ "id": id, "version": version }));
        json!(items.collect::<Vec<_>>()).to_string()
    }
}

/// What the receiver was sent.
struct Book {
    random: Rng,
    receipts: Vec<Receipt>,
    /// From now on nothing fails.
    calm: bool,
}

/// One POST that arrived.
struct Receipt {
    id: String,
    body: String,
    acknowledged: bool,
}

impl Receipt {
    /// Returns the events that it carried.
    fn events(&self) -> Vec<Value> {
        match serde_json::from_str(&self.body).expect("a delivery's body is JSON") {
            Value::Array(events) => events,
            event => vec![event],
        }
    }
}

impl Book {
    /// Notes a delivery and answers it, now and then late, with a failure or not at all.
    fn receive(&mut self, request: &Request) -> Reply {
        let pause = Duration::from_millis(self.random.u64(..300));
        let late = |text: &str| Reply::wire([Step::Pause(pause), Step::Send(text.as_bytes().to_vec())]);
        let reply = match self.random.u8(0..100) {
            _ if self.calm => Reply::of(200, ""),
            0..10 => Reply::of(500, "out of order"),
            10..15 => Reply::of(429, "too busy").with("retry-after", "1"),
            15..20 => Reply::fault(Fault::Close),
            20..23 => Reply::fault(Fault::Hang),
            23..40 => late("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
            _ => Reply::of(200, ""),
        };
        let acknowledged = reply.status == 200 && !matches!(reply.fault, Fault::Close | Fault::Hang);
        let id = request.header("webhook-id").expect("a delivery has an id").to_owned();
        self.receipts.push(Receipt { id, body: request.body.clone(), acknowledged });
        reply
    }

    fn acknowledged(&self) -> BTreeSet<String> {
        let receipts = self.receipts.iter().filter(|receipt| receipt.acknowledged);
        receipts.flat_map(Receipt::events).map(|event| text(&event["id"])).collect()
    }

    /// Returns the newest version of each item that was acknowledged.
    fn newest(&self) -> BTreeMap<u64, u64> {
        let mut newest = BTreeMap::new();
        for (id, version) in self.acknowledged_versions() {
            let known = newest.entry(id).or_default();
            *known = version.max(*known);
        }
        newest
    }

    fn acknowledged_versions(&self) -> impl Iterator<Item = (u64, u64)> {
        let number = |value: &Value| value.as_u64().expect("a number");
        let receipts = self.receipts.iter().filter(|receipt| receipt.acknowledged);
        receipts
            .flat_map(Receipt::events)
            .map(move |event| (number(&event["data"]["id"]), number(&event["data"]["version"])))
    }

    /// Checks that what has the same id is the same.
    fn check_repeats(&self) {
        let mut bodies: BTreeMap<&str, &str> = BTreeMap::new();
        for receipt in &self.receipts {
            let first = *bodies.entry(&receipt.id).or_insert(&receipt.body);
            assert_eq!(first, receipt.body, "a repeat of {} has another body", receipt.id);
        }
    }

    /// Checks that no event is in deliveries with different ids, nor too many in one.
    fn check_batches(&self, most_joined: usize) {
        let mut deliveries: BTreeMap<String, &str> = BTreeMap::new();
        for receipt in &self.receipts {
            let events = receipt.events();
            assert!((1..=most_joined).contains(&events.len()), "{} has {} events", receipt.id, events.len());
            for event in events {
                let event = text(&event["id"]);
                let first = *deliveries.entry(event.clone()).or_insert(&receipt.id);
                assert_eq!(first, receipt.id, "{event} is sent as part of two deliveries");
            }
        }
    }

    /// Checks that no version of an item was acknowledged for the first time after a later one.
    fn check_order(&self) {
        let mut newest: BTreeMap<u64, u64> = BTreeMap::new();
        let mut known = BTreeSet::new();
        for (id, version) in self.acknowledged_versions() {
            if known.insert((id, version)) {
                let before = newest.insert(id, version);
                assert!(before.is_none_or(|before| before < version), "item {id}: {version} comes after {before:?}");
            }
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(clippy::print_stderr, reason = "whoever repeats a failed run needs the seed")]
fn report(text: &str) {
    eprintln!("{text}");
}
