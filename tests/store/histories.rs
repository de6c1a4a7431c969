//! Random histories, made on the memory store and on an embedded one side by side: both give the same answers, also
//! when the embedded one is dropped and opened again in between. And commits that break off between their steps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use pollhook::model::delivery::DeathReason;
use pollhook::model::event::RoutedEvent;
use pollhook::model::event_filter::EventFilter;
use pollhook::model::fingerprint::{BodyHash, KeyHash};
use pollhook::model::id::{ConnectorName, DeliveryId, EventId};
use pollhook::model::item::{Presence, SetAside};
use pollhook::model::lane::Order;
use pollhook::model::secret::Secret;
use pollhook::model::time::Timestamp;
use pollhook::store::memory::MemoryStore;
use pollhook::store::{
    Claim, ClaimedDelivery, DeliveryQuery, DeliveryStateName, DeliveryStore, EventQuery, HistoryStore, LaneState,
    POLLS_KEPT, PollCommit, PollLease, PollPart, PollStore, Retention, SeenSelection, SeenUpdate, Settlement,
    SharedStore, StoreError, Verdict,
};
use proptest::prelude::*;

use super::support::{
    LEASE, MapKeyValue, aside, at, attempt, commit, connector, describe_aside, event, failed, open_map, open_sled,
    poll, raw, record, replay_dead, seen, state, subscription,
};

const CONNECTORS: [&str; 2] = ["orders", "order"];
const FORGETFUL: &str = "orders";
const SUBSCRIPTIONS: [&str; 3] = ["erp", "er", "pollhook"];

/// One thing that happens. Indices are taken modulo what there is.
#[derive(Debug, Clone)]
enum Step {
    LeasePoll { connector: usize },
    ReleasePoll { lease: usize },
    CommitPoll { lease: usize, updates: Vec<Update>, asides: Vec<Aside>, forget_after: Option<u64>, noted: bool },
    CommitItems { lease: usize, updates: Vec<Update>, asides: Vec<Aside> },
    CommitMany { lease: usize, first: u16, count: u16 },
    Claim { subscription: usize, most: usize, most_bytes: usize, lease_for: u64 },
    SetRules { subscription: usize, order: Order, joins: bool },
    Join { claimed: usize, most: usize },
    Settle { claimed: usize, verdict: u8, wait: u64, answer: usize, with_news: bool },
    Release { claimed: usize },
    Replay { event: usize, subscription: usize },
    ReplayDead { subscription: usize, most: usize },
    Send { event: usize, subscription: usize },
    RecordEvents { count: usize, to: u8 },
    KeepGrant { id: u8, length: usize },
    SetLane { subscription: usize, until: Option<u64> },
    Prune { most: usize, delivered: u64, dead: u64, configured: u8 },
    Pass { seconds: u64 },
    Reopen,
    CrashAndReopen,
}

#[derive(Debug, Clone)]
struct Update {
    key: u8,
    version: u8,
    presence: u8,
    with_key: bool,
    kept: Option<usize>,
    event: Option<u8>,
}

/// Something that is set aside from now on, or no more.
#[derive(Debug, Clone)]
struct Aside {
    key: u8,
    length: Option<usize>,
}

fn aside_or_drop() -> impl Strategy<Value = Aside> {
    let length = prop::option::of(prop_oneof![9 => 0..40_usize, 1 => Just(120_000_usize)]);
    (0..24_u8, length).prop_map(|(key, length)| Aside { key, length })
}

/// Returns what is set aside, at most one for a key, and for which keys nothing is any more.
fn split(asides: &[Aside], now: Timestamp) -> (Vec<SetAside>, Vec<KeyHash>) {
    let (mut set_aside, mut dropped) = (BTreeMap::new(), Vec::new());
    for Aside { key, length } in asides {
        let text = format!("key {key}");
        match length {
            Some(length) => drop(set_aside.insert(*key, aside(&text, *length, now))),
            None => dropped.push(KeyHash::of(&text)),
        }
    }
    (set_aside.into_values().collect(), dropped)
}

