//! A source that answers badly while the service runs: people learn the cause, receivers learn nothing, and once it
//! answers well again only true changes are told.

mod support {
    pub mod process;
    pub mod service;
    #[expect(dead_code, reason = "the tests of faults use all of it")]
    pub mod source;
    pub mod wait;
    pub mod web;
}

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use serde_json::Value;

use support::service::{Home, Service};
use support::source::{Reply, Request, Source};
use support::wait;

/// A name for a connector, what its source answers while it is ill, and what people are told of it.
struct Illness {
    connector: &'static str,
    content_type: &'static str,
    body: &'static str,
    cause: &'static str,
}

const ILLNESSES: &[Illness] = &[
    Illness {
        connector: "login-page",
        content_type: "text/html",
        body: "<!doctype html><title>Sign in</title>",
        cause: "the answer is HTML, not JSON",
    },
    Illness {
        connector: "cut",
        content_type: "application/json",
        body: r#"[{"id":1},{"id":"#,
        cause: "the answer is not valid JSON",
    },
    Illness { connector: "empty", content_type: "application/json", body: "", cause: "the answer's body is empty" },
    Illness { connector: "null", content_type: "application/json", body: "null", cause: "the answer is `null`" },
    Illness {
        connector: "wrong-shape",
        content_type: "application/json",
        body: r#""maintenance""#,
        cause: "`response.items` (.[])",
    },
    Illness {
        connector: "keyless",
        content_type: "application/json",
        body: r#"[{"id":1},{"name":"two"}]"#,
        cause: "item 2 of page 1",
    },
];

/// What every source lists first, and later.
const BEFORE: &str = r#"[{"id":1},{"id":2}]"#;
const AFTER: &str = r#"[{"id":1},{"id":2},{"id":3}]"#;

const HEALTHY: u8 = 0;
const ILL: u8 = 1;
const RECOVERED: u8 = 2;

/// A secret that the addresses carry.
const TOKEN: &str = "s3cr3t-t0ken";

/// How long anything here may take, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread")]
async fn bad_answers_are_explained_and_never_told_as_changes() {
    let state = Arc::new(AtomicU8::new(HEALTHY));
    let seen = Arc::clone(&state);
    let source = Source::start(move |request| answer(request, seen.load(Ordering::Relaxed))).await;
    let receiver = Source::start(|_| Reply::of(204, "")).await;
    let home = Home::new(&configuration(&source, &receiver));
    let service = home.start().await;
    all_are(&service, "ok").await;

    state.store(ILL, Ordering::Relaxed);
    all_are(&service, "failing").await;
    let output = home.command().args(["status", "--server", &service.url()]).output().expect("pollhook can be started");
    let status = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let log = service.log().join("\n");
    for illness in ILLNESSES {
        let told = format!("{}: ", illness.connector);
        for (place, text) in [("status", &status), ("the log", &log)] {
            let line = text.lines().find(|line| line.contains(&told) && line.contains(illness.cause));
            let line = line.unwrap_or_else(|| panic!("{place} does not say `{}`:\n{text}", illness.cause));
            assert!(line.contains(&source.url(&format!("/{}", illness.connector))), "{place} names no address: {line}");
        }
    }
    assert!(!status.contains(TOKEN) && !log.contains(TOKEN), "the token is shown:\n{status}\n{log}");
    assert!(service.list("/v1/events").await.is_empty(), "a bad answer became an event");

    state.store(RECOVERED, Ordering::Relaxed);
    all_are(&service, "ok").await;
    wait::until("the receiver is told", PATIENCE, async || {
        let settled = service.get("/v1/subscriptions/hooks").await["deliveries"]["waiting"] == 0;
        (settled && service.list("/v1/events").await.len() >= ILLNESSES.len()).then_some(())
    })
    .await;
    service.stop().await;

    let mut told: Vec<(String, String)> = receiver
        .take_requests()
        .iter()
        .map(|request| serde_json::from_str::<Value>(&request.body).expect("a delivery's body is JSON"))
        .map(|event| (event["type"].to_string(), event["key"].to_string()))
        .collect();
    let mut expected: Vec<(String, String)> =
        ILLNESSES.iter().map(|illness| (format!("\"{}.created\"", illness.connector), "\"3\"".to_owned())).collect();
    told.sort();
    expected.sort();
    assert_eq!(told, expected);
}

fn answer(request: &Request, state: u8) -> Reply {
    assert!(request.target.contains(TOKEN), "the connector sends its token");
    match state {
        HEALTHY => Reply::json(BEFORE),
        ILL => {
            let illness =
                ILLNESSES.iter().find(|illness| request.target.starts_with(&format!("/{}?", illness.connector)));
            let illness = illness.unwrap_or_else(|| panic!("nobody asks for {}", request.target));
            Reply::of(200, illness.body).with("content-type", illness.content_type)
        }
        _ => Reply::json(AFTER),
    }
}

fn configuration(source: &Source, receiver: &Source) -> String {
    let mut text = format!(
        r#"
        [subscriptions.hooks]
        url = "{}"
        connectors = ["*"]
        events = ["created", "updated", "removed"]
        "#,
        receiver.url("/hooks")
    );
    for Illness { connector, .. } in ILLNESSES {
        let url = source.url(&format!("/{connector}"));
        write!(
            text,
            r#"
            [connectors.{connector}]
            every = "1s"
            request.url = "{url}"
            auth.query = {{ name = "key", value = "{TOKEN}" }}
            item.key = ".id"
            changes = {{ events = ["created", "updated", "removed"], lists = "everything" }}
            "#
        )
        .expect("a string takes whatever is written to it");
    }
    text
}

/// Waits until all connectors have this status.
async fn all_are(service: &Service, status: &str) {
    wait::until(&format!("all connectors are {status}"), PATIENCE, async || {
        let connectors = service.get("/v1/connectors").await;
        let connectors = connectors["data"].as_array().expect("a list has data").clone();
        assert_eq!(connectors.len(), ILLNESSES.len());
        connectors.iter().all(|connector| connector["status"] == status).then_some(())
    })
    .await;
}
