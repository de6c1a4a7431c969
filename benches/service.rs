//! What the running service needs: memory and start-up time, idle and with very much to deliver,
//! `cargo bench --bench service`.

#[expect(dead_code, reason = "other benchmarks run lanes")]
#[path = "support/house.rs"]
mod house;
#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/percentile.rs"]
mod percentile;
mod support;

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::{Router, routing};
use percentile::percentile;
use pollhook::clock::SystemClock;
use pollhook::model::event::{Event, Route};
use pollhook::model::fingerprint::{BodyHash, Fingerprint, KeyHash};
use pollhook::model::id::SubscriptionName;
use pollhook::model::item::{Presence, SeenItem};
use pollhook::model::time::Timestamp;
use pollhook::store::{ConnectorState, HistoryStore, PollCommit, PollStore, Retention, RulesMemory, SeenUpdate};
use support::{figure, median, now};

const SEEN_ITEMS: usize = 1_000_000;
const STARTS: usize = 5;
const SUBSCRIPTIONS: usize = 10_000;
const DUE: usize = 1_000_000;
const ITEMS: usize = 10_000;

fn main() {
    let empty = tempfile::tempdir().expect("a folder");
    let (start, memory) = run_service(empty.path());
    figure("start-up, empty store", format_args!("{:.0} ms", start.as_secs_f64() * 1e3));
    figure("resident memory, idle", format_args!("{memory:.1} MB"));

    let full = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(fill(&full.path().join("data")));
    drop(runtime);
    let bytes = size_of(&full.path().join("data/sled"));
    figure("bytes on disk for each of 1,000,000 seen items", format_args!("{:.0}", bytes as f64 / SEEN_ITEMS as f64));
    let (start, memory) = run_service(full.path());
    figure("start-up, 1,000,000 seen items", format_args!("{:.0} ms", start.as_secs_f64() * 1e3));
    figure("resident memory, idle, 1,000,000 seen items", format_args!("{memory:.1} MB"));

    idle_subscriptions();
    backlog();
}

/// Runs the service with very many subscriptions that nothing is sent to.
fn idle_subscriptions() {
    let folder = tempfile::tempdir().expect("a folder");
    let address = free_address();
    let mut text = format!("[server]\nlisten = \"{address}\"\n");
    for number in 0..SUBSCRIPTIONS {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        writeln!(text, "[subscriptions.s{number}]\nurl = \"http://127.0.0.1:9/{number}\"\nsecret = \"{secret}\"")
            .expect("a string takes it");
    }
    let service = Running::start(folder.path(), address, &text);
    figure("start-up, 10,000 subscriptions", format_args!("{:.0} ms", service.started_in.as_secs_f64() * 1e3));
    rest(5);
    let (began, before) = (now(), service.processor_time());
    rest(60);
    let share = service.processor_time().saturating_sub(before).as_secs_f64() / began.elapsed().as_secs_f64();
    figure("one processor's time for 10,000 idle subscriptions", format_args!("{:.2} %", share * 100.0));
    figure("resident memory, 10,000 idle subscriptions", format_args!("{:.1} MB", service.megabytes("VmRSS:")));
    service.stop();
}

