//! What goes wrong in the first ten minutes, and how it reads.

use std::time::Duration;

use crate::desk::{Desk, api, check_fixture, check_shown};
use crate::process::Process;
use crate::source::Reply;

/// How long a service may take to start, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_refuses_says_why_and_what_to_do() {
    let challenge = r#"Bearer realm="shop", error="invalid_token", error_description="The access token expired""#;
    let refusal = |status: u16, body: &str| Reply::of(status, body).with("content-type", "application/json");
    let login = r#"<!doctype html><title>Sign in</title><form><input name="p" type="password"></form>"#;
    let source = api(&[
        ("/401", refusal(401, r#"{"message":"Bad credentials"}"#).with("www-authenticate", challenge)),
        ("/403", refusal(403, r#"{"error":"not for you"}"#)),
        ("/429", refusal(429, r#"{"error":"slow down"}"#).with("retry-after", "60")),
        ("/500", Reply::of(500, "out of order")),
        ("/login", Reply::of(200, login).with("content-type", "text/html; charset=utf-8")),
        ("/nothing", Reply::of(200, "").with("content-type", "application/json")),
        ("/broken", Reply::json(r#"{"items":[{"id":1},"#)),
    ])
    .await;
    let desk = Desk::new().set("SHOP_TOKEN", "hunter2hunter2");
    for name in ["401", "403", "404", "429", "500", "login", "nothing", "broken"] {
        check_shown(&format!("refused-{name}"), &desk, &["new", &source.url(&format!("/{name}"))]);
    }
    check_shown("refused-token", &desk, &["new", &source.url("/401"), "--bearer-env", "SHOP_TOKEN"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_wrong_says_what_was_probably_meant() {
    let source = api(&[]).await;
    let desk = Desk::new();
    check_shown("wrong-scheme", &desk, &["new", "htps://shop.example/orders"]);
    check_shown("no-scheme", &desk, &["new", "shop.example/orders"]);
    check_shown("no-tls", &desk, &["new", &source.url("/orders").replacen("http", "https", 1)]);
    check_shown("header", &desk, &["new", &source.url("/"), "--header", "Accept"]);
    check_shown("variable", &desk, &["new", &source.url("/"), "--bearer-env", "SHOP_TOKEN"]);
    let said = desk.run(&["new", "http://no-such-host.invalid/orders"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("the name cannot be resolved"), "{}", said.err);
    assert!(said.err.contains("Is no-such-host.invalid spelt right?"), "{}", said.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_at_an_address_is_said_at_once() {
    let port = crate::servers::free_port();
    check_shown("nobody", &Desk::new(), &["new", &format!("http://127.0.0.1:{port}/orders")]);
}

#[test]
fn without_a_configuration_it_is_said_how_to_begin() {
    let desk = Desk::new();
    for command in [&["run"][..], &["check"], &["try", "orders"]] {
        let said = desk.run(command);
        check_fixture("no-configuration", &said.shown(&["…"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_differs_is_told() {
    let reply = Reply::json(r#"[{"id":1}]"#).with("date", "Tue, 15 Nov 1994 08:12:31 GMT");
    let source = api(&[("/orders", reply)]).await;
    let said = Desk::new().well(&["new", &source.url("/orders")]);
    assert!(said.err.contains("warning: the clock of 127.0.0.1 is "), "{}", said.err);
    assert!(said.err.contains("behind this machine's"), "{}", said.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_and_a_service_that_runs_are_told() {
    let source = api(&[("/orders", Reply::json(r#"[{"id":1}]"#))]).await;
    let port = crate::servers::free_port();
    let config = format!("[server]\nlisten = \"127.0.0.1:{port}\"\n");
    let desk = Desk::new().with("config.toml", &config);
    desk.well(&["new", &source.url("/orders"), "--write", "config.toml"]);
    let mut service = Process::start("pollhook run", &mut desk.command(&["run"]));
    service.line("its address", PATIENCE, |line| line.contains("pollhook ").then_some(())).await;

    let said = desk.well(&["new", &source.url("/orders"), "--write", "config.toml", "--name", "more"]);
    assert!(
        said.err.ends_with("A service listens there already: start it again, so that it takes this up.\n"),
        "{}",
        said.err
    );
    check_shown("port-taken", &desk, &["run"]);
}
