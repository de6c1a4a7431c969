//! Replays of many events, and the lists that find what to replay, on each store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use pollhook::model::delivery::{DeathReason, DeliveryState};
use pollhook::model::event_filter::EventFilter;
use pollhook::model::fingerprint::BodyHash;
use pollhook::model::id::{DeliveryId, EventId};
use pollhook::model::pattern::Pattern;
use pollhook::model::replay::{
    Replay, ReplayId, ReplaySelection, ReplayState, RequestMark, SettledAs, WrittenSelection,
};
use pollhook::model::time::Timestamp;
use pollhook::store::memory::MemoryStore;
use pollhook::store::{
    Claim, ClaimedDelivery, CreatedReplay, DeliveryQuery, DeliveryStateName, DeliveryStore, EventQuery, LookBounds,
    ReplayStep, ReplayStore, SeenUpdate, SharedStore, StoreError, Verdict,
};
use proptest::prelude::*;

use super::support::{
    LEASE, MapKeyValue, at, commit, connector, create, event, open_map, open_sled, poll, raw, seen, settlement,
    subscription,
};

/// Shows a behaviour on each store.
async fn on_each_store(shown: impl AsyncFn(SharedStore)) {
    shown(MemoryStore::new()).await;
    shown(Arc::new(open_map(&Arc::new(MapKeyValue::default())))).await;
    let directory = tempfile::tempdir().expect("a directory");
    shown(Arc::new(open_sled(directory.path()).expect("a new store"))).await;
}

fn selection(written: WrittenSelection) -> ReplaySelection {
    written.try_into().expect("a selection")
}

fn again(of: &str, state: SettledAs) -> ReplaySelection {
    selection(WrittenSelection { subscription: Some(subscription(of)), state: Some(state), ..Default::default() })
}

fn backfill(to: &str, state: Option<SettledAs>) -> ReplaySelection {
    selection(WrittenSelection { to: Some(subscription(to)), state, ..Default::default() })
}

fn copy(from: &str, to: &str, state: Option<SettledAs>) -> ReplaySelection {
    let (from, to) = (Some(subscription(from)), Some(subscription(to)));
    selection(WrittenSelection { subscription: from, to, state, ..Default::default() })
}

async fn make(store: &SharedStore, selection: ReplaySelection, now: u64) -> Replay {
    let replay = Replay::new(selection, Replay::USUAL_RATE, at(now));
    match store.create_replay(replay).await.expect("a replay") {
        CreatedReplay::New(replay) => replay,
        other => panic!("{other:?}"),
    }
}

/// Finds the next step of a replay.
async fn look(store: &SharedStore, replay: &Replay, found: usize, now: u64) -> ReplayStep {
    let bounds = LookBounds { found, looked_at: 5, bytes: usize::MAX };
    let look = store.look_for_replay(replay, bounds).await.expect("a look");
    ReplayStep {
        replay: replay.clone(),
        queue: look.found.iter().map(|candidate| candidate.id).collect(),
        looked_at: look.looked_at,
        after: look.after,
        now: at(now),
        pause_each: Duration::from_millis(2),
    }
}

/// Carries a replay out to its end, a few deliveries at a time.
async fn carry_out(store: &SharedStore, mut replay: Replay, now: u64) -> Replay {
    while replay.is_running() {
        let step = look(store, &replay, 2, now).await;
        replay = store.step_replay(step).await.expect("a step");
    }
    replay
}

async fn claim(store: &SharedStore, name: &str, now: u64) -> Vec<ClaimedDelivery> {
    store.claim_deliveries(&subscription(name), at(now), Claim::up_to(1000, LEASE)).await.expect("a claim").deliveries
}

async fn settle(store: &SharedStore, claimed: &[ClaimedDelivery], now: u64, verdict: impl Fn(usize) -> Verdict) {
    for (index, claimed) in claimed.iter().enumerate() {
        store.settle_delivery(settlement(claimed, at(now), verdict(index))).await.expect("a settlement");
    }
}

const DEAD: Verdict = Verdict::Dead(DeathReason::Exhausted);

fn ids(claimed: &[ClaimedDelivery]) -> Vec<EventId> {
    claimed.iter().map(|claimed| claimed.lease.id.event).collect()
}