/// Runs the service with very many deliveries that are due to a receiver that is dead, beside one that works.
fn backlog() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let (source, latencies) = loopback_pair();
    let address = free_address();
    let text = format!(
        r#"
        [server]
        listen = "{address}"
        [store.sled]
        path = "data"
        [connectors.news]
        every = "1s"
        request.url = "http://{source}/items"
        item.key = ".id"
        changes.first_poll = "send"
        [subscriptions.healthy]
        url = "http://{source}/hook"
        connectors = ["news"]
        [subscriptions.dead]
        url = "http://127.0.0.1:1/"
        connectors = ["orders"]
        "#
    );
    let folder = tempfile::tempdir().expect("a folder");
    let (data, sled) = (folder.path().join("data"), folder.path().join("data/sled"));

    let service = Running::start(folder.path(), address, &text);
    rest(20);
    let empty = service.megabytes("VmRSS:");
    let mut taken = take(&latencies);
    figure("to a healthy receiver, nothing else due, p50", percentile(&mut taken, 50));
    figure("to a healthy receiver, nothing else due, p99", percentile(&mut taken, 99));
    service.stop();

    let began = now();
    runtime.block_on(add_due(&data));
    figure("made due", format_args!("{:.0} deliveries/s", DUE as f64 / began.elapsed().as_secs_f64()));
    figure("bytes on disk for each delivery that waits", format_args!("{}", size_of(&sled) / DUE as u64));

    let service = Running::start(folder.path(), address, &text);
    figure("start-up, 1,000,000 due deliveries", format_args!("{:.0} ms", service.started_in.as_secs_f64() * 1e3));
    take(&latencies);
    rest(60);
    let mut taken = take(&latencies);
    figure("to a healthy receiver, 1,000,000 due to a dead one, p50", percentile(&mut taken, 50));
    figure("to a healthy receiver, 1,000,000 due to a dead one, p99", percentile(&mut taken, 99));
    let most = service.megabytes("VmHWM:");
    figure("the most resident memory, 1,000,000 due deliveries", format_args!("{most:.1} MB"));
    let each = (service.megabytes("VmRSS:") - empty) * 1e6 / DUE as f64;
    figure("resident memory for each delivery that waits", format_args!("{each:.0} bytes"));
    service.kill();
    let service = Running::start(folder.path(), address, &text);
    let started_in = service.started_in.as_secs_f64() * 1e3;
    figure("start-up after a kill, 1,000,000 due deliveries", format_args!("{started_in:.0} ms"));
    service.stop();

    let full = size_of(&sled);
    let began = now();
    let pruned = runtime.block_on(prune_all(&data));
    figure("pruned", format_args!("{:.0} events/s", pruned as f64 / began.elapsed().as_secs_f64()));
    runtime.block_on(add_due(&data));
    let again = size_of(&sled) as f64 / full as f64;
    figure("the file's size after pruning and 1,000,000 more, of what it was", format_args!("{:.0} %", again * 100.0));
}

/// Makes deliveries due to `dead`: items of the connector `orders` that changed again and again.
async fn add_due(data: &Path) {
    struct ToDead;
    impl Route for ToDead {
        fn subscriptions(&self, _event: &Event) -> Vec<SubscriptionName> {
            vec!["dead".parse().expect("a name")]
        }
    }
    let (store, clock) = (support::store(data), SystemClock::shared());
    for _ in 0..DUE / ITEMS {
        house::commit(&*store, &ToDead, clock.now(), 0..ITEMS).await;
    }
    store.close().await.expect("closing");
}

/// Removes all events: nobody has configured their subscription for a long time. Returns how many there were.
async fn prune_all(data: &Path) -> usize {
    let (store, clock) = (support::store(data), SystemClock::shared());
    let (now, retention) = (clock.now(), Retention::default());
    store.prune(now, retention, &[], 1).await.expect("the store works");
    let later = now + retention.dead + Duration::from_secs(60 * 60);
    let mut removed = 0;
    loop {
        let pruned = store.prune(later, retention, &[], 10_000).await.expect("the store works");
        removed += pruned.events;
        if pruned.finished {
            break;
        }
    }
    store.close().await.expect("closing");
    removed
}

/// How long deliveries took.
type Latencies = Arc<Mutex<Vec<Duration>>>;

