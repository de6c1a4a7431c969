//! How long deliveries take under load, and beside receivers that do not work: `cargo bench --bench lanes`.

#[path = "support/house.rs"]
#[expect(dead_code, reason = "another benchmark counts only")]
mod house;
#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/percentile.rs"]
mod percentile;
mod support;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use house::{House, Receipts};
use percentile::percentile;
use pollhook::clock::SystemClock;
use support::{figure, median, now};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// How many deliveries are measured to find how many a lane makes at most.
const MOST: usize = 40_000;

/// How often items are found, and for how long.
const TICK: Duration = Duration::from_millis(10);
const LOADED: Duration = Duration::from_secs(8);

const HEALTHY: usize = 50;
const ROUNDS: usize = 3;

/// How many items are found a second, each of which goes to every receiver.
const PER_SECOND: usize = 40;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        under_load().await;
        beside().await;
    });
}

/// Measures the most that a lane delivers, and then how long deliveries take at shares of that.
async fn under_load() {
    let (address, receipts) = house::timing();
    let sink = format!("[subscriptions.sink]\nurl = \"http://{address}/\"\nconcurrency = 64\nsecret = \"{SECRET}\"\n");
    let house = House::new(&sink);
    let began = now();
    let running = house.run();
    for poll in 0..MOST / 10_000 {
        house.commit(poll * 10_000..(poll + 1) * 10_000).await;
    }
    receipts.wait(0, MOST).await;
    let most = MOST * 1000 / began.elapsed().as_millis() as usize;
    running.stop().await;
    figure("the most deliveries of one lane", format_args!("{most} a second"));
    receipts.take_times();
    for share in [10, 50, 90] {
        let mut latencies = latencies(&sink, most * share / 100, 1, &receipts).await;
        for percent in [50, 99] {
            let name = format!("from detection to receipt at {share} % of that, p{percent}");
            figure(&name, percentile(&mut latencies, percent));
        }
    }
}

/// Measures how long deliveries to receivers that work take alone, and beside ones that do not.
async fn beside() {
    let (address, receipts) = house::timing();
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    let (mut alone_99, mut beside_99) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let mut round = latencies(&healthy(address), PER_SECOND, HEALTHY, &receipts).await;
        alone_99.push(slowest_but_one_percent(&mut round));
        alone.append(&mut round);
        let mut round = latencies(&(healthy(address) + &ill(address)), PER_SECOND, HEALTHY, &receipts).await;
        beside_99.push(slowest_but_one_percent(&mut round));
        beside.append(&mut round);
    }
    for percent in [50, 99] {
        figure(&format!("50 healthy receivers, alone, p{percent}"), percentile(&mut alone, percent));
        figure(
            &format!("50 healthy receivers beside a slow, a silent and a dead one, p{percent}"),
            percentile(&mut beside, percent),
        );
    }
    let (alone, beside) = (median(alone_99).as_secs_f64(), median(beside_99).as_secs_f64());
    figure("  change of p99 (medians of the rounds)", format_args!("{:+.0} %", (beside / alone - 1.0) * 100.0));
}

fn slowest_but_one_percent(durations: &mut [Duration]) -> Duration {
    durations.sort_unstable();
    durations[durations.len() * 99 / 100]
}

fn healthy(address: SocketAddr) -> String {
    (0..HEALTHY).fold(String::new(), |mut text, number| {
        writeln!(text, "[subscriptions.healthy-{number}]\nurl = \"http://{address}/{number}\"\nsecret = \"{SECRET}\"")
            .expect("a string takes it");
        text
    })
}

/// A receiver that answers after ten seconds, one that takes connections and says nothing, and one that is not there.
fn ill(address: SocketAddr) -> String {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let silent_address = silent.local_addr().expect("it is bound");
    // It listens for as long as the benchmark runs.
    std::mem::forget(silent);
    format!(
        r#"
        [subscriptions.slow]
        url = "http://{address}/slow"
        [subscriptions.silent]
        url = "http://{silent_address}/"
        [subscriptions.dead]
        url = "http://127.0.0.1:1/"
        "#
    )
}

/// Finds so many items a second new and returns how long each of their deliveries took.
async fn latencies(subscriptions: &str, per_second: usize, lanes: usize, receipts: &Arc<Receipts>) -> Vec<Duration> {
    let house = House::new(subscriptions);
    let running = house.run();
    let clock = SystemClock::shared();
    let before = receipts.count();
    let began = now();
    let mut found: Vec<Instant> = Vec::new();
    while began.elapsed() < LOADED {
        let due = began.elapsed().as_millis() as usize * per_second / 1000;
        if due > found.len() {
            let new = found.len()..due;
            found.resize(due, now());
            house.commit(new).await;
        }
        clock.sleep_until(clock.now() + TICK).await;
    }
    receipts.wait(before, found.len() * lanes).await;
    let arrived = receipts.take_times();
    running.stop().await;
    house.store.close().await.expect("closing");
    arrived.into_iter().map(|((_, number), at)| at.saturating_duration_since(found[number])).collect()
}
