//! One suite, run against each store: every behaviour that the traits document.

use std::sync::Arc;
use std::time::Duration;

use pollhook::model::delivery::{DeathReason, DeliveryState};
use pollhook::model::event_filter::EventFilter;
use pollhook::model::fingerprint::{BodyHash, KeyHash};
use pollhook::model::id::{DeliveryId, EventId, SubscriptionName};
use pollhook::model::item::{Presence, SeenItem, SetAside};
use pollhook::model::poll_record::PollRecord;
use pollhook::model::secret::Secret;
use pollhook::store::{
    Claim, ClaimedDelivery, DeliveryQuery, DeliveryStateName, Disabled, EventQuery, LaneCounts, LaneState, POLLS_KEPT,
    PollCommit, PollPart, Retention, SeenSelection, SeenUpdate, Settlement, SharedStore, StoreError, Verdict,
};

use super::support::{
    LEASE, aside, at, attempt, commit, connector, create, describe_aside, event, failed, poll, quiet, raw, record,
    replay_dead, seen, settlement, state, store_conformance, subscription,
};

store_conformance!(
    a_poll_is_held_by_one_until_it_is_given_back_or_ends,
    a_stale_holder_commits_nothing,
    a_commit_holds_state_items_events_and_deliveries,
    seen_items_are_found_by_hash_and_ascend,
    seen_items_are_replaced_and_keep_all_their_fields,
    many_items_are_found_again,
    items_are_read_a_few_at_a_time,
    a_part_of_a_poll_is_kept_ahead_of_its_end,
    a_stale_holder_commits_no_part,
    what_is_set_aside_stays_until_it_is_replaced_dropped_or_updated,
    changes_set_aside_are_read_a_few_at_a_time,
    the_last_polls_are_kept,
    a_clock_that_was_set_back_does_not_hide_new_polls,
    grants_are_kept_and_replaced,
    kept_items_stay_until_replaced_or_forgotten,
    items_not_seen_for_long_are_forgotten_unless_they_are_updated,
    claims_take_the_oldest_first_and_nothing_twice,
    a_lease_that_ended_can_be_taken_over_and_the_old_token_is_refused,
    a_lease_that_ended_is_good_until_it_is_taken_over,
    every_fourth_claim_is_a_retry,
    retries_fill_the_room_that_first_tries_leave,
    a_retry_falls_due_at_its_time,
    settlements_are_final_and_tell_of_their_attempts,
    settlements_made_together_succeed_or_fail_each_by_itself,
    long_answers_are_kept_whole,
    news_are_delivered_like_any_event,
    released_deliveries_can_be_claimed_at_once,
    next_due_counts_what_is_held_when_its_lease_ends,
    a_late_event_with_an_older_id_is_not_passed_over,
    replays_begin_the_schedule_anew,
    a_replay_while_an_attempt_is_under_way_does_not_disturb_it,
    dead_letters_are_replayed_oldest_first,
    an_event_is_sent_to_another_subscription_as_to_any,
    events_that_no_poll_found_are_delivered_like_any,
    lanes_remember_their_state,
    counts_stop_at_their_bound,
    events_are_listed_newest_first_in_pages,
    events_of_one_item_are_found,
    deliveries_are_listed_newest_first_in_pages,
    large_values_come_back_whole,
    lanes_are_woken_by_whatever_gives_them_work,
    pruning_removes_what_is_over_and_nothing_else,
    pruning_goes_on_where_it_stopped,
    what_waits_for_nobody_is_pruned_in_the_end,
    parallel_claims_share_nothing,
    a_closed_store_does_nothing,
);

async fn claim(store: &SharedStore, name: &str, now: u64, most: usize) -> Vec<ClaimedDelivery> {
    store.claim_deliveries(&subscription(name), at(now), Claim::up_to(most, LEASE)).await.expect("a claim").deliveries
}

async fn claim_ids(store: &SharedStore, name: &str, now: u64, most: usize) -> Vec<EventId> {
    claim(store, name, now, most).await.iter().map(|claimed| claimed.lease.id.event).collect()
}

async fn settle(store: &SharedStore, claimed: &ClaimedDelivery, now: u64, verdict: Verdict) {
    store.settle_delivery(settlement(claimed, at(now), verdict)).await.expect("a settlement");
}

fn id(event: EventId, name: &str) -> DeliveryId {
    DeliveryId { event, subscription: subscription(name) }
}

async fn state_of(store: &SharedStore, event: EventId, name: &str) -> DeliveryState {
    store.delivery(&id(event, name)).await.expect("a read").expect("the delivery").0.state
}

fn is_stale<T>(outcome: &Result<T, StoreError>) -> bool {
    matches!(outcome, Err(StoreError::StaleLease { .. }))
}

async fn a_poll_is_held_by_one_until_it_is_given_back_or_ends(store: SharedStore) {
    let orders = connector("orders");
    let lease = store.lease_poll(&orders, at(0), LEASE).await.expect("a lease").expect("nobody holds it");
    assert_eq!((lease.until, lease.state.is_none()), (at(60), true));
    assert!(store.lease_poll(&orders, at(59), LEASE).await.expect("an answer").is_none());
    assert!(store.lease_poll(&connector("other"), at(0), LEASE).await.expect("an answer").is_some());

    store.release_poll(lease).await.expect("a release");
    let second = store.lease_poll(&orders, at(1), LEASE).await.expect("a lease").expect("it was given back");
    let third = store.lease_poll(&orders, at(61), LEASE).await.expect("a lease").expect("it ended");
    store.release_poll(second).await.expect("a stale release is ignored");
    assert!(store.lease_poll(&orders, at(62), LEASE).await.expect("an answer").is_none());

    store.commit_poll(third, commit(at(61), Vec::new())).await.expect("a commit");
    let fourth = store.lease_poll(&orders, at(62), LEASE).await.expect("a lease").expect("the commit gave it back");
    assert_eq!(fourth.state, Some(state("", at(61))));
}

async fn a_stale_holder_commits_nothing(store: SharedStore) {
    let orders = connector("orders");
    let stale = store.lease_poll(&orders, at(0), LEASE).await.expect("a lease").expect("nobody holds it");
    let _taken_over = store.lease_poll(&orders, at(60), LEASE).await.expect("a lease").expect("it ended");
    let event = event(&orders, "1", at(1), raw("1"), &["erp"]);
    let update = SeenUpdate { seen: seen("1", 1, at(1)), kept: Some(raw("1")), event: Some(event) };
    let outcome =
        store.commit_poll(stale, PollCommit { forget_before: Some(at(9)), ..commit(at(1), vec![update]) }).await;
    assert!(is_stale(&outcome), "{outcome:?}");
    assert_eq!(store.connector_state(&orders).await.expect("a read"), None);
    assert!(store.seen_items(&orders, SeenSelection::All).await.expect("a read").is_empty());
    assert!(store.events(EventQuery { limit: 9, ..EventQuery::default() }).await.expect("a read").is_empty());
    assert!(claim(&store, "erp", 9, 9).await.is_empty());
}

