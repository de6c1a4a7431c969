//! The task that carries replays out, on a store in memory and a clock that is moved by hand.

use std::sync::Arc;
use std::time::Duration;

use pollhook::clock::{Clock as _, ManualClock};
use pollhook::deliver::Registry;
use pollhook::deliver::replay::{ReplayContext, preview, run};
use pollhook::model::change::ChangeKind;
use pollhook::model::content::Content;
use pollhook::model::delivery::DeliveryState;
use pollhook::model::event::{Event, EventType, RoutedEvent};
use pollhook::model::expression::Expression;
use pollhook::model::id::{DeliveryId, EventId};
use pollhook::model::lane::LanePolicy;
use pollhook::model::replay::{Replay, ReplayId, ReplayState, WrittenSelection};
use pollhook::model::retry::RetryPolicy;
use pollhook::model::secret::Redactor;
use pollhook::model::signing::Signing;
use pollhook::model::subscription::{Matching, Origin, Subscription};
use pollhook::model::time::Timestamp;
use pollhook::store::memory::MemoryStore;
use pollhook::store::{DeliveryQuery, DeliveryStore as _, HistoryStore as _, LookBounds, ReplayStep, ReplayStore as _};
use pollhook::telemetry::Telemetry;
use serde_json::value::RawValue;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A store with events, and the task that carries out replays on it.
struct House {
    clock: Arc<ManualClock>,
    store: Arc<MemoryStore>,
    registry: Arc<Registry>,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl House {
    /// Returns a house with so many events that went to nobody, about items that are numbered.
    async fn new(subscriptions: Vec<Subscription>, events: usize) -> Self {
        let clock = ManualClock::starting_at(Timestamp::parse("2026-11-20T12:00:00Z").expect("a time"));
        let store = MemoryStore::new();
        let event = |number: usize| Event {
            event_type: EventType::of_change(&"orders".parse().expect("a name"), ChangeKind::Created),
            time: clock.now(),
            id: EventId::new(clock.now()),
            connector: "orders".parse().expect("a name"),
            element: None,
            key: number.to_string(),
            data: RawValue::from_string(number.to_string()).expect("JSON"),
            changes: None,
            previous: None,
            reappeared: false,
        };
        let events =
            (0..events).map(|number| RoutedEvent { event: Arc::new(event(number)), subscriptions: Vec::new() });
        store.record_events(events.collect()).await.expect("they are stored");
        clock.advance(Duration::from_secs(1));
        let subscriptions = subscriptions.into_iter().map(Arc::new).collect();
        let registry = Registry::new(subscriptions, Vec::new(), store.clone(), Telemetry::shared());
        Self { clock, store, registry, tasks: JoinSet::new(), stop: CancellationToken::new() }
    }

    fn run(&mut self) {
        let context = ReplayContext {
            store: self.store.clone(),
            clock: self.clock.clone(),
            registry: self.registry.clone(),
            telemetry: Telemetry::shared(),
        };
        let stop = self.stop.clone();
        self.tasks.spawn(async move { run(context, stop).await.expect("the store works") });
    }

    async fn stop(&mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("it ends without a panic");
        }
        self.stop = CancellationToken::new();
    }

    fn replay(&self, to: &str, rate: &str) -> Replay {
        let written = WrittenSelection { to: Some(to.parse().expect("a name")), ..WrittenSelection::default() };
        Replay::new(written.try_into().expect("a selection"), rate.parse().expect("a rate"), self.clock.now())
    }

    async fn make(&self, to: &str, rate: &str) -> ReplayId {
        let replay = self.replay(to, rate);
        self.store.create_replay(replay.clone()).await.expect("a replay");
        replay.id
    }

    async fn now(&self, id: ReplayId) -> Replay {
        self.store.one_replay(id).await.expect("a read").expect("the replay")
    }

    /// Moves the clock, a little at a time, until the replay is as wanted.
    async fn until(&self, id: ReplayId, wanted: impl Fn(&Replay) -> bool) -> Replay {
        for _ in 0..1_000_000 {
            let replay = self.now(id).await;
            if wanted(&replay) {
                return replay;
            }
            self.clock.advance(Duration::from_millis(1));
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }
        panic!("{:?} does not come to what is wanted", self.now(id).await);
    }

    /// Returns how many deliveries wait for a subscription.
    async fn waiting(&self, name: &str) -> Vec<DeliveryId> {
        let subscription = Some(name.parse().expect("a name"));
        let query = DeliveryQuery { subscription, limit: usize::MAX, ..DeliveryQuery::default() };
        let found = self.store.deliveries(query).await.expect("a read");
        assert!(found.iter().all(|one| matches!(one.state, DeliveryState::Pending { .. })));
        found.into_iter().map(|one| one.id).collect()
    }
}

