//! The service is killed at random moments while its source grows, changes and shrinks and its receiver fails now and
//! then. Afterwards every change has been delivered, and none was detected twice.
//!
//! Each state of an item has a version of its own, so that an event says exactly which state it is about. Events carry
//! the item before the change: put in order, those of one item must form a chain without gaps.

mod support {
    pub mod process;
    pub mod service;
    #[expect(dead_code, reason = "the tests of faults use all of it")]
    pub mod source;
    pub mod wait;
    pub mod web;
}

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use support::service::Home;
use support::source::{Fault, Reply, Request, Source};
use support::wait;

/// How a scenario goes.
struct Plan {
    /// How often the service is killed.
    kills: usize,
    /// The longest that it lives before; it may not even have finished starting.
    longest_life: Duration,
    /// About how many items the source has in the long run.
    usual_items: usize,
    /// How many it begins with.
    first_items: usize,
    /// How many items a page has.
    page: usize,
    /// How many deliveries must have arrived before the service is left alone, or the scenario shows nothing.
    least_received: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_service_loses_nothing_and_repeats_nothing() {
    run(Plan {
        kills: 32,
        longest_life: Duration::from_millis(1800),
        usual_items: 60,
        first_items: 30,
        page: 10,
        least_received: 100,
    })
    .await;
}

/// The first poll finds more than one commit takes.
#[tokio::test(flavor = "multi_thread")]
async fn a_poll_that_is_killed_half_way_is_taken_up_without_loss_or_repeat() {
    run(Plan {
        kills: 12,
        longest_life: Duration::from_millis(1200),
        usual_items: 3000,
        first_items: 3000,
        page: 500,
        least_received: 100,
    })
    .await;
}

async fn run(plan: Plan) {
    let seed = std::env::var_os("POLLHOOK_SEED")
        .map_or_else(|| fastrand::u64(..), |seed| seed.to_string_lossy().parse().expect("the seed is a number"));
    report(&format!("POLLHOOK_SEED={seed}"));
    let mut random = Rng::with_seed(seed);

    let world = Arc::new(Mutex::new(World::new(random.u64(..), &plan)));
    let served = Arc::clone(&world);
    let source = Source::start(move |request| lock(&served).answer(request)).await;
    let book = Arc::new(Mutex::new(Book::new(random.u64(..))));
    let kept = Arc::clone(&book);
    let receiver = Source::start(move |request| lock(&kept).receive(request)).await;
    let home = Home::new(&configuration(&source.url("/items"), &receiver.url("/hooks")));

    for _ in 0..plan.kills {
        let service = home.launch();
        wait::pause(plan.longest_life.mul_f64(random.f64())).await;
        drop(service);
    }
    let received_meanwhile = lock(&book).receipts.len();
    assert!(
        received_meanwhile > plan.least_received,
        "only {received_meanwhile} deliveries arrived while the service was being killed"
    );

    lock(&world).calm = true;
    lock(&book).calm = true;
    let service = home.start().await;
    wait::until("everything is delivered", Duration::from_secs(60), async || {
        let lane = service.get("/v1/subscriptions/hooks").await["deliveries"].clone();
        let settled = lane == json!({ "waiting": 0, "retrying": 0, "dead": 0 });
        (settled && lock(&book).states() == lock(&world).states()).then_some(())
    })
    .await;

    let stored = service.list("/v1/events").await;
    let ids: BTreeSet<String> = stored.iter().map(|entry| text(&entry["event"]["id"])).collect();
    assert_eq!(ids.len(), stored.len(), "an event is listed twice");
    service.stop().await;

    let book = lock(&book);
    assert_eq!(ids, book.acknowledged(), "the events in the store and those that were acknowledged");
    book.check_chains().expect("the events of each item follow from one another");
    report(&format!(
        "{} events, {} deliveries, {received_meanwhile} of them before the last start",
        ids.len(),
        book.receipts.len()
    ));
}

fn configuration(source: &str, receiver: &str) -> String {
    format!(
        r#"
        [connectors.items]
        every = "1s"
        request.url = "{source}"
        pagination.link.max_pages = 1000
        item.key = ".id"

        [connectors.items.changes]
        events = ["created", "updated", "removed"]
        lists = "everything"
        first_poll = "send"
        previous = true

        [subscriptions.hooks]
        url = "{receiver}"
        secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        timeout = "500ms"
        concurrency = 32
        retry = [{retry}]
        "#,
        retry = vec!["\"300ms\""; 50].join(", ")
    )
}

/// What the source has: items, each in a version that nothing else ever had.
struct World {
    random: Rng,
    items: BTreeMap<u64, u64>,
    usual_items: usize,
    page: usize,
    newest_id: u64,
    newest_version: u64,
    /// From now on nothing changes and nothing fails.
    calm: bool,
}

impl World {
    fn new(seed: u64, plan: &Plan) -> Self {
        let mut world = Self {
            random: Rng::with_seed(seed),
            items: BTreeMap::new(),
            usual_items: plan.usual_items,
            page: plan.page,
            newest_id: 0,
            newest_version: 0,
            calm: false,
        };
        (0..plan.first_items).for_each(|_| world.create());
        world
    }

