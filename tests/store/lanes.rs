//! Lanes: order, batches, bounds of claims, and what is kept of attempts, in each store; and what a crash between any
//! two steps leaves of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pollhook::model::delivery::{Attempt, DeathReason, DeliveryState, Phases};
use pollhook::model::id::{DeliveryId, EventId};
use pollhook::model::lane::Order;
use pollhook::store::{
    ATTEMPTS_KEPT, Claim, Claimed, ClaimedDelivery, DeliveryLease, DeliveryQuery, DeliveryStateName, LaneCounts,
    Retention, Settlement, SharedStore, StoreError, Verdict,
};

use super::support::{
    LEASE, MapKeyValue, at, attempt, connector, create, event, open_map, raw, replay_dead, settlement,
    store_conformance, subscription,
};

store_conformance!(
    of_an_item_one_delivery_goes_at_a_time,
    a_failed_delivery_holds_back_its_item_and_nothing_else,
    a_late_event_of_an_item_waits_for_what_is_under_way,
    replays_of_an_item_go_by_the_age_of_their_events,
    with_one_order_for_all_each_waits_for_the_one_before,
    a_lane_can_get_another_order,
    many_deliveries_behind_one_are_no_burden,
    in_a_lane_with_an_order_a_lease_that_ended_is_given_back,
    a_batch_is_claimed_and_settled_as_one,
    a_batch_shows_in_lists_and_counts,
    a_large_batch_keeps_its_order,
    only_what_is_held_and_new_can_be_joined,
    what_goes_alone_is_not_joined_later,
    what_was_under_way_before_a_lane_joined_stays_alone,
    a_part_of_a_batch_can_be_replayed_alone,
    a_batch_is_kept_whole_until_it_is_over,
    claims_end_at_their_bound_of_bytes,
    a_bound_of_bytes_does_not_starve_retries,
    a_delivery_waits_since_it_was_queued_or_replayed,
    attempts_tell_where_they_were_made_and_only_the_last_ones_are_kept,
);

const NAME: &str = "erp";

fn id(event: EventId) -> DeliveryId {
    DeliveryId { event, subscription: subscription(NAME) }
}

fn ordered(order: Order, most: usize) -> Claim {
    Claim { order, ..Claim::up_to(most, LEASE) }
}

async fn claim_by(store: &SharedStore, now: u64, claim: Claim) -> Claimed {
    store.claim_deliveries(&subscription(NAME), at(now), claim).await.expect("a claim")
}

/// Claims until nothing more comes at once.
async fn claim_all(store: &SharedStore, order: Order, now: u64) -> Vec<ClaimedDelivery> {
    let mut all = Vec::new();
    loop {
        let claimed = claim_by(store, now, ordered(order, 100)).await;
        all.extend(claimed.deliveries);
        if !claimed.more {
            return all;
        }
    }
}

/// Claims by the order of items, and returns the events of what was taken.
async fn take(store: &SharedStore, now: u64) -> (Vec<ClaimedDelivery>, Vec<EventId>) {
    let claimed = claim_all(store, Order::Item, now).await;
    let ids = claimed.iter().map(|claimed| claimed.lease.id.event).collect();
    (claimed, ids)
}

async fn settle(store: &SharedStore, claimed: &ClaimedDelivery, now: u64, verdict: Verdict) {
    store.settle_delivery(settlement(claimed, at(now), verdict)).await.expect("a settlement");
}

async fn next_due(store: &SharedStore) -> Option<pollhook::model::time::Timestamp> {
    store.next_due(&subscription(NAME)).await.expect("a read")
}

async fn counts(store: &SharedStore) -> LaneCounts {
    store.lane_counts(&subscription(NAME), 10_000).await.expect("a read")
}

fn is_stale<T>(outcome: &Result<T, StoreError>) -> bool {
    matches!(outcome, Err(StoreError::StaleLease { .. }))
}

async fn of_an_item_one_delivery_goes_at_a_time(store: SharedStore) {
    let ids = create(&*store, &connector("orders"), &["a", "b", "a", "a", "b"], &[NAME]).await;
    // The same key of another connector is another item.
    let other = create(&*store, &connector("other"), &["a"], &[NAME]).await;
    let (claimed, taken) = take(&store, 9).await;
    let mut expected = vec![ids[0], ids[1], other[0]];
    expected.sort();
    assert_eq!(taken, expected);
    assert_eq!(next_due(&store).await, Some(at(9) + LEASE), "what waits for others is not due");
    assert_eq!(counts(&store).await, LaneCounts { waiting: 6, retrying: 0, dead: 0 });

    let of = |event: EventId| claimed.iter().find(|claimed| claimed.lease.id.event == event).expect("it was claimed");
    settle(&store, of(ids[0]), 9, Verdict::Delivered).await;
    assert_eq!(next_due(&store).await, Some(at(2)));
    let (second, taken) = take(&store, 9).await;
    assert_eq!(taken, [ids[2]]);
    // A dead letter lets the next one go as well, and one that is given back does not.
    settle(&store, &second[0], 9, Verdict::Dead(DeathReason::Exhausted)).await;
    store.release_deliveries(vec![of(ids[1]).lease.clone()]).await.expect("a release");
    let (_, taken) = take(&store, 9).await;
    assert_eq!(taken, [ids[1], ids[3]]);
    let state = store.delivery(&id(ids[4])).await.expect("a read").expect("the delivery").0.state;
    assert_eq!(state, DeliveryState::Pending { due: at(4) });
}