fn take(latencies: &Latencies) -> Vec<Duration> {
    std::mem::take(&mut *latencies.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Starts an API whose every answer has twenty new items, and beside it the receiver that notes how long each item took.
fn loopback_pair() -> (SocketAddr, Latencies) {
    let latencies = Latencies::default();
    let noting = latencies.clone();
    let started = now();
    let items = move || async move {
        let at = started.elapsed().as_micros();
        let items: Vec<String> = (0..20).map(|item| format!("{{\"id\":\"{at}-{item}\"}}")).collect();
        ([("content-type", "application/json")], format!("[{}]", items.join(",")))
    };
    let hook = move |body: Bytes| async move {
        let at = started.elapsed();
        let event: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        let found = event["key"].as_str().and_then(|key| key.split('-').next()?.parse().ok()).expect("a time");
        let took = at.saturating_sub(Duration::from_micros(found));
        noting.lock().unwrap_or_else(PoisonError::into_inner).push(took);
        StatusCode::NO_CONTENT
    };
    let router = Router::new().route("/items", routing::get(items)).route("/hook", routing::post(hook));
    (loopback::serve(router), latencies)
}

/// A service that runs.
struct Running {
    child: Child,
    started_in: Duration,
}

impl Running {
    /// Starts the service in a folder and waits until it is ready at this address.
    fn start(folder: &Path, address: SocketAddr, configuration: &str) -> Self {
        let config = folder.join("config.toml");
        std::fs::write(&config, configuration).expect("a writable folder");
        let began = now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_pollhook"))
            .args(["run", "--log", "error", "--config"])
            .arg(&config)
            .current_dir(folder)
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        while !is_ready(address) {
            assert!(child.try_wait().expect("a child").is_none(), "the service ended");
            rest_for(Duration::from_millis(1));
        }
        Self { child, started_in: began.elapsed() }
    }

    fn megabytes(&self, what: &str) -> f64 {
        megabytes(&self.child, what)
    }

    /// Returns the time that processors have spent on it, to ten milliseconds.
    fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("Linux");
        let fields = stat.rsplit(')').next().expect("a command").split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
        Duration::from_millis(ticks * 10)
    }

    fn stop(self) {
        self.end(rustix::process::Signal::TERM);
    }

    fn kill(self) {
        self.end(rustix::process::Signal::KILL);
    }

    fn end(mut self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("a signal");
        self.child.wait().expect("the service ends");
    }
}

/// Lets so many seconds pass.
fn rest(seconds: u64) {
    rest_for(Duration::from_secs(seconds));
}

#[expect(clippy::disallowed_methods, reason = "a benchmark lets time really pass")]
fn rest_for(duration: Duration) {
    std::thread::sleep(duration);
}

/// Starts the service several times; returns the median time to readiness and its resident memory in MB.
fn run_service(folder: &Path) -> (Duration, f64) {
    let address = free_address();
    let text = format!(
        "[server]\nlisten = \"{address}\"\n[store.sled]\npath = \"data\"\n[connectors.quiet]\nevery = \"1d\"\nrequest.url = \"http://127.0.0.1:9/\"\nitem.key = \".id\"\n[subscriptions.nobody]\nurl = \"http://127.0.0.1:9/\"\n"
    );
    let mut starts = Vec::new();
    let mut memory = 0.0;
    for _ in 0..STARTS {
        let service = Running::start(folder, address, &text);
        starts.push(service.started_in);
        memory = service.megabytes("VmRSS:");
        service.stop();
    }
    (median(starts), memory)
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

fn is_ready(address: SocketAddr) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

fn megabytes(service: &Child, what: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.id())).expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(what)).expect("a size");
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kilobytes / 1000.0
}

fn size_of(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    entries
        .map(|entry| {
            let metadata = entry.metadata().expect("metadata");
            if metadata.is_dir() { size_of(&entry.path()) } else { metadata.len() }
        })
        .sum()
}

/// Commits the baseline of a connector with very many items.
async fn fill(folder: &Path) {
    let store = support::store(folder);
    let connector = "quiet".parse().expect("a name");
    let at = Timestamp::from_millis(1_795_000_000_000);
    let lease = store.lease_poll(&connector, at, Duration::from_secs(3600)).await.expect("the store works");
    let updates = (0..SEEN_ITEMS).map(|number| {
        let key_hash = KeyHash::of(&number.to_string());
        let seen = SeenItem {
            key_hash,
            fingerprint: Fingerprint(key_hash.0),
            first_seen: at,
            last_seen: at,
            presence: Presence::Present,
            epoch: 0,
            key: None,
        };
        SeenUpdate { seen, kept: None, event: None }
    });
    let none = BodyHash([0; 32]);
    let rules = RulesMemory { pages: none, keys: none, fingerprints: none };
    let state = ConnectorState { baselined: true, ..ConnectorState::first(at, rules) };
    let commit = PollCommit::new(at, updates.collect(), state);
    let began = now();
    store.commit_poll(lease.expect("nobody else polls"), commit).await.expect("the store works");
    let rate = SEEN_ITEMS as f64 / began.elapsed().as_secs_f64();
    figure("seen items committed, 1,000,000 at once", format_args!("{rate:.0} items/s"));
    store.close().await.expect("closing");
}
