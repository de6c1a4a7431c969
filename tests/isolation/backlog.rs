//! Very many deliveries that are due to a receiver that is dead: the service stays small, and the others notice nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pollhook::clock::SystemClock;
use pollhook::model::event::{Event, Route};
use pollhook::model::id::SubscriptionName;
use pollhook::store::HistoryStore as _;
use pollhook::store::embedded::{self, Options};
use pollhook::telemetry::Telemetry;
use serde_json::json;

use crate::events;
use crate::memory;
use crate::service::Home;
use crate::source::{Reply, Source};
use crate::wait;

const DUE: usize = 100_000;

/// As many at a time as one poll is made durable of.
const PART: usize = 10_000;

/// What the service may take of memory, however much is due.
const MOST_BYTES: u64 = 250_000_000;

/// How long all of this may take on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(120);

/// Every event goes to the receiver that is dead.
struct ToDead;

impl Route for ToDead {
    fn subscriptions(&self, _event: &Event) -> Vec<SubscriptionName> {
        vec!["dead".parse().expect("a name")]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_takes_no_more_memory_than_allowed_and_delays_nobody() {
    let (found, arrived) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let newest = Arc::clone(&found);
    let source = Source::start(move |_| {
        let newest = newest.fetch_add(1, Ordering::Relaxed);
        Reply::json(json!([{ "id": newest }]).to_string())
    })
    .await;
    let counted = Arc::clone(&arrived);
    let healthy = Source::start(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        Reply::of(204, "")
    })
    .await;
    // Nothing listens at port 1. The lane never rests, and everything fails again and again.
    let home = Home::new(&format!(
        r#"
        [connectors.news]
        every = "1s"
        request.url = "{source}"
        item.key = ".id"
        changes.first_poll = "send"

        [subscriptions.healthy]
        url = "{healthy}"
        connectors = ["news"]

        [subscriptions.dead]
        url = "http://127.0.0.1:1/"
        connectors = ["orders"]
        breaker = false
        retry = [{retry}]
        "#,
        source = source.url("/items"),
        healthy = healthy.url("/hook"),
        retry = ["\"5s\""; 40].join(", "),
    ));
    fill(&home).await;

    for _ in 0..2 {
        let service = home.start().await;
        let before = arrived.load(Ordering::Relaxed);
        wait::until("the healthy receiver is told what is new", PATIENCE, async || {
            (arrived.load(Ordering::Relaxed) >= before + 4).then_some(())
        })
        .await;
        let dead = service.get("/v1/subscriptions/dead").await;
        assert!(dead["deliveries"]["retrying"].as_u64() > Some(0), "the dead receiver is tried meanwhile: {dead}");
        let most = memory::peak(&service.process);
        assert!(most < MOST_BYTES, "the service took {} MB", most / 1_000_000);
        // The next one begins with what this one leaves behind when it is killed.
        drop(service);
    }
}

async fn fill(home: &Home) {
    let store = embedded::open(&home.path().join("data"), Options::default(), Telemetry::shared()).expect("a store");
    let clock = SystemClock::shared();
    for part in 0..DUE / PART {
        let keys = (part * PART..(part + 1) * PART).map(|number| number.to_string());
        events::add(&store, &ToDead, clock.now(), keys, 100).await;
    }
    store.close().await.expect("the store can be closed");
}
