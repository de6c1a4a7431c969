//! What the benchmarks share: servers on loopback, a configuration, and medians.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use pollhook::config::{self, Configuration, Environment};
use pollhook::model::event::{Event, Route};
use pollhook::model::id::SubscriptionName;
use pollhook::store::embedded::{self, EmbeddedStore, Options};
use pollhook::telemetry::Telemetry;

/// Returns the present moment.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures the time that really passes")]
pub fn now() -> Instant {
    Instant::now()
}

/// Returns the median of some durations.
pub fn median(mut durations: Vec<Duration>) -> Duration {
    durations.sort_unstable();
    durations[durations.len() / 2]
}

/// Prints one figure.
#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
pub fn figure(name: &str, value: impl std::fmt::Display) {
    println!("{name:<72} {value}");
}

/// Starts a server with its own thread and runtime, so that it shares only the processor with what is measured.
pub fn serve(router: Router) -> SocketAddr {
    let (sender, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            sender.send(listener.local_addr().expect("an address")).expect("someone waits");
            axum::serve(listener, router).await.expect("serving");
        });
    });
    address.recv().expect("the server has started")
}

/// Starts a receiver that answers 204 and counts.
pub fn receiver() -> (SocketAddr, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let router = Router::new().fallback(move |_body: Bytes| {
        counted.fetch_add(1, Ordering::Relaxed);
        async { Ok::<_, Infallible>(StatusCode::NO_CONTENT.into_response()) }
    });
    (serve(router), count)
}

/// Loads a configuration from text, in a folder.
pub fn configuration(folder: &Path, text: &str) -> Configuration {
    let file = folder.join("config.toml");
    std::fs::write(&file, text).expect("a writable folder");
    match config::load(&file, &Environment::default()) {
        Ok(configuration) => configuration,
        Err(diagnostics) => panic!("{}", diagnostics.render(false)),
    }
}

/// Opens a store in a folder.
pub fn store(folder: &Path) -> Arc<EmbeddedStore> {
    Arc::new(embedded::open(folder, Options::default(), Telemetry::shared()).expect("a store"))
}

/// Routes every event to nobody.
pub struct Nobody;

impl Route for Nobody {
    fn subscriptions(&self, _event: &Event) -> Vec<SubscriptionName> {
        Vec::new()
    }
}

/// Returns a listing of items of about 500 bytes each; the `changed` first ones are in another version than in other
/// rounds.
pub fn listing(count: usize, changed: usize, round: usize) -> Vec<u8> {
    let items: Vec<String> = (0..count)
        .map(|number| {
            let version = if number < changed { round } else { 0 };
            format!(
                concat!(
                    r#"{{"id":{number},"number":{number},"state":"open","version":{version},"title":"Something is not as it should be, "#,
                    r#"number {number}","user":{{"login":"someone-{number}","id":{number},"type":"User","site_admin":false}},"#,
                    r#""labels":[{{"id":1,"name":"bug","color":"f29513"}},{{"id":2,"name":"needs triage","color":"a2eeef"}}],"#,
                    r#""created_at":"2026-04-10T20:09:31Z","updated_at":"2026-10-10T20:09:31Z","closed_at":null,"comments":17,"#,
                    r#""body":"Steps to reproduce: do it, and see. It happens on 1.0 and 1.1, and costs 129.90 each time."}}"#,
                ),
                number = number,
                version = version,
            )
        })
        .collect();
    format!(r#"{{"generated":{round},"items":[{}]}}"#, items.join(",")).into_bytes()
}
