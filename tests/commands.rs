//! The commands, through the real binary: what they do beside a running service, how the service stops, and that each
//! says with its exit code how it went.

mod support {
    pub mod process;
    pub mod service;
    #[expect(dead_code, reason = "the tests of faults use all of it")]
    pub mod source;
    pub mod wait;
    pub mod web;
}

use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use support::service::{Home, Service};
use support::source::{Fault, Reply, Source};
use support::wait;

/// How long anything here may take, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(40);

#[test]
fn the_demo_ends_by_itself_and_counts_no_loss() {
    let home = Home::new("");
    let output = home.command().args(["demo", "--events", "8", "--json"]).output().expect("pollhook can be started");
    let lines = json_lines(&output);
    let (summary, deliveries) = lines.split_last().expect("the demo prints something");
    let verified = deliveries.iter().filter(|line| line["outcome"] == "verified").count();
    assert!(output.status.success() && verified >= 8, "{summary}");
    assert_eq!((&summary["delivered"], &summary["lost"]), (&verified.into(), &0.into()), "{summary}");
}

#[test]
fn wrong_usage_and_wrong_configuration_exit_with_2() {
    let home = Home::new("[connectors.orders]\nevry = \"1s\"\n");
    check_exit(&home, &["poke"], 2, "unrecognized subcommand 'poke'");
    check_exit(&home, &["check"], 2, "config.toml:8:1");
    check_exit(&home, &["run"], 2, "did you mean");
    check_exit(&home, &["run", "--config", "nowhere.toml"], 2, "nowhere.toml");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_can_be_tried_without_a_service() {
    let source = Source::start(|_| Reply::json(r#"{"orders":[{"id":1,"total":10},{"id":2,"total":20}]}"#)).await;
    let home = Home::new(&configuration(&source, ".orders[]", "http://127.0.0.1:9/", "\"1s\""));
    check_exit(&home, &["try", "orders"], 0, "2 items on 1 page");
    check_exit(&home, &["try", "order"], 2, "orders");

    let home = Home::new(&configuration(&source, ".order[]", "http://127.0.0.1:9/", "\"1s\""));
    check_exit(&home, &["try", "orders"], 1, ".order[]");
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_shown_and_sent_again_on_demand() {
    let source = Source::start(|_| Reply::json(r#"[{"id":1},{"id":2}]"#)).await;
    let healthy = Arc::new(AtomicBool::new(false));
    let answers_well = Arc::clone(&healthy);
    let receiver = Source::start(move |_| {
        if answers_well.load(Ordering::Relaxed) { Reply::of(204, "") } else { Reply::of(500, "out of order") }
    })
    .await;
    let home = Home::new(&configuration(&source, ".[]", &receiver.url("/"), "\"50ms\""));
    let service = home.start().await;
    lane_becomes(&service, r#"{"waiting":0,"retrying":0,"dead":2}"#).await;

    let dead = ask(&home, &service, &["deliveries", "--state", "dead", "--json"]);
    let dead = dead["data"].as_array().expect("a list has data").clone();
    assert_eq!(dead.iter().map(|one| one["attempts"].as_u64()).collect::<Vec<_>>(), [Some(2), Some(2)]);
    let id = dead[0]["id"].as_str().expect("a delivery has an id").to_owned();
    let detail = ask(&home, &service, &["deliveries", &id, "--json"]);
    assert_eq!(detail["attempts"][1]["status"], 500);
    assert_eq!(detail["attempts"][1]["answer"], "out of order");

    healthy.store(true, Ordering::Relaxed);
    let first_attempts = receiver.take_requests();
    assert_eq!(ask(&home, &service, &["replay", "--dead", "hooks", "--wait", "--json"])["queued"], 2);
    lane_becomes(&service, r#"{"waiting":0,"retrying":0,"dead":0}"#).await;
    let replayed = receiver.take_requests();
    assert_eq!(replayed.len(), 2);
    for again in replayed {
        let first = first_attempts.iter().find(|first| first.header("webhook-id") == again.header("webhook-id"));
        assert_eq!(first.expect("it was sent before").body, again.body);
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn status_says_what_is_wrong_and_what_to_do() {
    let source = Source::start(|_| Reply::of(401, "who are you?")).await;
    let home = Home::new(&configuration(&source, ".[]", "http://127.0.0.1:9/", "\"1s\""));
    let service = home.start().await;
    wait::until("the connector fails", PATIENCE, async || {
        (service.get("/v1/connectors/orders").await["status"] == "failing").then_some(())
    })
    .await;
    for arguments in [&["status"][..], &["status", "orders"]] {
        check_asked(&home, &service, arguments, 0, "the source answered 401 Unauthorized");
        check_asked(&home, &service, arguments, 0, "To look closer: `pollhook try orders`");
    }
    let orders = ask(&home, &service, &["status", "orders", "--json"]);
    assert_eq!(orders["connector"]["status"], "failing", "{orders}");
    assert_eq!(orders["polls"][0]["outcome"], "failed", "{orders}");
    let nothing = "no changes of orders are held, so there is nothing to approve";
    check_asked(&home, &service, &["approve", "orders"], 1, nothing);
    check_asked(&home, &service, &["drop", "order"], 1, "there is no connector order");
    check_asked(&home, &service, &["baseline", "orders"], 0, "what its next complete poll finds is taken as seen");
    check_asked(&home, &service, &["status"], 0, "orders: what its next complete poll finds is taken as seen");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn status_says_why_deliveries_fail() {
    let source = Source::start(|_| Reply::json(r#"[{"id":1}]"#)).await;
    let receiver = Source::start(|_| Reply::of(500, "out of order")).await;
    let home = Home::new(&configuration(&source, ".[]", &receiver.url("/"), "\"1h\""));
    let service = home.start().await;
    lane_becomes(&service, r#"{"waiting":0,"retrying":1,"dead":0}"#).await;
    let said =
        "failed: the receiver answered 500 Internal Server Error; `pollhook subscriptions test hooks` tries it now";
    check_asked(&home, &service, &["status"], 0, said);
    let said = "hooks is a subscription: `pollhook subscriptions show hooks` shows it";
    check_asked(&home, &service, &["status", "hooks"], 1, said);
    check_asked(&home, &service, &["status", "order"], 1, "there is no connector order: `pollhook status` lists");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_shows_what_subscriptions_made_over_the_api_would_get() {
    let source = Source::start(|_| Reply::json(r#"[{"id":1}]"#)).await;
    let home = Home::new(&configuration(&source, ".[]", "http://127.0.0.1:9/", "\"1h\""));
    let service = home.start().await;
    let more = r#"{"headers":{"X-Team":"blue-team-7"}}"#;
    std::fs::write(home.path().join("crm.json"), more).expect("it can be written");
    let add = ["subscriptions", "add", "crm", "--url", "https://crm.example.com/in", "--connectors", "orders"];
    check_asked(&home, &service, &[&add[..], &["--from-file", "crm.json"]].concat(), 0, "crm");
    let add = ["subscriptions", "add", "bank", "--url", "https://bank.example.com/in", "--connectors", "payments"];
    check_asked(&home, &service, &add, 0, "bank");

    check_asked(&home, &service, &["try", "orders"], 0, "1    hooks, crm   {\"id\":1}");
    let show = ["try", "orders", "--show", "request", "--server", &service.url()];
    let output = home.command().args(show).output().expect("pollhook can be started");
    let (shown, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    for expected in ["# 1 to crm\nPOST https://crm.example.com/in\n", "x-team: ***", "webhook-signature: v1,"] {
        assert!(shown.contains(expected), "{expected:?} is not in:\n{shown}");
    }
    assert!(
        said.contains("have stand-ins") && !shown.contains("bank") && !shown.contains("blue-team"),
        "{said}{shown}"
    );
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn held_changes_are_shown_and_sent_when_they_are_approved() {
    let orders = Arc::new(AtomicUsize::new(1));
    let present = Arc::clone(&orders);
    let source = Source::start(move |_| {
        let orders: Vec<String> =
            (1..=present.load(Ordering::Relaxed)).map(|number| format!(r#"{{"id":{number}}}"#)).collect();
        Reply::json(format!("[{}]", orders.join(",")))
    })
    .await;
    let receiver = Source::start(|_| Reply::of(204, "")).await;
    let configuration = configuration(&source, ".[]", &receiver.url("/"), "\"1s\"")
        .replace("changes.first_poll = \"send\"", "changes.hold_above = { created = 2 }");
    let home = Home::new(&configuration);
    let service = home.start().await;
    let status = async || service.get("/v1/connectors/orders").await["status"].clone();
    wait::until("the first poll is made", PATIENCE, async || (status().await == "ok").then_some(())).await;

    orders.store(4, Ordering::Relaxed);
    wait::until("changes are held", PATIENCE, async || (status().await == "held").then_some(())).await;
    check_asked(&home, &service, &["status"], 0, "orders: 3 created are held since");
    check_asked(&home, &service, &["status", "orders"], 0, "`pollhook approve orders` sends them");
    assert_eq!(receiver.take_requests().len(), 0);
    check_asked(&home, &service, &["approve", "orders"], 0, "orders: 3 created sent");
    let mut arrived = 0;
    wait::until("what was held arrives", PATIENCE, async || {
        arrived += receiver.take_requests().len();
        (arrived == 3).then_some(())
    })
    .await;
    wait::until("the connector is well", PATIENCE, async || (status().await == "ok").then_some(())).await;

    orders.store(9, Ordering::Relaxed);
    wait::until("changes are held", PATIENCE, async || (status().await == "held").then_some(())).await;
    let answer = ask(&home, &service, &["baseline", "orders", "--json"]);
    assert_eq!(answer["held"]["created"], 5, "{answer}");
    wait::until("the connector is well", PATIENCE, async || (status().await == "ok").then_some(())).await;
    assert_eq!(receiver.take_requests().len(), 0);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_service_on_the_same_data_is_refused_and_the_first_goes_on() {
    let source = Source::start(|_| Reply::json("[]")).await;
    let home = Home::new(&configuration(&source, ".[]", "http://127.0.0.1:9/", "\"1s\""));
    let service = home.start().await;
    check_exit(&home, &["run"], 1, "the store in data is in use by another process");
    assert!(service.list("/v1/events").await.is_empty());
    service.stop().await;
    // The data is free again.
    home.start().await.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_is_settled_before_the_service_ends() {
    let (source, receiver) = (one_order().await, silent_receiver().await);
    let home = Home::new(&configuration(&source, ".[]", &receiver.url("/"), "\"1h\"").replace("15s", "2s"));
    let service = home.start().await;
    delivery_arrives(&receiver).await;
    service.stop().await;

    // The attempt ran into its timeout while the service was stopping, and was recorded all the same.
    let service = home.start().await;
    let deliveries = service.list("/v1/deliveries").await;
    assert_eq!(deliveries.iter().map(|one| &one["attempts"]).collect::<Vec<_>>(), [1]);
    assert_eq!(receiver.take_requests().len(), 0, "it is due in an hour");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_service_at_once_and_loses_nothing() {
    let (source, receiver) = (one_order().await, silent_receiver().await);
    let home = Home::new(&configuration(&source, ".[]", &receiver.url("/"), "\"1h\""));
    let mut service = home.start().await;
    delivery_arrives(&receiver).await;
    service.terminate();
    wait::until("the service says that it stops", PATIENCE, async || {
        service.log().iter().any(|line| line.contains("stopping")).then_some(())
    })
    .await;
    service.terminate();
    assert_eq!(service.ended(Duration::from_secs(5)).await.code(), Some(1));

    let again = home.start().await;
    delivery_arrives(&receiver).await;
    drop(again);
}

/// Starts a source that has one order, at all times.
async fn one_order() -> Source {
    Source::start(|_| Reply::json(r#"[{"id":1}]"#)).await
}

/// Starts a receiver that takes deliveries and never answers.
async fn silent_receiver() -> Source {
    Source::start(|_| Reply::fault(Fault::Hang)).await
}

async fn delivery_arrives(receiver: &Source) {
    wait::until("a delivery arrives", PATIENCE, async || (!receiver.take_requests().is_empty()).then_some(())).await;
}

fn configuration(source: &Source, items: &str, receiver: &str, retry: &str) -> String {
    let url = source.url("/");
    format!(
        r#"
        [connectors.orders]
        every = "1s"
        request.url = "{url}"
        response.items = "{items}"
        item.key = ".id"
        changes.first_poll = "send"

        [subscriptions.hooks]
        url = "{receiver}"
        timeout = "15s"
        retry = [{retry}]
        "#
    )
}

/// Checks a command's exit code, and that it says something.
#[track_caller]
fn check_exit(home: &Home, arguments: &[&str], code: i32, said: &str) {
    let output = home.command().args(arguments).output().expect("pollhook can be started");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}:\n{text}");
    assert!(text.contains(said), "{arguments:?} does not say {said:?}:\n{text}");
}

/// Checks the exit code of a command that asks the service, and that it says something.
#[track_caller]
fn check_asked(home: &Home, service: &Service, arguments: &[&str], code: i32, said: &str) {
    let url = service.url();
    check_exit(home, &[arguments, &["--server", &url]].concat(), code, said);
}

/// Runs a command that asks the service and prints one JSON value.
#[track_caller]
fn ask(home: &Home, service: &Service, arguments: &[&str]) -> Value {
    let output =
        home.command().args(arguments).args(["--server", &service.url()]).output().expect("pollhook can be started");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("the command prints JSON")
}

/// Waits until the lane's deliveries are counted like this.
async fn lane_becomes(service: &Service, expected: &str) {
    let expected: Value = serde_json::from_str(expected).expect("the counts are JSON");
    wait::until(&format!("the lane is at {expected}"), PATIENCE, async || {
        (service.get("/v1/subscriptions/hooks").await["deliveries"] == expected).then_some(())
    })
    .await;
}

fn json_lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
}
