//! Every case, and the sentence for it.

use serde_json::{Value, json};

use super::*;
use crate::cli::explain::facts::{Matching, Rules};
use crate::model::fingerprint::{BodyHash, Fingerprint};
use crate::poll::LookedAt;
use crate::server::wire::{ConnectorMemory, ItemMemory, MatchView, RulesView};

const AT: &str = "2026-11-21T12:00:00.000Z";

fn read<T: serde::de::DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).expect("facts")
}

fn fingerprint(version: u64) -> Fingerprint {
    Fingerprint::of([&json!(version)])
}

/// Returns the facts of an item that the source has, with these things remembered and these events.
#[expect(clippy::needless_pass_by_value, reason = "the tables of cases read better")]
fn facts(source: Source, item: Value, connector: Value, events: Vec<EventFacts>) -> Facts {
    let hash = BodyHash::of(b"");
    let rules = RulesView { pages: hash, keys: hash, fingerprints: hash };
    let mut connector_memory = json!({"name": "orders", "rules": rules, "is_baselined": true, "items": 1});
    connector_memory.as_object_mut().expect("an object").extend(connector.as_object().expect("an object").clone());
    let mut item_memory = json!({"key": "1"});
    item_memory.as_object_mut().expect("an object").extend(item.as_object().expect("an object").clone());
    let memory = Memory {
        item: read::<ItemMemory>(item_memory),
        connector: read::<ConnectorMemory>(connector_memory),
        rules_that_differ: Vec::new(),
        next_poll: Some(read(json!({"at": "2026-11-21T13:00:00Z", "because": "schedule"}))),
        failing: None,
        polled_at: Some(read(json!(AT))),
    };
    Facts {
        connector: "orders".parse().expect("a name"),
        key: "1".to_owned(),
        rules: Rules { events: vec![ChangeKind::Created, ChangeKind::Updated], detects_removal: false },
        service: Service::Answers,
        source,
        memory: Some(memory),
        fingerprint_now: Some(fingerprint(1)),
        comparison: None,
        matching: None,
        events,
        events_are_cut: false,
    }
}

fn listed() -> Source {
    Source::Listed { page: 1, position: 1, url: "http://x/".to_owned(), pages: 1, copies: 1 }
}

fn not_listed(items: usize, unless: Option<&str>) -> Source {
    let examples = (0..items.min(3)).map(|number| format!("k{number}")).collect();
    Source::NotListed { pages: 1, items, unless: unless.map(str::to_owned), examples }
}

#[expect(clippy::needless_pass_by_value, reason = "the tables of cases read better")]
fn seen(more: Value) -> Value {
    let mut seen = json!({
        "fingerprint": fingerprint(1), "first_seen_at": AT, "last_seen_at": AT, "presence": "present",
    });
    seen.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    json!({"seen": seen})
}