async fn a_failed_delivery_holds_back_its_item_and_nothing_else(store: SharedStore) {
    let ids = create(&*store, &connector("orders"), &["a", "a", "b", "a"], &[NAME]).await;
    let (claimed, taken) = take(&store, 9).await;
    assert_eq!(taken, [ids[0], ids[2]]);
    settle(&store, &claimed[0], 9, Verdict::Retry(at(500))).await;
    settle(&store, &claimed[1], 9, Verdict::Delivered).await;
    assert!(take(&store, 10).await.1.is_empty());
    assert_eq!(next_due(&store).await, Some(at(500)));
    assert_eq!(counts(&store).await, LaneCounts { waiting: 2, retrying: 1, dead: 0 });
    let later = create(&*store, &connector("orders"), &["a", "c"], &[NAME]).await;
    assert_eq!(take(&store, 11).await.1, later[1..]);
    let (claimed, taken) = take(&store, 500).await;
    assert_eq!(taken, [later[1], ids[0]], "and the lease of the other one has ended");
    assert_eq!(claimed[1].failures, 1);
    settle(&store, &claimed[1], 500, Verdict::Delivered).await;
    let mut order = vec![ids[1], ids[3], later[0]];
    order.sort();
    for expected in order {
        let (claimed, taken) = take(&store, 501).await;
        assert_eq!(taken, [expected]);
        settle(&store, &claimed[0], 501, Verdict::Delivered).await;
    }
}

async fn a_late_event_of_an_item_waits_for_what_is_under_way(store: SharedStore) {
    let early = event(&connector("orders"), "a", at(0), raw("0"), &[NAME]);
    let early_id = early.event.id;
    let ids = create(&*store, &connector("orders"), &["a", "a"], &[NAME]).await;
    let (claimed, taken) = take(&store, 9).await;
    assert_eq!(taken, ids[..1]);
    store.record_events(vec![early]).await.expect("an event");
    assert!(take(&store, 9).await.1.is_empty());
    // Whether it is given back or settled: the oldest goes first.
    store.release_deliveries(vec![claimed[0].lease.clone()]).await.expect("a release");
    for expected in [early_id, ids[0], ids[1]] {
        let (claimed, taken) = take(&store, 9).await;
        assert_eq!(taken, [expected]);
        settle(&store, &claimed[0], 9, Verdict::Delivered).await;
    }
}

async fn replays_of_an_item_go_by_the_age_of_their_events(store: SharedStore) {
    let ids = create(&*store, &connector("orders"), &["a", "a", "a", "a"], &[NAME]).await;
    for _ in 0..3 {
        let (claimed, _) = take(&store, 9).await;
        settle(&store, &claimed[0], 9, Verdict::Dead(DeathReason::Exhausted)).await;
    }
    // The newest first, and while the last one waits for its first attempt.
    for (time, event) in [(10, ids[2]), (11, ids[1]), (12, ids[0])] {
        store.replay(&id(event), at(time)).await.expect("a replay");
    }
    assert_eq!(counts(&store).await, LaneCounts { waiting: 1, retrying: 3, dead: 0 });
    assert_eq!(next_due(&store).await, Some(at(12)));
    let (claimed, taken) = take(&store, 20).await;
    assert_eq!(taken, ids[..1]);
    settle(&store, &claimed[0], 20, Verdict::Retry(at(90))).await;
    assert_eq!(next_due(&store).await, Some(at(90)));
    assert!(take(&store, 89).await.1.is_empty());
    for expected in ids {
        let (claimed, taken) = take(&store, 90).await;
        assert_eq!(taken, [expected]);
        settle(&store, &claimed[0], 90, Verdict::Delivered).await;
    }
}

async fn with_one_order_for_all_each_waits_for_the_one_before(store: SharedStore) {
    let ids = create(&*store, &connector("orders"), &["a", "b", "c"], &[NAME]).await;
    let one = async |now| claim_all(&store, Order::All, now).await;
    let first = one(9).await;
    assert_eq!(first.iter().map(|claimed| claimed.lease.id.event).collect::<Vec<_>>(), ids[..1]);
    assert!(one(9).await.is_empty());
    settle(&store, &first[0], 9, Verdict::Retry(at(30))).await;
    assert_eq!(next_due(&store).await, Some(at(30)), "no first try while a retry waits");
    assert!(one(29).await.is_empty());
    // A replay of an older event is ahead of it, one of a newer event is not.
    let again = one(30).await;
    settle(&store, &again[0], 30, Verdict::Dead(DeathReason::Exhausted)).await;
    let second = one(31).await;
    settle(&store, &second[0], 31, Verdict::Retry(at(40))).await;
    store.replay(&id(ids[0]), at(32)).await.expect("a replay");
    for (now, expected) in [(33, ids[0]), (40, ids[1]), (40, ids[2])] {
        assert_eq!(next_due(&store).await.map(|due| due <= at(now)), Some(true));
        let claimed = one(now).await;
        assert_eq!(claimed.iter().map(|claimed| claimed.lease.id.event).collect::<Vec<_>>(), [expected]);
        settle(&store, &claimed[0], now, Verdict::Delivered).await;
    }
    assert_eq!(next_due(&store).await, None);
}