fn update() -> impl Strategy<Value = Update> {
    let kept = prop::option::of(prop_oneof![9 => 0..40_usize, 1 => Just(120_000_usize)]);
    (0..24_u8, any::<u8>(), 0..4_u8, any::<bool>(), kept, prop::option::of(0..8_u8)).prop_map(
        |(key, version, presence, with_key, kept, event)| Update { key, version, presence, with_key, kept, event },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let index = 0..100_usize;
    let updates = || prop::collection::vec(update(), 0..12);
    let asides = || prop::collection::vec(aside_or_drop(), 0..9);
    prop_oneof![
        4 => index.clone().prop_map(|connector| Step::LeasePoll { connector }),
        1 => index.clone().prop_map(|lease| Step::ReleasePoll { lease }),
        6 => (index.clone(), updates(), asides(), prop::option::of(0..400_u64), any::<bool>())
            .prop_map(|(lease, updates, asides, forget_after, noted)|
                Step::CommitPoll { lease, updates, asides, forget_after, noted }),
        2 => (index.clone(), updates(), asides())
            .prop_map(|(lease, updates, asides)| Step::CommitItems { lease, updates, asides }),
        1 => (0..3_u8, prop_oneof![Just(9_usize), Just(20_000_usize)])
            .prop_map(|(id, length)| Step::KeepGrant { id, length }),
        1 => (index.clone(), 0..2000_u16, 1..1500_u16)
            .prop_map(|(lease, first, count)| Step::CommitMany { lease, first, count }),
        6 => (index.clone(), 0..9_usize, prop_oneof![4 => Just(usize::MAX), 1 => 0..60_usize], 1..90_u64)
            .prop_map(|(subscription, most, most_bytes, lease_for)|
                Step::Claim { subscription, most, most_bytes, lease_for }),
        1 => (index.clone(), prop_oneof![Just(Order::None), Just(Order::Item), Just(Order::All)], any::<bool>())
            .prop_map(|(subscription, order, joins)| Step::SetRules { subscription, order, joins }),
        2 => (index.clone(), 0..7_usize).prop_map(|(claimed, most)| Step::Join { claimed, most }),
        12 => (index.clone(), 0..4_u8, 0..90_u64, prop_oneof![4 => 0..20_usize, 1 => 1000..5000_usize], any::<bool>())
            .prop_map(|(claimed, verdict, wait, answer, with_news)|
                Step::Settle { claimed, verdict, wait, answer, with_news: with_news && verdict == 3 }),
        2 => index.clone().prop_map(|claimed| Step::Release { claimed }),
        2 => (index.clone(), index.clone()).prop_map(|(event, subscription)| Step::Replay { event, subscription }),
        1 => (index.clone(), 0..5_usize).prop_map(|(subscription, most)| Step::ReplayDead { subscription, most }),
        2 => (index.clone(), index.clone()).prop_map(|(event, subscription)| Step::Send { event, subscription }),
        1 => (0..4_usize, 0..8_u8).prop_map(|(count, to)| Step::RecordEvents { count, to }),
        1 => (index.clone(), prop::option::of(0..90_u64))
            .prop_map(|(subscription, until)| Step::SetLane { subscription, until }),
        2 => (0..9_usize, 0..200_u64, 0..200_u64, 0..8_u8)
            .prop_map(|(most, delivered, dead, configured)| Step::Prune { most, delivered, dead, configured }),
        5 => (0..40_u64).prop_map(|seconds| Step::Pass { seconds }),
        1 => Just(Step::Reopen),
        1 => Just(Step::CrashAndReopen),
    ]
}

/// One thing that happens to few items in lanes that mostly have an order.
fn lane_step() -> impl Strategy<Value = Step> {
    let index = 0..100_usize;
    let most_bytes = || prop_oneof![9 => Just(usize::MAX), 1 => 0..9_usize];
    prop_oneof![
        6 => (1..4_usize, 2..8_u8).prop_map(|(count, to)| Step::RecordEvents { count, to }),
        9 => (1..3_usize, 0..5_usize, most_bytes(), 5..90_u64)
            .prop_map(|(subscription, most, most_bytes, lease_for)|
                Step::Claim { subscription, most, most_bytes, lease_for }),
        12 => (index.clone(), 0..4_u8, 0..60_u64).prop_map(|(claimed, verdict, wait)|
            Step::Settle { claimed, verdict, wait, answer: 0, with_news: false }),
        2 => index.clone().prop_map(|claimed| Step::Release { claimed }),
        2 => (index.clone(), index.clone()).prop_map(|(event, subscription)| Step::Replay { event, subscription }),
        1 => (index.clone(), 0..9_usize).prop_map(|(subscription, most)| Step::ReplayDead { subscription, most }),
        2 => (index.clone(), index.clone()).prop_map(|(event, subscription)| Step::Send { event, subscription }),
        1 => (1..3_usize, prop_oneof![1 => Just(Order::None), 3 => Just(Order::Item), 1 => Just(Order::All)], any::<bool>())
            .prop_map(|(subscription, order, joins)| Step::SetRules { subscription, order, joins }),
        1 => (index, 0..7_usize).prop_map(|(claimed, most)| Step::Join { claimed, most }),
        1 => (0..9_usize, 0..200_u64, 0..200_u64, 0..8_u8)
            .prop_map(|(most, delivered, dead, configured)| Step::Prune { most, delivered, dead, configured }),
        5 => (0..30_u64).prop_map(|seconds| Step::Pass { seconds }),
        1 => Just(Step::Reopen),
    ]
}

/// How the embedded store is opened again after it was dropped.
trait Reopen {
    fn open(&mut self, after_crash: bool) -> SharedStore;
}

/// A sled store in a directory that is copied in place of a crash.
struct OnDisk(tempfile::TempDir);

impl Reopen for OnDisk {
    fn open(&mut self, after_crash: bool) -> SharedStore {
        if after_crash {
            let copy = tempfile::tempdir().expect("a directory");
            copy_directory(self.0.path(), copy.path());
            self.0 = copy;
        }
        Arc::new(open_sled(self.0.path()).expect("the store opens"))
    }
}

fn copy_directory(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            std::fs::create_dir(&target).expect("a directory");
            copy_directory(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

struct InMap(Arc<MapKeyValue>);

impl Reopen for InMap {
    fn open(&mut self, _after_crash: bool) -> SharedStore {
        Arc::new(open_map(&self.0))
    }
}

/// Both stores, and what was taken of each.
struct Both {
    reference: Arc<MemoryStore>,
    embedded: Option<SharedStore>,
    reopen: Box<dyn Reopen>,
    now: u64,
    polls: Vec<(PollLease, PollLease)>,
    claims: Vec<(ClaimedDelivery, ClaimedDelivery)>,
    events: Vec<EventId>,
    /// With which order each subscription is claimed from now on.
    orders: [Order; 3],
    joins: [bool; 3],
}

/// What of an outcome both stores must agree on.
fn kind<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> Result<T, &'static str> {
    outcome.map_err(|error| match error {
        StoreError::StaleLease { .. } => "stale",
        StoreError::NotFound { .. } => "not found",
        StoreError::Refused(_) => "refused",
        other => panic!("{other:?}"),
    })
}

fn describe(claimed: &[ClaimedDelivery]) -> Vec<String> {
    let describe = |claimed: &ClaimedDelivery| {
        let ClaimedDelivery { lease, closed, since, attempts, failures, .. } = claimed;
        let event = serde_json::to_string(&*claimed.event).expect("JSON");
        let joined: Vec<EventId> = claimed.joined.iter().map(|event| event.id).collect();
        format!("{:?} {:?} {since} {attempts} {failures} {event} {joined:?} {closed}", lease.id, lease.until)
    };
    claimed.iter().map(describe).collect()
}

fn describe_events(events: &[RoutedEvent]) -> Vec<String> {
    let describe = |routed: &RoutedEvent| {
        // Those that it was sent to later follow in no particular order.
        let subscriptions: BTreeSet<_> = routed.subscriptions.iter().collect();
        format!("{} {subscriptions:?}", serde_json::to_string(&*routed.event).expect("JSON"))
    };
    events.iter().map(describe).collect()
}

impl Both {
    fn new(mut reopen: Box<dyn Reopen>) -> Self {
        let embedded = Some(reopen.open(false));
        let (polls, claims, events) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            reference: MemoryStore::new(),
            embedded,
            reopen,
            now: 0,
            polls,
            claims,
            events,
            orders: [Order::None; 3],
            joins: [true; 3],
        }
    }

    fn embedded(&self) -> SharedStore {
        Arc::clone(self.embedded.as_ref().expect("it is open"))
    }

    fn routed(&mut self, of: &ConnectorName, key: &str, to: u8, data: &str) -> RoutedEvent {
        let names: Vec<&str> =
            SUBSCRIPTIONS.iter().enumerate().filter(|(bit, _)| to >> bit & 1 == 1).map(|(_, name)| *name).collect();
        let routed = event(of, key, at(self.now), raw(data), &names);
        self.events.push(routed.event.id);
        routed
    }

    async fn commit(&mut self, lease: usize, make: impl Fn(&mut Self, &ConnectorName) -> PollCommit) {
        if self.polls.is_empty() {
            return;
        }
        let (reference, embedded) = self.polls.swap_remove(lease % self.polls.len());
        let whole = make(self, &reference.connector);
        let copy = whole.clone();
        let expected = kind(self.reference.commit_poll(reference, whole).await);
        assert_eq!(kind(self.embedded().commit_poll(embedded, copy).await), expected);
    }

    async fn take(&mut self, step: &Step) {
        let store = self.embedded();
        let now = at(self.now);
        match step {
            Step::LeasePoll { connector: of } => {
                let of = connector(CONNECTORS[of % CONNECTORS.len()]);
                let reference = self.reference.lease_poll(&of, now, LEASE).await.expect("an answer");
                let embedded = store.lease_poll(&of, now, LEASE).await.expect("an answer");
                assert_eq!(
                    reference.as_ref().map(|lease| (lease.until, &lease.state)),
                    embedded.as_ref().map(|lease| (lease.until, &lease.state))
                );
                self.polls.extend(reference.zip(embedded));
            }
            Step::ReleasePoll { lease } => {
                if !self.polls.is_empty() {
                    let (reference, embedded) = self.polls.swap_remove(lease % self.polls.len());
                    self.reference.release_poll(reference).await.expect("a release");
                    store.release_poll(embedded).await.expect("a release");
                }
            }
            Step::CommitPoll { lease, updates, asides, forget_after, noted } => {
                self.commit(*lease, |both, of| {
                    let mut whole = both.small_commit(of, updates, *forget_after);
                    (whole.set_aside, whole.dropped) = split(asides, now);
                    whole.record = noted.then(|| record(now, asides.len()));
                    whole
                })
                .await;
            }
            Step::CommitItems { lease, updates, asides } => {
                if !self.polls.is_empty() {
                    let (reference, embedded) = self.polls.swap_remove(lease % self.polls.len());
                    let updates = self.small_commit(&reference.connector, updates, None).updates;
                    let (set_aside, dropped) = split(asides, now);
                    let part = PollPart { updates, set_aside, dropped };
                    let expected = kind(self.reference.commit_items(&reference, part.clone()).await);
                    assert_eq!(kind(store.commit_items(&embedded, part).await), expected);
                    self.polls.push((reference, embedded));
                }
            }
            Step::KeepGrant { id, length } => {
                let grant = Secret::new(format!("{}{}", self.now, "g".repeat(*length)));
                self.reference.keep_grant(BodyHash::of(&[*id]), grant.clone()).await.expect("a change");
                store.keep_grant(BodyHash::of(&[*id]), grant).await.expect("a change");
            }
            Step::CommitMany { lease, first, count } => {
                self.commit(*lease, |both, of| both.large_commit(of, *first, *count)).await;
            }
            Step::Claim { subscription: name, most, most_bytes, lease_for } => {
                let (most, most_bytes, lease_for) = (*most, *most_bytes, Duration::from_secs(*lease_for));
                let order = self.orders[name % SUBSCRIPTIONS.len()];
                let joins = self.joins[name % SUBSCRIPTIONS.len()];
                let name = subscription(SUBSCRIPTIONS[name % SUBSCRIPTIONS.len()]);
                let claim = Claim { order, joins, most, most_bytes, lease_for };
                let reference = self.reference.claim_deliveries(&name, now, claim).await.expect("a claim");
                let embedded = store.claim_deliveries(&name, now, claim).await.expect("a claim");
                assert_eq!(describe(&embedded.deliveries), describe(&reference.deliveries), "{order:?}");
                assert_eq!(embedded.more, reference.more);
                self.claims.extend(reference.deliveries.into_iter().zip(embedded.deliveries));
            }
            Step::SetRules { subscription: name, order, joins } => {
                // Where thousands wait, an order would let claims take less at a time than the reference does.
                let index = name % SUBSCRIPTIONS.len();
                self.orders[index] = if index == 0 { Order::None } else { *order };
                self.joins[index] = *joins && self.orders[index] == Order::None;
            }
            Step::Join { claimed, most } => {
                if self.claims.is_empty() {
                    return;
                }
                let first = self.claims[claimed % self.claims.len()].0.lease.id.clone();
                let (chosen, _): (Vec<_>, Vec<_>) = (0..self.claims.len())
                    .partition(|index| self.claims[*index].0.lease.id.subscription == first.subscription);
                let chosen: Vec<usize> = chosen.into_iter().take(1 + most).collect();
                let leases = |of: fn(&(ClaimedDelivery, ClaimedDelivery)) -> &ClaimedDelivery| {
                    let mut leases = chosen.iter().map(|index| of(&self.claims[*index]).lease.clone());
                    (leases.next().expect("there is one"), leases.collect::<Vec<_>>())
                };
                let (reference, others) = leases(|both| &both.0);
                let expected = kind(self.reference.join_deliveries(&reference, others).await);
                let (embedded, others) = leases(|both| &both.1);
                assert_eq!(kind(store.join_deliveries(&embedded, others).await), expected);
                if expected.is_ok() {
                    for index in chosen[1..].iter().rev() {
                        self.claims.remove(*index);
                    }
                }
            }
            Step::Settle { claimed, verdict, wait, answer, with_news } => {
                if self.claims.is_empty() {
                    return;
                }
                let (reference, embedded) = self.claims.swap_remove(claimed % self.claims.len());
                let verdict = match verdict {
                    0 => Verdict::Delivered,
                    1 | 2 => Verdict::Retry(now + Duration::from_secs(*wait)),
                    _ => Verdict::Dead(DeathReason::Exhausted),
                };
                let mut attempt = attempt(reference.attempts + 1, now, &"a".repeat(*answer));
                attempt.address = (*wait > 20).then(|| "192.0.2.7:443".parse().expect("an address"));
                attempt.phases.answer = (*wait > 10).then(|| Duration::from_micros(*wait));
                if *wait > 45 {
                    attempt.failure = failed(0, now, &"m".repeat(*answer / 2)).failure;
                }
                let news = match with_news {
                    true => vec![self.routed(&ConnectorName::service(), "dead", 4, "null")],
                    false => Vec::new(),
                };
                let copy = Settlement { lease: embedded.lease, attempt: attempt.clone(), verdict, news: news.clone() };
                let settlement = Settlement { lease: reference.lease, attempt, verdict, news };
                let expected = kind(self.reference.settle_delivery(settlement).await);
                assert_eq!(kind(store.settle_delivery(copy).await), expected);
            }
            Step::Release { claimed } => {
                if !self.claims.is_empty() {
                    let (reference, embedded) = self.claims.swap_remove(claimed % self.claims.len());
                    self.reference.release_deliveries(vec![reference.lease]).await.expect("a release");
                    store.release_deliveries(vec![embedded.lease]).await.expect("a release");
                }
            }
            Step::Replay { event, subscription: name } => {
                if !self.events.is_empty() {
                    let event = self.events[event % self.events.len()];
                    let name = subscription(SUBSCRIPTIONS[name % SUBSCRIPTIONS.len()]);
                    let id = DeliveryId { event, subscription: name };
                    let expected = kind(self.reference.replay(&id, now).await);
                    assert_eq!(kind(store.replay(&id, now).await), expected);
                }
            }
            Step::Send { event, subscription: name } => {
                if !self.events.is_empty() {
                    let event = self.events[event % self.events.len()];
                    let name = subscription(SUBSCRIPTIONS[name % SUBSCRIPTIONS.len()]);
                    let id = DeliveryId { event, subscription: name };
                    let expected = kind(self.reference.send(&id, now).await);
                    assert_eq!(kind(store.send(&id, now).await), expected);
                }
            }
            Step::RecordEvents { count, to } => {
                let of = connector(CONNECTORS[0]);
                let events: Vec<_> = (0..*count).map(|key| self.routed(&of, &key.to_string(), *to, "0")).collect();
                self.reference.record_events(events.clone()).await.expect("a change");
                store.record_events(events).await.expect("a change");
            }
            Step::ReplayDead { subscription: name, most } => {
                let name = subscription(SUBSCRIPTIONS[name % SUBSCRIPTIONS.len()]);
                let expected = replay_dead(&*self.reference, &name, now, *most).await.expect("a replay");
                assert_eq!(replay_dead(&*store, &name, now, *most).await.expect("a replay"), expected);
            }
            Step::SetLane { subscription: name, until } => {
                let name = subscription(SUBSCRIPTIONS[name % SUBSCRIPTIONS.len()]);
                let state = LaneState { paused_until: until.map(at), ..LaneState::default() };
                self.reference.set_lane_state(&name, state.clone(), Vec::new()).await.expect("a change");
                store.set_lane_state(&name, state, Vec::new()).await.expect("a change");
            }
            Step::Prune { most, delivered, dead, configured } => {
                let (delivered, dead) = (Duration::from_secs(*delivered), Duration::from_secs(*dead));
                let retention = Retention { delivered, dead };
                let chosen = SUBSCRIPTIONS.iter().enumerate().filter(|(bit, _)| configured >> bit & 1 == 1);
                let names: Vec<_> = chosen.map(|(_, name)| subscription(name)).collect();
                let expected = self.reference.prune(now, retention, &names, *most).await.expect("a step");
                assert_eq!(store.prune(now, retention, &names, *most).await.expect("a step"), expected);
            }
            Step::Pass { seconds } => self.now += seconds,
            Step::Reopen | Step::CrashAndReopen => {
                let after_crash = matches!(step, Step::CrashAndReopen);
                drop(store);
                let opened = if after_crash {
                    // The copy is made while the store is still open.
                    let opened = self.reopen.open(true);
                    self.embedded = None;
                    opened
                } else {
                    self.embedded = None;
                    self.reopen.open(false)
                };
                self.embedded = Some(opened);
                self.reference.crash();
                self.compare().await;
                return;
            }
        }
        for name in SUBSCRIPTIONS.map(subscription) {
            let expected = self.reference.next_due(&name).await.expect("a read");
            assert_eq!(self.embedded().next_due(&name).await.expect("a read"), expected, "{name} after {step:?}");
        }
    }

    fn small_commit(&mut self, of: &ConnectorName, updates: &[Update], forget_after: Option<u64>) -> PollCommit {
        let now = at(self.now);
        let unique: BTreeMap<u8, &Update> = updates.iter().map(|update| (update.key, update)).collect();
        let mut seen_updates = Vec::new();
        for update in unique.values() {
            let key = format!("key {}", update.key);
            let mut item = seen(&key, update.version, now);
            item.presence = match update.presence {
                0 => Presence::Present,
                1 => Presence::Missing(update.version.clamp(1, Presence::MOST_MISSED)),
                _ => Presence::Removed,
            };
            item.epoch = update.version / 16;
            if !update.with_key {
                item.key = None;
            }
            let kept = update.kept.map(|length| raw(&format!("{:?}", "k".repeat(length))));
            let event = update.event.map(|to| self.routed(of, &key, to, "[1.0]"));
            seen_updates.push(SeenUpdate { seen: item, kept, event });
        }
        // A connector with few items forgets all that it may in one commit, as the reference does.
        let forget_after = forget_after.filter(|_| *of == connector(FORGETFUL));
        let forget_before = forget_after.map(|seconds| now - Duration::from_secs(seconds));
        PollCommit { forget_before, state: state(&self.now.to_string(), now), ..commit(now, seen_updates) }
    }

    fn large_commit(&mut self, of: &ConnectorName, first: u16, count: u16) -> PollCommit {
        let now = at(self.now);
        let mut updates = Vec::new();
        let count = if *of == connector(FORGETFUL) { count.min(50) } else { count };
        for number in first..first + count {
            let key = format!("number {number}");
            let event = (number % 3 == 0).then(|| self.routed(of, &key, 1, "0"));
            updates.push(SeenUpdate { seen: seen(&key, 1, now), kept: None, event });
        }
        commit(now, updates)
    }

    /// Compares all that can be read.
    async fn compare(&self) {
        let (reference, embedded) = (&self.reference, self.embedded());
        for of in CONNECTORS.map(connector) {
            let expected = reference.connector_state(&of).await.expect("a read");
            assert_eq!(embedded.connector_state(&of).await.expect("a read"), expected);
            let expected = reference.seen_items(&of, SeenSelection::All).await.expect("a read");
            assert_eq!(embedded.seen_items(&of, SeenSelection::All).await.expect("a read"), expected);
            let mut hashes: Vec<_> = expected.iter().step_by(3).map(|item| item.key_hash).collect();
            hashes.push(KeyHash::of("never seen"));
            hashes.sort();
            let expected = reference.seen_items(&of, SeenSelection::Keys(hashes.clone())).await.expect("a read");
            let found = embedded.seen_items(&of, SeenSelection::Keys(hashes)).await.expect("a read");
            assert_eq!(found, expected);
            let hashes: Vec<_> = (0..24).map(|key| KeyHash::of(&format!("key {key}"))).collect();
            let texts = |kept: Vec<Option<Box<serde_json::value::RawValue>>>| {
                kept.into_iter().map(|kept| kept.map(|kept| kept.get().to_owned())).collect::<Vec<_>>()
            };
            let expected = texts(reference.kept_items(&of, hashes.clone()).await.expect("a read"));
            assert_eq!(texts(embedded.kept_items(&of, hashes).await.expect("a read")), expected);
        }
        for of in CONNECTORS.map(connector) {
            let three = SeenSelection::After(Some(KeyHash::of("key 7")), 3);
            let expected = reference.seen_items(&of, three.clone()).await.expect("a read");
            assert_eq!(embedded.seen_items(&of, three.clone()).await.expect("a read"), expected);
            let mut keys: Vec<_> = (0..30).map(|key| KeyHash::of(&format!("key {key}"))).collect();
            keys.sort();
            for selection in [SeenSelection::All, three, SeenSelection::Keys(keys)] {
                let expected = reference.set_aside(&of, selection.clone()).await.expect("a read");
                let found = embedded.set_aside(&of, selection).await.expect("a read");
                assert_eq!(describe_aside(&found), describe_aside(&expected));
            }
            let expected = reference.polls(&of, None, 1000).await.expect("a read");
            assert_eq!(embedded.polls(&of, None, 1000).await.expect("a read"), expected);
        }
        for id in 0..3 {
            let grant = |found: Option<Secret>| found.map(|grant| grant.expose().to_owned());
            let expected = reference.kept_grant(BodyHash::of(&[id])).await.expect("a read");
            let found = embedded.kept_grant(BodyHash::of(&[id])).await.expect("a read");
            assert_eq!(grant(found), grant(expected));
        }
        for of in [None, Some(connector("orders")), Some(ConnectorName::service())] {
            let filter = EventFilter { connector: of, ..EventFilter::default() };
            let query = EventQuery { filter, limit: 10_000, ..EventQuery::default() };
            let expected = reference.events(query.clone()).await.expect("a read");
            let found = embedded.events(query).await.expect("a read");
            assert_eq!(describe_events(&found), describe_events(&expected));
        }
        let mut names: Vec<_> = SUBSCRIPTIONS.map(|name| Some(subscription(name))).to_vec();
        names.push(None);
        for name in names {
            for state in [None, Some(DeliveryStateName::Pending), Some(DeliveryStateName::Dead)] {
                let query =
                    DeliveryQuery { subscription: name.clone(), state, limit: 10_000, ..DeliveryQuery::default() };
                let expected = reference.deliveries(query.clone()).await.expect("a read");
                assert_eq!(embedded.deliveries(query).await.expect("a read"), expected);
            }
        }
        for name in SUBSCRIPTIONS.map(subscription) {
            let expected = reference.lane_state(&name).await.expect("a read");
            assert_eq!(embedded.lane_state(&name).await.expect("a read"), expected);
            let expected = reference.lane_counts(&name, 1000).await.expect("a read");
            assert_eq!(embedded.lane_counts(&name, 1000).await.expect("a read"), expected);
            let query = DeliveryQuery { subscription: Some(name), limit: 40, ..DeliveryQuery::default() };
            for delivery in reference.deliveries(query).await.expect("a read") {
                let expected = reference.delivery(&delivery.id).await.expect("a read");
                assert_eq!(embedded.delivery(&delivery.id).await.expect("a read"), expected);
            }
        }
    }
}

fn run(reopen: Box<dyn Reopen>, steps: &[Step]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut both = Both::new(reopen);
        for step in steps {
            both.take(step).await;
        }
        both.compare().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn sled_answers_as_the_reference_does(steps in prop::collection::vec(step(), 1..120)) {
        run(Box::new(OnDisk(tempfile::tempdir().expect("a directory"))), &steps);
    }

    #[test]
    fn the_embedded_store_answers_as_the_reference_does(steps in prop::collection::vec(step(), 1..200)) {
        let map = Arc::new(MapKeyValue::default());
        run(Box::new(InMap(Arc::clone(&map))), &steps);
        prop_assert!(!map.overfull.load(std::sync::atomic::Ordering::SeqCst), "a batch was too large");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 4000, ..ProptestConfig::default() })]

    #[test]
    fn lanes_keep_their_order_as_the_reference_does(steps in prop::collection::vec(lane_step(), 1..120)) {
        run(Box::new(InMap(Arc::default())), &steps);
    }
}