async fn a_commit_holds_state_items_events_and_deliveries(store: SharedStore) {
    let orders = connector("orders");
    let routed = event(&orders, "1", at(1), raw(r#"{"total":9007199254740993.10}"#), &["erp", "chat"]);
    let expected = serde_json::to_string(&*routed.event).expect("JSON");
    let event_id = routed.event.id;
    let update = SeenUpdate { seen: seen("1", 1, at(1)), kept: Some(raw("[1.0]")), event: Some(routed) };
    let whole = PollCommit { state: state("2026-11-20", at(1)), ..commit(at(1), vec![update]) };
    poll(&*store, &orders, whole).await.expect("a commit");

    assert_eq!(store.connector_state(&orders).await.expect("a read"), Some(state("2026-11-20", at(1))));
    assert_eq!(store.seen_items(&orders, SeenSelection::All).await.expect("a read"), [seen("1", 1, at(1))]);
    let kept = store.kept_items(&orders, vec![KeyHash::of("2"), KeyHash::of("1")]).await.expect("a read");
    assert_eq!(kept.iter().map(|kept| kept.as_ref().map(|kept| kept.get())).collect::<Vec<_>>(), [None, Some("[1.0]")]);
    let found = store.event(event_id).await.expect("a read").expect("the event");
    assert_eq!(serde_json::to_string(&*found.event).expect("JSON"), expected);
    assert_eq!(found.subscriptions, [subscription("erp"), subscription("chat")]);
    for name in ["erp", "chat"] {
        let claimed = claim(&store, name, 1, 9).await;
        assert_eq!(claimed.len(), 1);
        assert_eq!((claimed[0].attempts, claimed[0].failures, claimed[0].lease.until), (0, 0, at(61)));
        assert_eq!(serde_json::to_string(&*claimed[0].event).expect("JSON"), expected);
    }
    assert!(claim(&store, "other", 1, 9).await.is_empty());
    assert!(store.event(EventId::new(at(1))).await.expect("a read").is_none());
}

async fn seen_items_are_found_by_hash_and_ascend(store: SharedStore) {
    let orders = connector("orders");
    let items: Vec<_> = (0..10).map(|number| seen(&number.to_string(), 1, at(0))).collect();
    let updates = items.iter().cloned().map(|item| quiet(item, None)).collect();
    poll(&*store, &orders, commit(at(0), updates)).await.expect("a commit");
    let mut expected = items.clone();
    expected.sort_by_key(|item| item.key_hash);
    assert_eq!(store.seen_items(&orders, SeenSelection::All).await.expect("a read"), expected);

    let mut hashes: Vec<_> = [0, 3, 7, 99].map(|number| KeyHash::of(&number.to_string())).to_vec();
    hashes.sort();
    expected.retain(|item| hashes.contains(&item.key_hash));
    assert_eq!(expected.len(), 3);
    assert_eq!(store.seen_items(&orders, SeenSelection::Keys(hashes)).await.expect("a read"), expected);
    assert!(store.seen_items(&orders, SeenSelection::Keys(Vec::new())).await.expect("a read").is_empty());
    assert!(store.seen_items(&connector("order"), SeenSelection::All).await.expect("a read").is_empty());
}

async fn seen_items_are_replaced_and_keep_all_their_fields(store: SharedStore) {
    let orders = connector("orders");
    for presence in [Presence::Present, Presence::Missing(1), Presence::Missing(250), Presence::Removed] {
        for key in [None, Some("a key, — with text".to_owned())] {
            let mut item = seen("1", 9, at(7));
            (item.presence, item.key, item.first_seen) = (presence, key, at(3));
            item.epoch = 200;
            poll(&*store, &orders, commit(at(7), vec![quiet(item.clone(), None)])).await.expect("a commit");
            assert_eq!(store.seen_items(&orders, SeenSelection::All).await.expect("a read"), [item]);
        }
    }
}

async fn many_items_are_found_again(store: SharedStore) {
    let orders = connector("orders");
    let numbers = |range: std::ops::Range<u32>| range.map(|number| number.to_string()).collect::<Vec<_>>();
    for (version, keys) in [(1, numbers(0..4000)), (2, numbers(3000..6000)), (3, numbers(10..11))] {
        let updates = keys.iter().map(|key| quiet(seen(key, version, at(0)), None)).collect();
        poll(&*store, &orders, commit(at(0), updates)).await.expect("a commit");
    }
    let mut expected: Vec<_> = numbers(0..6000)
        .iter()
        .enumerate()
        .map(|(number, key)| seen(key, if number == 10 { 3 } else { 1 + u8::from(number >= 3000) }, at(0)))
        .collect();
    expected.sort_by_key(|item| item.key_hash);
    assert_eq!(store.seen_items(&orders, SeenSelection::All).await.expect("a read"), expected);

    // Some of those that are there, far apart and close together, and some that are not.
    for step in [1, 7, 500, 2999] {
        let mut hashes: Vec<_> = (0..9000_u32).step_by(step).map(|number| KeyHash::of(&number.to_string())).collect();
        hashes.sort();
        let expected: Vec<_> = expected.iter().filter(|item| hashes.binary_search(&item.key_hash).is_ok()).collect();
        let found = store.seen_items(&orders, SeenSelection::Keys(hashes.clone())).await.expect("a read");
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "every {step}th");
    }
}

async fn items_are_read_a_few_at_a_time(store: SharedStore) {
    let orders = connector("orders");
    let after = async |after, most| store.seen_items(&orders, SeenSelection::After(after, most)).await.expect("a read");
    assert!(after(None, 9).await.is_empty());
    assert!(after(Some(KeyHash([7; 16])), 9).await.is_empty());
    let updates = (0..1000).map(|number| quiet(seen(&number.to_string(), 1, at(0)), None)).collect();
    poll(&*store, &orders, commit(at(0), updates)).await.expect("a commit");
    let all = store.seen_items(&orders, SeenSelection::All).await.expect("a read");
    for most in [1, 7, 300, 1000, 5000] {
        let mut found: Vec<SeenItem> = Vec::new();
        loop {
            let some = after(found.last().map(|item| item.key_hash), most).await;
            assert!(some.len() <= most);
            if some.is_empty() {
                break;
            }
            found.extend(some);
        }
        assert_eq!(found, all, "{most} at a time");
    }
    assert!(after(None, 0).await.is_empty());
    // Also after a hash that is nobody's.
    let between = KeyHash([100; 16]);
    let expected: Vec<_> = all.iter().filter(|item| item.key_hash > between).take(3).cloned().collect();
    assert_eq!(after(Some(between), 3).await, expected);
}

async fn a_part_of_a_poll_is_kept_ahead_of_its_end(store: SharedStore) {
    let orders = connector("orders");
    let lease = store.lease_poll(&orders, at(0), LEASE).await.expect("a lease").expect("nobody holds it");
    let routed = event(&orders, "1", at(0), raw("1"), &["erp"]);
    let of_part = routed.event.id;
    let update = SeenUpdate { seen: seen("1", 1, at(0)), kept: Some(raw("1")), event: Some(routed) };
    store.commit_items(&lease, vec![update].into()).await.expect("a part");
    store.commit_items(&lease, PollPart::default()).await.expect("an empty part");

    assert_eq!(store.connector_state(&orders).await.expect("a read"), None);
    assert_eq!(store.seen_items(&orders, SeenSelection::All).await.expect("a read"), [seen("1", 1, at(0))]);
    assert_eq!(claim_ids(&store, "erp", 0, 9).await, [of_part]);
    assert!(store.lease_poll(&orders, at(1), LEASE).await.expect("an answer").is_none(), "the lease is kept");
    let many: Vec<_> = (0..3000).map(|number| quiet(seen(&number.to_string(), 2, at(1)), None)).collect();
    store.commit_items(&lease, many.into()).await.expect("a large part");
    store.commit_poll(lease, commit(at(1), vec![quiet(seen("1", 3, at(1)), None)])).await.expect("the end");
    let items = store.seen_items(&orders, SeenSelection::All).await.expect("a read");
    assert_eq!(items.len(), 3000);
    assert_eq!(items.iter().filter(|item| item.fingerprint.0[0] == 3).count(), 1);
    assert_eq!(store.connector_state(&orders).await.expect("a read"), Some(state("", at(1))));
}

async fn a_stale_holder_commits_no_part(store: SharedStore) {
    let orders = connector("orders");
    let stale = store.lease_poll(&orders, at(0), LEASE).await.expect("a lease").expect("nobody holds it");
    let _taken_over = store.lease_poll(&orders, at(60), LEASE).await.expect("a lease").expect("it ended");
    let outcome = store.commit_items(&stale, vec![quiet(seen("1", 1, at(1)), None)].into()).await;
    assert!(is_stale(&outcome), "{outcome:?}");
    let outcome = store.commit_items(&stale, PollPart::default()).await;
    assert!(is_stale(&outcome), "{outcome:?}");
    assert!(store.seen_items(&orders, SeenSelection::All).await.expect("a read").is_empty());
}

async fn what_is_set_aside_stays_until_it_is_replaced_dropped_or_updated(store: SharedStore) {
    let orders = connector("orders");
    let all =
        async |of: &str| describe_aside(&store.set_aside(&connector(of), SeenSelection::All).await.expect("a read"));
    let with = |set_aside: Vec<SetAside>, dropped: &[&str], updated: &[&str]| {
        let updates = updated.iter().map(|key| quiet(seen(key, 1, at(1)), None)).collect();
        let dropped = dropped.iter().map(|key| KeyHash::of(key)).collect();
        PollCommit { set_aside, dropped, ..commit(at(1), updates) }
    };
    let aside = |key, length| aside(key, length, at(1));
    let expect = |mut changes: Vec<SetAside>| {
        changes.sort_by_key(|change| change.key_hash);
        describe_aside(&changes)
    };
    let commit = async |commit: PollCommit| poll(&*store, &orders, commit).await.expect("a commit");

    commit(with(["1", "2", "3", "4"].map(|key| aside(key, 30_000)).into(), &[], &["never"])).await;
    assert_eq!(all("orders").await, expect(["1", "2", "3", "4"].map(|key| aside(key, 30_000)).into()));
    assert!(all("order").await.is_empty());
    commit(with(vec![aside("1", 3)], &["2", "not there"], &["3"])).await;
    assert_eq!(all("orders").await, expect(vec![aside("1", 3), aside("4", 30_000)]));
    // What is set aside wins over what the same commit ends.
    commit(with(vec![aside("1", 4), aside("4", 5)], &["4"], &["1"])).await;
    assert_eq!(all("orders").await, expect(vec![aside("1", 4), aside("4", 5)]));

    let lease = store.lease_poll(&orders, at(2), LEASE).await.expect("a lease").expect("nobody holds it");
    let part = PollPart {
        updates: vec![quiet(seen("1", 2, at(2)), None)],
        set_aside: vec![aside("5", 6)],
        dropped: vec![KeyHash::of("4")],
    };
    store.commit_items(&lease, part).await.expect("a part");
    assert_eq!(all("orders").await, expect(vec![aside("5", 6)]));
    store.release_poll(lease).await.expect("a release");
    commit(with(Vec::new(), &["5"], &[])).await;
    assert!(all("orders").await.is_empty());
}

async fn changes_set_aside_are_read_a_few_at_a_time(store: SharedStore) {
    let orders = connector("orders");
    let changes: Vec<SetAside> =
        (0..2500).map(|number| aside(&number.to_string(), usize::from(number % 100 == 0) * 9000, at(0))).collect();
    poll(&*store, &orders, PollCommit { set_aside: changes, ..commit(at(0), Vec::new()) }).await.expect("a commit");
    let all = store.set_aside(&orders, SeenSelection::All).await.expect("a read");
    assert_eq!(all.len(), 2500);
    assert!(all.is_sorted_by_key(|change| change.key_hash));
    let mut found: Vec<SetAside> = Vec::new();
    loop {
        let after = SeenSelection::After(found.last().map(|change| change.key_hash), 999);
        let some = store.set_aside(&orders, after).await.expect("a read");
        if some.is_empty() {
            break;
        }
        found.extend(some);
    }
    assert_eq!(describe_aside(&found), describe_aside(&all));
    let mut hashes: Vec<_> = ["0", "17", "not there"].map(KeyHash::of).to_vec();
    hashes.sort();
    let found = store.set_aside(&orders, SeenSelection::Keys(hashes)).await.expect("a read");
    let mut keys: Vec<&str> = found.iter().map(|change| &*change.key).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["0", "17"]);
    assert!(store.set_aside(&orders, SeenSelection::After(None, 0)).await.expect("a read").is_empty());

    let dropped = all.iter().map(|change| change.key_hash).collect();
    poll(&*store, &orders, PollCommit { dropped, ..commit(at(1), Vec::new()) }).await.expect("a commit");
    assert!(store.set_aside(&orders, SeenSelection::All).await.expect("a read").is_empty());
}

