//! A receiver that misbehaves in every way that receivers do. What becomes of its deliveries is written down in
//! `fixtures/receivers`; and whatever it does, everything is acknowledged, and once, when it is well again.
//!
//! `UPDATE_FIXTURES=1 cargo test --test receivers` writes down what becomes of them now.

#[path = "../support/events.rs"]
mod events;
#[path = "../support/memory.rs"]
mod memory;
#[path = "../support/packing.rs"]
mod packing;
#[path = "../support/process.rs"]
mod process;
#[expect(dead_code, reason = "the service is only started here")]
#[path = "../support/service.rs"]
mod service;
#[expect(dead_code, reason = "the tests of faults use all of it")]
#[path = "../support/source.rs"]
mod source;
#[path = "../support/wait.rs"]
mod wait;
#[path = "../support/web.rs"]
mod web;

mod answers;
mod bounded;
mod broken;
mod encodings;
mod fault;
mod http2;
mod secure;
mod slow;
mod stale;
mod statuses;
mod trial;
mod unreachable;
mod waits;
mod world;

use fault::Step;

/// Every file of trials is written down under its name.
#[tokio::test]
async fn receivers_that_are_slow_or_never_end() {
    trial::check("slow", slow::trials()).await;
}

#[tokio::test]
async fn connections_that_break_at_every_stage() {
    trial::check("broken", broken::trials()).await;
}

#[tokio::test]
async fn answers_that_are_odd_or_none() {
    trial::check("answers", answers::trials()).await;
}

#[tokio::test]
async fn bodies_that_are_packed_badly() {
    trial::check("encodings", encodings::trials()).await;
}

#[tokio::test]
async fn statuses_of_every_kind() {
    trial::check("statuses", statuses::trials()).await;
}

#[tokio::test]
async fn waits_that_are_asked_for() {
    trial::check("waits", waits::trials()).await;
}

#[tokio::test]
async fn connections_that_cannot_be_secured() {
    trial::check("secure", secure::trials()).await;
}

#[tokio::test]
async fn streams_that_are_refused_or_break() {
    trial::check("http2", http2::trials()).await;
}

#[tokio::test]
async fn receivers_that_cannot_be_reached() {
    unreachable::check().await;
}

fn send(text: &str) -> Step {
    Step::Send(text.as_bytes().to_vec())
}

fn forever(text: &str) -> Step {
    Step::Forever(text.as_bytes().repeat(100))
}
