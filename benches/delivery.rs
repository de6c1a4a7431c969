//! Deliveries through the durable store beside a bare POST loop to the same receiver: `cargo bench --bench delivery`.

#[path = "support/loopback.rs"]
mod loopback;
mod support;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use pollhook::auth::Credentials;
use pollhook::clock::{SharedClock, SystemClock};
use pollhook::deliver::{DeliverContext, Lane, Renderer, SubscriptionSet};
use pollhook::http::{BodyLimit, HttpClient, HttpRequest, Limits, Method, header::HeaderMap};
use pollhook::model::change::ChangeKind;
use pollhook::model::event::{Event, EventType, Route};
use pollhook::model::fingerprint::{BodyHash, Fingerprint, KeyHash};
use pollhook::model::id::{ConnectorName, EventId};
use pollhook::model::item::{Presence, SeenItem};
use pollhook::model::subscription::Subscription;
use pollhook::store::{ConnectorState, PollCommit, RulesMemory, SeenUpdate, SharedStore};
use pollhook::telemetry::Telemetry;
use support::{figure, median, now};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

const DELIVERIES: usize = 20_000;
const CONCURRENCY: usize = 64;
const ROUNDS: usize = 5;

/// How many items one poll finds new.
const NEW_PER_POLL: usize = 10_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        throughput().await;
        latency().await;
    });
}

async fn throughput() {
    let (address, receipts) = receiver();
    let (mut bare, mut durable) = (Vec::new(), Vec::new());
    let (mut bare_work, mut durable_work) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..ROUNDS {
        let before = processor_time();
        bare.push(bare_loop(address).await);
        let between = processor_time();
        durable.push(through_the_store(address, &receipts).await);
        bare_work += between.saturating_sub(before);
        durable_work += processor_time().saturating_sub(between);
    }
    let ratios = bare.iter().zip(&durable).map(|(bare, durable)| bare.as_secs_f64() / durable.as_secs_f64());
    let mut ratios: Vec<f64> = ratios.collect();
    ratios.sort_by(f64::total_cmp);
    let rate = |times: Vec<Duration>| format!("{:.0} deliveries/s", DELIVERIES as f64 / median(times).as_secs_f64());
    figure("a bare POST loop, 64 connections", rate(bare));
    figure("committed, delivered and settled through the durable store, 64 at a time", rate(durable));
    let each = |work: Duration| format!("{:.0} µs", work.as_secs_f64() * 1e6 / (DELIVERIES * ROUNDS) as f64);
    figure("  processor time for each delivery and its receipt, bare", each(bare_work));
    figure("  processor time for each delivery and its receipt, durable", each(durable_work));
    figure("  share of the bare loop (median of the pairs)", format_args!("{:.0} %", ratios[ROUNDS / 2] * 100.0));
}

/// Returns the time that processors have spent on this process, to ten milliseconds.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields = stat.rsplit(')').next().expect("a command").split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
    Duration::from_millis(ticks * 10)
}

/// POSTs bodies of the same size to the same receiver, remembering nothing.
async fn bare_loop(address: SocketAddr) -> Duration {
    let http = HttpClient::new().expect("a client");
    let url = url::Url::parse(&format!("http://{address}/")).expect("an address");
    let clock = SystemClock::shared();
    let body = bytes::Bytes::from(serde_json::to_vec(&event(&clock, 0)).expect("JSON"));
    let left = Arc::new(AtomicUsize::new(DELIVERIES));
    let began = now();
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..CONCURRENCY {
        let (http, url, body, left) = (http.clone(), url.clone(), body.clone(), left.clone());
        senders.spawn(async move {
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                let request = HttpRequest {
                    method: Method::POST,
                    url: url.clone(),
                    headers: HeaderMap::new(),
                    body: body.clone(),
                };
                let limits = Limits { deadline: Duration::from_secs(15), body: BodyLimit::Keep(0) };
                assert_eq!(http.send(request, limits).await.expect("an answer").status, 204);
            }
        });
    }
    senders.join_all().await;
    began.elapsed()
}

/// Commits polls that find new items while a lane delivers their events, until all are settled.
async fn through_the_store(address: SocketAddr, receipts: &Receipts) -> Duration {
    let bench = Bench::new(address);
    let before = receipts.count();
    let stop = CancellationToken::new();
    let began = now();
    let lane = tokio::task::JoinSet::from_iter([bench.lane().run(stop.clone())]);
    for poll in 0..DELIVERIES / NEW_PER_POLL {
        bench.commit(poll * NEW_PER_POLL..(poll + 1) * NEW_PER_POLL).await;
    }
    receipts.wait(before, DELIVERIES).await;
    stop.cancel();
    lane.join_all().await;
    let elapsed = began.elapsed();
    bench.store.close().await.expect("closing");
    elapsed
}