/// Commits this many events for the subscriptions, each a second after the one before.
async fn events(store: &SharedStore, of: &str, count: usize, to: &[&str]) -> Vec<EventId> {
    let keys: Vec<String> = (0..count).map(|number| format!("{of} {number}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    create(&**store, &connector(of), &keys, to).await
}

#[tokio::test]
async fn dead_letters_are_queued_again_in_the_order_of_their_ids() {
    on_each_store(async |store| {
        let all = events(&store, "orders", 20, &["erp"]).await;
        let claimed = claim(&store, "erp", 100).await;
        settle(&store, &claimed, 100, |index| if index % 3 == 0 { Verdict::Delivered } else { DEAD }).await;
        let replay = make(&store, ReplaySelection::dead_of(subscription("erp")), 200).await;
        assert_eq!(store.count_for_replay(&replay, 1000).await.expect("a count"), 13);
        assert_eq!(store.count_for_replay(&replay, 7).await.expect("a count"), 7);
        assert_eq!(store.running_replays(9).await.expect("a read"), std::slice::from_ref(&replay));

        let done = carry_out(&store, replay, 201).await;
        assert_eq!((done.state, done.queued, done.looked_at), (ReplayState::Done, 13, 13));
        assert_eq!((done.started_at, done.ended_at), (Some(at(201)), Some(at(201))));
        assert_eq!(store.one_replay(done.id).await.expect("a read").as_ref(), Some(&done));
        assert!(store.running_replays(9).await.expect("a read").is_empty());
        let expected: Vec<EventId> =
            all.iter().enumerate().filter(|(index, _)| index % 3 != 0).map(|(_, id)| *id).collect();
        let claimed = claim(&store, "erp", 201).await;
        assert_eq!(ids(&claimed), expected);
        assert!(claimed.iter().all(|claimed| (claimed.attempts, claimed.failures) == (1, 0)));
    })
    .await;
}

#[tokio::test]
async fn what_dies_again_meanwhile_is_not_queued_twice() {
    on_each_store(async |store| {
        let all = events(&store, "orders", 9, &["erp"]).await;
        let claimed = claim(&store, "erp", 100).await;
        settle(&store, &claimed, 100, |_| DEAD).await;
        let mut replay = make(&store, ReplaySelection::dead_of(subscription("erp")), 200).await;
        let mut times: BTreeMap<EventId, usize> = BTreeMap::new();
        for now in 201.. {
            if !replay.is_running() {
                break;
            }
            replay = store.step_replay(look(&store, &replay, 2, now).await).await.expect("a step");
            let claimed = claim(&store, "erp", now).await;
            settle(&store, &claimed, now, |_| DEAD).await;
            for id in ids(&claimed) {
                *times.entry(id).or_default() += 1;
            }
        }
        assert_eq!(times, all.iter().map(|id| (*id, 1)).collect());
        assert_eq!(replay.queued, 9);
    })
    .await;
}

#[tokio::test]
async fn states_kinds_and_times_select() {
    on_each_store(async |store| {
        let orders = events(&store, "orders", 10, &["erp"]).await;
        let tickets = events(&store, "tickets", 10, &["erp"]).await;
        let claimed = claim(&store, "erp", 100).await;
        let is_even = |id: &EventId| orders.iter().chain(&tickets).position(|other| other == id).unwrap_or(0) % 2 == 0;
        for claimed in &claimed {
            let verdict = if is_even(&claimed.lease.id.event) { Verdict::Delivered } else { DEAD };
            settle(&store, std::slice::from_ref(claimed), 100, |_| verdict).await;
        }
        let check = async |written: WrittenSelection, expected: &[EventId]| {
            let written = WrittenSelection { subscription: Some(subscription("erp")), ..written };
            let replay = Replay::new(selection(written.clone()), Replay::USUAL_RATE, at(200));
            let found = look_to_the_end(&store, replay).await;
            let mut expected = expected.to_vec();
            expected.sort_unstable();
            assert_eq!(found, expected, "{written:?}");
        };
        let of = |all: &[EventId], even: bool| -> Vec<EventId> {
            all.iter().copied().filter(|id| is_even(id) == even).collect()
        };
        let all = WrittenSelection { state: Some(SettledAs::All), ..Default::default() };
        check(WrittenSelection::default(), &[of(&orders, false), of(&tickets, false)].concat()).await;
        check(all.clone(), &[orders.clone(), tickets.clone()].concat()).await;
        let delivered = WrittenSelection { state: Some(SettledAs::Delivered), ..Default::default() };
        check(delivered, &[of(&orders, true), of(&tickets, true)].concat()).await;
        check(WrittenSelection { connector: Some(connector("orders")), ..all.clone() }, &orders).await;
        let created = |text: &str| Some(Pattern::new(text));
        check(WrittenSelection { event_type: created("tickets.*"), ..all.clone() }, &tickets).await;
        check(WrittenSelection { event_type: created("updated"), ..all.clone() }, &[]).await;
        let some = WrittenSelection { from: Some(at(3)), until: Some(at(6)), ..all.clone() };
        check(some, &[&orders[3..6], &tickets[3..6]].concat()).await;
        check(
            WrittenSelection { from: Some(at(3)), until: None, ..all.clone() },
            &[&orders[3..], &tickets[3..]].concat(),
        )
        .await;
        check(WrittenSelection { from: Some(at(999)), ..all }, &[]).await;
    })
    .await;
}

async fn look_to_the_end(store: &SharedStore, mut replay: Replay) -> Vec<EventId> {
    let mut found = Vec::new();
    loop {
        let step = look(store, &replay, 3, 200).await;
        found.extend(step.queue);
        match step.after {
            Some(_) => replay.after = step.after,
            None => return found,
        }
    }
}

#[tokio::test]
async fn what_was_settled_or_detected_after_the_request_is_not_meant() {
    on_each_store(async |store| {
        events(&store, "orders", 4, &["erp"]).await;
        let claimed = claim(&store, "erp", 100).await;
        settle(&store, &claimed[..2], 100, |_| DEAD).await;
        let replay = make(&store, ReplaySelection::dead_of(subscription("erp")), 200).await;
        let backfill = make(&store, backfill("new", None), 200).await;
        settle(&store, &claimed[2..], 300, |_| DEAD).await;
        let late = event(&connector("late"), "late", at(301), raw("{}"), &["erp"]);
        let update = SeenUpdate { seen: seen("late", 1, at(301)), kept: None, event: Some(late) };
        poll(&*store, &connector("late"), commit(at(301), vec![update])).await.expect("a commit");
        assert_eq!(carry_out(&store, replay, 400).await.queued, 2);
        assert_eq!(carry_out(&store, backfill, 400).await.queued, 4);
    })
    .await;
}

#[tokio::test]
async fn past_events_go_to_a_new_subscription_once() {
    on_each_store(async |store| {
        let orders = events(&store, "orders", 7, &["erp"]).await;
        let nobody = events(&store, "tickets", 3, &[]).await;
        let own = events(&store, "news", 2, &["new"]).await;
        let claimed = claim(&store, "new", 100).await;
        settle(&store, &claimed, 100, |index| if index == 0 { Verdict::Delivered } else { DEAD }).await;
        let mut expected = [orders.clone(), nobody].concat();
        expected.sort_unstable();

        let done = make(&store, backfill("new", None), 200).await;
        let done = carry_out(&store, done, 200).await;
        assert_eq!((done.queued, done.looked_at), (10, 12));
        let claimed = claim(&store, "new", 200).await;
        assert_eq!(ids(&claimed), expected);
        assert!(claimed.iter().all(|claimed| claimed.attempts == 0));
        let routed = store.event(orders[0]).await.expect("a read").expect("the event");
        assert_eq!(routed.subscriptions, [subscription("erp"), subscription("new")]);
        settle(&store, &claimed, 200, |_| Verdict::Delivered).await;
        // Whoever asks again gets nothing, unless what was settled is meant as well.
        let repeated = make(&store, backfill("new", None), 300).await;
        assert_eq!(carry_out(&store, repeated, 300).await.queued, 0);
        let dead = make(&store, backfill("new", Some(SettledAs::Dead)), 300).await;
        assert_eq!(carry_out(&store, dead, 300).await.queued, 1);
        assert_eq!(ids(&claim(&store, "new", 300).await), own[1..]);
        // The other one is not concerned.
        assert_eq!(ids(&claim(&store, "erp", 300).await), orders);
    })
    .await;
}

#[tokio::test]
async fn what_went_to_one_subscription_goes_to_another() {
    on_each_store(async |store| {
        let orders = events(&store, "orders", 6, &["erp"]).await;
        events(&store, "tickets", 3, &["chat"]).await;
        let both = events(&store, "news", 2, &["erp", "new"]).await;
        let claimed = claim(&store, "erp", 100).await;
        settle(&store, &claimed[..3], 100, |index| if index == 0 { Verdict::Delivered } else { DEAD }).await;
        let settled = ids(&claimed[..3]);
        let replay = |state| Replay::new(copy("erp", "new", state), Replay::USUAL_RATE, at(200));
        let had = |id: &&EventId| !both.contains(id);
        let expected: Vec<EventId> = settled[1..].iter().filter(had).copied().collect();
        assert_eq!(look_to_the_end(&store, replay(Some(SettledAs::Dead))).await, expected);
        let expected: Vec<EventId> = settled.iter().filter(had).copied().collect();
        assert_eq!(look_to_the_end(&store, replay(Some(SettledAs::All))).await, expected);
        assert_eq!(look_to_the_end(&store, replay(None)).await, orders);
        let replay = make(&store, copy("erp", "new", None), 200).await;
        assert_eq!(carry_out(&store, replay, 200).await.queued, 6);
    })
    .await;
}

#[tokio::test]
async fn a_step_found_before_another_does_nothing() {
    on_each_store(async |store| {
        events(&store, "orders", 6, &["erp"]).await;
        let claimed = claim(&store, "erp", 100).await;
        settle(&store, &claimed, 100, |_| DEAD).await;
        let replay = make(&store, ReplaySelection::dead_of(subscription("erp")), 200).await;
        let step = look(&store, &replay, 2, 201).await;
        let moved = store.step_replay(step.clone()).await.expect("a step");
        assert_eq!((moved.queued, moved.looked_at), (2, 2));
        assert_eq!(moved.next_step_at, at(201) + Duration::from_millis(4));
        assert_eq!(store.step_replay(step).await.expect("an answer"), moved);
        let step = look(&store, &moved, 2, 202).await;
        let cancelled = store.end_replay(moved.id, ReplayState::Cancelled, None, at(203)).await.expect("an answer");
        assert_eq!((cancelled.state, cancelled.ended_at), (ReplayState::Cancelled, Some(at(203))));
        assert_eq!(store.step_replay(step).await.expect("an answer"), cancelled);
        let failed = store.end_replay(moved.id, ReplayState::Failed, Some("no".to_owned()), at(204)).await;
        assert_eq!(failed.expect("an answer"), cancelled);
        assert_eq!(claim(&store, "erp", 205).await.len(), 2);
        let unknown = store.end_replay(ReplayId::new(at(0)), ReplayState::Cancelled, None, at(203)).await;
        assert!(matches!(unknown, Err(StoreError::NotFound { .. })), "{unknown:?}");
    })
    .await;
}

#[tokio::test]
async fn a_repeated_request_finds_the_first_replay_for_a_day() {
    on_each_store(async |store| {
        let made = async |key: &str, request: &str, now: u64| {
            let request = RequestMark { key: BodyHash::of(key.as_bytes()), request: BodyHash::of(request.as_bytes()) };
            let replay = Replay::new(again("erp", SettledAs::All), Replay::USUAL_RATE, at(now));
            store.create_replay(Replay { request: Some(request), ..replay }).await.expect("an answer")
        };
        let CreatedReplay::New(first) = made("a", "1", 0).await else { panic!("nothing was asked before") };
        assert_eq!(made("a", "1", 60).await, CreatedReplay::Repeated(first.clone()));
        assert_eq!(made("a", "2", 60).await, CreatedReplay::OtherRequest);
        assert!(matches!(made("b", "2", 60).await, CreatedReplay::New(_)));
        store.end_replay(first.id, ReplayState::Done, None, at(61)).await.expect("an answer");
        assert!(matches!(made("a", "1", 62).await, CreatedReplay::Repeated(again) if again.id == first.id));
        let CreatedReplay::New(second) = made("a", "2", 86_400).await else { panic!("a day has passed") };
        assert_eq!(store.prune_replays(at(90_000), 9).await.expect("a step"), 1);
        assert_eq!(made("a", "2", 86_401).await, CreatedReplay::Repeated(second));
    })
    .await;
}

#[tokio::test]
async fn replays_are_listed_newest_first_and_pruned_when_they_are_over() {
    on_each_store(async |store| {
        let mut made = Vec::new();
        for now in 0..5 {
            made.push(make(&store, again("erp", SettledAs::All), now).await);
        }
        let wake = store.replay_wake();
        assert!(tokio::time::timeout(Duration::from_secs(5), wake.notified()).await.is_ok(), "nobody was woken");
        let page = store.replays(None, 3).await.expect("a read");
        assert_eq!(page.found, [4, 3, 2].map(|index| made[index].clone()));
        let page = store.replays(page.next, 3).await.expect("a read");
        assert_eq!((&page.found[..], page.next), (&[made[1].clone(), made[0].clone()][..], None));
        assert_eq!(store.running_replays(2).await.expect("a read"), made[..2]);

        for (index, ended) in [(0, 10), (2, 11), (3, 50)] {
            let id: ReplayId = made[index].id;
            store.end_replay(id, ReplayState::Done, None, at(ended)).await.expect("an answer");
        }
        assert_eq!(store.prune_replays(at(10), 9).await.expect("a step"), 0);
        assert_eq!(store.prune_replays(at(40), 1).await.expect("a step"), 1);
        assert_eq!(store.prune_replays(at(40), 9).await.expect("a step"), 1);
        let left: Vec<ReplayId> = store.replays(None, 9).await.expect("a read").iter().map(|left| left.id).collect();
        assert_eq!(left, [4, 3, 1].map(|index| made[index].id));
    })
    .await;
}

#[tokio::test]
async fn lists_are_narrowed_by_reason_kind_and_time() {
    on_each_store(async |store| {
        let orders = events(&store, "orders", 12, &["erp", "chat"]).await;
        let tickets = events(&store, "tickets", 12, &["erp"]).await;
        events(&store, "nobody", 3, &[]).await;
        let verdicts = [
            Verdict::Delivered,
            DEAD,
            Verdict::Dead(DeathReason::Gone),
            Verdict::Retry(at(999)),
            Verdict::Retry(at(500)),
        ];
        for name in ["erp", "chat"] {
            let claimed = claim(&store, name, 100).await;
            settle(&store, &claimed[..10], 100, |index| verdicts[index % verdicts.len()]).await;
        }
        let whole = DeliveryQuery { limit: 1000, ..DeliveryQuery::default() };
        let all = store.deliveries(whole).await.expect("a read");
        assert_eq!((all.len(), all.next.as_ref()), (36, None));
        assert_eq!(all.iter().filter(|one| one.last.is_some()).count(), 20);
        let reason = |state: &DeliveryState| match state {
            DeliveryState::Dead { reason, .. } => Some(*reason),
            _ => None,
        };
        let kinds = [
            EventFilter::default(),
            EventFilter::of_connector(connector("tickets")),
            EventFilter { event_type: Some(Pattern::new("orders.*")), ..EventFilter::default() },
            EventFilter { from: Some(at(3)), ..EventFilter::default() },
            EventFilter { from: Some(at(3)), until: Some(at(9)), ..EventFilter::of_connector(connector("orders")) },
            EventFilter { from: Some(at(9)), until: Some(at(3)), ..EventFilter::default() },
        ];
        for filter in &kinds {
            let is_meant = |event: &EventId| {
                let of_orders = orders.contains(event);
                filter.spans(*event)
                    && filter.connector.as_ref().is_none_or(|name| (name.as_str() == "orders") == of_orders)
                    && filter.event_type.as_ref().is_none_or(|_| of_orders)
            };
            for name in [None, Some(subscription("erp")), Some(subscription("chat"))] {
                for (state, of) in [
                    (None, None),
                    (Some(DeliveryStateName::Dead), None),
                    (None, Some(DeathReason::Gone)),
                    (Some(DeliveryStateName::Dead), Some(DeathReason::Exhausted)),
                    (Some(DeliveryStateName::Pending), None),
                    (Some(DeliveryStateName::Delivered), Some(DeathReason::Gone)),
                ] {
                    let expected: Vec<&DeliveryId> = all
                        .iter()
                        .filter(|one| name.as_ref().is_none_or(|name| one.id.subscription == *name))
                        .filter(|one| state.is_none_or(|state| DeliveryStateName::of(&one.state) == state))
                        .filter(|one| of.is_none_or(|of| reason(&one.state) == Some(of)))
                        .filter(|one| is_meant(&one.id.event))
                        .map(|one| &one.id)
                        .collect();
                    let mut query = DeliveryQuery {
                        subscription: name.clone(),
                        state,
                        reason: of,
                        filter: filter.clone(),
                        before: None,
                        limit: 5,
                    };
                    let mut found = Vec::new();
                    loop {
                        let page = store.deliveries(query.clone()).await.expect("a read");
                        query.before = page.next.clone();
                        found.extend(page.into_iter().map(|one| one.id));
                        if query.before.is_none() {
                            break;
                        }
                    }
                    assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{query:?}");
                }
            }
            let expected = orders.iter().chain(&tickets).filter(|event| is_meant(event)).copied();
            let query = EventQuery { filter: filter.clone(), limit: 100, ..EventQuery::default() };
            let found = store.events(query).await.expect("a read");
            let found: BTreeSet<EventId> = found
                .iter()
                .filter(|routed| routed.event.connector.as_str() != "nobody")
                .map(|one| one.event.id)
                .collect();
            assert_eq!(found, expected.collect());
        }
    })
    .await;
}

/// A part of a list looks at so much and no more, however little it finds.
#[tokio::test]
async fn a_part_of_a_list_looks_at_a_bounded_number_of_entries() {
    let directory = tempfile::tempdir().expect("a directory");
    let store: SharedStore = Arc::new(open_sled(directory.path()).expect("a new store"));
    events(&store, "orders", 3, &["erp"]).await;
    let late = async |of: &str, count: usize, to: &[&str]| {
        let updates = (0..count).map(|number| {
            let key = format!("{of} {number}");
            let event = event(&connector(of), &key, at(1000), raw("{}"), to);
            SeenUpdate { seen: seen(&key, 1, at(1000)), kept: None, event: Some(event) }
        });
        poll(&*store, &connector(of), commit(at(1000), updates.collect())).await.expect("a commit");
    };
    late("tickets", 3_000, &["erp"]).await;
    late("nobody", 3_000, &[]).await;
    for name in [None, Some(subscription("erp"))] {
        let filter = EventFilter::of_connector(connector("orders"));
        let mut query = DeliveryQuery { subscription: name, filter, limit: 9, ..DeliveryQuery::default() };
        let mut parts = Vec::new();
        loop {
            let page = store.deliveries(query.clone()).await.expect("a read");
            parts.push(page.len());
            query.before = page.next;
            if query.before.is_none() {
                break;
            }
        }
        let expected = if query.subscription.is_some() { vec![0, 3] } else { vec![0, 0, 0, 3] };
        assert_eq!(parts, expected);
    }
    let filter = EventFilter { event_type: Some(Pattern::new("orders.created")), ..EventFilter::default() };
    let page = store.events(EventQuery { filter, limit: 9, ..EventQuery::default() }).await.expect("a read");
    assert!(page.is_empty() && page.next.is_some());
}

#[tokio::test]
async fn a_batch_is_replayed_as_one_where_its_first_event_is_meant() {
    on_each_store(async |store| {
        let all = events(&store, "orders", 6, &["erp"]).await;
        let claimed = claim(&store, "erp", 100).await;
        let others = claimed[1..4].iter().map(|claimed| claimed.lease.clone()).collect();
        store.join_deliveries(&claimed[0].lease, others).await.expect("they are joined");
        settle(&store, &claimed[..1], 100, |_| DEAD).await;
        settle(&store, &claimed[4..], 100, |_| DEAD).await;
        let whole = |of: &str| Replay::new(copy("erp", of, Some(SettledAs::Dead)), Replay::USUAL_RATE, at(200));
        assert_eq!(look_to_the_end(&store, whole("new")).await, all, "each of its events can go to somebody else");

        let replay = make(&store, ReplaySelection::dead_of(subscription("erp")), 200).await;
        assert_eq!(look_to_the_end(&store, replay.clone()).await, [all[0], all[4], all[5]]);
        assert_eq!(carry_out(&store, replay, 200).await.queued, 3);
        let claimed = claim(&store, "erp", 200).await;
        assert_eq!(ids(&claimed), [all[0], all[4], all[5]]);
        assert_eq!(claimed[0].joined.iter().map(|event| event.id).collect::<Vec<_>>(), all[1..4]);
        settle(&store, &claimed, 201, |_| DEAD).await;

        // Without its first event, the others are queued by themselves.
        let written =
            WrittenSelection { subscription: Some(subscription("erp")), from: Some(at(2)), ..Default::default() };
        let replay = make(&store, selection(written), 300).await;
        assert_eq!(carry_out(&store, replay, 300).await.queued, 4);
        assert_eq!(ids(&claim(&store, "erp", 300).await), all[2..]);
    })
    .await;
}

/// However many batches reach the disk before the process dies, the next one takes the replay up where it was.
#[tokio::test]
async fn a_replay_broken_off_at_any_commit_is_taken_up() {
    for selection in [again("erp", SettledAs::Dead), backfill("new", None)] {
        for batches in 0.. {
            let map = Arc::new(MapKeyValue::default());
            let store: SharedStore = Arc::new(open_map(&map));
            let all = events(&store, "orders", 7, &["erp"]).await;
            let claimed = claim(&store, "erp", 100).await;
            settle(&store, &claimed, 100, |_| DEAD).await;
            let replay = make(&store, selection.clone(), 200).await;
            map.fail_after(batches);
            let mut broken = false;
            let mut running = replay.clone();
            while running.is_running() && !broken {
                match store.step_replay(look(&store, &running, 2, 201).await).await {
                    Ok(moved) => running = moved,
                    Err(_) => broken = true,
                }
            }
            map.repair();
            drop(store);
            let store: SharedStore = Arc::new(open_map(&map));
            let found = store.one_replay(replay.id).await.expect("a read").expect("the replay");
            assert_eq!(found.queued, 2 * batches.min(3) as u64 + u64::from(batches > 3));
            let done = carry_out(&store, found, 202).await;
            assert_eq!((done.state, done.queued), (ReplayState::Done, 7));
            let target = selection.target().as_str();
            let claimed = claim(&store, target, 202).await;
            assert_eq!(ids(&claimed), all, "in the order of their ids, each once");
            if !broken {
                assert_eq!(batches, 4);
                break;
            }
        }
    }
}

/// One thing that happens while replays are carried out.
#[derive(Debug, Clone)]
enum Event {
    Made { kind: u8, of: usize, state: u8, from: u64, length: u64 },
    Look { replay: usize, found: usize },
    Step { step: usize },
    Cancel { replay: usize },
    Claim { of: usize },
    Settle { claimed: usize, delivered: bool },
    Crash,
    Pass,
}

fn happening() -> impl Strategy<Value = Event> {
    let index = 0..100_usize;
    prop_oneof![
        2 => (0..3_u8, 0..3_usize, 0..4_u8, 0..40_u64, 1..60_u64)
            .prop_map(|(kind, of, state, from, length)| Event::Made { kind, of, state, from, length }),
        8 => (index.clone(), 1..5_usize).prop_map(|(replay, found)| Event::Look { replay, found }),
        8 => index.clone().prop_map(|step| Event::Step { step }),
        1 => index.clone().prop_map(|replay| Event::Cancel { replay }),
        3 => (0..3_usize).prop_map(|of| Event::Claim { of }),
        6 => (index, any::<bool>()).prop_map(|(claimed, delivered)| Event::Settle { claimed, delivered }),
        2 => Just(Event::Crash),
        2 => Just(Event::Pass),
    ]
}

const NAMES: [&str; 3] = ["erp", "chat", "new"];

/// The store after a crash at any moment: steps that were found but not committed are lost with the process.
struct World {
    map: Arc<MapKeyValue>,
    store: SharedStore,
    reference: Arc<MemoryStore>,
    now: u64,
    replays: Vec<Replay>,
    steps: Vec<(ReplayStep, ReplayStep)>,
    claims: Vec<(ClaimedDelivery, ClaimedDelivery)>,
    /// What each replay queued.
    queued: BTreeMap<ReplayId, Vec<EventId>>,
}

impl World {
    async fn new() -> Self {
        let map = Arc::new(MapKeyValue::default());
        let store: SharedStore = Arc::new(open_map(&map));
        let reference = MemoryStore::new();
        for (of, to) in [("orders", &["erp"][..]), ("tickets", &["erp", "chat"]), ("news", &[])] {
            let updates: Vec<SeenUpdate> = (0..20)
                .map(|number| {
                    let key = format!("{of} {number}");
                    let event = event(&connector(of), &key, at(number * 2), raw("{}"), to);
                    SeenUpdate { seen: seen(&key, 1, at(0)), kept: None, event: Some(event) }
                })
                .collect();
            poll(&*store, &connector(of), commit(at(0), updates.clone())).await.expect("a commit");
            poll(&*reference, &connector(of), commit(at(0), updates)).await.expect("a commit");
        }
        let (replays, steps, claims) = (Vec::new(), Vec::new(), Vec::new());
        Self { map, store, reference, now: 100, replays, steps, claims, queued: BTreeMap::new() }
    }

    fn reference(&self) -> SharedStore {
        Arc::clone(&self.reference) as SharedStore
    }

    async fn happen(&mut self, event: &Event) {
        let now = at(self.now);
        match event {
            Event::Made { kind, of, state, from, length } => {
                let state = [None, Some(SettledAs::Dead), Some(SettledAs::Delivered), Some(SettledAs::All)]
                    [usize::from(*state)];
                let (one, other) = (subscription(NAMES[*of]), subscription(NAMES[(of + 1) % 3]));
                let (of, to) = match kind {
                    0 => (Some(one), None),
                    1 => (Some(one), Some(other)),
                    _ => (None, Some(one)),
                };
                let (from, until) = (Some(at(*from)), Some(at(from + length)));
                let written = WrittenSelection { subscription: of, to, from, until, state, ..Default::default() };
                let replay = Replay::new(selection(written), Replay::USUAL_RATE, now);
                self.store.create_replay(replay.clone()).await.expect("a replay");
                self.reference.create_replay(replay.clone()).await.expect("a replay");
                self.replays.push(replay);
            }
            Event::Look { replay, found } if !self.replays.is_empty() => {
                let id = self.replays[replay % self.replays.len()].id;
                let replay = self.store.one_replay(id).await.expect("a read").expect("the replay");
                // Up to its end, so that both stores say the same.
                let bounds = LookBounds { found: *found, looked_at: usize::MAX, bytes: usize::MAX };
                let mut both = Vec::new();
                for store in [self.store.clone(), self.reference()] {
                    let replay = store.one_replay(id).await.expect("a read").expect("the replay");
                    let look = store.look_for_replay(&replay, bounds).await.expect("a look");
                    let queue = look.found.iter().map(|candidate| candidate.id).collect();
                    let pause_each = Duration::from_millis(2);
                    both.push(ReplayStep { replay, queue, looked_at: 1, after: look.after, now, pause_each });
                }
                let reference = both.pop().expect("two steps");
                let step = both.pop().expect("two steps");
                assert_eq!(step.queue, reference.queue, "{replay:?}");
                // Where nothing more is found, one of them may know already that there is no more.
                let after = step.after.filter(|_| reference.after.is_some());
                self.steps.push((ReplayStep { after, ..step }, ReplayStep { after, ..reference }));
            }
            Event::Step { step } if !self.steps.is_empty() => {
                let (step, reference) = self.steps.swap_remove(step % self.steps.len());
                let id = step.replay.id;
                let before = self.states(&step).await;
                let earlier = self.store.one_replay(id).await.expect("a read").expect("the replay");
                let moved = self.store.step_replay(step.clone()).await.expect("a step");
                assert_eq!(self.reference.step_replay(reference).await.expect("a step"), moved);
                let after = self.states(&step).await;
                let changed: Vec<EventId> = after
                    .iter()
                    .filter(|(event, state)| before.get(event) != Some(state))
                    .map(|(event, _)| *event)
                    .collect();
                // Steps are all or nothing: the count and what waits agree.
                assert_eq!(moved.queued - earlier.queued, changed.len() as u64, "{step:?}");
                self.queued.entry(id).or_default().extend(changed);
            }
            Event::Cancel { replay } if !self.replays.is_empty() => {
                let id = self.replays[replay % self.replays.len()].id;
                let ended = self.store.end_replay(id, ReplayState::Cancelled, None, now).await.expect("an answer");
                let expected = self.reference.end_replay(id, ReplayState::Cancelled, None, now).await;
                assert_eq!(ended, expected.expect("an answer"));
            }
            Event::Claim { of } => {
                let claimed = claim(&self.store, NAMES[*of], self.now).await;
                let expected = claim(&self.reference(), NAMES[*of], self.now).await;
                assert_eq!(ids(&claimed), ids(&expected));
                self.claims.extend(claimed.into_iter().zip(expected));
            }
            Event::Settle { claimed, delivered } if !self.claims.is_empty() => {
                let (claimed, reference) = self.claims.swap_remove(claimed % self.claims.len());
                let verdict = if *delivered { Verdict::Delivered } else { DEAD };
                let settled = self.store.settle_delivery(settlement(&claimed, now, verdict)).await;
                let expected = self.reference.settle_delivery(settlement(&reference, now, verdict)).await;
                assert_eq!(settled.is_ok(), expected.is_ok());
            }
            Event::Crash => {
                self.store = Arc::new(open_map(&self.map));
                self.reference.crash();
                self.steps.clear();
                self.claims.clear();
            }
            _ => self.now += 1,
        }
    }

    /// Returns how the deliveries stand that a step queues, those that exist.
    async fn states(&self, step: &ReplayStep) -> BTreeMap<EventId, DeliveryState> {
        let mut states = BTreeMap::new();
        for event in &step.queue {
            let id = DeliveryId { event: *event, subscription: step.replay.selection.target().clone() };
            if let Some((delivery, _)) = self.store.delivery(&id).await.expect("a read") {
                states.insert(*event, delivery.state);
            }
        }
        states
    }

    /// Carries out what still runs, and checks that no replay queued anything twice, nor out of order.
    async fn end(mut self) {
        for round in 0..10_000 {
            let running = self.store.running_replays(1).await.expect("a read");
            let Some(replay) = running.first() else { break };
            assert!(round < 9_999, "a replay does not end");
            let index = self.replays.iter().position(|made| made.id == replay.id).expect("it was made");
            self.happen(&Event::Look { replay: index, found: 3 }).await;
            let last = self.steps.len() - 1;
            self.happen(&Event::Step { step: last }).await;
        }
        for replay in &self.replays {
            let ended = self.store.one_replay(replay.id).await.expect("a read").expect("the replay");
            let queued = self.queued.remove(&replay.id).unwrap_or_default();
            assert!(queued.is_sorted_by(|one, other| one < other), "{replay:?} queued {queued:?}");
            assert_eq!(ended.queued, queued.len() as u64);
            let filter = &replay.selection.filter;
            assert!(queued.iter().all(|event| filter.spans(*event) && *event < replay.bound()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn each_replay_queues_what_it_means_once_whatever_happens(events in prop::collection::vec(happening(), 1..150)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut world = World::new().await;
            for event in &events {
                world.happen(event).await;
            }
            world.end().await;
        });
    }
}

#[test]
fn selections_say_who_gets_what() {
    let check = |json: &str, expected: Result<ReplaySelection, &str>| {
        let read = serde_json::from_str::<ReplaySelection>(json).map_err(|error| error.to_string());
        match (read, expected) {
            (Ok(read), Ok(expected)) => {
                assert_eq!(read, expected);
                let written = serde_json::to_string(&read).expect("JSON");
                assert_eq!(serde_json::from_str::<ReplaySelection>(&written).expect("a selection"), read);
            }
            (Err(error), Err(expected)) => assert!(error.contains(expected), "{error}"),
            (read, expected) => panic!("{json}: {read:?} instead of {expected:?}"),
        }
    };
    check(r#"{"subscription": "erp"}"#, Ok(again("erp", SettledAs::Dead)));
    check(r#"{"subscription": "erp", "state": "all"}"#, Ok(again("erp", SettledAs::All)));
    check(r#"{"to": "new"}"#, Ok(backfill("new", None)));
    check(r#"{"to": "new", "subscription": "erp"}"#, Ok(copy("erp", "new", None)));
    check(r#"{"to": "erp", "subscription": "erp"}"#, Err("the same"));
    check(r#"{"state": "dead"}"#, Err("whose deliveries"));
    let no_time = r#"{"to": "new", "from": "2026-11-20T12:00:00Z", "until": "2026-11-20T12:00:00Z"}"#;
    check(no_time, Err("no time between"));
    let replay = Replay::new(backfill("new", None), Replay::USUAL_RATE, Timestamp::from_millis(1));
    let stored = serde_json::to_string(&replay).expect("JSON");
    assert_eq!(serde_json::from_str::<Replay>(&stored).expect("a replay"), replay);
}
