//! Deliveries from the store to a receiver on a real socket.

mod auth;
mod batch;
mod breaker;
mod by_hand;
mod chaos;
mod content;
mod egress;
mod lane;
mod order;
mod patience;
mod rate;
#[path = "../support/receiver.rs"]
mod receiver;
mod secure;
#[path = "../support/tls.rs"]
mod tls;

use std::sync::Arc;
use std::time::Duration;

use pollhook::auth::Credentials;
use pollhook::clock::{Clock, ManualClock};
use pollhook::deliver::{DeliverContext, Lane, Renderer, SubscriptionSet, VerifyError, enable};
use pollhook::http::HttpClient;
use pollhook::model::change::ChangeKind;
use pollhook::model::content::Content;
use pollhook::model::delivery::{ANSWER_KEPT, Attempt, DeathReason, DeliveryState, FailureClass, Phases};
use pollhook::model::event::{Event, EventType, RoutedEvent, ServiceNews};
use pollhook::model::id::DeliveryId;
use pollhook::model::lane::LanePolicy;
use pollhook::model::pattern::Pattern;
use pollhook::model::retry::RetryPolicy;
use pollhook::model::secret::{Redactor, Secret, SigningSecret};
use pollhook::model::signing::{Signing, Timed};
use pollhook::model::subscription::{Matching, Origin, Subscription};
use pollhook::model::time::Timestamp;
use pollhook::store::memory::MemoryStore;
use pollhook::store::{Claim, DeliveryStore, EventQuery, HistoryStore, LaneState};
use pollhook::telemetry::{SharedTelemetry, Telemetry};
use receiver::{Answer, Received, Receiver, eventually};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const HMAC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER_HMAC: &str = "whsec_b3RoZXIgc2VjcmV0IG9mIDI0IGJ5dGVz";
const ED25519: &str = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";

/// A store, a clock, and the lanes that run on them.
struct House {
    clock: Arc<ManualClock>,
    store: Arc<MemoryStore>,
    telemetry: SharedTelemetry,
    credentials: Credentials,
    subscriptions: Vec<Arc<Subscription>>,
    lanes: JoinSet<()>,
    shutdown: CancellationToken,
}

impl House {
    fn new(subscriptions: Vec<Subscription>) -> Self {
        let (clock, telemetry) = (ManualClock::starting_at(start()), Telemetry::shared());
        Self {
            credentials: Credentials::new(None, clock.clone(), telemetry.clone()),
            clock,
            store: MemoryStore::new(),
            telemetry,
            subscriptions: subscriptions.into_iter().map(Arc::new).collect(),
            lanes: JoinSet::new(),
            shutdown: CancellationToken::new(),
        }
    }

    /// Runs a lane for each subscription.
    fn run(&mut self) {
        let context = DeliverContext {
            http: HttpClient::new().expect("a client"),
            store: Arc::clone(&self.store) as _,
            clock: Arc::clone(&self.clock) as _,
            route: Arc::new(SubscriptionSet::new(self.subscriptions.clone(), Arc::clone(&self.telemetry))),
            renderer: Arc::new(Renderer::default()),
            credentials: self.credentials.clone(),
            telemetry: Arc::clone(&self.telemetry),
        };
        for subscription in &self.subscriptions {
            let lane = Lane::new(Arc::clone(subscription), context.clone());
            self.lanes.spawn(lane.run(self.shutdown.clone()));
        }
    }

    /// Stops the lanes as the service does and waits until they have ended.
    async fn stop(&mut self) {
        self.shutdown.cancel();
        while let Some(ended) = self.lanes.join_next().await {
            ended.expect("a lane ends without a panic");
        }
        self.shutdown = CancellationToken::new();
    }

    /// Makes an event durable that goes to this subscription.
    async fn add(&self, number: u64, subscription: &str) -> DeliveryId {
        self.add_event(event(number, self.clock.now()), subscription).await
    }

    async fn add_event(&self, event: Event, subscription: &str) -> DeliveryId {
        let subscription = subscription.parse().expect("a name");
        let id = DeliveryId { event: event.id, subscription };
        let news = RoutedEvent { event: Arc::new(event), subscriptions: vec![id.subscription.clone()] };
        let state = self.store.lane_state(&id.subscription).await.expect("a state");
        self.store.set_lane_state(&id.subscription, state, vec![news]).await.expect("a commit");
        id
    }

    async fn attempts(&self, id: &DeliveryId) -> (DeliveryState, Vec<Attempt>) {
        let (delivery, attempts) = self.store.delivery(id).await.expect("a read").expect("the delivery");
        (delivery.state, attempts)
    }

    /// Waits until a delivery has had this many attempts and returns where it stands.
    async fn after_attempts(&self, id: &DeliveryId, count: usize) -> (DeliveryState, Vec<Attempt>) {
        eventually("an attempt is settled", async || {
            let found = self.attempts(id).await;
            (found.1.len() >= count).then_some(found)
        })
        .await
    }

    /// Waits until these deliveries have had so many attempts together.
    async fn after_attempts_of_all(&self, ids: &[DeliveryId], count: usize) {
        eventually("the attempts are settled", async || {
            let mut made = 0;
            for id in ids {
                made += self.attempts(id).await.1.len();
            }
            (made >= count).then_some(())
        })
        .await;
    }

    #[track_caller]
    fn assert_delivered(state: &DeliveryState) {
        assert!(matches!(state, DeliveryState::Delivered { .. }), "{state:?}");
    }

    /// Returns the types and data of the service's own events, the oldest first.
    async fn news(&self) -> Vec<(String, serde_json::Value)> {
        let events = self.store.events(EventQuery { limit: 100, ..EventQuery::default() }).await.expect("a read");
        let news = events.iter().rev().map(|routed| &routed.event).filter(|event| event.connector.is_service());
        let data = |event: &Event| serde_json::from_str(event.data.get()).expect("JSON");
        news.map(|event| (event.event_type.to_string(), data(event))).collect()
    }
}

fn start() -> Timestamp {
    Timestamp::parse("2026-11-20T12:00:00Z").expect("a time")
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Returns a subscription with one attempt at a time and waits of 10 and 60 seconds.
fn subscription(name: &str, url: &str) -> Subscription {
    Subscription {
        name: name.parse().expect("a name"),
        url: url.parse().expect("a URL"),
        matching: Matching { connectors: Vec::new(), events: Vec::new(), filter: None },
        origin: Origin::Configuration,
        content: Content::default(),
        signing: Signing::none(),
        auth: None,
        tls: None,
        headers: Vec::new(),
        timeout: seconds(10),
        lane: LanePolicy { concurrency: 1, ..LanePolicy::default() },
        retry: RetryPolicy::new(vec![seconds(10), seconds(60)]),
        redactor: Redactor::default(),
    }
}

fn secrets(texts: &[&str]) -> Signing {
    let secret = |text: &&str| Timed::always(SigningSecret::parse(text).expect("a secret"));
    Signing::Standard(texts.iter().map(secret).collect())
}

fn event(number: u64, time: Timestamp) -> Event {
    let mut event = Event::of_service(ServiceNews::DeliveryDead, &number.to_string(), time, &json!({ "id": number }));
    event.connector = "orders".parse().expect("a name");
    event.event_type = EventType::of_change(&event.connector, ChangeKind::Created);
    event
}
