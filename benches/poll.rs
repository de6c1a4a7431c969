//! What a poll costs, beside parsing the same JSON: `cargo bench --bench poll`.

#[path = "support/loopback.rs"]
mod loopback;
mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::Uri;
use axum::http::header::{CONTENT_TYPE, LINK};
use pollhook::clock::SystemClock;
use pollhook::http::HttpClient;
use pollhook::model::event::{Event, Route};
use pollhook::model::fingerprint::BodyHash;
use pollhook::model::id::SubscriptionName;
use pollhook::poll::{FetchContext, PollContext, PollOutcome, PollReport, Poller};
use pollhook::telemetry::Telemetry;
use support::{figure, median, now};

const ITEMS: usize = 10_000;
const ROUNDS: usize = 15;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        unchanged_items().await;
        some_changed().await;
        identical_bytes().await;
        many_connectors().await;
        many_pages().await;
    });
}

/// Serves the bodies in turn, without validators.
fn source(bodies: Vec<Vec<u8>>) -> String {
    let bodies: Arc<Vec<bytes::Bytes>> = Arc::new(bodies.into_iter().map(bytes::Bytes::from).collect());
    let turn = Arc::new(AtomicUsize::new(0));
    let router = Router::new().fallback(move || {
        let body = bodies[turn.fetch_add(1, Ordering::Relaxed) % bodies.len()].clone();
        async move { ([(CONTENT_TYPE, "application/json")], body) }
    });
    format!("http://{}/items", loopback::serve(router))
}

fn context(folder: &Path) -> PollContext {
    PollContext {
        fetching: FetchContext::new(HttpClient::new().expect("a client"), SystemClock::shared(), Telemetry::shared()),
        store: support::store(folder),
        route: Arc::new(Nobody),
    }
}

fn pollers(folder: &Path, url: &str, count: usize) -> Vec<Poller> {
    let connectors = (0..count).map(|number| {
        format!(
            "[connectors.c{number}]\nevery = \"1h\"\nrequest.url = \"{url}?c={number}\"\nresponse.items = \".items[]\"\nitem.key = \".id\"\n"
        )
    });
    let configuration = loopback::configuration(folder, &connectors.collect::<Vec<_>>().concat());
    let context = context(&folder.join("data"));
    configuration.connectors.iter().map(|connector| Poller::new(connector.clone(), context.clone())).collect()
}

async fn poll(poller: &Poller) -> PollReport {
    poller.poll().await.expect("the store works")
}

/// Polls once for the baseline, then measures; between two polls the same body is parsed alone.
async fn measure(bodies: Vec<Vec<u8>>, updated: usize) -> (Duration, Duration) {
    let folder = tempfile::tempdir().expect("a folder");
    let parsed_body = bodies[0].clone();
    let poller = pollers(folder.path(), &source(bodies), 1).remove(0);
    assert_eq!(poll(&poller).await.items, ITEMS);
    let (mut polls, mut parses) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let began = now();
        let report = poll(&poller).await;
        polls.push(began.elapsed());
        assert_eq!((report.items, report.changes.updated), (ITEMS, updated), "{report:?}");
        let began = now();
        let value: serde_json::Value = serde_json::from_slice(&parsed_body).expect("JSON");
        parses.push(began.elapsed());
        drop(value);
    }
    (median(polls), median(parses))
}

fn report(name: &str, (poll, parse): (Duration, Duration)) {
    let rate = ITEMS as f64 / poll.as_secs_f64();
    figure(name, format_args!("{rate:.0} items/s, {:.1} ms a poll", poll.as_secs_f64() * 1e3));
    figure("  beside parsing its JSON alone", format_args!("{:.1} ms", parse.as_secs_f64() * 1e3));
    figure("  a poll, in parses of its JSON", format_args!("{:.2}", poll.as_secs_f64() / parse.as_secs_f64()));
}

async fn unchanged_items() {
    let measured = measure(vec![listing(ITEMS, 0, 1), listing(ITEMS, 0, 2)], 0).await;
    report("10,000 items, none changed, other bytes", measured);
}