async fn note(store: &SharedStore, of: &str, record: PollRecord) {
    let whole = PollCommit { record: Some(record), ..commit(at(0), Vec::new()) };
    poll(&**store, &connector(of), whole).await.expect("a commit");
}

async fn the_last_polls_are_kept(store: SharedStore) {
    let polls = async |of: &str, before, limit| store.polls(&connector(of), before, limit).await.expect("a read");
    assert!(polls("orders", None, 9).await.is_empty());
    let kept = POLLS_KEPT as u64;
    for number in 0..kept + 10 {
        // Some say a lot.
        note(&store, "orders", record(at(number), if number % 20 == 0 { 20_000 } else { 2 })).await;
    }
    note(&store, "order", record(at(3), 1)).await;
    poll(&*store, &connector("orders"), commit(at(99), Vec::new())).await.expect("a commit that is no poll");

    let all = polls("orders", None, 1000).await;
    let expected: Vec<_> =
        (10..kept + 10).rev().map(|number| record(at(number), if number % 20 == 0 { 20_000 } else { 2 })).collect();
    assert_eq!(all, expected);
    assert_eq!(polls("orders", Some(at(20)), 3).await, [19, 18, 17].map(|number| record(at(number), 2)));
    assert!(polls("orders", None, 0).await.is_empty());
    assert!(polls("orders", Some(at(10)), 9).await.is_empty());
    assert_eq!(polls("order", None, 9).await, [record(at(3), 1)]);
}

async fn a_clock_that_was_set_back_does_not_hide_new_polls(store: SharedStore) {
    for (time, words) in [(5, 1), (900, 1), (901, 1), (7, 2), (8, 1), (8, 3)] {
        note(&store, "orders", record(at(time), words)).await;
    }
    let found = store.polls(&connector("orders"), None, 9).await.expect("a read");
    assert_eq!(found, [record(at(8), 3), record(at(7), 2), record(at(5), 1)]);
}

async fn grants_are_kept_and_replaced(store: SharedStore) {
    let (one, other) = (BodyHash::of(b"one"), BodyHash::of(b"other"));
    let kept = async |id| store.kept_grant(id).await.expect("a read").map(|grant| grant.expose().to_owned());
    assert_eq!(kept(one).await, None);
    for length in [1, 20_000, 30_000, 5] {
        let text = "ü".repeat(length);
        store.keep_grant(one, Secret::new(text.clone())).await.expect("a change");
        assert_eq!((kept(one).await, kept(other).await), (Some(text), None));
    }
}

async fn kept_items_stay_until_replaced_or_forgotten(store: SharedStore) {
    let orders = connector("orders");
    let kept_now = async || {
        let kept = store.kept_items(&orders, vec![KeyHash::of("1")]).await.expect("a read");
        kept[0].as_ref().map(|kept| kept.get().to_owned())
    };
    for (kept, expected) in [(None, None), (Some("1"), Some("1")), (None, Some("1")), (Some("2"), Some("2"))] {
        let update = quiet(seen("1", 1, at(0)), kept.map(raw));
        poll(&*store, &orders, commit(at(0), vec![update])).await.expect("a commit");
        assert_eq!(kept_now().await.as_deref(), expected);
    }
    let forgetting = PollCommit { forget_before: Some(at(1)), ..commit(at(9), Vec::new()) };
    poll(&*store, &orders, forgetting).await.expect("a commit");
    assert_eq!(kept_now().await, None);
}

