//! What the admin API tells of items and of who would be told of them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::http::Method;
use crate::http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use crate::model::change::ChangeKind;
use crate::model::fingerprint::{BodyHash, Fingerprint, KeyHash};
use crate::model::id::ConnectorName;
use crate::model::item::{KeptItem, Presence, SeenItem, SetAside, SetAsideReason};
use crate::model::time::Timestamp;
use crate::server::tests::{Server, at, with_server};
use crate::store::{ConnectorState, Hold, PollCommit, PollStore, RulesMemory, SeenUpdate};

fn fingerprint(version: u64) -> Fingerprint {
    Fingerprint::of([&json!(version)])
}

fn seen(key: &str, presence: Presence) -> SeenItem {
    SeenItem {
        key_hash: KeyHash::of(key),
        fingerprint: fingerprint(1),
        first_seen: at(0),
        last_seen: at(1),
        presence,
        epoch: 0,
        key: Some(key.to_owned()),
    }
}

fn update(seen: SeenItem, kept: Option<String>) -> SeenUpdate {
    let kept = kept.map(|kept| KeptItem::from(serde_json::value::RawValue::from_string(kept).expect("JSON")));
    SeenUpdate { seen, kept, event: None }
}

fn aside(key: &str, why: SetAsideReason) -> SetAside {
    SetAside {
        key_hash: KeyHash::of(key),
        key: key.to_owned(),
        fingerprint: fingerprint(2),
        kind: ChangeKind::Created,
        reappeared: false,
        why,
        since: at(1),
        record: None,
    }
}

async fn commit(server: &Server, of: &str, commit: PollCommit) {
    let name: ConnectorName = of.parse().expect("a name");
    let lease = server.store.lease_poll(&name, at(0), Duration::ZERO).await.expect("an answer");
    server.store.commit_poll(lease.expect("nobody holds it"), commit).await.expect("a commit");
}

async fn ask(server: &Server, path: &str, body: &Value) -> (u16, Value) {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    server.send(Method::POST, path, headers, &body.to_string()).await
}

async fn remembered(server: &Server, of: &str, keys: &[&str]) -> Value {
    let (status, body) = ask(server, &format!("/v1/connectors/{of}/remembered"), &json!({"keys": keys})).await;
    assert_eq!(status, 200, "{body}");
    body
}

/// Returns the state of a connector whose last poll went by the rules that the server answers with.
async fn state(server: &Server, of: &str) -> ConnectorState {
    let rules = &remembered(server, of, &["any"]).await["connector"]["rules"];
    let digest = |name: &str| rules[name].as_str().expect("a digest").parse::<BodyHash>().expect("hex digits");
    let digest = RulesMemory { pages: digest("pages"), keys: digest("keys"), fingerprints: digest("fingerprints") };
    ConnectorState { baselined: true, items: 3, ..ConnectorState::first(at(1), digest) }
}

