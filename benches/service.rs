//! What the running service needs: memory and start-up time, `cargo bench --bench service`.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pollhook::model::fingerprint::{BodyHash, Fingerprint, KeyHash};
use pollhook::model::item::{Presence, SeenItem};
use pollhook::model::time::Timestamp;
use pollhook::store::{ConnectorState, HistoryStore, PollCommit, PollStore, RulesMemory, SeenUpdate};
use support::{figure, median, now};

const SEEN_ITEMS: usize = 1_000_000;
const STARTS: usize = 5;

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
}

/// Starts the service several times; returns the median time to readiness and its resident memory in MB.
fn run_service(folder: &Path) -> (Duration, f64) {
    let address = free_address();
    let config = folder.join("config.toml");
    let text = format!(
        "[server]\nlisten = \"{address}\"\n[connectors.quiet]\nevery = \"1d\"\nrequest.url = \"http://127.0.0.1:9/\"\nitem.key = \".id\"\n[subscriptions.nobody]\nurl = \"http://127.0.0.1:9/\"\n"
    );
    std::fs::write(&config, text).expect("a writable folder");
    let mut starts = Vec::new();
    let mut memory = 0.0;
    for _ in 0..STARTS {
        let began = now();
        let mut service = Command::new(env!("CARGO_BIN_EXE_pollhook"))
            .args(["run", "--log", "error", "--config"])
            .arg(&config)
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        while !is_ready(address) {
            assert!(service.try_wait().expect("a child").is_none(), "the service ended");
            std::thread::yield_now();
        }
        starts.push(began.elapsed());
        memory = resident_megabytes(&service);
        let pid = rustix::process::Pid::from_child(&service);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal");
        service.wait().expect("the service ends");
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

fn resident_megabytes(service: &Child) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.id())).expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a resident size");
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