async fn items_not_seen_for_long_are_forgotten_unless_they_are_updated(store: SharedStore) {
    let orders = connector("orders");
    let items = [seen("old", 1, at(1)), seen("updated", 1, at(1)), seen("new", 1, at(5))];
    poll(&*store, &orders, commit(at(5), items.map(|item| quiet(item, None)).into())).await.expect("a commit");
    poll(&*store, &connector("other"), commit(at(5), vec![quiet(seen("old", 1, at(1)), None)]))
        .await
        .expect("a commit");
    let update = quiet(seen("updated", 2, at(2)), None);
    let forgetting = PollCommit { forget_before: Some(at(5)), ..commit(at(9), vec![update]) };
    poll(&*store, &orders, forgetting).await.expect("a commit");
    let mut expected = vec![seen("updated", 2, at(2)), seen("new", 1, at(5))];
    expected.sort_by_key(|item| item.key_hash);
    assert_eq!(store.seen_items(&orders, SeenSelection::All).await.expect("a read"), expected);
    assert_eq!(store.seen_items(&connector("other"), SeenSelection::All).await.expect("a read").len(), 1);
}

async fn claims_take_the_oldest_first_and_nothing_twice(store: SharedStore) {
    let ids = create(&*store, &connector("orders"), &["1", "2", "3", "4", "5"], &["erp"]).await;
    assert_eq!(claim_ids(&store, "erp", 9, 2).await, ids[..2]);
    assert_eq!(claim_ids(&store, "erp", 9, 2).await, ids[2..4]);
    assert_eq!(claim_ids(&store, "erp", 9, 0).await, []);
    assert_eq!(claim_ids(&store, "erp", 9, 2).await, ids[4..]);
    assert_eq!(claim_ids(&store, "erp", 9, 2).await, []);
}

async fn a_lease_that_ended_can_be_taken_over_and_the_old_token_is_refused(store: SharedStore) {
    let ids = create(&*store, &connector("orders"), &["1", "2"], &["erp"]).await;
    let stale = claim(&store, "erp", 0, 1).await;
    assert_eq!(claim_ids(&store, "erp", 59, 9).await, ids[1..]);
    let taken_over = claim(&store, "erp", 60, 9).await;
    assert_eq!(taken_over[0].lease.id.event, ids[0]);
    assert_eq!(taken_over.len(), 1);
    let outcome = store.settle_delivery(settlement(&stale[0], at(60), Verdict::Delivered)).await;
    assert!(is_stale(&outcome), "{outcome:?}");
    store.release_deliveries(vec![stale[0].lease.clone()]).await.expect("a stale release is ignored");
    assert_eq!(claim_ids(&store, "erp", 61, 9).await, []);
    settle(&store, &taken_over[0], 61, Verdict::Delivered).await;
    let outcome = store.settle_delivery(settlement(&taken_over[0], at(61), Verdict::Delivered)).await;
    assert!(is_stale(&outcome), "{outcome:?}");
}

async fn a_lease_that_ended_is_good_until_it_is_taken_over(store: SharedStore) {
    let ids = create(&*store, &connector("orders"), &["1", "2"], &["erp"]).await;
    let late = claim(&store, "erp", 0, 2).await;
    assert_eq!(claim_ids(&store, "erp", 100, 1).await, ids[..1]);
    settle(&store, &late[1], 101, Verdict::Delivered).await;
    assert_eq!(claim_ids(&store, "erp", 101, 9).await, []);
}

/// Makes retries of these deliveries, due at once.
async fn make_retries(store: &SharedStore, count: usize) -> Vec<EventId> {
    let keys: Vec<String> = (0..count).map(|number| format!("retry-{number}")).collect();
    let ids =
        create(&**store, &connector("retries"), &keys.iter().map(String::as_str).collect::<Vec<_>>(), &["erp"]).await;
    let claimed = claim(store, "erp", 0, count).await;
    assert_eq!(claimed.len(), count);
    for (index, claimed) in claimed.iter().enumerate() {
        settle(store, claimed, 0, Verdict::Retry(at(1 + index as u64))).await;
    }
    ids
}

async fn every_fourth_claim_is_a_retry(store: SharedStore) {
    let retries = make_retries(&store, 4).await;
    let firsts = create(&*store, &connector("orders"), &["1", "2", "3", "4", "5", "6", "7"], &["erp"]).await;
    let expected = [&firsts[..3], &retries[..1]].concat();
    assert_eq!(claim_ids(&store, "erp", 9, 4).await, expected);
    let mut one_by_one = Vec::new();
    for _ in 0..4 {
        one_by_one.extend(claim_ids(&store, "erp", 9, 1).await);
    }
    assert_eq!(one_by_one, [&firsts[3..6], &retries[1..2]].concat());
}

async fn retries_fill_the_room_that_first_tries_leave(store: SharedStore) {
    let retries = make_retries(&store, 4).await;
    let firsts = create(&*store, &connector("orders"), &["1"], &["erp"]).await;
    assert_eq!(claim_ids(&store, "erp", 9, 4).await, [&firsts[..], &retries[..3]].concat());
    assert_eq!(claim_ids(&store, "erp", 9, 4).await, retries[3..]);
}

async fn a_retry_falls_due_at_its_time(store: SharedStore) {
    let ids = create(&*store, &connector("orders"), &["1"], &["erp"]).await;
    let claimed = claim(&store, "erp", 0, 1).await;
    settle(&store, &claimed[0], 0, Verdict::Retry(at(30))).await;
    assert_eq!(state_of(&store, ids[0], "erp").await, DeliveryState::Pending { due: at(30) });
    assert_eq!(store.next_due(&subscription("erp")).await.expect("a read"), Some(at(30)));
    assert_eq!(claim_ids(&store, "erp", 29, 1).await, []);
    let again = claim(&store, "erp", 30, 1).await;
    assert_eq!((again[0].attempts, again[0].failures), (1, 1));
}

async fn settlements_are_final_and_tell_of_their_attempts(store: SharedStore) {
    let ids = create(&*store, &connector("orders"), &["1", "2"], &["erp"]).await;
    let claimed = claim(&store, "erp", 0, 2).await;
    settle(&store, &claimed[0], 5, Verdict::Delivered).await;
    settle(&store, &claimed[1], 5, Verdict::Retry(at(6))).await;
    let again = claim(&store, "erp", 6, 2).await;
    settle(&store, &again[0], 6, Verdict::Dead(DeathReason::Exhausted)).await;
    assert_eq!(claim_ids(&store, "erp", 1000, 9).await, []);
    assert_eq!(store.next_due(&subscription("erp")).await.expect("a read"), None);

    let end = Duration::from_millis(250);
    let (delivery, attempts) = store.delivery(&id(ids[0], "erp")).await.expect("a read").expect("the delivery");
    assert_eq!(delivery.state, DeliveryState::Delivered { at: at(5) + end });
    assert_eq!((delivery.attempts, attempts), (1, vec![attempt(1, at(5), "ok")]));
    let (delivery, attempts) = store.delivery(&id(ids[1], "erp")).await.expect("a read").expect("the delivery");
    assert_eq!(delivery.state, DeliveryState::Dead { at: at(6) + end, reason: DeathReason::Exhausted });
    assert_eq!(attempts, [failed(1, at(5), "refused"), failed(2, at(6), "refused")]);
    assert!(store.delivery(&id(ids[1], "other")).await.expect("a read").is_none());
}