async fn a_lane_can_get_another_order(store: SharedStore) {
    let keys: Vec<String> = (0..700).map(|number| format!("{}", number % 2)).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let ids = create(&*store, &connector("orders"), &keys, &[NAME]).await;
    // Half of them fail while the lane has no order.
    for claimed in claim_all(&store, Order::None, 0).await.iter().take(350) {
        settle(&store, claimed, 0, Verdict::Retry(at(5000))).await;
    }
    let expected = LaneCounts { waiting: 350, retrying: 350, dead: 0 };
    let all = |claimed: Vec<ClaimedDelivery>| {
        let mut all: Vec<EventId> = claimed.iter().map(|claimed| claimed.lease.id.event).collect();
        all.sort();
        all
    };
    assert!(take(&store, 1000).await.1.is_empty(), "the retries are ahead, and not due");
    assert_eq!(counts(&store).await, expected);
    assert_eq!(next_due(&store).await, Some(at(5000)));
    let (claimed, taken) = take(&store, 5000).await;
    assert_eq!(taken, ids[..2]);
    store.release_deliveries(claimed.into_iter().map(|claimed| claimed.lease).collect()).await.expect("a release");

    let claimed = claim_all(&store, Order::All, 5001).await;
    assert_eq!(claimed.iter().map(|claimed| claimed.lease.id.event).collect::<Vec<_>>(), ids[..1]);
    assert_eq!(counts(&store).await, expected);
    settle(&store, &claimed[0], 5001, Verdict::Delivered).await;

    assert_eq!(all(claim_all(&store, Order::None, 5002).await), ids[1..], "without an order, everything goes");
}

async fn many_deliveries_behind_one_are_no_burden(store: SharedStore) {
    let mut keys = vec!["blocked"; 900];
    keys.push("free");
    let ids = create(&*store, &connector("orders"), &keys, &[NAME]).await;
    let (claimed, taken) = take(&store, 0).await;
    assert_eq!(taken, [ids[0], ids[900]]);
    settle(&store, &claimed[0], 0, Verdict::Retry(at(50))).await;
    assert!(take(&store, 40).await.1.is_empty());
    assert_eq!(next_due(&store).await, Some(at(50)));
    assert_eq!(counts(&store).await, LaneCounts { waiting: 900, retrying: 1, dead: 0 });
    let query = DeliveryQuery { subscription: Some(subscription(NAME)), limit: 2000, ..DeliveryQuery::default() };
    let listed = store.deliveries(query).await.expect("a read");
    assert_eq!(
        listed.iter().map(|found| found.id.event).collect::<Vec<_>>(),
        ids.iter().rev().copied().collect::<Vec<_>>()
    );
    assert_eq!(store.delivery(&id(ids[500])).await.expect("a read").expect("the delivery").0.attempts, 0);

    let (claimed, taken) = take(&store, 50).await;
    assert_eq!(taken, ids[..1]);
    settle(&store, &claimed[0], 50, Verdict::Delivered).await;
    // One that lies behind is due already, so replaying it changes nothing.
    store.replay(&id(ids[700]), at(51)).await.expect("a replay");
    let (_, taken) = take(&store, 51).await;
    assert_eq!(taken, ids[1..2]);
}

async fn in_a_lane_with_an_order_a_lease_that_ended_is_given_back(store: SharedStore) {
    let ids = create(&*store, &connector("orders"), &["a", "a"], &[NAME]).await;
    let (claimed, _) = take(&store, 0).await;
    assert_eq!(next_due(&store).await, Some(at(60)));
    let (again, taken) = take(&store, 60).await;
    assert_eq!(taken, ids[..1]);
    let outcome = store.settle_delivery(settlement(&claimed[0], at(60), Verdict::Delivered)).await;
    assert!(is_stale(&outcome), "{outcome:?}");
    settle(&store, &again[0], 60, Verdict::Delivered).await;
    assert_eq!(take(&store, 61).await.1, ids[1..]);
}

/// Claims these without an order and joins all of them to the first one.
async fn join(store: &SharedStore, now: u64, most: usize) -> Vec<ClaimedDelivery> {
    let claimed = claim_by(store, now, Claim::up_to(most, LEASE)).await.deliveries;
    let mut leases: Vec<DeliveryLease> = claimed.iter().map(|claimed| claimed.lease.clone()).collect();
    let first = leases.remove(0);
    store.join_deliveries(&first, leases).await.expect("they are joined");
    claimed
}

fn joined_ids(claimed: &ClaimedDelivery) -> Vec<EventId> {
    claimed.joined.iter().map(|event| event.id).collect()
}

