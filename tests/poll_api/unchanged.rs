//! Polls of a source that has nothing new.

use std::time::Duration;

use pollhook::model::item::Completeness;
use pollhook::poll::PollOutcome;

use crate::source::{Reply, Request};
use crate::world::World;

const LINK: &str = "pagination.link = {}\n";

/// Two pages with validators, that are answered with 304 when they are asked for with them.
fn two_pages(first: &'static str, second: &'static str) -> impl FnMut(&Request) -> Reply + Send + 'static {
    move |request| {
        let (body, link) = match request.target.as_str() {
            "/items" => (first, Some("</items?page=2>; rel=\"next\"")),
            _ => (second, None),
        };
        let etag = format!("\"{}\"", body.len());
        let mut reply = if request.header("if-none-match") == Some(&etag) {
            Reply::of(304, "")
        } else {
            Reply::json(body).with("etag", etag)
        };
        if let Some(link) = link.filter(|_| reply.status == 200) {
            reply = reply.with("link", link);
        }
        reply
    }
}

#[tokio::test]
async fn pages_that_are_not_modified_are_not_read() {
    let world = World::new(LINK, two_pages(r#"[{"id":1}]"#, r#"[{"id":22}]"#)).await;
    world.poll().await;
    assert_eq!(world.asked(), ["/items", "/items?page=2"]);
    let before = world.memory().await;
    let report = world.poll().await;
    assert_eq!((report.outcome, report.pages, report.bytes), (PollOutcome::Unchanged, 2, 0));
    assert_eq!(world.asked(), ["/items if", "/items?page=2 if"]);
    let state = world.state().await.expect("it was polled");
    assert_eq!((state.polled_at, state.succeeded_at), (report.at, Some(report.at)));
    assert_ne!(state.compared_at, Some(report.at));
    assert_eq!(
        before.replace(&format!("{:?}", state.compared_at), ""),
        world
            .memory()
            .await
            .replace(&format!("{:?}", state.succeeded_at), &format!("{:?}", state.compared_at))
            .replace(&format!("{:?}", state.compared_at), ""),
    );
}

#[tokio::test]
async fn if_a_later_page_differs_all_pages_are_read_again() {
    let world = World::new(LINK, two_pages(r#"[{"id":1}]"#, r#"[{"id":22}]"#)).await;
    world.poll().await;
    world.source.respond(two_pages(r#"[{"id":1}]"#, r#"[{"id":333}]"#));
    world.asked();
    assert_eq!(world.changes().await, ["created 333"]);
    assert_eq!(world.asked(), ["/items if", "/items?page=2 if", "/items", "/items?page=2"]);
}

#[tokio::test]
async fn if_the_first_page_differs_it_is_not_asked_for_twice() {
    let world = World::new(LINK, two_pages(r#"[{"id":1}]"#, r#"[{"id":22}]"#)).await;
    world.poll().await;
    world.source.respond(two_pages(r#"[{"id":333}]"#, r#"[{"id":22}]"#));
    world.asked();
    assert_eq!(world.changes().await, ["created 333"]);
    assert_eq!(world.asked(), ["/items if", "/items?page=2"]);
}

#[tokio::test]
async fn the_same_bytes_are_unchanged_without_validators_too() {
    let world = World::new("", |_| Reply::json(r#"[{"id":1}]"#)).await;
    assert_eq!(world.poll().await.outcome, PollOutcome::Compared(Completeness::Complete));
    assert_eq!(world.poll().await.outcome, PollOutcome::Unchanged);
    assert_eq!(world.asked(), ["/items", "/items"]);
}

#[tokio::test]
async fn a_list_that_is_cut_at_max_pages_can_be_unchanged_too() {
    let world = World::new("pagination.link = { max_pages = 1 }\n", two_pages(r#"[{"id":1}]"#, "[]")).await;
    assert_eq!(world.poll().await.outcome, PollOutcome::Compared(Completeness::Truncated));
    assert_eq!(world.poll().await.outcome, PollOutcome::Unchanged);
    assert_eq!(world.asked(), ["/items", "/items if"]);
}

#[tokio::test]
async fn validators_are_not_believed_for_longer_than_a_day() {
    let lying = |body: &'static str| {
        move |request: &Request| {
            let is_conditional = request.header("if-modified-since").is_some();
            let reply = if is_conditional { Reply::of(304, "") } else { Reply::json(body) };
            reply.with("last-modified", "Fri, 20 Nov 2026 12:00:00 GMT").with("date", "Fri, 20 Nov 2026 12:00:10 GMT")
        }
    };
    let world = World::new("", lying(r#"[{"id":1}]"#)).await;
    world.poll().await;
    world.source.respond(lying(r#"[{"id":1},{"id":2}]"#));
    assert_eq!(world.changes().await, [""; 0]);
    world.clock.advance(Duration::from_secs(12 * 60 * 60));
    assert_eq!(world.changes().await, [""; 0]);
    world.clock.advance(Duration::from_secs(12 * 60 * 60));
    assert_eq!(world.changes().await, ["created 2"]);
    assert_eq!(world.asked(), ["/items", "/items if", "/items if", "/items"]);
}

#[tokio::test]
async fn edited_rules_need_the_items_themselves() {
    let mut world = World::new("", |request| match request.header("if-none-match") {
        Some(_) => Reply::of(304, ""),
        None => Reply::json(r#"[{"id":1,"draft":true},{"id":2}]"#).with("etag", "\"x\""),
    })
    .await;
    world.poll().await;
    world.edit("item.watch = [\".id\"]");
    assert_eq!(world.poll().await.outcome, PollOutcome::Compared(Completeness::Complete));
    assert_eq!(world.poll().await.outcome, PollOutcome::Unchanged);
    assert_eq!(world.asked(), ["/items", "/items", "/items if"]);
}

#[tokio::test]
async fn posts_are_never_conditional() {
    let rules = "request.method = \"POST\"\nrequest.body = { first = 10, nested = [1.50] }";
    let world = World::new(rules, |_| Reply::json(r#"[{"id":1}]"#).with("etag", "\"x\"")).await;
    world.poll().await;
    assert_eq!(world.poll().await.outcome, PollOutcome::Unchanged);
    for request in world.source.take_requests() {
        assert_eq!((request.method.as_str(), request.body.as_str()), ("POST", r#"{"first":10,"nested":[1.50]}"#));
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!(request.header("if-none-match"), None);
    }
}