async fn settlements_made_together_succeed_or_fail_each_by_itself(store: SharedStore) {
    let keys: Vec<String> = (0..450).map(|number| number.to_string()).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let ids = create(&*store, &connector("orders"), &keys, &["erp"]).await;
    let claimed = claim(&store, "erp", 0, keys.len()).await;
    assert_eq!(claimed.len(), keys.len());
    // Settled twice, given back, and the rest: retried, or delivered with an answer that alone fills a batch.
    settle(&store, &claimed[7], 5, Verdict::Delivered).await;
    store.release_deliveries(vec![claimed[300].lease.clone()]).await.expect("a release");
    let settlements = claimed.iter().enumerate().map(|(index, claimed)| {
        let verdict = if index.is_multiple_of(3) { Verdict::Retry(at(60)) } else { Verdict::Delivered };
        let mut settlement = settlement(claimed, at(5), verdict);
        if index.is_multiple_of(100) {
            settlement.attempt.answer = "x".repeat(60_000);
        }
        settlement
    });
    let results = store.settle_deliveries(settlements.collect()).await;
    assert_eq!(results.len(), keys.len());
    for (index, result) in results.iter().enumerate() {
        assert_eq!(is_stale(result), [7, 300].contains(&index), "{index}: {result:?}");
    }
    assert_eq!(state_of(&store, ids[3], "erp").await, DeliveryState::Pending { due: at(60) });
    assert_eq!(
        state_of(&store, ids[4], "erp").await,
        DeliveryState::Delivered { at: at(5) + Duration::from_millis(250) }
    );
    assert_eq!(claim_ids(&store, "erp", 6, 9).await, [ids[300]]);
}

async fn long_answers_are_kept_whole(store: SharedStore) {
    let ids = create(&*store, &connector("orders"), &["1"], &["erp"]).await;
    let mut expected = Vec::new();
    for number in 1..=40 {
        let claimed = claim(&store, "erp", 0, 1).await;
        let mut attempt = failed(number, at(0), &"why ".repeat(200));
        attempt.answer = "é".repeat(usize::try_from(number).expect("a small number") * 800);
        expected.push(attempt.clone());
        let lease = claimed[0].lease.clone();
        let settlement = Settlement { lease, attempt, verdict: Verdict::Retry(at(0)), news: Vec::new() };
        store.settle_delivery(settlement).await.expect("a settlement");
    }
    let (_, attempts) = store.delivery(&id(ids[0], "erp")).await.expect("a read").expect("the delivery");
    assert_eq!(attempts, expected);
}

async fn news_are_delivered_like_any_event(store: SharedStore) {
    let orders = connector("orders");
    create(&*store, &orders, &["1"], &["erp"]).await;
    let news = |number: u64| event(&orders, "news", at(number), raw("0"), &["ops"]);
    let expected = [news(10), news(11), news(12)];
    let ids: Vec<_> = expected.iter().map(|routed| routed.event.id).collect();
    let [of_poll, of_settlement, of_lane] = expected;
    poll(&*store, &orders, PollCommit { news: vec![of_poll], ..commit(at(1), Vec::new()) }).await.expect("a commit");
    let claimed = claim(&store, "erp", 0, 1).await;
    let dead = settlement(&claimed[0], at(0), Verdict::Dead(DeathReason::Gone));
    store.settle_delivery(Settlement { news: vec![of_settlement], ..dead }).await.expect("a settlement");
    let name = subscription("erp");
    store.set_lane_state(&name, LaneState::default(), vec![of_lane]).await.expect("a change");
    assert_eq!(claim_ids(&store, "ops", 20, 9).await, ids);
}

async fn released_deliveries_can_be_claimed_at_once(store: SharedStore) {
    let ids = create(&*store, &connector("orders"), &["1", "2", "3"], &["erp"]).await;
    let claimed = claim(&store, "erp", 0, 3).await;
    store.release_deliveries(vec![claimed[1].lease.clone()]).await.expect("a release");
    let outcome = store.settle_delivery(settlement(&claimed[1], at(0), Verdict::Delivered)).await;
    assert!(is_stale(&outcome), "{outcome:?}");
    assert_eq!(claim_ids(&store, "erp", 0, 9).await, ids[1..2]);
    settle(&store, &claimed[0], 0, Verdict::Retry(at(1))).await;
    let again = claim(&store, "erp", 1, 9).await;
    store.release_deliveries(vec![again[0].lease.clone()]).await.expect("a release");
    assert_eq!(claim_ids(&store, "erp", 1, 9).await, ids[..1]);
}

async fn next_due_counts_what_is_held_when_its_lease_ends(store: SharedStore) {
    let next_due = async || store.next_due(&subscription("erp")).await.expect("a read");
    assert_eq!(next_due().await, None);
    create(&*store, &connector("orders"), &["1", "2"], &["erp"]).await;
    assert_eq!(next_due().await, Some(at(0)));
    let claimed = claim(&store, "erp", 5, 1).await;
    assert_eq!(next_due().await, Some(at(1)));
    claim(&store, "erp", 6, 1).await;
    assert_eq!(next_due().await, Some(at(65)));
    settle(&store, &claimed[0], 6, Verdict::Retry(at(20))).await;
    assert_eq!(next_due().await, Some(at(20)));
    claim(&store, "erp", 20, 1).await;
    assert_eq!(next_due().await, Some(at(66)));
}

async fn a_late_event_with_an_older_id_is_not_passed_over(store: SharedStore) {
    let orders = connector("orders");
    let early = event(&orders, "early", at(0), raw("0"), &["erp"]);
    let early_id = early.event.id;
    let late = create(&*store, &connector("other"), &["1", "2"], &["erp"]).await;
    assert_eq!(claim_ids(&store, "erp", 9, 9).await, late);
    let update = SeenUpdate { seen: seen("early", 1, at(0)), kept: None, event: Some(early) };
    poll(&*store, &orders, commit(at(9), vec![update])).await.expect("a commit");
    assert_eq!(claim_ids(&store, "erp", 9, 9).await, [early_id]);
}

async fn replays_begin_the_schedule_anew(store: SharedStore) {
    let ids = create(&*store, &connector("orders"), &["1", "2", "3", "4"], &["erp"]).await;
    let claimed = claim(&store, "erp", 0, 3).await;
    settle(&store, &claimed[0], 0, Verdict::Delivered).await;
    settle(&store, &claimed[1], 0, Verdict::Dead(DeathReason::Gone)).await;
    settle(&store, &claimed[2], 0, Verdict::Retry(at(500))).await;
    for event in &ids {
        store.replay(&id(*event, "erp"), at(9)).await.expect("a replay");
    }
    let counts = store.lane_counts(&subscription("erp"), 9).await.expect("a read");
    assert_eq!(counts, LaneCounts { waiting: 1, retrying: 3, dead: 0 });
    let replayed = claim(&store, "erp", 9, 9).await;
    let mut seen: Vec<_> =
        replayed.iter().map(|claimed| (claimed.lease.id.event, claimed.attempts, claimed.failures)).collect();
    seen.sort();
    assert_eq!(seen, [(ids[0], 1, 0), (ids[1], 1, 0), (ids[2], 1, 0), (ids[3], 0, 0)]);
    let outcome = store.replay(&id(ids[0], "other"), at(9)).await;
    assert!(matches!(outcome, Err(StoreError::NotFound { .. })), "{outcome:?}");
}

