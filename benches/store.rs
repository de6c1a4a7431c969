//! What the store costs: seen items per second and on disk, start-up and memory with a million of them, the latency
//! of a durable commit, and deliveries through the outbox per second. Prints medians.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use pollhook::clock::{SharedClock, SystemClock};
use pollhook::model::change::ChangeKind;
use pollhook::model::delivery::Attempt;
use pollhook::model::event::{Event, EventType, RoutedEvent};
use pollhook::model::fingerprint::{BodyHash, Fingerprint, KeyHash};
use pollhook::model::id::{ConnectorName, EventId, SubscriptionName};
use pollhook::model::item::{Presence, SeenItem};
use pollhook::model::time::Timestamp;
use pollhook::store::embedded::{self, EmbeddedStore, Options};
use pollhook::store::{
    Claim, ConnectorState, DeliveryStore, HistoryStore, PollCommit, PollStore, RulesMemory, SeenSelection, SeenUpdate,
    Settlement, Verdict,
};
use pollhook::telemetry::Telemetry;

const ITEMS: u64 = 1_000_000;
const ITEMS_OF_A_POLL: u64 = 10_000;
const LEASE: Duration = Duration::from_secs(3600);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().position(|argument| argument == "resident") {
        Some(position) => runtime.block_on(resident(Path::new(&arguments[position + 1]))),
        None => runtime.block_on(all()),
    }
}

async fn all() {
    let clock = SystemClock::shared();
    let scratch = tempfile::tempdir().expect("a directory");
    let full = scratch.path().join("full");
    report_resident("resident memory, empty store", &scratch.path().join("empty"));
    seen_items(&clock, &full).await;
    start_up(&clock, &full);
    report_resident("resident memory, 1,000,000 seen items", &full);
    commits(&clock, &scratch.path().join("commits")).await;
    outbox(&clock, &scratch.path().join("outbox")).await;
}

fn open(directory: &Path) -> EmbeddedStore {
    embedded::open(directory, Options::default(), Telemetry::shared()).expect("the store opens")
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_795_000_000_000)
}

fn orders() -> ConnectorName {
    "orders".parse().expect("a name")
}

fn hashes(numbers: impl Iterator<Item = u64>) -> Vec<KeyHash> {
    let mut hashes: Vec<_> = numbers.map(|number| KeyHash::of(&number.to_string())).collect();
    hashes.sort_unstable();
    hashes
}

fn update(key_hash: KeyHash, event: Option<RoutedEvent>) -> SeenUpdate {
    let (first_seen, last_seen) = (now(), now());
    let fingerprint = Fingerprint(key_hash.0);
    let seen =
        SeenItem { key_hash, fingerprint, first_seen, last_seen, presence: Presence::Present, epoch: 0, key: None };
    SeenUpdate { seen, kept: None, event }
}

async fn poll(store: &EmbeddedStore, updates: Vec<SeenUpdate>) {
    let digest = BodyHash([0; 32]);
    let digest = RulesMemory { pages: digest, keys: digest, fingerprints: digest };
    let state = ConnectorState {
        succeeded_at: Some(now()),
        compared_at: Some(now()),
        baselined: true,
        ..ConnectorState::first(now(), digest)
    };
    let lease = store.lease_poll(&orders(), now(), LEASE).await.expect("an answer").expect("nobody holds it");
    let commit = PollCommit::new(now(), updates, state);
    store.commit_poll(lease, commit).await.expect("a commit");
}

async fn seen_items(clock: &SharedClock, directory: &Path) {
    let store = open(directory);
    let mut inserted = Vec::new();
    for first in (0..ITEMS).step_by(100_000) {
        let updates = hashes(first..first + 100_000).into_iter().map(|hash| update(hash, None)).collect();
        let began = clock.monotonic();
        poll(&store, updates).await;
        inserted.push(per_second(100_000, since(clock, began)));
    }
    report("seen items inserted, 100,000 a poll", median(&mut inserted), "items/s");

    let mut compared = Vec::new();
    for _ in 0..10 {
        let began = clock.monotonic();
        let found = store.seen_items(&orders(), SeenSelection::All).await.expect("a read");
        compared.push(per_second(found.len() as u64, since(clock, began)));
    }
    report("seen items read, all 1,000,000", median(&mut compared), "items/s");

    let mut looked_up = Vec::new();
    for round in 0..20 {
        let asked = hashes((0..ITEMS_OF_A_POLL).map(|number| (number * 97 + round) % ITEMS));
        let began = clock.monotonic();
        let found = store.seen_items(&orders(), SeenSelection::Keys(asked)).await.expect("a read");
        assert_eq!(found.len() as u64, ITEMS_OF_A_POLL);
        looked_up.push(per_second(ITEMS_OF_A_POLL, since(clock, began)));
    }
    report("seen items looked up, 10,000 of 1,000,000", median(&mut looked_up), "items/s");
    store.close().await.expect("it closes");
    report("on disk, for each of 1,000,000 seen items", blocks(&directory.join("sled")) as f64 / ITEMS as f64, "bytes");
}