    /// Answers a request for a page, before which some items may have changed. Pages go by key, not by number, so that
    /// an item is never missing from a listing although it was there all the time.
    fn answer(&mut self, request: &Request) -> Reply {
        if !self.calm {
            (0..self.random.usize(0..4)).for_each(|_| self.change());
        }
        let after = request.target.split_once("after=").map_or(0, |(_, id)| id.parse().expect("a key"));
        let mut rest = self.items.range(after + 1..).map(|(id, version)| json!({ "id": id, "version": version }));
        let page: Vec<Value> = rest.by_ref().take(self.page).collect();
        let next = rest.next().and_then(|_| page.last()?["id"].as_u64());
        let body = json!(page).to_string();

        let mut hasher = DefaultHasher::new();
        (&body, next).hash(&mut hasher);
        let tag = format!("\"{:x}\"", hasher.finish());
        let length = body.len();
        let mut reply =
            if request.header("if-none-match") == Some(&tag) { Reply::of(304, "") } else { Reply::json(body) };
        reply = reply.with("etag", tag);
        if let Some(next) = next {
            reply = reply.with("link", format!("</items?after={next}>; rel=\"next\""));
        }
        match self.random.u8(0..100) {
            _ if self.calm => reply,
            0 => Reply::of(500, "out of order"),
            1 if reply.status == 200 => Reply { fault: Fault::CutAfter(length / 2), ..reply },
            _ => reply,
        }
    }

    /// Makes one change; items are created rather than removed while there are few.
    fn change(&mut self) {
        let existing = self.random.usize(..self.items.len().max(1));
        let existing = self.items.keys().nth(existing).copied();
        match (self.random.usize(..self.usual_items * 2), existing) {
            (dice, Some(id)) if dice % 2 == 0 => {
                self.newest_version += 1;
                self.items.insert(id, self.newest_version);
            }
            (dice, Some(id)) if dice < self.items.len() => {
                self.items.remove(&id);
            }
            _ => self.create(),
        }
    }

    /// Creates an item: a new one, or one that was there before.
    fn create(&mut self) {
        self.newest_version += 1;
        let back = self.random.u64(1..=self.newest_id.max(1));
        let id = if self.random.u8(..4) == 0 && !self.items.contains_key(&back) {
            back
        } else {
            self.newest_id += 1;
            self.newest_id
        };
        self.newest_id = self.newest_id.max(id);
        self.items.insert(id, self.newest_version);
    }

    fn states(&self) -> BTreeMap<u64, u64> {
        self.items.clone()
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

/// What an event says of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    id: u64,
    /// Of a removed item, the version that was removed.
    version: u64,
    kind: Kind,
    previous: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Created,
    Updated,
    Removed,
}

impl Book {
    fn new(seed: u64) -> Self {
        Self { random: Rng::with_seed(seed), receipts: Vec::new(), calm: false }
    }

    /// Notes a delivery and answers it, now and then with a failure.
    fn receive(&mut self, request: &Request) -> Reply {
        let reply = match self.random.u8(0..100) {
            _ if self.calm => Reply::of(200, ""),
            0..10 => Reply::of(500, "out of order"),
            10..15 => Reply::of(503, "too busy"),
            15..20 => Reply::fault(Fault::Close),
            20..25 => Reply::fault(Fault::Hang),
            _ => Reply::of(200, ""),
        };
        let acknowledged = reply.status == 200 && reply.fault == Fault::None;
        let id = request.header("webhook-id").expect("a delivery has an id").to_owned();
        self.receipts.push(Receipt { id, body: request.body.clone(), acknowledged });
        reply
    }

    fn acknowledged(&self) -> BTreeSet<String> {
        self.receipts.iter().filter(|receipt| receipt.acknowledged).map(|receipt| receipt.id.clone()).collect()
    }