async fn a_replay_while_an_attempt_is_under_way_does_not_disturb_it(store: SharedStore) {
    let ids = create(&*store, &connector("orders"), &["1"], &["erp"]).await;
    let claimed = claim(&store, "erp", 0, 1).await;
    store.replay(&id(ids[0], "erp"), at(1)).await.expect("a replay");
    assert_eq!(claim_ids(&store, "erp", 1, 9).await, []);
    settle(&store, &claimed[0], 1, Verdict::Retry(at(2))).await;

    let claimed = claim(&store, "erp", 2, 1).await;
    store.replay(&id(ids[0], "erp"), at(3)).await.expect("a replay");
    assert_eq!(claim_ids(&store, "erp", 3, 9).await, []);
    let taken_over = claim(&store, "erp", 62, 9).await;
    assert_eq!((taken_over.len(), taken_over[0].failures), (1, 0));
    settle(&store, &taken_over[0], 62, Verdict::Delivered).await;
    let outcome = store.settle_delivery(settlement(&claimed[0], at(62), Verdict::Retry(at(63)))).await;
    assert!(is_stale(&outcome), "{outcome:?}");
    assert_eq!(claim_ids(&store, "erp", 500, 9).await, []);
}

async fn dead_letters_are_replayed_oldest_first(store: SharedStore) {
    let ids = create(&*store, &connector("orders"), &["1", "2", "3", "4"], &["erp"]).await;
    for (index, claimed) in claim(&store, "erp", 0, 4).await.iter().enumerate() {
        let verdict = if index == 1 { Verdict::Delivered } else { Verdict::Dead(DeathReason::Exhausted) };
        settle(&store, claimed, 0, verdict).await;
    }
    let name = subscription("erp");
    assert_eq!(replay_dead(&*store, &name, at(9), 2).await.expect("a replay"), 2);
    assert_eq!(claim_ids(&store, "erp", 9, 9).await, [ids[0], ids[2]]);
    assert_eq!(replay_dead(&*store, &name, at(9), 9).await.expect("a replay"), 1);
    assert_eq!(replay_dead(&*store, &name, at(9), 9).await.expect("a replay"), 0);
    assert_eq!(replay_dead(&*store, &subscription("other"), at(9), 9).await.expect("a replay"), 0);
    assert_eq!(claim_ids(&store, "erp", 9, 9).await, ids[3..]);
}

async fn an_event_is_sent_to_another_subscription_as_to_any(store: SharedStore) {
    let ids = create(&*store, &connector("orders"), &["1", "2"], &["erp"]).await;
    store.send(&id(ids[1], "slow"), at(5)).await.expect("it is sent");
    let found = store.event(ids[1]).await.expect("a read").expect("the event");
    assert_eq!(found.subscriptions, [subscription("erp"), subscription("slow")]);
    let listed = store.deliveries(DeliveryQuery { limit: 9, ..DeliveryQuery::default() }).await.expect("a read");
    let listed: Vec<DeliveryId> = listed.into_iter().map(|found| found.id).collect();
    assert_eq!(listed, [id(ids[1], "slow"), id(ids[1], "erp"), id(ids[0], "erp")]);

    assert_eq!(store.next_due(&subscription("slow")).await.expect("a read"), Some(at(5)));
    let claimed = claim(&store, "slow", 5, 9).await;
    assert_eq!(claimed.len(), 1);
    assert_eq!((claimed[0].attempts, claimed[0].failures), (0, 0));
    settle(&store, &claimed[0], 5, Verdict::Dead(DeathReason::Gone)).await;
    // What went there is replayed, and nothing is listed twice.
    store.send(&id(ids[1], "slow"), at(6)).await.expect("it is sent again");
    let claimed = claim(&store, "slow", 6, 9).await;
    assert_eq!((claimed[0].attempts, claimed[0].failures), (1, 0));
    settle(&store, &claimed[0], 6, Verdict::Delivered).await;
    assert_eq!(store.event(ids[1]).await.expect("a read").expect("the event").subscriptions.len(), 2);

    // It is kept until it is over there too, and then nothing is left of it.
    for claimed in claim(&store, "erp", 6, 9).await {
        settle(&store, &claimed, 6, Verdict::Delivered).await;
    }
    store.send(&id(ids[0], "slow"), at(7)).await.expect("it is sent");
    let prune = async || store.prune(at(8 * DAY), Retention::default(), &all(), 9).await.expect("a step");
    assert_eq!((prune().await.events, prune().await.events), (1, 0));
    let claimed = claim(&store, "slow", 7, 9).await;
    settle(&store, &claimed[0], 7, Verdict::Delivered).await;
    assert_eq!(prune().await.deliveries, 2);
    let outcome = store.send(&id(ids[0], "slow"), at(9)).await;
    assert!(matches!(outcome, Err(StoreError::NotFound { .. })), "{outcome:?}");
}

async fn events_that_no_poll_found_are_delivered_like_any(store: SharedStore) {
    let wake = store.wake(&subscription("erp"));
    let orders = connector("orders");
    let length = |number: usize| if number == 7 { 100_000 } else { 900 };
    let data = |number: usize| raw(&format!("{:?}", "d".repeat(length(number))));
    let events: Vec<_> =
        (0..300).map(|number| event(&orders, &number.to_string(), at(0), data(number), &["erp"])).collect();
    let expected: Vec<EventId> = events.iter().map(|routed| routed.event.id).collect();
    store.record_events(events).await.expect("they are durable");
    assert!(tokio::time::timeout(Duration::from_secs(5), wake.notified()).await.is_ok(), "the lane is woken");
    let claimed = claim(&store, "erp", 0, 999).await;
    assert_eq!(claimed.iter().map(|claimed| claimed.lease.id.event).collect::<Vec<_>>(), expected);
    assert_eq!(claimed[7].event.data.get().len(), 100_002);
    store.record_events(Vec::new()).await.expect("nothing is durable at once");
}

async fn lanes_remember_their_state(store: SharedStore) {
    let name = subscription("erp");
    assert_eq!(store.lane_state(&name).await.expect("a read"), LaneState::default());
    let disabled = Disabled { at: at(1), reason: "410 Gone".into(), url: "https://erp.example.com".into() };
    for state in [
        LaneState { disabled: Some(disabled), paused_until: Some(at(2)), ..LaneState::default() },
        LaneState::default(),
    ] {
        store.set_lane_state(&name, state.clone(), Vec::new()).await.expect("a change");
        assert_eq!(store.lane_state(&name).await.expect("a read"), state);
        assert_eq!(store.lane_state(&subscription("other")).await.expect("a read"), LaneState::default());
    }
}

async fn counts_stop_at_their_bound(store: SharedStore) {
    create(&*store, &connector("orders"), &["1", "2", "3", "4", "5", "6", "7"], &["erp"]).await;
    for (index, claimed) in claim(&store, "erp", 0, 6).await.iter().enumerate() {
        let verdict = match index {
            0 => Verdict::Delivered,
            1 | 2 => Verdict::Retry(at(99)),
            3 => Verdict::Dead(DeathReason::Unsendable),
            _ => continue,
        };
        settle(&store, claimed, 0, verdict).await;
    }
    let name = subscription("erp");
    let counted = store.lane_counts(&name, 100).await.expect("a read");
    assert_eq!(counted, LaneCounts { waiting: 3, retrying: 2, dead: 1 });
    let counted = store.lane_counts(&name, 2).await.expect("a read");
    assert_eq!(counted, LaneCounts { waiting: 2, retrying: 2, dead: 1 });
    assert_eq!(store.lane_counts(&subscription("other"), 2).await.expect("a read"), LaneCounts::default());
}