/// What a source has: keys with versions.
type Source = BTreeMap<String, u8>;

/// Polls as the poll side does: what is new or another version gets an event.
async fn poll_source(store: &SharedStore, source: &Source, time: u64) -> Result<(), StoreError> {
    let orders = connector("orders");
    let lease = store.lease_poll(&orders, at(time), LEASE).await?.expect("nobody holds the poll");
    let seen_before: BTreeMap<_, _> = store
        .seen_items(&orders, SeenSelection::All)
        .await?
        .into_iter()
        .map(|item| (item.key_hash, item.fingerprint))
        .collect();
    let mut updates = Vec::new();
    for (key, version) in source {
        let item = seen(key, *version, at(time));
        if seen_before.get(&item.key_hash) != Some(&item.fingerprint) {
            // Now and then one is too large for a batch.
            let length = if key.ends_with("77") { 150_000 } else { 300 };
            let data = format!("[{version},{:?}]", "d".repeat(length));
            let event = event(&orders, key, at(time), raw(&data), &["erp"]);
            let kept = Some(raw(&version.to_string()));
            updates.push(SeenUpdate { seen: item, kept, event: Some(event) });
        }
    }
    store.commit_poll(lease, commit(at(time), updates)).await
}

#[tokio::test]
async fn a_commit_that_breaks_off_between_its_steps_loses_and_repeats_nothing() {
    let source = |version: u8| -> Source { (0..700).map(|number| (format!("order {number}"), version)).collect() };
    let orders = connector("orders");
    let map = Arc::new(MapKeyValue::default());
    let store: SharedStore = Arc::new(open_map(&map));
    poll_source(&store, &source(1), 0).await.expect("a poll");
    let batches = map.applied();
    assert!(batches > 5, "the commit takes several steps: {batches}");
    drop(store);

    for broken_after in 0..=batches {
        let map = Arc::new(MapKeyValue::default());
        let mut versions = 0;
        for version in [1, 2] {
            let store: SharedStore = Arc::new(open_map(&map));
            map.fail_after(broken_after);
            let outcome = poll_source(&store, &source(version), u64::from(version)).await;
            assert_eq!(outcome.is_ok(), broken_after >= batches, "{outcome:?}");
            if let Err(error) = outcome {
                assert!(matches!(error, StoreError::Io { .. }), "{error:?}");
                let refused = store.lease_poll(&orders, at(100), LEASE).await;
                assert!(matches!(refused, Err(StoreError::Io { .. })), "{refused:?}");
            }
            drop(store);
            map.repair();

            let store: SharedStore = Arc::new(open_map(&map));
            poll_source(&store, &source(version), 10 + u64::from(version)).await.expect("a poll");
            poll_source(&store, &source(version), 20 + u64::from(version)).await.expect("a poll");
            versions += 1;
            let events = store.events(EventQuery { limit: 100_000, ..EventQuery::default() }).await.expect("a read");
            let found: BTreeSet<(String, u8)> = events
                .iter()
                .map(|routed| (routed.event.key.clone(), routed.event.data.get().as_bytes()[1] - b'0'))
                .collect();
            assert_eq!((events.len(), found.len()), (700 * versions, 700 * versions), "broken after {broken_after}");
            let waiting = store.lane_counts(&subscription("erp"), 100_000).await.expect("a read").waiting;
            assert_eq!(waiting, 700 * versions);
        }
        assert!(!map.overfull.load(std::sync::atomic::Ordering::SeqCst), "a batch was too large");

        // What the crash left of large values is cleared away: what remains is what events refer to.
        let store = open_map(&map);
        for _ in 0..20 {
            store.prune(at(0), Retention::default(), &[], 10).await.expect("a step");
        }
        let large = (0..700).filter(|number| number % 100 == 77).count() * versions;
        assert_eq!(map.count(b'P'), large * (1 + 25), "broken after {broken_after}");
        store.prune(at(10_000_000), Retention::default(), &[subscription("erp")], 100_000).await.expect("a step");
        let claimed = store
            .claim_deliveries(&subscription("erp"), at(30), Claim::up_to(100_000, LEASE))
            .await
            .expect("a claim")
            .deliveries;
        assert_eq!(claimed.len(), 700 * versions);
    }
}