    /// Returns what each event says, in the order in which the items had their versions. Fails if a repeat differs
    /// from what it repeats.
    fn steps(&self) -> Result<Vec<Step>, String> {
        let mut bodies: BTreeMap<&str, &str> = BTreeMap::new();
        for receipt in &self.receipts {
            let first = bodies.entry(&receipt.id).or_insert(&receipt.body);
            if *first != receipt.body {
                return Err(format!("a repeat of {} has another body: {} and {}", receipt.id, first, receipt.body));
            }
        }
        let mut steps: Vec<Step> = bodies.into_iter().map(|(id, body)| step(id, body)).collect();
        steps.sort_unstable();
        Ok(steps)
    }

    /// Returns the items as the events say that they are now.
    fn states(&self) -> BTreeMap<u64, u64> {
        let mut states = BTreeMap::new();
        for step in self.steps().unwrap_or_default() {
            if step.kind == Kind::Removed {
                states.remove(&step.id);
            } else {
                states.insert(step.id, step.version);
            }
        }
        states
    }

    /// Checks that each item's events follow from one another: nothing is missing in between, nothing was detected
    /// twice, and each says rightly what was before it.
    fn check_chains(&self) -> Result<(), String> {
        let mut states: BTreeMap<u64, u64> = BTreeMap::new();
        for step in self.steps()? {
            let before = states.get(&step.id).copied();
            let follows = match step.kind {
                Kind::Created => before.is_none(),
                Kind::Updated => before.is_some() && before == step.previous && before < Some(step.version),
                Kind::Removed => before == Some(step.version),
            };
            if !follows {
                return Err(format!("{step:?} does not follow from version {before:?}"));
            }
            match step.kind {
                Kind::Removed => states.remove(&step.id),
                Kind::Created | Kind::Updated => states.insert(step.id, step.version),
            };
        }
        Ok(())
    }
}

#[test]
fn chains_are_judged_rightly() {
    let created = ("evt_1", r#"{"type":"items.created","id":"evt_1","data":{"id":1,"version":1}}"#);
    let updated =
        ("evt_2", r#"{"type":"items.updated","id":"evt_2","data":{"id":1,"version":4},"previous":{"version":1}}"#);
    let gap =
        ("evt_3", r#"{"type":"items.updated","id":"evt_3","data":{"id":1,"version":7},"previous":{"version":5}}"#);
    let again =
        ("evt_4", r#"{"type":"items.updated","id":"evt_4","data":{"id":1,"version":4},"previous":{"version":1}}"#);
    let removed = ("evt_5", r#"{"type":"items.removed","id":"evt_5","data":{"id":1,"version":4}}"#);
    let twice = ("evt_6", r#"{"type":"items.removed","id":"evt_6","data":{"id":1,"version":4}}"#);
    let back = ("evt_7", r#"{"type":"items.created","id":"evt_7","data":{"id":1,"version":9}}"#);
    let other_body = ("evt_1", r#"{"type":"items.created","id":"evt_1","data":{"id":1,"version":2}}"#);
    check_chain(&[created, removed, updated, back, created], true);
    check_chain(&[updated], false);
    check_chain(&[created, gap], false);
    check_chain(&[created, updated, again], false);
    check_chain(&[created, updated, removed, twice], false);
    check_chain(&[created, updated, back], false);
    check_chain(&[created, other_body], false);
}

fn check_chain(receipts: &[(&str, &str)], expected: bool) {
    let mut book = Book::new(0);
    let receipt =
        |(id, body): &(&str, &str)| Receipt { id: (*id).to_owned(), body: (*body).to_owned(), acknowledged: true };
    book.receipts = receipts.iter().map(receipt).collect();
    assert_eq!(book.check_chains().is_ok(), expected, "{receipts:?}");
}

fn step(id: &str, body: &str) -> Step {
    let event: Value = serde_json::from_str(body).expect("a delivery's body is JSON");
    assert_eq!(event["id"], id, "the header and the body name the event differently");
    let kind = match event["type"].as_str() {
        Some("items.created") => Kind::Created,
        Some("items.updated") => Kind::Updated,
        Some("items.removed") => Kind::Removed,
        other => panic!("an event of type {other:?}"),
    };
    let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("no number in {body}"));
    Step {
        id: number(&event["data"]["id"]),
        version: number(&event["data"]["version"]),
        kind,
        previous: event["previous"]["version"].as_u64(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(clippy::print_stderr, reason = "whoever repeats a failed run needs the seed")]
fn report(line: &str) {
    eprintln!("{line}");
}
