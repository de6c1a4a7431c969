//! A source that misbehaves in every way that sources do. What the polls of it say is written down in
//! `fixtures/faults`; and whatever it does, no event tells what is not so, and all is told once it behaves again.
//!
//! `UPDATE_FIXTURES=1 cargo test --test faults` writes down what the polls say now.

#[path = "../support/memory.rs"]
mod memory;
#[path = "../support/packing.rs"]
mod packing;
#[path = "../support/process.rs"]
mod process;
#[path = "../support/service.rs"]
mod service;
#[expect(dead_code, reason = "the tests of the service read what was asked")]
#[path = "../support/source.rs"]
mod source;
#[path = "../support/wait.rs"]
mod wait;
#[path = "../support/web.rs"]
mod web;
#[expect(dead_code, reason = "the tests of the poll side use all of it")]
#[path = "../poll_api/world.rs"]
mod world;

mod answers;
mod bounded;
mod connections;
mod encodings;
mod formats;
mod grants;
mod items;
mod paging;
mod redirects;
mod statuses;
mod styles;
mod trial;
mod validators;

/// Every file of trials is written down under its name.
#[tokio::test]
async fn connections_that_break() {
    trial::check("connections", connections::trials()).await;
}

#[tokio::test]
async fn bodies_that_are_packed_badly() {
    trial::check("encodings", encodings::trials()).await;
}

#[tokio::test]
async fn answers_that_are_no_items() {
    trial::check("answers", answers::trials()).await;
}

#[tokio::test]
async fn statuses_that_refuse() {
    trial::check("statuses", statuses::trials()).await;
}

#[tokio::test]
async fn redirects_that_mislead() {
    trial::check("redirects", redirects::trials().await).await;
}

#[tokio::test]
async fn validators_that_lie() {
    trial::check("validators", validators::trials()).await;
}

#[tokio::test]
async fn pages_that_lead_astray() {
    trial::check("paging", paging::trials().await).await;
}

#[tokio::test]
async fn pages_that_are_asked_for_in_vain() {
    trial::check("styles", styles::trials()).await;
}

#[tokio::test]
async fn grants_that_are_worth_nothing() {
    trial::check("grants", grants::trials()).await;
}

#[tokio::test]
async fn formats_that_end_too_early() {
    trial::check("formats", formats::trials()).await;
}

#[tokio::test]
async fn items_that_are_odd() {
    trial::check("items", items::trials()).await;
}