#[tokio::test]
async fn what_is_set_aside_ends_in_the_same_step_as_the_update_that_ends_it() {
    let orders = connector("orders");
    let keys: Vec<String> = (0..900).map(|number| format!("order {number}")).collect();
    let length = |index: usize| if index.is_multiple_of(300) { 50_000 } else { 90 };
    let set_aside = || keys.iter().enumerate().map(|(index, key)| aside(key, length(index), at(0))).collect();
    let approve = || {
        keys.iter().map(|key| {
            let routed = event(&orders, key, at(1), raw("0"), &["erp"]);
            SeenUpdate { seen: seen(key, 1, at(1)), kept: None, event: Some(routed) }
        })
    };
    for broken_after in 0.. {
        let map = Arc::new(MapKeyValue::default());
        let store = open_map(&map);
        let whole = PollCommit { set_aside: set_aside(), ..commit(at(0), Vec::new()) };
        poll(&store, &orders, whole).await.expect("a commit");
        map.fail_after(broken_after);
        let outcome = poll(&store, &orders, commit(at(1), approve().collect())).await;
        drop(store);
        map.repair();

        let store = open_map(&map);
        let left = store.set_aside(&orders, SeenSelection::All).await.expect("a read");
        let sent = store.events(EventQuery { limit: 10_000, ..EventQuery::default() }).await.expect("a read");
        let left: BTreeSet<&str> = left.iter().map(|change| &*change.key).collect();
        let sent: BTreeSet<&str> = sent.iter().map(|routed| &*routed.event.key).collect();
        assert!(left.is_disjoint(&sent) && left.len() + sent.len() == keys.len(), "broken after {broken_after}");
        assert!(!map.overfull.load(std::sync::atomic::Ordering::SeqCst), "a batch was too large");
        if outcome.is_ok() {
            assert!(broken_after > 3 && left.is_empty(), "the commit takes several steps");
            assert_eq!(map.count(b'W') + map.count(b'P'), 0, "nothing is left behind");
            break;
        }
    }
}

