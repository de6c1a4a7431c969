//! Bombs, thrown at the real service: it fails those polls, tells nothing, and does not grow.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::memory;
use crate::packing::{BROTLI_BOMB, GZIP_COPIES, gzip_start, zstd_bomb, zstd_window};
use crate::service::Home;
use crate::source::{Reply, Request, Source, Step};
use crate::trial::BEFORE;
use crate::wait;

/// How long all of this may take, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often each bomb is taken.
const TIMES: usize = 4;

/// The largest body of each connector.
const MOST_BYTES: u64 = 4 << 20;

/// Bodies and heads that come to 256 MiB at least, or have no end.
fn endless() -> BTreeMap<&'static str, Reply> {
    let endless = |head: &str, body: &[u8]| {
        let head = format!("HTTP/1.1 200 OK\r\n{head}\r\n");
        Reply::wire([Step::Send(head.into_bytes()), Step::Forever(body.repeat(100))])
    };
    let gzip = Reply::wire([
        Step::Send(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n".to_vec()),
        Step::Send(gzip_start()),
        Step::Forever(GZIP_COPIES.repeat(100)),
    ]);
    BTreeMap::from([
        ("body", endless("", b"[{\"id\":1},")),
        ("chunks", endless("transfer-encoding: chunked\r\n", b"4\r\n[1],\r\n")),
        (
            "headers",
            Reply::wire([
                Step::Send(b"HTTP/1.1 200 OK\r\n".to_vec()),
                Step::Forever(b"x-more: and more\r\n".repeat(100)),
            ]),
        ),
        (
            "header",
            Reply::wire([Step::Send(b"HTTP/1.1 200 OK\r\nx-more: ".to_vec()), Step::Forever(b"and more ".repeat(100))]),
        ),
        ("gzip", gzip),
        ("brotli", Reply::json(BROTLI_BOMB).with("content-encoding", "br")),
        ("zstd", Reply::json(zstd_bomb(8192)).with("content-encoding", "zstd")),
        ("zstd-window", Reply::json(zstd_window(0xa8, BEFORE.as_bytes())).with("content-encoding", "zstd")),
    ])
}

/// Bodies that are not too large, but of which each byte could take many when it is understood.
fn dense() -> BTreeMap<&'static str, Reply> {
    BTreeMap::from([
        ("depth", Reply::json("[".repeat(4 << 20))),
        ("digits", Reply::json(format!("[{{\"id\":{}}}]", "9".repeat((4 << 20) - 20)))),
        ("keyless", Reply::json(format!("[{}{{}}]", "{},".repeat(1 << 20)))),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_end_does_not_make_the_service_grow() {
    // Each connector has one body at most, in a buffer that may be twice as large, and what it was read from.
    check(endless(), 24 * MOST_BYTES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_dense_grows_with_the_largest_body_at_most() {
    // A value takes 72 bytes, of which there can be one in two bytes, in a list that may be twice as large.
    check(dense(), 80 * MOST_BYTES).await;
}

/// Polls all of these at the same time, which may make the service grow by so many bytes, and may do nothing else.
async fn check(bombs: BTreeMap<&'static str, Reply>, most_growth: u64) {
    let names: Vec<&'static str> = bombs.keys().copied().collect();
    let is_ill = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&is_ill);
    let source =
        Source::start(
            move |request| {
                if told.load(Ordering::Relaxed) { bombs[name(request)].clone() } else { Reply::json(BEFORE) }
            },
        )
        .await;
    let home = Home::new(&configuration(&names, &source));
    let service = home.start().await;
    asked(&source, &names).await;
    let before = memory::peak(&service.process);

    is_ill.store(true, Ordering::Relaxed);
    source.take_requests();
    asked(&source, &names).await;
    wait::until("all connectors fail", PATIENCE, async || {
        let connectors = service.get("/v1/connectors").await;
        let connectors = connectors["data"].as_array().expect("a list has data").clone();
        connectors.iter().all(|connector| connector["status"] == "failing").then_some(())
    })
    .await;
    let growth = memory::peak(&service.process) - before;
    assert!(growth < most_growth, "the service grew by {} MiB to {} MiB", growth >> 20, (growth + before) >> 20);
    for event in service.list("/v1/events").await {
        assert_eq!(event["event"]["connector"], "pollhook", "a bomb became an event: {event}");
    }
    service.stop().await;
}

fn configuration(names: &[&str], source: &Source) -> String {
    let mut text = String::new();
    for name in names {
        write!(
            text,
            r#"
            [connectors.{name}]
            every = "1s"
            request = {{ url = "{url}", max_body = "{MOST_BYTES}B", timeout = "20s" }}
            item.key = ".id"
            changes = {{ events = ["created", "updated", "removed"], lists = "everything" }}
            "#,
            url = source.url(&format!("/{name}"))
        )
        .expect("a string takes it");
    }
    text
}

/// Waits until each connector has asked several times.
async fn asked(source: &Source, names: &[&'static str]) {
    let mut left: BTreeMap<&str, usize> = names.iter().map(|name| (*name, TIMES)).collect();
    wait::until("each bomb is taken", PATIENCE, async || {
        for request in source.take_requests() {
            let left = left.get_mut(name(&request)).expect("a connector's name");
            *left = left.saturating_sub(1);
        }
        left.values().all(|left| *left == 0).then_some(())
    })
    .await;
}

fn name(request: &Request) -> &str {
    request.target.trim_start_matches('/')
}