async fn a_batch_is_claimed_and_settled_as_one(store: SharedStore) {
    let ids = create(&*store, &connector("orders"), &["1", "2", "3", "4"], &[NAME]).await;
    let claimed = join(&store, 0, 3).await;
    assert_eq!(counts(&store).await, LaneCounts { waiting: 2, retrying: 0, dead: 0 });
    let outcome = store.settle_delivery(settlement(&claimed[1], at(0), Verdict::Delivered)).await;
    assert!(is_stale(&outcome), "the leases of the others have ended: {outcome:?}");
    assert_eq!(claim_by(&store, 0, Claim::up_to(9, LEASE)).await.deliveries[0].lease.id.event, ids[3]);

    settle(&store, &claimed[0], 0, Verdict::Retry(at(7))).await;
    let again = claim_by(&store, 7, Claim::up_to(9, LEASE)).await.deliveries;
    assert_eq!((again.len(), again[0].event.id, joined_ids(&again[0])), (1, ids[0], ids[1..3].to_vec()));
    assert_eq!((again[0].attempts, again[0].failures), (1, 1));
    settle(&store, &again[0], 7, Verdict::Delivered).await;
    for event in &ids[..3] {
        let (delivery, attempts) = store.delivery(&id(*event)).await.expect("a read").expect("the delivery");
        assert_eq!(delivery.state, DeliveryState::Delivered { at: at(7) + Duration::from_millis(250) });
        assert_eq!((delivery.attempts, attempts.len()), (2, 2));
        assert_eq!(delivery.joined_to, (*event != ids[0]).then_some(ids[0]));
        assert_eq!(delivery.members, if *event == ids[0] { 2 } else { 0 });
    }
    store.replay(&id(ids[0]), at(8)).await.expect("a replay");
    let again = claim_by(&store, 8, Claim::up_to(9, LEASE)).await.deliveries;
    assert_eq!((again.len(), joined_ids(&again[0])), (1, ids[1..3].to_vec()), "a replay repeats the whole batch");
    assert_eq!((again[0].attempts, again[0].failures, again[0].since), (2, 0, at(8)));
}

async fn a_batch_shows_in_lists_and_counts(store: SharedStore) {
    let ids = create(&*store, &connector("orders"), &["1", "2", "3"], &[NAME]).await;
    let claimed = join(&store, 0, 3).await;
    let list = async |state, name: Option<&str>| {
        let query = DeliveryQuery { subscription: name.map(subscription), state, limit: 9, ..DeliveryQuery::default() };
        let found = store.deliveries(query).await.expect("a read");
        found.iter().map(|found| found.id.event).collect::<Vec<_>>()
    };
    let newest_first: Vec<EventId> = ids.iter().rev().copied().collect();
    for name in [None, Some(NAME)] {
        assert_eq!(list(Some(DeliveryStateName::Pending), name).await, newest_first);
    }
    settle(&store, &claimed[0], 0, Verdict::Dead(DeathReason::Exhausted)).await;
    for name in [None, Some(NAME)] {
        assert_eq!(list(None, name).await, newest_first);
        assert_eq!(list(Some(DeliveryStateName::Dead), name).await, ids[..1], "a dead batch is one dead letter");
        assert!(list(Some(DeliveryStateName::Pending), name).await.is_empty());
    }
    assert_eq!(counts(&store).await, LaneCounts { waiting: 0, retrying: 0, dead: 1 });
    assert_eq!(replay_dead(&*store, &subscription(NAME), at(1), 9).await.expect("a replay"), 1);
    let again = claim_by(&store, 1, Claim::up_to(9, LEASE)).await.deliveries;
    assert_eq!((again.len(), joined_ids(&again[0])), (1, ids[1..].to_vec()));
}

async fn a_large_batch_keeps_its_order(store: SharedStore) {
    let keys: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let ids = create(&*store, &connector("orders"), &keys, &[NAME]).await;
    let mut claimed = claim_by(&store, 0, Claim::up_to(1000, LEASE)).await.deliveries;
    let first = claimed.remove(0);
    claimed.reverse();
    let leases = claimed.iter().map(|claimed| claimed.lease.clone()).collect();
    store.join_deliveries(&first.lease, leases).await.expect("they are joined");
    settle(&store, &first, 0, Verdict::Retry(at(1))).await;
    let again = claim_by(&store, 1, Claim::up_to(9, LEASE)).await.deliveries;
    let expected: Vec<EventId> = ids[1..].iter().rev().copied().collect();
    assert_eq!((again.len(), joined_ids(&again[0])), (1, expected));
    assert_eq!(counts(&store).await, LaneCounts { waiting: 0, retrying: 1, dead: 0 });
}

