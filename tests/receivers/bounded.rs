//! Answers without end, to the real service: it does not grow.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use crate::fault::{Conduct, FaultReceiver, Step};
use crate::packing::{BROTLI_BOMB, GZIP_COPIES, gzip_start, zstd_bomb};
use crate::service::Home;
use crate::source::{Reply, Source};
use crate::{forever, memory, send, wait};

/// How long all of this may take on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often each answer is taken at least.
const TIMES: usize = 40;

/// Sixty-four answers are read at the same time, some through decoders with windows of megabytes, and what is kept of them
/// waits to be settled. Read to their ends, the bombs alone would come to 20 GiB.
const MOST_GROWTH: u64 = 128 << 20;

fn endless() -> Vec<Vec<Step>> {
    let packed = |encoding: &str, body: Vec<u8>| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\n\r\n");
        vec![Step::Request, send(&head), Step::Send(body)]
    };
    let mut gzip = packed("gzip", gzip_start());
    gzip.push(Step::Forever(GZIP_COPIES.repeat(100)));
    vec![
        vec![Step::Request, send("HTTP/1.1 200 OK\r\n\r\n"), forever("thank you ")],
        vec![Step::Request, send("HTTP/1.1 500 No\r\n\r\n"), forever("no ")],
        vec![Step::Request, send("HTTP/1.1 200 OK\r\n"), forever("x-more: and more\r\n")],
        vec![Step::Request, send("HTTP/1.1 200 OK\r\nx-more: "), forever("and more ")],
        vec![Step::Request, send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"), forever("4\r\nyes \r\n")],
        gzip,
        packed("br", BROTLI_BOMB.to_vec()),
        packed("zstd", zstd_bomb(8192)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_without_end_do_not_make_the_service_grow() {
    let items: Vec<String> = (0..TIMES).map(|id| format!("{{\"id\":{id}}}")).collect();
    let items = format!("[{}]", items.join(","));
    let source = Source::start(move |_| Reply::json(items.clone())).await;
    let mut text = format!(
        "[connectors.orders]\nevery = \"1h\"\nrequest.url = \"{}\"\nitem.key = \".id\"\nchanges.first_poll = \"send\"\n",
        source.url("/orders")
    );
    let mut receivers = Vec::new();
    for (number, steps) in endless().into_iter().enumerate() {
        let receiver = FaultReceiver::start();
        receiver.conducts(Conduct::Ill(Arc::from(steps)));
        write!(text, "[subscriptions.s{number}]\nurl = \"{}\"\nretry = []\nbreaker = false\n", receiver.url())
            .expect("a string takes it");
        receivers.push((receiver, 0));
    }
    let home = Home::new(&text);
    let service = home.start().await;
    let before = memory::peak(&service.process);
    wait::until("each answer is taken often", PATIENCE, async || {
        for (receiver, taken) in &mut receivers {
            *taken += receiver.take_ill();
        }
        receivers.iter().all(|(_, taken)| *taken >= TIMES).then_some(())
    })
    .await;
    let growth = memory::peak(&service.process) - before;
    assert!(growth < MOST_GROWTH, "the service grew by {} MiB", growth >> 20);
}