async fn events_are_listed_newest_first_in_pages(store: SharedStore) {
    let orders = create(&*store, &connector("orders"), &["1", "2", "3", "4", "5"], &[]).await;
    let others = create(&*store, &connector("other"), &["1"], &["erp"]).await;
    let list = async |query: EventQuery| {
        let found = store.events(query).await.expect("a read");
        found.iter().map(|routed| routed.event.id).collect::<Vec<_>>()
    };
    let mut all = [&orders[..], &others].concat();
    all.sort_by(|one, other| other.cmp(one));
    assert_eq!(list(EventQuery { limit: 100, ..EventQuery::default() }).await, all);
    assert_eq!(list(EventQuery::default()).await, []);
    let mut paged = Vec::new();
    loop {
        let query = EventQuery {
            filter: EventFilter::of_connector(connector("orders")),
            before: paged.last().copied(),
            limit: 2,
            ..EventQuery::default()
        };
        let page = list(query).await;
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(paged, orders.iter().rev().copied().collect::<Vec<_>>());
}

async fn events_of_one_item_are_found(store: SharedStore) {
    let first = create(&*store, &connector("orders"), &["1", "2"], &[]).await;
    let second = create(&*store, &connector("orders"), &["1"], &[]).await;
    let other = create(&*store, &connector("other"), &["1"], &[]).await;
    let list = async |filter: EventFilter, key: &str| {
        let query = EventQuery { filter, key: Some(key.to_owned()), limit: 9, ..EventQuery::default() };
        let found = store.events(query).await.expect("a read");
        assert_eq!(found.next, None);
        found.iter().map(|routed| routed.event.id).collect::<Vec<_>>()
    };
    let newest_first = |mut ids: Vec<EventId>| {
        ids.sort_by(|one, other| other.cmp(one));
        ids
    };
    let of_orders = || EventFilter::of_connector(connector("orders"));
    assert_eq!(list(of_orders(), "1").await, newest_first(vec![first[0], second[0]]));
    assert_eq!(list(of_orders(), "2").await, [first[1]]);
    assert_eq!(list(of_orders(), "3").await, []);
    assert_eq!(list(EventFilter::default(), "1").await, newest_first(vec![first[0], second[0], other[0]]));
}

async fn deliveries_are_listed_newest_first_in_pages(store: SharedStore) {
    let keys: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let ids = create(&*store, &connector("orders"), &keys, &["erp", "chat"]).await;
    create(&*store, &connector("other"), &["1"], &[]).await;
    let verdicts = [
        Verdict::Delivered,
        Verdict::Retry(at(500)),
        Verdict::Dead(DeathReason::Gone),
        Verdict::Delivered,
        Verdict::Retry(at(400)),
    ];
    for (claimed, verdict) in claim(&store, "erp", 50, 30).await.iter().zip(verdicts.iter().cycle()) {
        settle(&store, claimed, 50, *verdict).await;
    }
    let mut all: Vec<DeliveryId> = ids.iter().flat_map(|event| [id(*event, "chat"), id(*event, "erp")]).collect();
    all.sort_by(|one, other| other.cmp(one));
    for name in [None, Some("erp"), Some("chat")] {
        for state in
            [None, Some(DeliveryStateName::Pending), Some(DeliveryStateName::Delivered), Some(DeliveryStateName::Dead)]
        {
            let name: Option<SubscriptionName> = name.map(subscription);
            let mut paged = Vec::new();
            loop {
                let before = paged.last().cloned();
                let query =
                    DeliveryQuery { subscription: name.clone(), state, before, limit: 7, ..DeliveryQuery::default() };
                let page = store.deliveries(query).await.expect("a read");
                if page.is_empty() {
                    break;
                }
                assert!(
                    page.iter().all(|found| state.is_none_or(|state| DeliveryStateName::of(&found.state) == state))
                );
                paged.extend(page.into_iter().map(|found| found.id));
            }
            let mut expected = Vec::new();
            for delivery in &all {
                let found = state_of(&store, delivery.event, delivery.subscription.as_str()).await;
                if name.as_ref().is_none_or(|name| delivery.subscription == *name)
                    && state.is_none_or(|state| DeliveryStateName::of(&found) == state)
                {
                    expected.push(delivery.clone());
                }
            }
            assert_eq!(paged, expected, "{name:?} {state:?}");
        }
    }
    assert!(store.deliveries(DeliveryQuery::default()).await.expect("a read").is_empty());
}

async fn large_values_come_back_whole(store: SharedStore) {
    let orders = connector("orders");
    let text = |length: usize| format!("{:?}", "0123456789abcdef".repeat(length / 16));
    for (version, length) in [(1, 3_000_000), (2, 49_000), (3, 16), (4, 200_000)] {
        let event = event(&orders, "1", at(version), raw(&text(length)), &["erp"]);
        let mut state = state(&"c".repeat(length), at(version));
        state.last_error = Some("e".repeat(length));
        let item = seen("1", u8::try_from(version).expect("small"), at(0));
        let update = SeenUpdate { seen: item, kept: Some(raw(&text(length))), event: Some(event) };
        let news = super::support::event(&orders, "news", at(version), raw(&text(length)), &[]);
        let news_id = news.event.id;
        let whole = PollCommit { news: vec![news], state: state.clone(), ..commit(at(version), vec![update]) };
        poll(&*store, &orders, whole).await.expect("a commit");
        let kept = store.kept_items(&orders, vec![KeyHash::of("1")]).await.expect("a read");
        assert_eq!(kept[0].as_ref().map(|kept| kept.get()), Some(&*text(length)));
        assert_eq!(store.connector_state(&orders).await.expect("a read"), Some(state));
        let claimed = claim(&store, "erp", 9, 1).await;
        assert_eq!(claimed[0].event.data.get(), text(length));
        assert_eq!(store.event(news_id).await.expect("a read").expect("the news").event.data.get(), text(length));
        settle(&store, &claimed[0], 9, Verdict::Delivered).await;
    }
}

async fn lanes_are_woken_by_whatever_gives_them_work(store: SharedStore) {
    let name = subscription("erp");
    let wake = store.wake(&name);
    let woken = async || tokio::time::timeout(Duration::from_secs(5), wake.notified()).await.is_ok();
    let ids = create(&*store, &connector("orders"), &["1"], &["erp"]).await;
    assert!(woken().await, "by a commit");
    let claimed = claim(&store, "erp", 0, 1).await;
    store.release_deliveries(vec![claimed[0].lease.clone()]).await.expect("a release");
    assert!(woken().await, "by a release");
    let claimed = claim(&store, "erp", 0, 1).await;
    settle(&store, &claimed[0], 0, Verdict::Retry(at(1))).await;
    assert!(woken().await, "by a retry");
    let claimed = claim(&store, "erp", 1, 1).await;
    settle(&store, &claimed[0], 1, Verdict::Dead(DeathReason::Gone)).await;
    store.replay(&id(ids[0], "erp"), at(2)).await.expect("a replay");
    assert!(woken().await, "by a replay");
    let claimed = claim(&store, "erp", 2, 1).await;
    settle(&store, &claimed[0], 2, Verdict::Dead(DeathReason::Gone)).await;
    replay_dead(&*store, &name, at(3), 9).await.expect("a replay");
    assert!(woken().await, "by a replay of dead letters");
    let news = event(&connector("orders"), "news", at(3), raw("0"), &["erp"]);
    store.set_lane_state(&subscription("other"), LaneState::default(), vec![news]).await.expect("a change");
    assert!(woken().await, "by news");
}

const DAY: u64 = 24 * 60 * 60;

async fn pruning_removes_what_is_over_and_nothing_else(store: SharedStore) {
    let orders = connector("orders");
    let nobody = create(&*store, &orders, &["nobody"], &[]).await;
    let ids = create(&*store, &orders, &["delivered", "dead", "retry", "half"], &["erp"]).await;
    let waiting = create(&*store, &orders, &["waiting"], &["slow"]).await;
    for (claimed, verdict) in claim(&store, "erp", 0, 4).await.iter().zip([
        Verdict::Delivered,
        Verdict::Dead(DeathReason::Exhausted),
        Verdict::Retry(at(99 * DAY)),
        Verdict::Delivered,
    ]) {
        settle(&store, claimed, 0, verdict).await;
    }
    let left = async || {
        let found = store.events(EventQuery { limit: 99, ..EventQuery::default() }).await.expect("a read");
        let mut keys: Vec<String> = found.iter().map(|routed| routed.event.key.clone()).collect();
        keys.sort();
        keys
    };
    let prune = async |day: u64| store.prune(at(day * DAY), Retention::default(), &all(), 100).await.expect("a step");

    let pruned = prune(6).await;
    assert_eq!((pruned.events, pruned.deliveries, pruned.finished), (0, 0, true));
    let pruned = prune(8).await;
    assert_eq!((pruned.events, pruned.deliveries, pruned.finished), (3, 2, true));
    assert_eq!(left().await, ["dead", "retry", "waiting"]);
    assert!(store.event(nobody[0]).await.expect("a read").is_none());
    assert!(store.delivery(&id(ids[0], "erp")).await.expect("a read").is_none());
    let outcome = store.replay(&id(ids[0], "erp"), at(0)).await;
    assert!(matches!(outcome, Err(StoreError::NotFound { .. })), "{outcome:?}");

    let pruned = prune(31).await;
    assert_eq!((pruned.events, pruned.deliveries, pruned.finished), (1, 1, true));
    assert_eq!(left().await, ["retry", "waiting"]);
    assert_eq!(replay_dead(&*store, &subscription("erp"), at(0), 9).await.expect("a replay"), 0);
    assert_eq!(claim_ids(&store, "slow", 0, 9).await, waiting);
    let seen = store.seen_items(&orders, SeenSelection::All).await.expect("a read");
    assert_eq!(seen.len(), 6);
}

async fn pruning_goes_on_where_it_stopped(store: SharedStore) {
    let orders = connector("orders");
    create(&*store, &orders, &["waiting 1", "waiting 2", "waiting 3"], &["erp"]).await;
    create(&*store, &orders, &["nobody 1", "nobody 2"], &[]).await;
    let mut removed = 0;
    let mut steps = 0;
    loop {
        let pruned = store.prune(at(99 * DAY), Retention::default(), &all(), 2).await.expect("a step");
        removed += pruned.events;
        steps += 1;
        if pruned.finished {
            break;
        }
    }
    assert_eq!((removed, steps), (2, 3));
    let pruned = store.prune(at(99 * DAY), Retention::default(), &all(), 9).await.expect("a step");
    assert_eq!((pruned.events, pruned.finished), (0, true));
}

async fn what_waits_for_nobody_is_pruned_in_the_end(store: SharedStore) {
    let ids = create(&*store, &connector("orders"), &["1", "2", "3"], &["gone"]).await;
    let routed = event(&connector("other"), "both", at(9), raw("0"), &["gone", "erp"]);
    let both = routed.event.id;
    let update = SeenUpdate { seen: seen("both", 1, at(9)), kept: None, event: Some(routed) };
    poll(&*store, &connector("other"), commit(at(9), vec![update])).await.expect("a commit");
    let claimed = claim(&store, "gone", 0, 3).await;
    settle(&store, &claimed[0], 0, Verdict::Retry(at(5))).await;
    settle(&store, &claimed[1], 0, Verdict::Delivered).await;
    let prune = async |day: u64, configured: &[SubscriptionName]| {
        let pruned = store.prune(at(day * DAY), Retention::default(), configured, 100).await.expect("a step");
        (pruned.events, pruned.deliveries)
    };
    // It comes back before it is too late, and then goes for good.
    assert_eq!(prune(1, &all()).await, (0, 0));
    assert_eq!(prune(20, &[subscription("gone"), subscription("erp")]).await, (1, 1));
    assert_eq!(store.lane_state(&subscription("gone")).await.expect("a read"), LaneState::default());
    assert_eq!(prune(100, &all()).await, (0, 0));
    let noted = store.lane_state(&subscription("gone")).await.expect("a read").unconfigured_since;
    assert_eq!(noted, Some(at(100 * DAY)));
    assert_eq!(prune(130, &all()).await, (0, 0));
    // Whoever still holds one has it.
    let (held, others): (Vec<_>, Vec<_>) =
        claim(&store, "gone", 131 * DAY, 3).await.into_iter().partition(|claimed| claimed.lease.id.event == both);
    store.release_deliveries(others.into_iter().map(|claimed| claimed.lease).collect()).await.expect("a release");
    assert_eq!(prune(131, &all()).await, (2, 2));
    for event in &ids {
        assert!(store.delivery(&id(*event, "gone")).await.expect("a read").is_none());
    }
    let counts = store.lane_counts(&subscription("gone"), 9).await.expect("a read");
    assert_eq!(counts, LaneCounts { waiting: 1, retrying: 0, dead: 0 });

    // The other one of two subscriptions is not forgotten, and a lease that ended does not bring anything back.
    assert_eq!(prune(140, &all()).await, (0, 0));
    let claimed = claim(&store, "erp", 140 * DAY, 9).await;
    settle(&store, &claimed[0], 140 * DAY, Verdict::Delivered).await;
    assert_eq!(prune(150, &all()).await, (1, 2));
    let outcome = store.settle_delivery(settlement(&held[0], at(150 * DAY), Verdict::Delivered)).await;
    assert!(is_stale(&outcome), "{outcome:?}");
    assert_eq!(store.lane_counts(&subscription("gone"), 9).await.expect("a read"), LaneCounts::default());
    assert!(claim_ids(&store, "gone", 200 * DAY, 9).await.is_empty());
    assert_eq!(store.next_due(&subscription("gone")).await.expect("a read"), None);
}

/// The subscriptions of these tests that are configured.
fn all() -> [SubscriptionName; 3] {
    ["erp", "slow", "ops"].map(subscription)
}

async fn parallel_claims_share_nothing(store: SharedStore) {
    let keys: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let mut expected = create(&*store, &connector("orders"), &keys, &["erp"]).await;
    let mut claims = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let store = Arc::clone(&store);
        claims.spawn(async move { claim_ids(&store, "erp", 0, 13).await });
    }
    let mut claimed = claims.join_all().await.concat();
    claimed.sort();
    expected.sort();
    assert_eq!(claimed, expected);
}