async fn only_what_is_held_and_new_can_be_joined(store: SharedStore) {
    create(&*store, &connector("orders"), &["1", "2", "3", "4"], &[NAME]).await;
    let claimed = claim_by(&store, 0, Claim::up_to(3, LEASE)).await.deliveries;
    let lease = |index: usize| claimed[index].lease.clone();
    let refused = async |first: DeliveryLease, others: Vec<DeliveryLease>| {
        let outcome = store.join_deliveries(&first, others).await;
        matches!(outcome, Err(StoreError::Refused(_)))
    };
    // One that was given back, and one twice.
    store.release_deliveries(vec![lease(2)]).await.expect("a release");
    assert!(is_stale(&store.join_deliveries(&lease(0), vec![lease(1), lease(2)]).await));
    assert!(is_stale(&store.join_deliveries(&lease(0), vec![lease(1), lease(1)]).await));
    assert_eq!(counts(&store).await.waiting, 4, "nothing was joined");
    // One that was attempted, and a batch.
    settle(&store, &claimed[1], 0, Verdict::Retry(at(0))).await;
    let more = claim_by(&store, 0, Claim::up_to(3, LEASE)).await.deliveries;
    assert_eq!(more.iter().map(|claimed| claimed.attempts).collect::<Vec<_>>(), [0, 0, 1]);
    assert!(refused(lease(0), vec![more[2].lease.clone()]).await);
    assert!(refused(more[2].lease.clone(), vec![lease(0)]).await);
    store.join_deliveries(&lease(0), vec![more[0].lease.clone()]).await.expect("they are joined");
    assert!(refused(more[1].lease.clone(), vec![lease(0)]).await);
    // What was sent later is as new as any.
    let sent = create(&*store, &connector("orders"), &["5", "6"], &[]).await;
    for event in &sent {
        store.send(&id(*event), at(1)).await.expect("it is sent");
    }
    let joined = join(&store, 1, 9).await;
    settle(&store, &joined[0], 1, Verdict::Delivered).await;
    let (delivery, _) = store.delivery(&id(sent[1])).await.expect("a read").expect("the delivery");
    assert_eq!(delivery.joined_to, Some(sent[0]));
    // In a lane with an order nothing can be joined.
    create(&*store, &connector("orders"), &["7", "8"], &[NAME]).await;
    let (claimed, _) = take(&store, 2).await;
    assert!(refused(claimed[0].lease.clone(), vec![claimed[1].lease.clone()]).await);
}

/// Claims for a lane that joins, and tells which of what was taken is closed.
async fn claim_joining(store: &SharedStore, now: u64) -> (Vec<ClaimedDelivery>, Vec<bool>) {
    let claimed = claim_by(store, now, Claim { joins: true, ..Claim::up_to(9, LEASE) }).await.deliveries;
    let closed = claimed.iter().map(|claimed| claimed.closed).collect();
    (claimed, closed)
}

/// After this many seconds, a lease has ended.
const AFTER_LEASE: u64 = LEASE.as_secs();

async fn what_goes_alone_is_not_joined_later(store: SharedStore) {
    let ids = create(&*store, &connector("orders"), &["1", "2", "3", "4"], &[NAME]).await;
    let (first, closed) = claim_joining(&store, 0).await;
    assert_eq!(closed, [false; 4]);
    store.join_deliveries(&first[0].lease, Vec::new()).await.expect("it is closed");
    let outcome = store.join_deliveries(&first[0].lease, vec![first[1].lease.clone()]).await;
    assert!(matches!(outcome, Err(StoreError::Refused(_))), "{outcome:?}");
    // What may have been sent by then is taken again as it was, when nobody says what came of it.
    let (again, closed) = claim_joining(&store, AFTER_LEASE).await;
    assert_eq!(closed, [true, false, false, false]);
    for (first, other) in [(0, 1), (1, 0)] {
        let outcome = store.join_deliveries(&again[first].lease, vec![again[other].lease.clone()]).await;
        assert!(matches!(outcome, Err(StoreError::Refused(_))), "{outcome:?}");
    }
    store.join_deliveries(&again[1].lease, vec![again[2].lease.clone()]).await.expect("they are joined");
    // Nor does a batch become open when nothing is left that was joined to it.
    store.replay(&id(ids[2]), at(AFTER_LEASE)).await.expect("a replay");
    let (last, closed) = claim_joining(&store, 2 * AFTER_LEASE).await;
    let taken: Vec<EventId> = last.iter().map(|claimed| claimed.event.id).collect();
    assert_eq!(taken, [ids[0], ids[1], ids[3], ids[2]]);
    assert_eq!(closed, [true, true, false, false]);
    settle(&store, &last[0], 2 * AFTER_LEASE, Verdict::Delivered).await;
    let (delivery, attempts) = store.delivery(&id(ids[0])).await.expect("a read").expect("the delivery");
    assert_eq!((delivery.attempts, attempts.len(), delivery.members), (1, 1, 0));
}