/// Measures from a change being detected to its receipt, one at a time.
async fn latency() {
    let (address, receipts) = receiver();
    let bench = Bench::new(address);
    let stop = CancellationToken::new();
    let lane = tokio::task::JoinSet::from_iter([bench.lane().run(stop.clone())]);
    let mut latencies = Vec::new();
    for number in 0..300 {
        let before = receipts.count();
        let began = now();
        bench.commit(number..number + 1).await;
        receipts.wait(before, 1).await;
        latencies.push(began.elapsed());
    }
    stop.cancel();
    lane.join_all().await;
    latencies.sort_unstable();
    let at = |share: usize| format!("{:.2} ms", latencies[latencies.len() * share / 100].as_secs_f64() * 1e3);
    figure("from detection to receipt, durable, p50", at(50));
    figure("from detection to receipt, durable, p99", at(99));
}

struct Bench {
    _folder: tempfile::TempDir,
    store: SharedStore,
    clock: SharedClock,
    route: Arc<SubscriptionSet>,
    subscription: Arc<Subscription>,
}

impl Bench {
    fn new(address: SocketAddr) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let text = format!(
            "[subscriptions.sink]\nurl = \"http://{address}/\"\nconcurrency = {CONCURRENCY}\nsecret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n"
        );
        let configuration = loopback::configuration(folder.path(), &text);
        let store = support::store(&folder.path().join("data"));
        let route = Arc::new(SubscriptionSet::new(configuration.subscriptions.clone(), Telemetry::shared()));
        let subscription = configuration.subscriptions[0].clone();
        Self { _folder: folder, store, clock: SystemClock::shared(), route, subscription }
    }

    fn lane(&self) -> Lane {
        let context = DeliverContext {
            http: HttpClient::new().expect("a client"),
            store: self.store.clone(),
            clock: self.clock.clone(),
            route: self.route.clone(),
            renderer: Arc::new(Renderer::default()),
            credentials: Credentials::new(None, self.clock.clone(), Telemetry::shared()),
            telemetry: Telemetry::shared(),
        };
        Lane::new(self.subscription.clone(), context)
    }

    /// Commits a poll that found these items new.
    async fn commit(&self, numbers: std::ops::Range<usize>) {
        let at = self.clock.now();
        let lease = self.store.lease_poll(&connector(), at, Duration::from_secs(60)).await.expect("the store works");
        let updates = numbers.map(|number| {
            let event = event(&self.clock, number);
            let key_hash = KeyHash::of(&event.key);
            let seen = SeenItem {
                key_hash,
                fingerprint: Fingerprint(key_hash.0),
                first_seen: at,
                last_seen: at,
                presence: Presence::Present,
                epoch: 0,
                key: None,
            };
            SeenUpdate { seen, kept: None, event: Some(self.route.route(event)) }
        });
        let commit = PollCommit::new(at, updates.collect(), state(at));
        self.store.commit_poll(lease.expect("nobody else polls"), commit).await.expect("the store works");
    }
}

fn connector() -> ConnectorName {
    "orders".parse().expect("a name")
}

fn event(clock: &SharedClock, number: usize) -> Event {
    let data = format!(
        r#"{{"id":{number},"customer":"someone","status":"paid","total":129.90,"note":"{}"}}"#,
        "It was paid, and nothing else is known of it. ".repeat(6),
    );
    let at = clock.now();
    Event {
        event_type: EventType::of_change(&connector(), ChangeKind::Created),
        time: at,
        id: EventId::new(at),
        connector: connector(),
        element: None,
        key: number.to_string(),
        data: serde_json::value::RawValue::from_string(data).expect("JSON"),
        changes: None,
        previous: None,
        reappeared: false,
    }
}

fn state(at: pollhook::model::time::Timestamp) -> ConnectorState {
    let none = BodyHash([0; 32]);
    let rules = RulesMemory { pages: none, keys: none, fingerprints: none };
    ConnectorState { baselined: true, ..ConnectorState::first(at, rules) }
}

/// What a receiver has got.
#[derive(Default)]
struct Receipts {
    count: AtomicUsize,
    wanted: AtomicUsize,
    reached: Notify,
}

impl Receipts {
    /// Waits, without taking processor time from what is measured, until so many more have arrived than `before`.
    async fn wait(&self, before: usize, more: usize) {
        self.wanted.store(before + more, Ordering::SeqCst);
        while self.count() < before + more {
            self.reached.notified().await;
        }
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

/// Starts a receiver that answers 204 and counts.
fn receiver() -> (SocketAddr, Arc<Receipts>) {
    let receipts = Arc::new(Receipts::default());
    let counting = receipts.clone();
    let router = Router::new().fallback(move |_body: Bytes| {
        let count = counting.count.fetch_add(1, Ordering::SeqCst) + 1;
        if count == counting.wanted.load(Ordering::SeqCst) {
            counting.reached.notify_one();
        }
        async { Ok::<_, Infallible>(StatusCode::NO_CONTENT.into_response()) }
    });
    (loopback::serve(router), receipts)
}