fn event(deliveries: &[Value]) -> EventFacts {
    let id = format!("evt_{:032x}", 7);
    let names = deliveries.iter().map(|one| read::<SubscriptionName>(one["subscription"].clone())).collect();
    let detail = |one: &Value| {
        let name = one["subscription"].as_str().expect("a name");
        let mut delivery = json!({"id": format!("{id}.{name}"), "event": id, "attempts": 1});
        delivery.as_object_mut().expect("an object").extend(one.as_object().expect("an object").clone());
        read(json!({"delivery": delivery, "attempts": []}))
    };
    EventFacts {
        event: read(json!({
            "type": "orders.created", "timestamp": AT, "id": id, "connector": "orders", "key": "1", "data": {},
        })),
        subscriptions: names,
        deliveries: deliveries.iter().filter(|one| one.get("state").is_some()).map(detail).collect(),
        left_out: 0,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it is a field of facts")]
fn matching(of: MatchedEvent, views: Value) -> Option<Matching> {
    Some(Matching {
        of,
        event_type: "orders.updated".to_owned(),
        subscriptions: read::<Vec<MatchView>>(views),
        left_out: 0,
        only_configured: false,
    })
}

#[track_caller]
fn check(facts: &Facts, case: Case, sentence: &str) {
    assert_eq!(conclude(facts), Conclusion { case, sentence: sentence.to_owned() });
}

fn sent() -> Value {
    json!({"subscription": "erp", "state": "delivered", "settled_at": AT})
}

#[test]
fn changes_that_are_set_aside() {
    let aside =
        |why: &str| json!({"set_aside": {"kind": "created", "why": why, "since": AT, "fingerprint": fingerprint(1)}});
    let hold =
        json!({"hold": {"since": AT, "cause": "4 created are more than 1", "created": 4, "updated": 0, "removed": 0}});
    check(
        &facts(listed(), aside("held"), hold, Vec::new()),
        Case::Held,
        "It is held since 2026-11-21 12:00:00Z (created): 4 created are more than 1; `pollhook approve orders` \
         sends what is held, `pollhook drop orders` forgets it.",
    );
    check(
        &facts(listed(), aside("detail"), json!({}), vec![event(&[sent()])]),
        Case::AwaitingDetail,
        "It waits for its detail since 2026-11-21 12:00:00Z (created), which could not be had; each poll asks again, and \
         `pollhook status orders` says what is wrong.",
    );
}

#[test]
fn items_that_the_filter_leaves_out() {
    let filtered = |error: Option<&str>| Source::Filtered {
        page: 1,
        filter: ".open".to_owned(),
        looked_at: vec![LookedAt { path: ".open".to_owned(), value: json!(false) }],
        error: error.map(str::to_owned),
    };
    check(
        &facts(filtered(None), json!({}), json!({}), Vec::new()),
        Case::Filtered,
        "It is in the source, and `item.filter` (.open) leaves it out, so it is not looked at.",
    );
    check(
        &facts(filtered(Some("no way")), json!({}), json!({}), vec![event(&[sent()])]),
        Case::Filtered,
        "It is in the source, and `item.filter` (.open) fails on it: no way, so it is not looked at. Before that: it was \
         sent to erp on 2026-11-21 12:00:00Z (orders.created of 2026-11-21 12:00:00Z).",
    );
}

#[test]
fn what_the_next_poll_will_find() {
    let wants = || matching(MatchedEvent::Next, json!([{"subscription": "erp", "verdict": "matches"}]));
    let new = Facts { matching: wants(), ..facts(listed(), json!({}), json!({}), Vec::new()) };
    check(
        &new,
        Case::Pending,
        "It is new in the source; the next poll, at 2026-11-21 13:00:00Z, finds that and makes orders.updated of it, for \
         erp.",
    );
    let mut changed = facts(listed(), seen(json!({"fingerprint": fingerprint(2)})), json!({}), vec![event(&[sent()])]);
    changed.matching =
        matching(MatchedEvent::Next, json!([{"subscription": "erp", "verdict": "other_events", "wanted": "created"}]));
    check(
        &changed,
        Case::Pending,
        "It has changed in the source since it was last seen; the next poll, at 2026-11-21 13:00:00Z, finds that. No \
         subscription wants orders.updated: erp wants other events (created).",
    );
    changed.rules.events = vec![ChangeKind::Created];
    check(
        &changed,
        Case::KindNotWanted,
        "It has changed in the source since it was last seen, but `changes.events` of orders leaves out updated, so nothing \
         is sent of it.",
    );
    // A fingerprint by other rules says nothing.
    if let Some(memory) = &mut changed.memory {
        memory.rules_that_differ = vec!["fingerprints"];
    }
    let of_last = "It was sent to erp on 2026-11-21 12:00:00Z (orders.created of 2026-11-21 12:00:00Z).";
    check(&changed, Case::Sent, of_last);

    let mut back = facts(listed(), seen(json!({"presence": "removed"})), json!({}), Vec::new());
    if let Some(memory) = &mut back.memory {
        let error = "the source answered 500".to_owned();
        memory.failing = Some(super::super::facts::Failing { since: memory.polled_at, error });
    }
    check(
        &back,
        Case::Pending,
        "It was removed and is back in the source; the next poll, at 2026-11-21 13:00:00Z, finds that. But polls fail since \
         2026-11-21 12:00:00Z: the source answered 500",
    );

    let unpolled = facts(listed(), json!({}), json!({"is_baselined": false}), Vec::new());
    check(&unpolled, Case::Pending, "It is in the source, which no poll of orders has read yet.");
}

#[test]
fn items_that_polls_miss() {
    let missing = seen(json!({"presence": "missing", "missed": 2}));
    check(
        &facts(not_listed(4, None), missing, json!({}), vec![event(&[sent()])]),
        Case::Missing,
        "It was missing in the last 2 polls, and counts as removed when enough polls in a row have missed it \
         (`changes.removed_after`; two at least where there are several pages).",
    );
}

#[test]
fn what_became_of_the_last_event() {
    let with = |deliveries: &[Value]| facts(listed(), seen(json!({})), json!({}), vec![event(deliveries)]);
    let of = "(orders.created of 2026-11-21 12:00:00Z).";
    check(&with(&[sent()]), Case::Sent, &format!("It was sent to erp on 2026-11-21 12:00:00Z {of}"));
    check(
        &with(&[json!({"subscription": "erp"})]),
        Case::NoDeliveryKept,
        "Its last event, orders.created of 2026-11-21 12:00:00Z, went to erp; what became of that is no longer kept.",
    );
    let due = "2026-11-21T14:00:00Z";
    let waiting = |attempts: u32| json!({"subscription": "crm", "state": "pending", "due": due, "attempts": attempts, "last": {"status": 503}});
    check(
        &with(&[sent(), waiting(2)]),
        Case::Waiting,
        &format!(
            "It is waiting for its 3rd attempt to crm at 2026-11-21 14:00:00Z (the last one: 503); it was sent to erp \
             on 2026-11-21 12:00:00Z {of}"
        ),
    );
    let dead = json!({
        "subscription": "bot", "state": "dead", "settled_at": AT, "reason": "exhausted", "last": {"failure": "connect"},
    });
    check(
        &with(&[dead]),
        Case::Dead,
        &format!(
            "It is a dead letter of bot since 2026-11-21 12:00:00Z (exhausted, no connection): `pollhook replay \
             evt_00000000000000000000000000000007.bot` sends it again {of}"
        ),
    );
    let disabled = json!({"at": AT, "reason": "gone", "url": "http://x/"});
    let mut stopped = with(&[waiting(0)]);
    stopped.matching =
        matching(MatchedEvent::Last, json!([{"subscription": "crm", "verdict": "matches", "disabled": disabled}]));
    check(
        &stopped,
        Case::Waiting,
        &format!(
            "It waits for crm, which is disabled since 2026-11-21 12:00:00Z (gone): `pollhook subscriptions enable crm` \
             sends it {of}"
        ),
    );
    stopped.matching = matching(MatchedEvent::Last, json!([]));
    check(&stopped, Case::Waiting, &format!("It waits for crm, which is no subscription any more {of}"));
}

#[test]
fn events_that_nobody_wants() {
    let with = |views: Value| Facts {
        matching: matching(MatchedEvent::Last, views),
        ..facts(listed(), seen(json!({})), json!({}), vec![event(&[])])
    };
    let views = json!([
        {"subscription": "erp", "verdict": "filter_false", "wanted": ".data.total > 100"},
        {"subscription": "bot", "verdict": "filter_failed", "wanted": ".x", "error": ".x: no object"},
        {"subscription": "crm", "verdict": "other_events", "wanted": "removed"},
        {"subscription": "hub", "verdict": "other_connectors", "wanted": "tickets"},
    ]);
    check(
        &with(views),
        Case::NobodyWants,
        "No subscription wants it (orders.created of 2026-11-21 12:00:00Z): erp has a filter that says no (.data.total > \
         100); bot has a filter that fails: .x: no object; crm wants other events (removed); 1 more does not want it either.",
    );
    check(
        &with(json!([])),
        Case::NobodyWants,
        "No subscription wants it (orders.created of 2026-11-21 12:00:00Z): there is no subscription.",
    );
    check(
        &with(json!([{"subscription": "late", "verdict": "matches"}])),
        Case::NobodyWants,
        "No subscription wanted it when it was found (orders.created of 2026-11-21 12:00:00Z); late would now: `pollhook \
         replay --to late --connector orders --from 2026-11-21T12:00:00.000Z` sends what was found since.",
    );
}

#[test]
fn items_without_an_event() {
    let with = |item: Value, connector: Value| facts(listed(), item, connector, Vec::new());
    let baseline = |is_first: bool| json!({"baseline": {"from": AT, "until": AT, "is_first": is_first}});
    check(
        &with(seen(json!({})), baseline(true)),
        Case::Baseline,
        "It was seen at the first poll, on 2026-11-21 12:00:00Z, which takes what is there as the baseline \
         (`changes.first_poll`), so no event was made.",
    );
    check(
        &with(seen(json!({})), baseline(false)),
        Case::Baseline,
        "It was seen at the poll, on 2026-11-21 12:00:00Z, which took what it found as seen, because the rules for keys were \
         edited or `pollhook baseline` asked for it, so no event was made.",
    );
    check(
        &with(seen(json!({"is_of_older_rules": true, "fingerprint": fingerprint(9)})), json!({})),
        Case::OtherRules,
        "It was seen since 2026-11-21 12:00:00Z, last under other rules for fingerprints: the next poll that finds it takes \
         its new fingerprint without an event.",
    );
    let mut without = with(seen(json!({})), json!({}));
    check(
        &without,
        Case::NoEventKept,
        "It was first seen on 2026-11-21 12:00:00Z, and no event of it is kept: it was taken as seen, or its event is older \
         than what is kept.",
    );
    without.rules.events = vec![ChangeKind::Updated];
    check(
        &without,
        Case::KindNotWanted,
        "It was first seen on 2026-11-21 12:00:00Z, and `changes.events` of orders leaves out created, so no event was made.",
    );
}

#[test]
fn items_that_nobody_knows() {
    let with = |source: Source| facts(source, json!({}), json!({}), Vec::new());
    let check = |source: Source, sentence: &str| check(&with(source), Case::Unknown, sentence);
    check(
        not_listed(9, None),
        "It is not in the source, and no poll has seen it. Is the key right? Keys of orders look like k0, k1 and k2.",
    );
    check(not_listed(0, None), "It is unknown, and the source lists no items at all; `pollhook try orders` says why.");
    check(
        not_listed(1, Some("it is on a later page")),
        "It is not in the source, unless it is on a later page, and no poll has seen it. Is the key right? Keys of orders \
         look like k0.",
    );
    check(
        Source::OnFailedPage { page: 2, problem: "item 3 has no key".to_owned() },
        "It is on page 2 of the source, of which nothing counts until this is well: item 3 has no key",
    );
    check(
        Source::Failed { problem: "no".to_owned() },
        "No poll has seen it, and the source could not be asked whether it has it.",
    );
    check(
        Source::NotAsked { reason: "no".to_owned() },
        "No poll has seen it; without --no-look the source is asked whether it has it.",
    );
}

#[test]
fn explanations_without_the_service() {
    let with = |source: Source, views: Value| Facts {
        service: Service::Silent { reason: "no answer".to_owned() },
        memory: None,
        matching: matching(MatchedEvent::Next, views),
        ..facts(source, json!({}), json!({}), Vec::new())
    };
    check(
        &with(
            listed(),
            json!([{"subscription": "a", "verdict": "matches"}, {"subscription": "b", "verdict": "matches"}]),
        ),
        Case::OnlyLooked,
        "It is in the source. The service does not answer, so what it knows is not told; if it is new, it goes to a and b.",
    );
    check(
        &with(listed(), json!([])),
        Case::OnlyLooked,
        "It is in the source. The service does not answer, so what it knows is not told; of the configured subscriptions none \
         wants it as new: there is no subscription.",
    );
    check(
        &with(not_listed(1, None), json!([])),
        Case::OnlyLooked,
        "It is not in the source. The service does not answer, so what it knows is not told. Keys of orders look like k0.",
    );
    check(
        &with(Source::NotAsked { reason: "no".to_owned() }, json!([])),
        Case::NothingKnown,
        "Nothing is known of it: neither the service nor the source was there to be asked.",
    );
}