async fn what_was_under_way_before_a_lane_joined_stays_alone(store: SharedStore) {
    create(&*store, &connector("orders"), &["1", "2"], &[NAME]).await;
    let before = claim_by(&store, 0, Claim::up_to(9, LEASE)).await.deliveries;
    assert_eq!(before.len(), 2);
    let (again, closed) = claim_joining(&store, AFTER_LEASE).await;
    assert_eq!(closed, [true, true], "they may have been sent, each for itself");
    let outcome = store.join_deliveries(&again[0].lease, vec![again[1].lease.clone()]).await;
    assert!(matches!(outcome, Err(StoreError::Refused(_))), "{outcome:?}");
    let later = [5, 6].map(|time| event(&connector("orders"), "k", at(time), raw("{}"), &[NAME]));
    store.record_events(later.to_vec()).await.expect("they are recorded");
    assert_eq!(claim_joining(&store, AFTER_LEASE).await.1, [false, false]);
    assert_eq!(claim_joining(&store, 2 * AFTER_LEASE).await.1, [true, true, false, false]);
    // It gives it up, and begins again.
    assert_eq!(claim_by(&store, 3 * AFTER_LEASE, Claim::up_to(1, LEASE)).await.deliveries.len(), 1);
    assert_eq!(claim_joining(&store, 4 * AFTER_LEASE).await.1, [true; 4]);
}

async fn a_part_of_a_batch_can_be_replayed_alone(store: SharedStore) {
    let ids = create(&*store, &connector("orders"), &["1", "2", "3", "4"], &[NAME]).await;
    let claimed = join(&store, 0, 4).await;
    // While the batch is under way, and when it is over.
    store.replay(&id(ids[2]), at(1)).await.expect("a replay");
    let alone = claim_by(&store, 1, Claim::up_to(9, LEASE)).await.deliveries;
    assert_eq!((alone.len(), alone[0].event.id, alone[0].attempts, alone[0].since), (1, ids[2], 0, at(1)));
    settle(&store, &claimed[0], 1, Verdict::Dead(DeathReason::Gone)).await;
    store.replay(&id(ids[1]), at(2)).await.expect("a replay");
    let (delivery, attempts) = store.delivery(&id(ids[1])).await.expect("a read").expect("the delivery");
    assert_eq!((delivery.state, delivery.joined_to), (DeliveryState::Pending { due: at(2) }, None));
    assert_eq!((delivery.attempts, attempts.len()), (0, 0));
    assert_eq!(counts(&store).await, LaneCounts { waiting: 0, retrying: 2, dead: 1 });
    store.replay(&id(ids[0]), at(3)).await.expect("a replay");
    let again = claim_by(&store, 3, Claim::up_to(9, LEASE)).await.deliveries;
    let found: BTreeMap<EventId, Vec<EventId>> =
        again.iter().map(|claimed| (claimed.event.id, joined_ids(claimed))).collect();
    assert_eq!(found, BTreeMap::from([(ids[0], vec![ids[3]]), (ids[1], Vec::new())]));
}

const DAY: u64 = 24 * 60 * 60;

async fn a_batch_is_kept_whole_until_it_is_over(store: SharedStore) {
    let ids = create(&*store, &connector("orders"), &["1", "2", "3"], &[NAME]).await;
    store.send(&DeliveryId { event: ids[2], subscription: subscription("slow") }, at(0)).await.expect("it is sent");
    let claimed = join(&store, 0, 3).await;
    let configured = [subscription(NAME), subscription("slow")];
    let prune = async |day: u64| {
        let pruned = store.prune(at(day * DAY), Retention::default(), &configured, 100).await.expect("a step");
        pruned.deliveries
    };
    assert_eq!(prune(99).await, 0, "it waits");
    settle(&store, &claimed[0], 100 * DAY, Verdict::Dead(DeathReason::Exhausted)).await;
    assert_eq!(prune(120).await, 0, "it is a dead letter");
    // The last event still waits for somebody else: what is kept of the batch is what can still be sent.
    assert_eq!(prune(131).await, 1);
    assert_eq!(prune(131).await, 0);
    store.replay(&id(ids[0]), at(131 * DAY)).await.expect("a replay");
    let again = claim_by(&store, 131 * DAY, Claim::up_to(9, LEASE)).await.deliveries;
    assert_eq!((again.len(), joined_ids(&again[0])), (1, vec![ids[2]]));
    settle(&store, &again[0], 131 * DAY, Verdict::Delivered).await;
    let slow = store.claim_deliveries(&subscription("slow"), at(DAY), Claim::up_to(9, LEASE)).await.expect("a claim");
    settle(&store, &slow.deliveries[0], DAY, Verdict::Delivered).await;
    assert_eq!((prune(140).await, prune(140).await), (2, 1));
    assert_eq!(counts(&store).await, LaneCounts::default());
}

async fn claims_end_at_their_bound_of_bytes(store: SharedStore) {
    let orders = connector("orders");
    let data = |length: usize| raw(&format!("{:?}", "d".repeat(length - 3)));
    let lengths = [1000, 1000, 50_000, 1000];
    let events = lengths.map(|length| event(&orders, "k", at(0), data(length), &[NAME])).to_vec();
    let ids: Vec<EventId> = events.iter().map(|routed| routed.event.id).collect();
    store.record_events(events).await.expect("events");
    let claim = async |most, most_bytes| {
        let claimed = claim_by(&store, 0, Claim { most_bytes, ..Claim::up_to(most, LEASE) }).await;
        let taken: Vec<EventId> = claimed.deliveries.iter().map(|claimed| claimed.lease.id.event).collect();
        (taken, claimed.more)
    };
    assert_eq!(claim(9, 2500).await, (ids[..2].to_vec(), true));
    assert_eq!(claim(9, 2500).await, (vec![ids[2]], true), "one is taken, however large it is");
    assert_eq!(claim(1, 2500).await, (vec![ids[3]], true));
    assert_eq!(claim(9, 2500).await, (Vec::new(), false));
}

