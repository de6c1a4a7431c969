//! Lanes over a durable store, without a poll side, and a receiver that takes note of what it gets.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::http::{StatusCode, Uri};
use pollhook::auth::Credentials;
use pollhook::clock::{SharedClock, SystemClock};
use pollhook::deliver::{DeliverContext, Lane, Renderer, SubscriptionSet};
use pollhook::http::HttpClient;
use pollhook::model::change::ChangeKind;
use pollhook::model::event::{Event, EventType, Route};
use pollhook::model::fingerprint::{BodyHash, Fingerprint, KeyHash};
use pollhook::model::id::{ConnectorName, EventId};
use pollhook::model::item::{Presence, SeenItem};
use pollhook::model::subscription::Subscription;
use pollhook::model::time::Timestamp;
use pollhook::store::{ConnectorState, PollCommit, PollStore, RulesMemory, SeenUpdate, SharedStore};
use pollhook::telemetry::Telemetry;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::loopback;
use crate::support::{self, now};

/// A store and the subscriptions whose lanes run on it.
pub struct House {
    _folder: tempfile::TempDir,
    pub store: SharedStore,
    clock: SharedClock,
    route: Arc<SubscriptionSet>,
    subscriptions: Vec<Arc<Subscription>>,
}

/// Lanes that run.
pub struct Running {
    stop: CancellationToken,
    lanes: JoinSet<()>,
}

impl House {
    /// Returns a house with a store of its own and these subscriptions, in TOML.
    pub fn new(subscriptions: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let subscriptions = loopback::configuration(folder.path(), subscriptions).subscriptions;
        let store = support::store(&folder.path().join("data"));
        let route = Arc::new(SubscriptionSet::new(subscriptions.clone(), Telemetry::shared()));
        Self { _folder: folder, store, clock: SystemClock::shared(), route, subscriptions }
    }

    /// Runs a lane for each subscription.
    pub fn run(&self) -> Running {
        let stop = CancellationToken::new();
        let context = DeliverContext {
            http: HttpClient::new().expect("a client"),
            store: self.store.clone(),
            clock: self.clock.clone(),
            route: self.route.clone(),
            renderer: Arc::new(Renderer::default()),
            credentials: Credentials::new(None, self.clock.clone(), Telemetry::shared()),
            telemetry: Telemetry::shared(),
        };
        let run = |subscription: &Arc<Subscription>| Lane::new(subscription.clone(), context.clone()).run(stop.clone());
        let lanes = self.subscriptions.iter().map(run).collect();
        Running { stop, lanes }
    }

    /// Commits a poll that found these items new.
    pub async fn commit(&self, numbers: Range<usize>) {
        commit(&*self.store, &*self.route, self.clock.now(), numbers).await;
    }
}

impl Running {
    /// Stops the lanes as the service does.
    pub async fn stop(self) {
        self.stop.cancel();
        self.lanes.join_all().await;
    }
}

/// Commits a poll that found these items new.
pub async fn commit<S: PollStore + ?Sized>(store: &S, route: &dyn Route, at: Timestamp, numbers: Range<usize>) {
    let lease = store.lease_poll(&connector(), at, Duration::from_secs(60)).await.expect("the store works");
    let updates = numbers.map(|number| {
        let event = event(at, number);
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
        SeenUpdate { seen, kept: None, event: Some(route.route(event)) }
    });
    let none = BodyHash([0; 32]);
    let rules = RulesMemory { pages: none, keys: none, fingerprints: none };
    let state = ConnectorState { baselined: true, ..ConnectorState::first(at, rules) };
    let commit = PollCommit::new(at, updates.collect(), state);
    store.commit_poll(lease.expect("nobody else polls"), commit).await.expect("the store works");
}

/// Returns an event whose item has this number, of about 500 bytes.
pub fn event(at: Timestamp, number: usize) -> Event {
    let data = format!(
        r#"{{"id":{number},"customer":"someone","status":"paid","total":129.90,"note":"{}"}}"#,
        "It was paid, and nothing else is known of it. ".repeat(6),
    );
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

fn connector() -> ConnectorName {
    "orders".parse().expect("a name")
}

/// What a receiver has got.
#[derive(Default)]
pub struct Receipts {
    count: AtomicUsize,
    wanted: AtomicUsize,
    reached: Notify,
    /// When each item arrived at each path first.
    times: Mutex<HashMap<(String, usize), Instant>>,
}

impl Receipts {
    /// Waits, without taking processor time from what is measured, until so many more have arrived than `before`.
    pub async fn wait(&self, before: usize, more: usize) {
        self.wanted.store(before + more, Ordering::SeqCst);
        while self.count() < before + more {
            self.reached.notified().await;
        }
    }

    pub fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Returns when each item arrived at each path, and forgets it.
    pub fn take_times(&self) -> HashMap<(String, usize), Instant> {
        std::mem::take(&mut *self.times.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self) {
        let count = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        if count == self.wanted.load(Ordering::SeqCst) {
            self.reached.notify_one();
        }
    }
}

/// Starts a receiver that answers 204 and counts.
pub fn counting() -> (SocketAddr, Arc<Receipts>) {
    let receipts = Arc::new(Receipts::default());
    let counting = receipts.clone();
    let router = Router::new().fallback(move |_body: Bytes| {
        counting.note();
        async { StatusCode::NO_CONTENT }
    });
    (loopback::serve(router), receipts)
}

/// Starts a receiver that answers 204, below `/slow` after ten seconds, and takes note of when what came.
pub fn timing() -> (SocketAddr, Arc<Receipts>) {
    let receipts = Arc::new(Receipts::default());
    let noting = receipts.clone();
    let clock = SystemClock::shared();
    let router = Router::new().fallback(move |uri: Uri, body: Bytes| {
        let (noting, clock) = (noting.clone(), clock.clone());
        async move {
            if uri.path() == "/slow" {
                clock.sleep_until(clock.now() + Duration::from_secs(10)).await;
                return StatusCode::NO_CONTENT;
            }
            let key = (uri.path().to_owned(), number_in(&body));
            noting.times.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_insert_with(now);
            noting.note();
            StatusCode::NO_CONTENT
        }
    });
    (loopback::serve(router), receipts)
}

/// Returns the number of a delivery's item.
fn number_in(body: &[u8]) -> usize {
    let text = std::str::from_utf8(body).expect("JSON");
    let (_, rest) = text.split_once(r#""data":{"id":"#).expect("an item with a number");
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next().expect("a number");
    digits.parse().expect("a number")
}
