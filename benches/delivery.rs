//! Deliveries through the durable store, by one lane and by a hundred, beside a bare POST loop to the same receiver:
//! `cargo bench --bench delivery`.

#[expect(dead_code, reason = "another benchmark takes note of times")]
#[path = "support/house.rs"]
mod house;
#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/percentile.rs"]
mod percentile;
mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use house::{House, Receipts};
use percentile::percentile;
use pollhook::clock::SystemClock;
use pollhook::http::{BodyLimit, HttpClient, HttpRequest, Limits, Method, header::HeaderMap};
use support::{figure, median, now};

const DELIVERIES: usize = 20_000;
const CONCURRENCY: usize = 64;
const ROUNDS: usize = 5;
const LANES: usize = 100;
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// How many items one poll finds new.
const NEW_PER_POLL: usize = 10_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        throughput().await;
        latency().await;
    });
}

async fn throughput() {
    let (address, receipts) = house::counting();
    let one = format!(
        "[subscriptions.sink]\nurl = \"http://{address}/\"\nconcurrency = {CONCURRENCY}\nsecret = \"{SECRET}\"\n"
    );
    let many = |number| format!("[subscriptions.sink-{number}]\nurl = \"http://{address}/\"\nsecret = \"{SECRET}\"\n");
    let many: String = (0..LANES).map(many).collect();
    let (mut bare, mut durable, mut shared) = (Measured::default(), Measured::default(), Measured::default());
    for _ in 0..ROUNDS {
        bare.add(async || bare_loop(address).await).await;
        durable.add(async || through_the_store(&one, 1, &receipts).await).await;
        shared.add(async || through_the_store(&many, LANES, &receipts).await).await;
    }
    bare.print("a bare POST loop, 64 connections", &bare);
    durable.print("committed, delivered and settled through the durable store, one lane, 64 at a time", &bare);
    shared.print("committed, delivered and settled through the durable store, 100 lanes, 8 at a time", &bare);
}

/// What some rounds took.
#[derive(Default)]
struct Measured {
    times: Vec<Duration>,
    /// What processors did meanwhile.
    work: Duration,
}

impl Measured {
    async fn add(&mut self, round: impl AsyncFn() -> Duration) {
        let before = processor_time();
        self.times.push(round().await);
        self.work += processor_time().saturating_sub(before);
    }

    fn print(&self, name: &str, bare: &Self) {
        let rate = DELIVERIES as f64 / median(self.times.clone()).as_secs_f64();
        figure(name, format_args!("{rate:.0} deliveries/s"));
        let each = self.work.as_secs_f64() * 1e6 / (DELIVERIES * ROUNDS) as f64;
        figure("  processor time for each delivery and its receipt", format_args!("{each:.0} µs"));
        let ratios = bare.times.iter().zip(&self.times).map(|(bare, own)| bare.as_secs_f64() / own.as_secs_f64());
        let mut ratios: Vec<f64> = ratios.collect();
        ratios.sort_by(f64::total_cmp);
        figure("  share of the bare loop (median of the pairs)", format_args!("{:.0} %", ratios[ROUNDS / 2] * 100.0));
    }
}

/// Returns the time that processors have spent on this process, to ten milliseconds.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields = stat.rsplit(')').next().expect("a command").split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
    Duration::from_millis(ticks * 10)
}

/// POSTs bodies of the same size to the same receiver, remembering nothing.
async fn bare_loop(address: SocketAddr) -> Duration {
    let http = HttpClient::new().expect("a client");
    let url = url::Url::parse(&format!("http://{address}/")).expect("an address");
    let clock = SystemClock::shared();
    let body = bytes::Bytes::from(serde_json::to_vec(&house::event(clock.now(), 0)).expect("JSON"));
    let left = Arc::new(AtomicUsize::new(DELIVERIES));
    let began = now();
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..CONCURRENCY {
        let (http, url, body, left) = (http.clone(), url.clone(), body.clone(), left.clone());
        senders.spawn(async move {
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                let request = HttpRequest {
                    method: Method::POST,
                    url: url.clone(),
                    headers: HeaderMap::new(),
                    body: body.clone(),
                };
                let limits = Limits { deadline: Duration::from_secs(15), body: BodyLimit::Keep(0) };
                assert_eq!(http.send(request, limits).await.expect("an answer").status, 204);
            }
        });
    }
    senders.join_all().await;
    began.elapsed()
}

/// Commits polls that find new items while lanes deliver their events, until all are settled: as many deliveries in all,
/// whatever the number of lanes.
async fn through_the_store(subscriptions: &str, lanes: usize, receipts: &Receipts) -> Duration {
    let house = House::new(subscriptions);
    let before = receipts.count();
    let began = now();
    let running = house.run();
    let (items, new_per_poll) = (DELIVERIES / lanes, NEW_PER_POLL / lanes);
    for poll in 0..items / new_per_poll {
        house.commit(poll * new_per_poll..(poll + 1) * new_per_poll).await;
    }
    receipts.wait(before, DELIVERIES).await;
    running.stop().await;
    let elapsed = began.elapsed();
    house.store.close().await.expect("closing");
    elapsed
}

/// Measures from a change being detected to its receipt, one at a time.
async fn latency() {
    let (address, receipts) = house::counting();
    let house = House::new(&format!("[subscriptions.sink]\nurl = \"http://{address}/\"\nsecret = \"{SECRET}\"\n"));
    let running = house.run();
    let mut latencies = Vec::new();
    for number in 0..300 {
        let before = receipts.count();
        let began = now();
        house.commit(number..number + 1).await;
        receipts.wait(before, 1).await;
        latencies.push(began.elapsed());
    }
    running.stop().await;
    figure("from detection to receipt, one at a time, p50", percentile(&mut latencies, 50));
    figure("from detection to receipt, one at a time, p99", percentile(&mut latencies, 99));
}