async fn a_bound_of_bytes_does_not_starve_retries(store: SharedStore) {
    let orders = connector("orders");
    let retry = create(&*store, &orders, &["retry"], &[NAME]).await;
    let claimed = claim_by(&store, 0, Claim::up_to(1, LEASE)).await.deliveries;
    settle(&store, &claimed[0], 0, Verdict::Retry(at(0))).await;
    let data = || raw(&format!("{:?}", "d".repeat(1000)));
    store.record_events((0..20).map(|_| event(&orders, "k", at(1), data(), &[NAME])).collect()).await.expect("events");
    let mut taken = Vec::new();
    for _ in 0..3 {
        let claim = Claim { most_bytes: 1500, ..Claim::up_to(100, LEASE) };
        taken.extend(claim_by(&store, 1, claim).await.deliveries.into_iter().map(|claimed| claimed.lease.id.event));
    }
    assert!(taken.contains(&retry[0]), "every fourth is a retry");
}

async fn a_delivery_waits_since_it_was_queued_or_replayed(store: SharedStore) {
    let ids = create(&*store, &connector("orders"), &["1"], &[NAME]).await;
    let mut since = Vec::new();
    for (now, verdict) in [(5, Verdict::Retry(at(6))), (6, Verdict::Dead(DeathReason::Exhausted))] {
        let claimed = claim_by(&store, now, Claim::up_to(1, LEASE)).await.deliveries;
        since.push(claimed[0].since);
        settle(&store, &claimed[0], now, verdict).await;
    }
    store.replay(&id(ids[0]), at(50)).await.expect("a replay");
    for now in [51, 52] {
        let claimed = claim_by(&store, now, Claim::up_to(1, LEASE)).await.deliveries;
        since.push(claimed[0].since);
        settle(&store, &claimed[0], now, Verdict::Retry(at(52))).await;
    }
    assert_eq!(since, [at(0), at(0), at(50), at(50)]);
}

async fn attempts_tell_where_they_were_made_and_only_the_last_ones_are_kept(store: SharedStore) {
    let ids = create(&*store, &connector("orders"), &["1"], &[NAME]).await;
    let whole = |number: u32| {
        let micros = |factor: u64| Some(Duration::from_micros(u64::from(number) * factor));
        let address = if number.is_multiple_of(2) { "192.0.2.1:443" } else { "[2001:db8::1]:8443" };
        let phases = Phases { dns: micros(1), connect: None, tls: micros(3), answer: micros(1_000_000), body: None };
        let answer = "a".repeat(if number.is_multiple_of(7) { 20_000 } else { 100 });
        let attempt = attempt(number, at(u64::from(number)), &answer);
        let address = (!number.is_multiple_of(5)).then(|| address.parse().expect("an address"));
        Attempt { address, phases: if number.is_multiple_of(3) { Phases::default() } else { phases }, ..attempt }
    };
    let count = ATTEMPTS_KEPT as u32 + 20;
    for number in 1..=count {
        let claimed = claim_by(&store, 0, Claim::up_to(1, LEASE)).await.deliveries;
        assert_eq!(claimed[0].attempts, number - 1);
        let (lease, verdict) = (claimed[0].lease.clone(), Verdict::Retry(at(0)));
        let settlement = Settlement { lease, attempt: whole(number), verdict, news: Vec::new() };
        store.settle_delivery(settlement).await.expect("a settlement");
    }
    let (delivery, attempts) = store.delivery(&id(ids[0])).await.expect("a read").expect("the delivery");
    assert_eq!(delivery.attempts, count);
    assert_eq!(attempts, (21..=count).map(whole).collect::<Vec<_>>());
}

/// Claims with the order, until an attempt of everything was acknowledged; returns the events of each item in the order
/// in which they were.
async fn drain(store: &SharedStore, order: Order) -> BTreeMap<String, Vec<EventId>> {
    let mut arrived: BTreeMap<String, Vec<EventId>> = BTreeMap::new();
    let mut now = 10_000;
    while next_due(store).await.is_some() {
        now += 1000;
        for claimed in claim_all(store, order, now).await {
            for event in std::iter::once(&claimed.event).chain(&claimed.joined) {
                arrived.entry(event.key.clone()).or_default().push(event.id);
            }
            settle(store, &claimed, now, Verdict::Delivered).await;
        }
        assert!(now < 4_000_000, "something stays behind: {:?}", counts(store).await);
    }
    arrived
}

