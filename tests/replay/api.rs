//! What the API takes and says, from the real service.

use pollhook::http::Method;
use serde_json::{Value, json};

use super::support::service::{Home, Service};
use super::support::source::{Reply, Source};
use super::support::{wait, web};

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// A service whose source had five items, none of which its receiver took.
async fn with_dead_letters() -> (Home, Service, [Source; 2]) {
    let items = json!([{"id": 1}, {"id": 2}, {"id": 3}, {"id": 4}, {"id": 5}]).to_string();
    let source = Source::start(move |_| Reply::json(items.clone())).await;
    let receiver = Source::start(|_| Reply::of(500, "no,\nnot now")).await;
    let home = Home::new(&format!(
        r#"
        [connectors.items]
        every = "1h"
        request.url = "{}"
        item.key = ".id"
        changes.first_poll = "send"

        [subscriptions.hooks]
        url = "{hooks}"
        retry = []
        breaker = false

        [subscriptions.new]
        url = "{hooks}"
        connectors = ["other"]
        "#,
        source.url("/"),
        hooks = receiver.url("/"),
    ));
    let service = home.start().await;
    wait::until("all are dead", PATIENCE, async || {
        (service.get("/v1/subscriptions/hooks").await["deliveries"]["dead"] == 5).then_some(())
    })
    .await;
    (home, service, [source, receiver])
}

async fn post(service: &Service, path: &str, key: Option<&str>, request: &Value) -> (u16, Value) {
    let url = format!("{}{path}", service.url());
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(key.map(|key| ("idempotency-key", key)));
    let response = web::send(Method::POST, &url, &headers, request.to_string().as_bytes()).await.expect("an answer");
    (response.status, serde_json::from_slice(&response.body).expect("JSON"))
}