#[tokio::test]
async fn an_idle_poll_is_one_small_batch() {
    let map = Arc::new(MapKeyValue::default());
    let store = open_map(&map);
    for number in 0..60 {
        let before = map.applied();
        let whole = PollCommit { record: Some(record(at(number), 1)), ..commit(at(number), Vec::new()) };
        poll(&store, &connector("orders"), whole).await.expect("a commit");
        assert_eq!(map.applied(), before + 1);
        assert!(map.largest_batch() <= 4, "the state, a record, one less, and the number of the batch");
    }
    assert_eq!(map.count(b'R'), POLLS_KEPT);
}

#[tokio::test]
async fn many_old_items_are_forgotten_a_few_at_a_time() {
    let map = Arc::new(MapKeyValue::default());
    let store = open_map(&map);
    let orders = connector("orders");
    let updates = |range: std::ops::Range<u32>, time: u64| {
        let update = |number: u32| {
            let kept = Some(raw("0"));
            SeenUpdate { seen: seen(&format!("order {number}"), 1, at(time)), kept, event: None }
        };
        range.map(update).collect::<Vec<_>>()
    };
    poll(&store, &orders, commit(at(0), updates(0..5000, 0))).await.expect("a commit");
    poll(&store, &orders, commit(at(9), updates(1000..1010, 9))).await.expect("a commit");
    let mut most_forgotten = 0;
    let mut left = 5000;
    for _ in 0..40 {
        let forgetting = PollCommit { forget_before: Some(at(5)), ..commit(at(9), Vec::new()) };
        poll(&store, &orders, forgetting).await.expect("a commit");
        let now = store.seen_items(&orders, SeenSelection::All).await.expect("a read").len();
        most_forgotten = most_forgotten.max(left - now);
        left = now;
    }
    assert_eq!((left, map.count(b'K')), (10, 10));
    assert!((1..1000).contains(&most_forgotten), "{most_forgotten} at once");
    assert!(!map.overfull.load(std::sync::atomic::Ordering::SeqCst), "a batch was too large");
}

