//! Receivers that do not work, each in its own way, beside many that do.

use std::fmt::Write as _;
use std::sync::Arc;

use pollhook::clock::SystemClock;
use pollhook::config::{Environment, load};
use pollhook::deliver::SubscriptionSet;
use pollhook::service::{self, Service};
use pollhook::store::embedded::{self, Options};
use pollhook::telemetry::Telemetry;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::events;
use crate::receiver::{Answer, Receiver};

const HEALTHY: usize = 50;
const EVENTS: usize = 30;

/// Much longer than the test takes.
const PATIENT: &str = "timeout = \"5m\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn receivers_that_do_not_work_keep_nothing_from_those_that_do() {
    let (slow, hanging, busy) = (Receiver::start().await, Receiver::start().await, Receiver::start().await);
    slow.answer_always(Answer::Held(Box::new(Answer::Status(200))));
    hanging.answer_always(Answer::StalledHeader);
    busy.answer_always(Answer::Full(429, vec![("retry-after", "3600".to_owned())], String::new()));
    let mut healthy = Vec::new();
    let mut text = String::new();
    let mut subscribe = |name: &str, url: &str, rules: &str| {
        write!(text, "[subscriptions.{name}]\nurl = \"{url}\"\n{rules}\n").expect("a string takes it");
    };
    subscribe("slow", &slow.url(), PATIENT);
    subscribe("hanging", &hanging.url(), PATIENT);
    subscribe("busy", &busy.url(), "concurrency = 1");
    // Nothing listens at port 1, and this lane never stops to try.
    subscribe("dead", "http://127.0.0.1:1/", "retry = [\"10ms\", \"10ms\", \"10ms\", \"10ms\"]\nbreaker = false");
    for number in 0..HEALTHY {
        let receiver = Receiver::start().await;
        subscribe(&format!("healthy-{number}"), &receiver.url(), "");
        healthy.push(receiver);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.toml");
    std::fs::write(&path, text).expect("a file");
    let configuration = load(&path, &Environment::default()).unwrap_or_else(|mistakes| panic!("{mistakes}"));

    let (clock, telemetry) = (SystemClock::shared(), Telemetry::shared());
    let store = embedded::open(
        &folder.path().join("data"),
        Options { ballast_bytes: 0, ..Options::default() },
        Telemetry::shared(),
    );
    let store = Arc::new(store.expect("a store"));
    let route = SubscriptionSet::new(configuration.subscriptions.clone(), telemetry.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let service = Service { configuration, store: store.clone(), listener, clock: clock.clone(), telemetry };
    let (stop, stopped) = oneshot::channel::<()>();
    let mut running = JoinSet::new();
    running.spawn(service::run(service, async move { stopped.await.unwrap_or_default() }));

    events::add(&*store, &route, clock.now(), (0..EVENTS).map(|number| number.to_string()), 100).await;
    for receiver in &healthy {
        receiver.received(EVENTS).await;
    }
    // So far none of the others has taken anything.
    assert!(slow.so_far().len() <= 8 && hanging.so_far().len() <= 8, "more at once than their lanes allow");
    busy.received(1).await;

    slow.release();
    slow.received(EVENTS).await;
    for receiver in &healthy {
        receiver.received(EVENTS).await;
    }
    drop(hanging);
    stop.send(()).expect("the service runs");
    running.join_next().await.expect("it runs").expect("it ends without a panic").expect("it ends well");
}