async fn some_changed() {
    let measured = measure(vec![listing(ITEMS, 100, 1), listing(ITEMS, 100, 2)], 100).await;
    report("10,000 items, 1 % changed", measured);
}

async fn identical_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let body = listing(40_000, 0, 0);
    let size = body.len() as f64;
    let mut hashes = Vec::new();
    for _ in 0..ROUNDS {
        let began = now();
        std::hint::black_box(BodyHash::of(&body));
        hashes.push(began.elapsed());
    }
    let poller = pollers(folder.path(), &source(vec![body]), 1).remove(0);
    poll(&poller).await;
    let mut polls = Vec::new();
    for _ in 0..ROUNDS {
        let began = now();
        let report = poll(&poller).await;
        polls.push(began.elapsed());
        assert!(matches!(report.outcome, PollOutcome::Unchanged), "{report:?}");
    }
    let rate = |duration: Duration| format!("{:.2} GB/s", size / duration.as_secs_f64() / 1e9);
    figure("identical bytes, recognised", rate(median(hashes)));
    figure(&format!("identical bytes, a whole poll of {:.0} MB over HTTP", size / 1e6), rate(median(polls)));
}

async fn many_connectors() {
    const CONNECTORS: usize = 1000;
    let folder = tempfile::tempdir().expect("a folder");
    let pollers = Arc::new(pollers(folder.path(), &source(vec![listing(20, 0, 0)]), CONNECTORS));
    let mut rounds = Vec::new();
    for _ in 0..6 {
        let began = now();
        let mut polls = tokio::task::JoinSet::new();
        for at in 0..CONNECTORS {
            let pollers = pollers.clone();
            polls.spawn(async move { poll(&pollers[at]).await });
        }
        polls.join_all().await;
        rounds.push(began.elapsed());
    }
    // The first round is the baseline.
    let median = median(rounds.split_off(1));
    figure("1,000 connectors, all polled", format_args!("{:.0} polls/s", CONNECTORS as f64 / median.as_secs_f64()));
}

/// Serves so many pages of 100 items each, every time in another order of their bytes, so that they have to be compared.
fn pages(count: usize) -> String {
    let turn = AtomicUsize::new(0);
    let turn = Arc::new(turn);
    let router = Router::new().fallback(move |uri: Uri| {
        let page: usize = uri.query().and_then(|query| query.rsplit_once("page=")?.1.parse().ok()).unwrap_or_default();
        let body = listing_from(page * 100, 100, 0, turn.fetch_add(1, Ordering::Relaxed));
        async move {
            let next = if page + 1 < count { format!("<?page={}>; rel=\"next\"", page + 1) } else { String::new() };
            ([(CONTENT_TYPE, "application/json".to_owned()), (LINK, next)], body)
        }
    });
    format!("http://{}/items", loopback::serve(router))
}

/// Polls many pages of which nothing is new, and tells how much memory that takes at most.
async fn many_pages() {
    for count in [10, 500] {
        let folder = tempfile::tempdir().expect("a folder");
        let url = pages(count);
        let rules = format!(
            "[connectors.c]\nevery = \"1h\"\nrequest.url = \"{url}\"\nresponse.items = \".items[]\"\nitem.key = \".id\"\npagination.link.max_pages = 1000\n"
        );
        let configuration = loopback::configuration(folder.path(), &rules);
        let poller = Poller::new(configuration.connectors[0].clone(), context(&folder.path().join("data")));
        for _ in 0..2 {
            assert_eq!(poll(&poller).await.items, count * 100);
        }
        let before = resident("VmRSS:");
        // From now on, the peak is that of what follows.
        std::fs::write("/proc/self/clear_refs", "5").expect("Linux");
        assert_eq!(poll(&poller).await.items, count * 100);
        let peak = resident("VmHWM:").saturating_sub(before);
        figure(&format!("{count} pages of 100 known items: memory at most, beyond idle"), format_args!("{peak} KiB"));
    }
}

/// Returns what the system says of this process's memory, in KiB.
fn resident(what: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(what)).expect("the system says so");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number")
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
    listing_from(0, count, changed, round)
}

fn listing_from(first: usize, count: usize, changed: usize, round: usize) -> Vec<u8> {
    let items: Vec<String> = (first..first + count)
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
