//! What is found out, and all that a terminal shows of it.

use serde_json::{Value, json};

use crate::desk::{Desk, api, check_shown, check_terminals};
use crate::source::{Reply, Source};

/// Starts an API with orders on two pages, each answer of which says when it was made.
async fn shop() -> Source {
    let made = std::sync::atomic::AtomicUsize::new(1);
    Source::start(move |request| {
        let time = made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let order = |id: usize| {
            json!({
                "id": id, "customer": format!("customer {id}"), "status": if id == 2 { "paid" } else { "open" }, "total": id * 10,
                "served_at": format!("2026-11-20T12:00:{:02}Z", time % 60),
            })
        };
        let (orders, next) = match request.target.split_once("page=2") {
            Some(_) => (vec![order(4), order(5)], Value::Null),
            None => (vec![order(1), order(2), order(3)], json!("/api/orders?page=2")),
        };
        Reply::json(json!({ "orders": orders, "next": next }).to_string())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_json_api_is_found_out_about() {
    let source = shop().await;
    check_terminals("orders", &["new", &source.url("/api/orders")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_printed_for_programs() {
    let source = shop().await;
    let said = Desk::new().well(&["new", &source.url("/api/orders"), "--json", "--name", "mine"]);
    let found: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!((&found["name"], &found["written"], &found["problem"]), (&json!("mine"), &Value::Null, &Value::Null));
    assert_eq!(found["items"][0]["key"], "1");
    assert_eq!(found["items"][0]["data"]["customer"], "customer 1");
    assert!(found["toml"].as_str().expect("a text").contains("[connectors.mine]\n"), "{found}");
    let about: Vec<&str> =
        found["findings"].as_array().expect("a list").iter().filter_map(|one| one["about"].as_str()).collect();
    assert!(about.starts_with(&["format", "items", "key"]) || about.starts_with(&["items", "key"]), "{about:?}");
    assert_eq!(said.err, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_output_has_the_connector_and_nothing_else() {
    let source = shop().await;
    let said = Desk::new().well(&["new", &source.url("/api/orders")]);
    let desk = Desk::new().with("config.toml", &said.out);
    desk.well(&["check"]);
    let tried = desk.well(&["try", "orders"]);
    assert!(tried.out.contains("customer 1"), "{}", tried.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn doubts_stand_out_with_what_to_do() {
    let rows = r#"[{"text":"a","count":1},{"text":"a","count":2},{"text":"b","count":2}]"#;
    let source = api(&[("/log", Reply::json(rows))]).await;
    check_terminals("doubts", &["new", &source.url("/log")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_list_is_written_with_a_doubt() {
    let source = api(&[("/orders", Reply::json("[]"))]).await;
    check_shown("empty", &Desk::new(), &["new", &source.url("/orders")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn paging_that_does_not_work_is_taken_back() {
    // Whatever page is asked for, it is the first one.
    let page = r#"{"page":1,"total_pages":9,"items":[{"id":1,"name":"a"},{"id":2,"name":"b"}]}"#;
    let source = api(&[("/items", Reply::json(page))]).await;
    let said = Desk::new().well(&["new", &source.url("/items?page=1")]);
    assert!(!said.out.contains("pagination"), "{}", said.out);
    // Otherwise what moves to another page would be told as removed.
    assert!(!said.out.contains("changes.lists"), "{}", said.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_become_items_that_a_trial_finds_as_well() {
    let hours: Vec<String> = (0..24).map(|hour| format!("2026-11-20T{hour:02}:00")).collect();
    let rain: Vec<usize> = (0..24).map(|hour| hour % 5).collect();
    let answer = json!({ "elevation": 38, "status": "ok", "hourly": { "time": hours, "rain": rain } });
    let source = api(&[("/forecast", Reply::json(answer.to_string()))]).await;
    let desk = Desk::new();
    check_shown("columns", &desk, &["new", &source.url("/forecast"), "--write", "config.toml"]);
    let tried = desk.well(&["try", "forecast"]);
    assert!(
        tried.out.contains(r#"2026-11-20T01:00  nobody       {"time":"2026-11-20T01:00","rain":1}"#),
        "{}",
        tried.out
    );
    assert!(tried.out.contains("24 items on 1 page"), "{}", tried.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_with_a_status_of_success_is_one_for_the_connector_that_was_found() {
    let calls = std::sync::atomic::AtomicUsize::new(0);
    let source = Source::start(move |_| {
        let call = calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Reply::json(if call < 2 {
            r#"{"ok":true,"members":[{"id":"U1","name":"ann"},{"id":"U2","name":"ben"}]}"#
        } else {
            r#"{"ok":false,"error":"token_expired","members":[]}"#
        })
    })
    .await;
    let desk = Desk::new();
    let said = desk.well(&["new", &source.url("/members"), "--write", "config.toml"]);
    assert!(said.out.contains("response.error = 'select(.ok | not) | .error // "), "{}", said.out);
    let tried = desk.run(&["try", "members"]);
    assert_eq!(tried.code, 1, "{}", tried.out);
    assert!(tried.err.contains("token_expired"), "{}", tried.err);
}
