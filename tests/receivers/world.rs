//! The whole service in this process, with a store in memory and a clock that is moved by hand.

use std::sync::Arc;

use pollhook::clock::{Clock, ManualClock};
use pollhook::config::{Configuration, Environment, load};
use pollhook::deliver::{SubscriptionSet, enable};
use pollhook::model::delivery::{Attempt, DeathReason, Delivery, DeliveryState};
use pollhook::model::id::{DeliveryId, SubscriptionName};
use pollhook::model::time::Timestamp;
use pollhook::service::{self, Service, ServiceError};
use pollhook::store::memory::MemoryStore;
use pollhook::store::{DeliveryStore, HistoryStore, LaneState};
use pollhook::telemetry::Telemetry;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::events;

/// A service with one subscription, named `erp`.
pub struct World {
    pub clock: Arc<ManualClock>,
    pub store: Arc<MemoryStore>,
    running: JoinSet<Result<(), ServiceError>>,
}

impl World {
    /// Returns a world in which nothing runs.
    pub fn new() -> Self {
        Self { clock: ManualClock::starting_at(start()), store: MemoryStore::new(), running: JoinSet::new() }
    }

    /// Runs the service with a subscription to this URL, in place of the one before, which is killed.
    pub async fn run(&mut self, url: &str, rules: &str) {
        self.running.shutdown().await;
        self.store.crash();
        let service = Service {
            configuration: configuration(url, rules),
            store: self.store.clone(),
            listener: TcpListener::bind("127.0.0.1:0").await.expect("a free port"),
            clock: self.clock.clone(),
            telemetry: Telemetry::shared(),
        };
        self.running.spawn(service::run(service, std::future::pending()));
    }

    /// Makes events durable whose items have these keys and so many bytes of text. Returns their deliveries.
    pub async fn add(&self, keys: &[&str], bytes: usize) -> Vec<DeliveryId> {
        let route = SubscriptionSet::new(configuration("http://127.0.0.1/", "").subscriptions, Telemetry::shared());
        let keys = keys.iter().map(|key| (*key).to_owned());
        let events = events::add(&*self.store, &route, self.clock.now(), keys, bytes).await;
        events.into_iter().map(|event| DeliveryId { event, subscription: erp() }).collect()
    }

    /// Returns a delivery and its attempts.
    pub async fn delivery(&self, id: &DeliveryId) -> (Delivery, Vec<Attempt>) {
        self.store.delivery(id).await.expect("the store works").expect("the delivery")
    }

    /// Returns how the lane stands.
    pub async fn lane(&self) -> LaneState {
        self.store.lane_state(&erp()).await.expect("the store works")
    }

    /// Does what a person does about dead letters and a subscription that is disabled, and lets time pass until the next
    /// delivery falls due. Does nothing while a delivery is on its way.
    pub async fn go_on(&self, ids: &[DeliveryId]) {
        let now = self.clock.now();
        let lane = self.lane().await;
        if lane.disabled.is_some() {
            enable(&*self.store, &erp()).await.expect("the store works");
        }
        let resting = lane.paused_until.max(lane.breaker.map(|breaker| breaker.until));
        let mut next = resting.filter(|until| *until > now);
        for id in ids {
            match self.delivery(id).await.0.state {
                DeliveryState::Pending { due } if due > now => next = Some(next.map_or(due, |next| next.min(due))),
                DeliveryState::Dead { .. } => self.store.replay(id, now).await.expect("the store works"),
                DeliveryState::Pending { .. } | DeliveryState::Delivered { .. } => {}
            }
        }
        if let Some(next) = next {
            self.clock.advance(next.since(now));
        }
    }
}

/// When every trial begins.
pub fn start() -> Timestamp {
    Timestamp::parse("2026-11-20T12:00:00Z").expect("a time")
}

pub fn erp() -> SubscriptionName {
    "erp".parse().expect("a name")
}

/// Returns the words for what became of a delivery at this time.
pub fn fate(state: &DeliveryState, now: Timestamp) -> String {
    match state {
        DeliveryState::Pending { due } => format!("again in {} s", due.since(now).as_secs()),
        DeliveryState::Delivered { .. } => "delivered".to_owned(),
        DeliveryState::Dead { reason: DeathReason::Gone, .. } => "a dead letter, and disabled".to_owned(),
        DeliveryState::Dead { reason, .. } => format!("a dead letter: {}", reason.as_str()),
    }
}

/// One attempt at a time, so that what is tried after what is certain.
fn configuration(url: &str, rules: &str) -> Configuration {
    let url = format!("url = \"{url}\"");
    let secret = "secret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"";
    let usual = [&url, secret, "concurrency = 1", "retry = [\"10s\", \"10s\", \"10s\"]"];
    let mut text = "[subscriptions.erp]\n".to_owned();
    for line in usual.iter().filter(|line| !rules.contains(line.split('=').next().expect("a key"))) {
        text.push_str(line);
        text.push('\n');
    }
    text.push_str(rules);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.toml");
    std::fs::write(&path, text).expect("a file");
    load(&path, &Environment::default()).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}