async fn ended(service: &Service, id: &Value) -> Value {
    let path = format!("/v1/replays/{}", id.as_str().expect("an id"));
    wait::until("the replay ends", PATIENCE, async || {
        let view = service.get(&path).await;
        (view["state"] != "running").then_some(view)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn replays_are_made_shown_and_recognised_again() {
    let (home, service, _servers) = with_dead_letters().await;
    let replays = "/v1/replays";
    let (status, preview) = post(&service, replays, None, &json!({"subscription": "hooks", "dry_run": true})).await;
    assert_eq!((status, &preview["count"], &preview["at_least"]), (200, &json!(5), &json!(false)));
    let example = &preview["examples"][4];
    assert_eq!((&example["type"], &example["key"]), (&json!("items.created"), &json!("5")));
    assert_eq!(service.get(replays).await["data"], json!([]), "nothing was made");

    let request = json!({"subscription": "hooks", "type": "created", "rate": "50/s"});
    let (status, made) = post(&service, replays, Some("monday"), &request).await;
    assert_eq!((status, &made["state"], &made["of"]), (202, &json!("running"), &json!(5)), "{made}");
    let (status, again) = post(&service, replays, Some("monday"), &request).await;
    assert_eq!((status, &again["id"]), (202, &made["id"]));
    let (status, other) = post(&service, replays, Some("monday"), &json!({"dead_of": "hooks"})).await;
    assert_eq!(status, 422, "{other}");
    let done = ended(&service, &made["id"]).await;
    assert_eq!((&done["state"], &done["queued"], &done["looked_at"]), (&json!("done"), &json!(5), &json!(5)));
    assert_eq!(done["selection"], json!({"subscription": "hooks", "type": "created", "state": "dead"}));
    service.stop().await;
    let service = home.start().await;
    let (_, again) = post(&service, replays, Some("monday"), &request).await;
    assert_eq!(again, done, "it is remembered over a restart");

    // What the target does not listen to is not for it.
    let (_, made) = post(&service, replays, None, &json!({"to": "new"})).await;
    let done = ended(&service, &made["id"]).await;
    assert_eq!((&done["state"], &done["queued"]), (&json!("done"), &json!(0)));
    let cancel = format!("{replays}/{}/cancel", done["id"].as_str().expect("an id"));
    assert_eq!(post(&service, &cancel, None, &json!({})).await, (200, done.clone()), "it had ended already");
    let listed = service.get(&format!("{replays}?limit=1")).await;
    assert_eq!(listed["data"], json!([done]));
    let rest = service.get(&format!("{replays}?before={}", listed["next"].as_str().expect("more"))).await;
    assert_eq!(rest["data"].as_array().expect("a list").len(), 1);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_cannot_be_meant_are_refused() {
    let (_home, service, _servers) = with_dead_letters().await;
    let check = async |request: Value, expected: u16, words: &str| {
        let (status, problem) = post(&service, "/v1/replays", None, &request).await;
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(status == expected && detail.contains(words), "{request}: {status} {problem}");
    };
    check(json!({}), 400, "say whose deliveries").await;
    check(json!({"dead_of": "hooks", "state": "all"}), 400, "`dead_of` stands alone").await;
    check(json!({"subscription": "hooks", "to": "hooks"}), 400, "the same").await;
    check(json!({"subscription": "nobody"}), 404, "there is no subscription nobody").await;
    check(json!({"subscription": "gone", "to": "nobody"}), 404, "there is no subscription nobody").await;
    check(json!({"subscription": "hooks", "rate": "fast"}), 400, "not a rate").await;
    check(json!({"subscription": "hooks", "until": "tomorrow"}), 400, "not a time").await;
    check(json!({"subscription": "hooks", "sort": 1}), 400, "unknown field `sort`").await;
    let unknown = "evt_00000000000070008000000000000000.hooks";
    check(json!({"delivery": unknown}), 404, unknown).await;
    check(json!({"delivery": unknown, "state": "dead"}), 400, "`delivery` stands alone").await;
    let (status, _) = post(&service, "/v1/replays", Some("key"), &json!({"delivery": unknown})).await;
    assert_eq!(status, 400);
    let (status, _) = post(&service, "/v1/replays/rpl_1/cancel", None, &json!({})).await;
    assert_eq!(status, 400);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_print_what_can_be_read() {
    let (home, service, _servers) = with_dead_letters().await;
    let run = |arguments: &[&str]| {
        let url = service.url();
        let run = home.command().args(arguments).args(["--server", &url]).output().expect("the command runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (run.status.code(), text(run.stdout), text(run.stderr))
    };
    let (code, list, _) = run(&["deliveries", "--reason", "exhausted", "--type", "created", "--from", "-1h"]);
    assert_eq!((code, list.lines().count()), (Some(0), 6), "{list}");
    assert!(list.lines().skip(1).all(|line| line.ends_with("exhausted, 500")), "{list}");
    let id = list.lines().nth(1).and_then(|line| line.split(' ').next()).expect("a delivery").to_owned();
    let (_, shown, _) = run(&["deliveries", &id]);
    assert!(shown.contains("  answer   no, not now\n") && shown.contains(": exhausted\n"), "{shown}");
    let (_, shown, _) = run(&["deliveries", &id, "--full"]);
    assert!(shown.contains("    no,\n    not now\n"), "{shown}");
    let (_, none, _) = run(&["deliveries", "--until", "-1h"]);
    assert_eq!(none, "no deliveries\n");
    let (code, _, error) = run(&["deliveries", "--reason", "bored"]);
    assert!(code == Some(2) && error.contains("exhausted, gone, unsendable, too-large, refused"), "{error}");

    let (code, preview, _) = run(&["replay", "--dead", "hooks", "--dry-run"]);
    assert!(code == Some(0) && preview.starts_with("would queue 5 deliveries\n"), "{preview}");
    let (code, queued, _) = run(&["replay", &id]);
    assert_eq!((code, &*queued), (Some(0), "queued 1 delivery again\n"));
    let (code, done, _) = run(&["replay", "--subscription", "hooks", "--state", "all", "--until", "-0s", "--wait"]);
    assert!(code == Some(0) && done.contains(" is done: queued "), "{done}");
    let replay = done.split(' ').next().expect("an id").to_owned();
    let (_, shown, _) = run(&["replay", "--show", &replay]);
    assert!(shown.contains("what       settled deliveries of hooks, again; until "), "{shown}");
    let (_, listed, _) = run(&["replay", "--list"]);
    assert!(listed.lines().count() == 2 && listed.contains(&replay), "{listed}");
    let (code, _, error) = run(&["replay", "--dead", "hooks", "--to", "new"]);
    assert!(code == Some(2) && error.contains("cannot be used with"), "{error}");
    let (code, _, _) = run(&["replay"]);
    assert_eq!(code, Some(2));
    service.stop().await;
}
