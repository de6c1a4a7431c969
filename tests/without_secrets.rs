//! Commands in a shell that does not have the service's secrets: what needs none of them works, what needs one says
//! which, and what stands in for a secret is sent to nobody.

mod support {
    pub mod process;
    #[expect(dead_code, reason = "other tests ask the service in other ways")]
    pub mod service;
    #[expect(dead_code, reason = "the tests of faults use all of it")]
    pub mod source;
    pub mod wait;
    pub mod web;
}

use std::fs;

use support::service::Home;
use support::source::{Reply, Source};

/// Makes a configuration of which one connector needs a secret and another one none. The secrets are in files of the
/// folder `secrets`, which is not there yet.
fn home(source: &Source) -> Home {
    let (closed, open) = (source.url("/closed"), source.url("/open"));
    Home::new(&format!(
        r#"
        [connectors.closed]
        every = "1h"
        request.url = "{closed}"
        item.key = ".id"
        auth.bearer.token = {{ file = "secrets/shop" }}

        [connectors.open]
        every = "1h"
        request.url = "{open}"
        item.key = ".id"

        [subscriptions.erp]
        url = {{ file = "secrets/url" }}
        secret = {{ file = "secrets/erp" }}

        [subscriptions.bank]
        url = "https://bank.example.com/hooks"
        tls = {{ ca = "secrets/ca.pem", cert = "secrets/bank.pem", key = {{ env = "POLLHOOK_TEST_KEY" }} }}
        "#
    ))
}

#[track_caller]
fn check(home: &Home, arguments: &[&str], code: i32, said: &[&str]) -> String {
    let output = home.command().args(arguments).output().expect("pollhook can be started");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}:\n{text}");
    for said in said {
        assert!(text.contains(said), "{arguments:?} does not say {said:?}:\n{text}");
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_is_tried_and_explained_without_the_secrets_of_others() {
    let source = Source::start(|_| Reply::json(r#"[{"id":1},{"id":2}]"#)).await;
    let home = home(&source);
    check(&home, &["try", "closed"], 2, &["the secret file `secrets/shop` cannot be read: it does not exist"]);
    check(&home, &["explain", "closed", "1"], 0, &["not asked: a secret that it is asked with is not to be had here"]);
    assert!(source.take_requests().is_empty(), "nothing is asked with what stands in for a secret");

    let tried = check(&home, &["try", "open"], 0, &["2 items on 1 page", "erp"]);
    assert!(!tried.contains("stand-ins"), "nothing that is shown depends on a secret:\n{tried}");
    check(&home, &["explain", "open", "2"], 0, &["on page 1 of 1, item 2 of it"]);
    let shown = check(&home, &["try", "open", "--show", "request"], 0, &["have stand-ins", "webhook-signature: v1,"]);
    assert!(!shown.contains("whsec_"), "{shown}");
    assert_eq!(source.take_requests().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_is_checked_without_secrets_if_that_is_wanted() {
    let source = Source::start(|_| Reply::json("[]")).await;
    let home = home(&source);
    let lacking = [
        "nothing is wrong but what is not to be had here; `pollhook check --without-secrets`",
        "secrets/url",
        "secrets/ca.pem",
    ];
    check(&home, &["check"], 2, &lacking);
    check(&home, &["check", "--without-secrets"], 0, &["has 2 connectors and 2 subscriptions"]);
    check(&home, &["run"], 2, &["secrets/erp"]);

    let path = home.path().join("config.toml");
    let text = fs::read_to_string(&path).expect("the configuration can be read");
    fs::write(&path, text.replace("item.key = \".id\"", "item.kye = \".id\"")).expect("it can be written");
    let wrong = check(&home, &["check", "--without-secrets"], 2, &["item.kye", "2 mistakes"]);
    assert!(!wrong.contains("secrets/"), "{wrong}");
    check(&home, &["check"], 2, &["item.kye", "secrets/shop"]);
}

#[test]
fn the_service_is_asked_whatever_else_is_wrong_with_the_configuration() {
    let home =
        Home::new("[connectors.orders]\nevry = 1\n\n[subscriptions.erp]\nurl = { env = \"POLLHOOK_TEST_URL\" }\n");
    check(&home, &["status"], 1, &["does not answer", "start it with `pollhook run`"]);
    let path = home.path().join("config.toml");
    let text = fs::read_to_string(&path).expect("the configuration can be read");
    let text = text.replace("[server]\n", "[server]\ntoken = { env = \"POLLHOOK_TEST_TOKEN\" }\n");
    fs::write(&path, text).expect("it can be written");
    check(&home, &["status"], 2, &["the token of the admin API", "give it with --token or in POLLHOOK_TOKEN"]);
    check(&home, &["status", "--token", "t0ken"], 1, &["does not answer"]);
    fs::write(&path, "[server]\nlisten = \"here\"\n").expect("it can be written");
    check(&home, &["status"], 2, &["this is not an address to listen on"]);
}