#[tokio::test]
async fn pruning_leaves_nothing_behind() {
    let map = Arc::new(MapKeyValue::default());
    let store = open_map(&map);
    let orders = connector("orders");
    let mut updates = Vec::new();
    for number in 0..6 {
        let length = if number == 3 { 100_000 } else { 10 };
        let event = event(&orders, "1", at(number), raw(&format!("{:?}", "d".repeat(length))), &["erp", "chat"]);
        updates.push(SeenUpdate { seen: seen(&number.to_string(), 1, at(0)), kept: None, event: Some(event) });
    }
    poll(&store, &orders, commit(at(0), updates)).await.expect("a commit");
    for name in ["erp", "chat"] {
        for round in 0..2 {
            let claimed = store
                .claim_deliveries(&subscription(name), at(9), Claim::up_to(9, LEASE))
                .await
                .expect("a claim")
                .deliveries;
            for (index, claimed) in claimed.into_iter().enumerate() {
                let verdict = match (round, index % 2) {
                    (0, _) => Verdict::Retry(at(9)),
                    (_, 0) => Verdict::Delivered,
                    _ => Verdict::Dead(DeathReason::Exhausted),
                };
                let attempt = attempt(claimed.attempts + 1, at(9), &"a".repeat(20_000));
                let settlement = Settlement { lease: claimed.lease, attempt, verdict, news: Vec::new() };
                store.settle_delivery(settlement).await.expect("a settlement");
            }
        }
    }
    assert!(b"EODALP".iter().all(|prefix| map.count(*prefix) > 0), "there is something of each kind");
    let pruned = store.prune(at(100 * 24 * 60 * 60), Retention::default(), &[], 100).await.expect("a step");
    assert_eq!((pruned.events, pruned.deliveries), (6, 12));
    assert_eq!(b"EOQDALP".map(|prefix| map.count(prefix)), [0; 7]);
}