async fn a_closed_store_does_nothing(store: SharedStore) {
    let orders = connector("orders");
    let name = subscription("erp");
    store.check_writable().await.expect("it can be written to");
    store.close().await.expect("it closes");
    let is_closed = |outcome: Option<StoreError>| assert!(matches!(outcome, Some(StoreError::Closed)), "{outcome:?}");
    is_closed(store.close().await.err());
    is_closed(store.check_writable().await.err());
    is_closed(store.lease_poll(&orders, at(0), LEASE).await.err());
    is_closed(store.connector_state(&orders).await.err());
    is_closed(store.seen_items(&orders, SeenSelection::All).await.err());
    is_closed(store.claim_deliveries(&name, at(0), Claim::up_to(1, LEASE)).await.err());
    is_closed(store.next_due(&name).await.err());
    is_closed(store.set_lane_state(&name, LaneState::default(), Vec::new()).await.err());
    is_closed(store.set_aside(&orders, SeenSelection::All).await.err());
    is_closed(store.polls(&orders, None, 1).await.err());
    is_closed(store.kept_grant(BodyHash::of(b"")).await.err());
    is_closed(store.keep_grant(BodyHash::of(b""), Secret::new(String::new())).await.err());
    is_closed(store.events(EventQuery::default()).await.err());
    is_closed(store.prune(at(0), Retention::default(), &[], 1).await.err());
}