/// Does something with a store whose disk fails after so many batches, for every number of them, and looks at what is
/// left when it is opened again.
async fn at_every_step(
    prepare: impl AsyncFn(&SharedStore),
    act: impl AsyncFn(&SharedStore) -> Result<(), StoreError>,
    check: impl AsyncFn(&SharedStore),
) {
    for broken_after in 0.. {
        let map = Arc::new(MapKeyValue::default());
        let store: SharedStore = Arc::new(open_map(&map));
        prepare(&store).await;
        map.fail_after(broken_after);
        let is_done = act(&store).await.is_ok();
        drop(store);
        map.repair();
        let store: SharedStore = Arc::new(open_map(&map));
        check(&store).await;
        assert!(!map.overfull.load(std::sync::atomic::Ordering::SeqCst), "a batch was too large");
        if is_done {
            assert!(broken_after > 2, "it takes several steps");
            // What tells of what waited is gone with it.
            assert_eq!(map.count(b'Q'), 0, "broken after {broken_after}");
            return;
        }
    }
}

#[tokio::test]
async fn a_crash_between_any_two_steps_leaves_an_order_whole() {
    let keys: Vec<String> = (0..40).map(|number| ["a", "b", "a", "c"][number % 4].to_owned()).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    at_every_step(
        async |store| {
            create(&**store, &connector("orders"), &keys, &[NAME]).await;
        },
        async |store| {
            for round in 0..6_u64 {
                // Now and then without an order, or with another one.
                let order =
                    [Order::Item, Order::Item, Order::All, Order::Item, Order::None, Order::Item][round as usize];
                let most = if round == 4 { 1 } else { 9 };
                let claimed =
                    store.claim_deliveries(&subscription(NAME), at(100 * round), ordered(order, most)).await?;
                for (index, claimed) in claimed.deliveries.iter().enumerate() {
                    let verdict = match (round + index as u64) % 3 {
                        0 => Verdict::Delivered,
                        1 => Verdict::Retry(at(100 * round + 150)),
                        _ => Verdict::Dead(DeathReason::Exhausted),
                    };
                    store.settle_delivery(settlement(claimed, at(100 * round), verdict)).await?;
                }
                replay_dead(&**store, &subscription(NAME), at(100 * round + 1), 1).await?;
            }
            Ok(())
        },
        async |store| {
            replay_dead(&**store, &subscription(NAME), at(9000), 100).await.expect("a replay");
            let expected = counts(store).await;
            let arrived = drain(store, Order::Item).await;
            let count: usize = arrived.values().map(Vec::len).sum();
            assert_eq!(count, expected.waiting + expected.retrying);
            for (item, events) in arrived {
                // What was replayed goes first, and the others follow by their age.
                let descents = events.windows(2).filter(|pair| pair[0] > pair[1]).count();
                assert!(descents <= 1, "{item}: {events:?}");
            }
        },
    )
    .await;
}

#[tokio::test]
async fn a_crash_between_any_two_steps_leaves_batches_whole() {
    let keys: Vec<String> = (0..700).map(|number| number.to_string()).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    at_every_step(
        async |store| {
            create(&**store, &connector("orders"), &keys, &[NAME]).await;
        },
        async |store| {
            let claimed =
                store.claim_deliveries(&subscription(NAME), at(0), Claim::up_to(700, LEASE)).await?.deliveries;
            let mut leases = claimed.iter().map(|claimed| claimed.lease.clone());
            let first = leases.next().expect("one was claimed");
            store.join_deliveries(&first, leases.collect()).await?;
            store.settle_delivery(settlement(&claimed[0], at(0), Verdict::Retry(at(1)))).await?;
            store.replay(&claimed[300].lease.id, at(1)).await
        },
        async |store| {
            let arrived = drain(store, Order::None).await;
            assert!(arrived.values().all(|events| events.len() == 1), "something is sent twice");
            assert_eq!(arrived.len(), 700, "something is lost");
            assert_eq!(counts(store).await, LaneCounts::default());
        },
    )
    .await;
}

#[tokio::test]
async fn nothing_is_left_of_lanes_and_batches_that_were_pruned() {
    let map = Arc::new(MapKeyValue::default());
    let store: SharedStore = Arc::new(open_map(&map));
    create(&*store, &connector("orders"), &["1", "2", "3"], &[NAME]).await;
    let claimed = join(&store, 0, 3).await;
    settle(&store, &claimed[0], 0, Verdict::Dead(DeathReason::Exhausted)).await;
    create(&*store, &connector("orders"), &["a", "a", "a", "b"], &[NAME]).await;
    for round in 0..4 {
        for claimed in take(&store, round * 100).await.0 {
            settle(&store, &claimed, round * 100, Verdict::Retry(at(round * 100 + 50))).await;
        }
    }
    assert!(b"EODLQJjB".iter().all(|prefix| map.count(*prefix) > 0), "there is something of each kind");
    // Nobody configures the subscription any more, so that what waits is forgotten in the end.
    for day in [100, 200, 201] {
        store.prune(at(day * DAY), Retention::default(), &[], 100).await.expect("a step");
    }
    assert_eq!(b"EODLQJj".map(|prefix| map.count(prefix)), [0; 7]);
    assert_eq!(counts(&store).await, LaneCounts::default());
    assert_eq!(next_due(&store).await, None);
}