#[tokio::test]
async fn a_change_in_a_value_is_noticed() {
    let map = Arc::new(MapKeyValue::default());
    let store = open_map(&map);
    let orders = connector("orders");
    let routed = event(&orders, "1", at(0), raw("0"), &["erp"]);
    let id = routed.event.id;
    let update = SeenUpdate { seen: seen("1", 1, at(0)), kept: Some(raw("0")), event: Some(routed) };
    let set_aside = vec![aside("2", 9, at(0))];
    let whole = PollCommit { set_aside, record: Some(record(at(0), 1)), ..commit(at(0), vec![update]) };
    poll(&store, &orders, whole).await.expect("a commit");
    store.keep_grant(BodyHash::of(b"grant"), Secret::new("secret".into())).await.expect("a change");
    for prefix in *b"SKECWRG" {
        map.tamper(prefix, |value| *value.last_mut().expect("a value") ^= 1);
    }
    let is_damaged =
        |error: Option<StoreError>| assert!(matches!(error, Some(StoreError::Corrupt { .. })), "{error:?}");
    is_damaged(store.seen_items(&orders, SeenSelection::All).await.err());
    is_damaged(store.seen_items(&orders, SeenSelection::Keys(vec![KeyHash::of("1")])).await.err());
    is_damaged(store.kept_items(&orders, vec![KeyHash::of("1")]).await.err());
    is_damaged(store.event(id).await.err());
    is_damaged(store.set_aside(&orders, SeenSelection::All).await.err());
    is_damaged(store.polls(&orders, None, 9).await.err());
    is_damaged(store.kept_grant(BodyHash::of(b"grant")).await.err());
    is_damaged(store.lease_poll(&orders, at(1), LEASE).await.err());
    // A delivery that cannot be read is not in the way of the others.
    let good = event(&orders, "2", at(1), raw("0"), &["erp"]);
    store.set_lane_state(&subscription("erp"), LaneState::default(), vec![good]).await.expect("a change");
    let claimed =
        store.claim_deliveries(&subscription("erp"), at(2), Claim::up_to(9, LEASE)).await.expect("a claim").deliveries;
    assert_eq!(claimed.iter().map(|claimed| &*claimed.event.key).collect::<Vec<_>>(), ["2"]);
    for prefix in *b"SKEC" {
        map.tamper(prefix, Vec::clear);
    }
    is_damaged(store.seen_items(&orders, SeenSelection::All).await.err());
}