#[tokio::test]
async fn what_is_remembered_of_items_is_told_key_by_key() {
    with_server(async |server| {
        let nothing = remembered(&server, "orders", &["1"]).await;
        assert_eq!(nothing["data"], json!([{"key": "1"}]));
        assert_eq!(nothing["connector"].get("remembered_under"), None);
        assert_eq!(nothing["connector"]["is_baselined"], false);

        let hold = Hold { since: at(1), cause: "too many".to_owned(), created: 1, updated: 0, removed: 0 };
        let state = ConnectorState { hold: Some(hold), ..state(&server, "orders").await };
        let updates = vec![
            update(seen("1", Presence::Present), Some(r#"{"id": 1, "total": 1.0}"#.to_owned())),
            update(seen("2", Presence::Missing(2)), None),
            update(SeenItem { epoch: 7, ..seen("3", Presence::Removed) }, None),
        ];
        let set_aside = vec![aside("4", SetAsideReason::Held), aside("5", SetAsideReason::Detail)];
        commit(&server, "orders", PollCommit { set_aside, ..PollCommit::new(at(1), updates, state.clone()) }).await;

        let answer = remembered(&server, "orders", &["4", "1", "5", "6", "3", "2", "1"]).await;
        let connector = &answer["connector"];
        assert_eq!(connector["rules"], connector["remembered_under"]);
        assert_eq!((&connector["is_baselined"], &connector["items"]), (&json!(true), &json!(3)));
        assert_eq!(connector["hold"]["cause"], "too many");
        let memory = json!({"fingerprint": fingerprint(1), "first_seen_at": at(0), "last_seen_at": at(1)});
        let with = |more: Value| {
            let mut whole = memory.clone();
            let members = more.as_object().expect("an object").clone();
            whole.as_object_mut().expect("an object").extend(members);
            whole
        };
        let aside = |why: &str| json!({"kind": "created", "why": why, "since": at(1), "fingerprint": fingerprint(2)});
        let first = json!({"key": "1", "seen": with(json!({"presence": "present"})), "kept": {"id": 1, "total": 1.0}});
        let expected = json!([
            {"key": "4", "set_aside": aside("held")},
            first,
            {"key": "5", "set_aside": aside("detail")},
            {"key": "6"},
            {"key": "3", "seen": with(json!({"presence": "removed", "is_of_older_rules": true}))},
            {"key": "2", "seen": with(json!({"presence": "missing", "missed": 2}))},
            first,
        ]);
        assert_eq!(answer["data"], expected);

        // What is left of a poll that did not get to say that anything is held, is not held.
        commit(&server, "orders", PollCommit::new(at(2), Vec::new(), ConnectorState { hold: None, ..state })).await;
        assert_eq!(remembered(&server, "orders", &["4"]).await["data"], json!([{"key": "4"}]));
    })
    .await;
}

#[tokio::test]
async fn what_was_remembered_under_other_rules_is_said_to_be() {
    with_server(async |server| {
        let mut state = state(&server, "orders").await;
        state.digest.fingerprints = BodyHash::of(b"other rules");
        let updates = vec![update(seen("1", Presence::Present), None)];
        commit(&server, "orders", PollCommit::new(at(1), updates, state)).await;
        let answer = remembered(&server, "orders", &["1"]).await;
        assert_eq!(answer["data"][0]["seen"]["is_of_older_rules"], true);
        let connector = &answer["connector"];
        assert_ne!(connector["rules"]["fingerprints"], connector["remembered_under"]["fingerprints"]);
        assert_eq!(connector["rules"]["keys"], connector["remembered_under"]["keys"]);
    })
    .await;
}

#[tokio::test]
async fn kept_items_are_shown_without_secrets_and_left_out_where_they_are_too_many() {
    with_server(async |server| {
        let state = state(&server, "orders").await;
        let keys: Vec<String> = (0..120).map(|number| number.to_string()).collect();
        let large =
            |key: &String| Some(format!(r#"{{"id":{key},"token":"hunter22","text":"{}"}}"#, "x".repeat(200_000)));
        let updates = keys.iter().map(|key| update(seen(key, Presence::Present), large(key)));
        commit(&server, "orders", PollCommit::new(at(1), updates.collect(), state)).await;
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let answer = remembered(&server, "orders", &keys).await;
        let data = answer["data"].as_array().expect("a list");
        let whole = data.iter().take_while(|one| one.get("kept").is_some()).count();
        assert!((80..90).contains(&whole), "{whole}");
        assert!(data[..whole].iter().all(|one| one.get("is_cut").is_none() && one["kept"]["token"] == "***"));
        assert!(data[whole..].iter().all(|one| one["is_cut"] == true && one.get("kept").is_none()));
        assert!(data.iter().all(|one| one["seen"]["presence"] == "present"));
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused() {
    with_server(async |server| {
        let check = async |path: &str, body: Value, expected: u16, detail: &str| {
            let (status, body) = ask(&server, path, &body).await;
            let said = body["detail"].as_str().unwrap_or_default();
            assert!(status == expected && said.contains(detail), "{path}: {status} {said}");
        };
        let path = "/v1/connectors/orders/remembered";
        check(path, json!({"keys": []}), 400, "`keys` has 1 to 1000 texts, not 0").await;
        check(path, json!({"keys": vec!["k"; 1001]}), 400, "`keys` has 1 to 1000 texts, not 1001").await;
        check(path, json!({"keys": vec!["k"; 1000]}), 200, "").await;
        check(path, json!({"keys": [1]}), 422, "expected a string").await;
        check(path, json!({"key": "1"}), 422, "unknown field").await;
        check(path, json!({}), 422, "missing field `keys`").await;
        check("/v1/connectors/order/remembered", json!({"keys": ["1"]}), 404, "there is no connector order").await;
        let (status, body) = server.send(Method::POST, path, HeaderMap::new(), r#"{"keys":["1"]}"#).await;
        assert_eq!((status, &body["status"]), (415, &json!(415)), "{body}");
        let (status, _) = server.send(Method::GET, path, HeaderMap::new(), "").await;
        assert_eq!(status, 405);

        let path = "/v1/connectors/orders/match";
        check(path, json!({"event": event("prices", "1", &json!({}))}), 400, "events of orders are asked for").await;
        check(path, json!({"event": {"key": "1"}}), 422, "missing field").await;
        check("/v1/connectors/prices/oslo/match", json!({"event": event("prices", "1", &json!({}))}), 200, "").await;
    })
    .await;
}

fn event(connector: &str, key: &str, data: &Value) -> Value {
    json!({
        "type": format!("{connector}.created"),
        "timestamp": Timestamp::from_millis(1_795_000_000_000),
        "id": format!("evt_{:032x}", 1),
        "connector": connector,
        "key": key,
        "data": data,
    })
}

#[tokio::test]
async fn each_subscription_says_what_it_thinks_of_an_event() {
    with_server(async |server| {
        let make = async |name: &str, more: Value| {
            let mut body = json!({"name": name, "url": "https://example.com/"});
            body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            let (status, body) = ask(&server, "/v1/subscriptions", &body).await;
            assert_eq!(status, 201, "{body}");
        };
        make("all", json!({})).await;
        make("broken", json!({"filter": ".data.total | error"})).await;
        make("dear", json!({"filter": ".data.total > 100", "connectors": ["ord*"]})).await;
        make("gone", json!({"connectors": ["tickets", "prices"]})).await;
        make("removals", json!({"events": ["removed", "*.updated"]})).await;
        make("stopped", json!({})).await;
        let (status, _) = ask(&server, "/v1/subscriptions/stopped/disable", &json!({"reason": "a holiday"})).await;
        assert_eq!(status, 200);
        let path = "/v1/connectors/orders/match";
        let (status, body) = ask(&server, path, &json!({"event": event("orders", "1", &json!({"total": 7}))})).await;
        assert_eq!(status, 200, "{body}");
        let stopped = body["data"][1]["disabled"].clone();
        assert_eq!(stopped["reason"], "a holiday");
        let expected = json!([
            {"subscription": "all", "verdict": "matches"},
            {"subscription": "stopped", "verdict": "matches", "disabled": stopped},
            {"subscription": "dear", "verdict": "filter_false", "wanted": ".data.total > 100"},
            {"subscription": "broken", "verdict": "filter_failed", "wanted": ".data.total | error",
             "error": body["data"][3]["error"]},
            {"subscription": "removals", "verdict": "other_events", "wanted": "removed, *.updated"},
            {"subscription": "gone", "verdict": "other_connectors", "wanted": "tickets, prices"},
        ]);
        assert_eq!(body, json!({"data": expected}));
        assert!(body["data"][3]["error"].as_str().is_some_and(|error| error.contains('7')), "{body}");
    })
    .await;
}
