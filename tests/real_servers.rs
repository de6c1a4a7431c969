//! The main job on other people's software: API servers from npm and PyPI are polled by the real binary, and its
//! deliveries are judged by the official Python verifier. `tests/run` installs all of them.

mod support {
    pub mod process;
    pub mod servers;
    pub mod service;
    #[expect(dead_code, reason = "the tests of faults use all of it")]
    pub mod source;
    pub mod wait;
    pub mod web;
}

use std::time::Duration;

use pollhook::http::Method;
use serde_json::{Value, json};

use support::servers::{PythonReceiver, Server, Verified, file, sqlite};
use support::service::{Home, Service};
use support::source::{Reply, Source};
use support::{wait, web};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// How long a change may take from the source to the receiver, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread")]
async fn json_server_is_followed_page_by_page() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let orders: Vec<Value> = (1..=7).map(|id| json!({ "id": id, "status": "open", "total": id * 10 })).collect();
    let database = file(folder.path(), "db.json", &json!({ "orders": orders }).to_string());
    let source = Server::json_server(&database).await;
    let receiver = PythonReceiver::start(SECRET).await;
    let home = Home::new(&configuration("orders", &source.url("/orders?_page=1&_limit=3"), ".[]", receiver.url()));
    let service = home.start().await;

    expect(&receiver, &mut (1..=7).map(|id| format!("orders.created {id}")).collect()).await;

    change(Method::PATCH, &source.url("/orders/2"), &json!({ "status": "paid" })).await;
    change(Method::POST, &source.url("/orders"), &json!({ "id": 8, "status": "open", "total": 80 })).await;
    change(Method::DELETE, &source.url("/orders/5"), &json!({})).await;
    let mut expected: Vec<String> = (1..=8).map(|id| format!("orders.created {id}")).collect();
    expected.extend(["orders.updated 2".to_owned(), "orders.removed 5".to_owned()]);
    let received = expect(&receiver, &mut expected).await;

    let updated = only(&received, "orders.updated 2");
    assert_eq!(updated["data"], json!({ "id": 2, "status": "paid", "total": 20 }));
    assert_eq!(updated["previous"], json!({ "id": 2, "status": "open", "total": 20 }));
    assert_eq!(updated["changes"], json!([{ "op": "replace", "path": "/status", "value": "paid" }]));
    assert_eq!(only(&received, "orders.removed 5")["data"], json!({ "id": 5, "status": "open", "total": 50 }));

    polls(&service, "orders", 2).await;
    expect(&receiver, &mut expected).await;
    assert_eq!(service.list("/v1/events").await.len(), expected.len());
    refuses_what_was_tampered_with(&receiver, &received[0]).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn datasette_is_followed_and_its_numbers_stay_as_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let database = folder.path().join("shop.db");
    sqlite(&database, "create table releases (id integer primary key, name text, size integer, score real)");
    for id in 1..=7 {
        let size = 9_007_199_254_740_990_u64 + id;
        sqlite(&database, &format!("insert into releases values ({id}, 'r{id}', {size}, {id}.0)"));
    }
    let source = Server::datasette(&database).await;
    let receiver = PythonReceiver::start(SECRET).await;
    let url = source.url("/shop/releases.json?_shape=objects&_size=3");
    let home = Home::new(&configuration("releases", &url, ".rows[]", receiver.url()));
    let service = home.start().await;

    let received = expect(&receiver, &mut (1..=7).map(|id| format!("releases.created {id}")).collect()).await;
    let third = received.iter().find(|one| one.summary() == "releases.created 3").expect("it was received");
    // One more than what a floating-point number can hold, and a whole number that was written with a fraction.
    assert!(third.body.contains(r#""size":9007199254740993,"score":3.0}"#), "{}", third.body);

    sqlite(
        &database,
        "update releases set score = 0.1 where id = 4; insert into releases values (8, 'r8', 1, 1.5); \
         delete from releases where id = 6",
    );
    let mut expected: Vec<String> = (1..=8).map(|id| format!("releases.created {id}")).collect();
    expected.extend(["releases.updated 4".to_owned(), "releases.removed 6".to_owned()]);
    let received = expect(&receiver, &mut expected).await;
    let changes = &only(&received, "releases.updated 4")["changes"];
    assert_eq!(changes, &json!([{ "op": "replace", "path": "/score", "value": 0.1 }]));

    polls(&service, "releases", 2).await;
    expect(&receiver, &mut expected).await;
    assert_eq!(service.list("/v1/events").await.len(), expected.len());
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_no_float_can_hold_arrive_as_written() {
    const NUMBERS: &str = r#""numbers":[9007199254740993,1.0,1e400,0.1000,-0,1E+2,123456789012345678901234567890]"#;
    let source = Source::start(|_| Reply::json(format!(r#"[{{"id":1,{NUMBERS}}}]"#))).await;
    let receiver = PythonReceiver::start(SECRET).await;
    let home = Home::new(&configuration("numbers", &source.url("/"), ".[]", receiver.url()));
    let service = home.start().await;

    let received = expect(&receiver, &mut vec!["numbers.created 1".to_owned()]).await;
    assert!(received[0].body.contains(NUMBERS), "{}", received[0].body);
    polls(&service, "numbers", 2).await;
    expect(&receiver, &mut vec!["numbers.created 1".to_owned()]).await;
    service.stop().await;
}

/// Returns a configuration that follows one URL and tells one receiver of everything.
fn configuration(connector: &str, url: &str, items: &str, receiver: &str) -> String {
    format!(
        r#"
        [connectors.{connector}]
        every = "1s"
        request.url = "{url}"
        pagination.link.max_pages = 20
        response.items = "{items}"
        item.key = ".id"

        [connectors.{connector}.changes]
        events = ["created", "updated", "removed"]
        lists = "everything"
        first_poll = "send"
        # The server numbers its pages: while one item is deleted, another can slip past the reader once.
        removed_after = 2
        previous = true

        [subscriptions.python]
        url = "{receiver}"
        secret = "{SECRET}"
        "#
    )
}

/// Waits until the receiver has as many deliveries as expected; checks that they are these, each accepted once.
async fn expect(receiver: &PythonReceiver, expected: &mut Vec<String>) -> Vec<Verified> {
    let enough = async || Some(receiver.received()).filter(|received| received.len() >= expected.len());
    let what = format!("{} deliveries arrive", expected.len());
    let received = wait::until(&what, PATIENCE, enough).await;
    for one in &received {
        assert!(one.accepted, "{:?}: {}", one.problem, one.body);
    }
    let mut summaries: Vec<String> = received.iter().map(Verified::summary).collect();
    summaries.sort();
    expected.sort();
    assert_eq!(&summaries, expected);
    received
}

/// Returns the event of the one delivery with this summary.
fn only(received: &[Verified], summary: &str) -> Value {
    let matching: Vec<Value> = received.iter().filter(|one| one.summary() == summary).map(Verified::event).collect();
    assert_eq!(matching.len(), 1, "{summary}");
    matching.into_iter().next().expect("there is one")
}

/// Waits until a connector was polled so many times more.
async fn polls(service: &Service, connector: &str, times: usize) {
    let path = format!("/v1/connectors/{connector}");
    let mut last = service.get(&path).await["polled_at"].clone();
    for _ in 0..times {
        last = wait::until(&format!("{connector} is polled"), PATIENCE, async || {
            Some(service.get(&path).await["polled_at"].clone()).filter(|polled_at| *polled_at != last)
        })
        .await;
    }
}

async fn change(method: Method, url: &str, body: &Value) {
    let headers = [("content-type", "application/json")];
    let response = web::send(method, url, &headers, body.to_string().as_bytes()).await.expect("an answer");
    assert!((200..300).contains(&response.status), "{url}: {}", response.status);
}

/// Sends a delivery again, as it was and with one letter changed.
async fn refuses_what_was_tampered_with(receiver: &PythonReceiver, delivery: &Verified) {
    let kept = ["content-type", "webhook-id", "webhook-timestamp", "webhook-signature"];
    let headers: Vec<(&str, &str)> = delivery
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, _)| kept.contains(&name.to_ascii_lowercase().as_str()))
        .collect();
    let tampered = delivery.body.replacen("open", "paid", 1);
    assert_ne!(tampered, delivery.body);
    for (body, status) in [(&delivery.body, 204), (&tampered, 400)] {
        let answer = web::send(Method::POST, receiver.url(), &headers, body.as_bytes()).await.expect("an answer");
        assert_eq!(answer.status, status, "{:?}", receiver.received().last());
    }
}