fn subscription(name: &str, filter: Option<&str>) -> Subscription {
    let filter = filter.map(|source| Expression::parse(source).expect("an expression"));
    Subscription {
        name: name.parse().expect("a name"),
        url: "http://127.0.0.1:9/".parse().expect("a URL"),
        matching: Matching { connectors: Vec::new(), events: Vec::new(), filter },
        origin: Origin::Configuration,
        content: Content::default(),
        signing: Signing::none(),
        auth: None,
        tls: None,
        headers: Vec::new(),
        timeout: Duration::from_secs(10),
        lane: LanePolicy::default(),
        retry: RetryPolicy::default(),
        redactor: Redactor::default(),
    }
}

#[tokio::test]
async fn only_what_the_target_wants_is_queued() {
    let mut house = House::new(vec![subscription("even", Some(".data % 2 == 0"))], 500).await;
    let present = house.registry.present();
    let even = present.get(&"even".parse().expect("a name")).expect("it is there");
    let seen = preview(&*house.store, even, house.replay("even", "500/s")).await.expect("a look");
    assert_eq!((seen.count, seen.is_whole, seen.looked_at, seen.examples.len()), (250, true, 500, 5));
    assert!(house.waiting("even").await.is_empty());

    house.run();
    let id = house.make("even", "100000/s").await;
    let done = house.until(id, |replay| !replay.is_running()).await;
    assert_eq!((done.state, done.queued, done.looked_at), (ReplayState::Done, 250, 500));
    assert_eq!(house.waiting("even").await.len(), 250);
    house.stop().await;
}

#[tokio::test]
async fn a_replay_keeps_to_its_rate_also_over_a_restart() {
    let mut house = House::new(vec![subscription("new", None)], 600).await;
    house.run();
    let id = house.make("new", "10/s").await;
    let started = house.clock.now();
    let some = house.until(id, |replay| replay.queued >= 100).await;
    assert_eq!(some.queued, 100);
    let took = house.clock.now().since(started);
    assert!((Duration::from_secs(9)..Duration::from_secs(11)).contains(&took), "{took:?}");
    house.stop().await;
    house.run();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(house.now(id).await.queued, 100, "the time for more has not come");
    house.until(id, |replay| replay.queued > 100).await;
    assert!(house.clock.now() >= some.next_step_at);
    house.stop().await;
}

#[tokio::test]
async fn replays_take_turns_and_a_slow_one_delays_no_other() {
    let mut house = House::new(vec![subscription("slow", None), subscription("quick", None)], 300).await;
    house.run();
    let slow = house.make("slow", "1/h").await;
    house.until(slow, |replay| replay.queued == 1).await;
    let quick = house.make("quick", "1000/s").await;
    let done = house.until(quick, |replay| !replay.is_running()).await;
    assert_eq!(done.queued, 300);
    assert!(house.clock.now().since(done.created_at) < Duration::from_secs(2));
    let slow = house.now(slow).await;
    assert_eq!(slow.queued, 1);
    assert_eq!(slow.next_step_at.since(slow.started_at.expect("it has begun")), Duration::from_secs(3600));
    house.stop().await;
}

#[tokio::test]
async fn a_cancelled_replay_queues_nothing_more() {
    let mut house = House::new(vec![subscription("new", None)], 300).await;
    house.run();
    let id = house.make("new", "100/s").await;
    house.until(id, |replay| replay.queued >= 100).await;
    house.store.end_replay(id, ReplayState::Cancelled, None, house.clock.now()).await.expect("an answer");
    house.clock.advance(Duration::from_secs(3600));
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    let ended = house.now(id).await;
    assert_eq!((ended.state, ended.queued), (ReplayState::Cancelled, 100));
    assert_eq!(house.waiting("new").await.len(), 100);
    house.stop().await;
}

#[tokio::test]
async fn a_replay_whose_target_is_gone_fails_and_says_why() {
    let mut house = House::new(Vec::new(), 3).await;
    house.run();
    let id = house.make("gone", "100/s").await;
    let failed = house.until(id, |replay| !replay.is_running()).await;
    assert_eq!(failed.state, ReplayState::Failed);
    assert_eq!(failed.cause.as_deref(), Some("there is no subscription gone any more"));
    house.stop().await;
}

/// Whatever was looked at when the process died is looked at again, and queued once.
#[tokio::test]
async fn a_step_that_was_found_and_not_made_is_made_by_the_next_run() {
    let mut house = House::new(vec![subscription("new", None)], 10).await;
    let id = house.make("new", "100000/s").await;
    let replay = house.now(id).await;
    let bounds = LookBounds { found: 4, looked_at: 100, bytes: 1000 };
    let look = house.store.look_for_replay(&replay, bounds).await.expect("a look");
    let step = ReplayStep {
        replay,
        queue: look.found.iter().map(|candidate| candidate.id).collect(),
        looked_at: look.looked_at,
        after: look.after,
        now: house.clock.now(),
        pause_each: Duration::ZERO,
    };
    house.run();
    assert_eq!(house.until(id, |replay| !replay.is_running()).await.queued, 10);
    let late = house.store.step_replay(step).await.expect("an answer");
    assert_eq!((late.state, late.queued), (ReplayState::Done, 10));
    assert_eq!(house.waiting("new").await.len(), 10);
    house.stop().await;
}