fn start_up(clock: &SharedClock, directory: &Path) {
    let mut took = Vec::new();
    for _ in 0..5 {
        let began = clock.monotonic();
        let store = open(directory);
        took.push(since(clock, began).as_secs_f64() * 1000.0);
        drop(store);
    }
    report("start with 1,000,000 seen items", median(&mut took), "ms");
}

/// Opens the store in a process of its own, which says how much memory it has.
fn report_resident(what: &str, directory: &Path) {
    let output = Command::new(std::env::current_exe().expect("this benchmark"))
        .arg("resident")
        .arg(directory)
        .output()
        .expect("the process starts");
    print!("{}", String::from_utf8_lossy(&output.stdout).replace("resident memory", what));
}

async fn resident(directory: &Path) {
    let store = open(directory);
    report("resident memory, opened", resident_mebibytes(), "MiB");
    let asked = hashes((0..ITEMS_OF_A_POLL).map(|number| number * 97 % ITEMS));
    store.seen_items(&orders(), SeenSelection::Keys(asked)).await.expect("a read");
    report("resident memory, after one poll of 10,000", resident_mebibytes(), "MiB");
}

async fn commits(clock: &SharedClock, directory: &Path) {
    let store = open(directory);
    let mut took = Vec::new();
    for number in 0..2000_u64 {
        let updates = vec![update(KeyHash::of(&number.to_string()), Some(routed(number)))];
        let began = clock.monotonic();
        poll(&store, updates).await;
        took.push(since(clock, began).as_secs_f64() * 1000.0);
    }
    report("durable commit of one event", median(&mut took), "ms");
}

fn routed(number: u64) -> RoutedEvent {
    let event = Event {
        event_type: EventType::of_change(&orders(), ChangeKind::Created),
        time: now(),
        id: EventId::new(now()),
        connector: orders(),
        element: None,
        key: number.to_string(),
        data: serde_json::value::to_raw_value(&"x".repeat(500)).expect("JSON"),
        changes: None,
        previous: None,
        reappeared: false,
    };
    RoutedEvent { event: Arc::new(event), subscriptions: vec![erp()] }
}

fn erp() -> SubscriptionName {
    "erp".parse().expect("a name")
}

async fn outbox(clock: &SharedClock, directory: &Path) {
    let store = open(directory);
    let (mut created, mut cycled) = (Vec::new(), Vec::new());
    for round in 0..10 {
        let numbers = round * 2000..(round + 1) * 2000;
        let updates = numbers.map(|number| update(KeyHash::of(&number.to_string()), Some(routed(number)))).collect();
        let began = clock.monotonic();
        poll(&store, updates).await;
        created.push(per_second(2000, since(clock, began)));
        loop {
            let claimed =
                store.claim_deliveries(&erp(), now(), Claim::up_to(64, LEASE)).await.expect("a claim").deliveries;
            if claimed.is_empty() {
                break;
            }
            let settlements = claimed.into_iter().map(|claimed| {
                let attempt = Attempt {
                    duration: Duration::from_millis(3),
                    status: Some(200),
                    answer: "ok".into(),
                    ..Attempt::begun(1, now())
                };
                let verdict = Verdict::Delivered;
                store.settle_delivery(Settlement { lease: claimed.lease, attempt, verdict, news: Vec::new() })
            });
            for settled in join_all(settlements).await {
                settled.expect("a settlement");
            }
        }
        cycled.push(per_second(2000, since(clock, began)));
    }
    report("events created, 2,000 a poll", median(&mut created), "events/s");
    report("events created, claimed and settled, 64 at once", median(&mut cycled), "events/s");
}

fn since(clock: &SharedClock, began: Duration) -> Duration {
    clock.monotonic().saturating_sub(began)
}

fn per_second(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn report(what: &str, value: f64, unit: &str) {
    println!("{what:<58} {value:>14.2} {unit}");
}

/// Returns how many bytes of disk a directory's files take.
fn blocks(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).expect("a directory");
    entries
        .map(|entry| {
            let entry = entry.expect("an entry");
            let metadata = entry.metadata().expect("its size");
            if metadata.is_dir() { blocks(&entry.path()) } else { metadata.blocks() * 512 }
        })
        .sum()
}

fn resident_mebibytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").trim().parse().unwrap_or(0.0);
    kibibytes / 1024.0
}
