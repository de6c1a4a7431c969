//! Sources that are asked only for what is new.

use std::time::Duration;

use pollhook::model::item::Completeness;
use pollhook::poll::PollOutcome;

use crate::source::{Reply, Request};
use crate::world::World;

const SINCE: &str = r#"
request.query = { since = "{{ cursor }}" }
cursor.value = ".at"
changes.first_poll = "send"
"#;

/// Returns what a request's query says under this name.
fn asked(request: &Request, name: &str) -> Option<String> {
    let query = request.target.split_once('?')?.1;
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

/// Returns what the requests since the last call were asked with; `-` for nothing.
fn all_asked(world: &World) -> Vec<String> {
    let requests = world.source.take_requests();
    requests.iter().map(|request| asked(request, "since").unwrap_or_else(|| "-".to_owned())).collect()
}

async fn cursor(world: &World) -> Option<String> {
    world.state().await.expect("it was polled").cursor
}

#[tokio::test]
async fn the_largest_value_of_all_items_is_asked_from() {
    let rules = format!("{SINCE}item.filter = \".draft | not\"\n");
    let world = World::new(&rules, |_| {
        Reply::json(
            r#"[{"id":1,"at":"2026-11-20T10:00:00Z"},{"id":2,"at":"2026-11-20T13:00:00+02:00","draft":true},
                {"id":3,"at":"2026-11-20T12:00:00+02:00"},{"id":4,"at":null}]"#,
        )
    })
    .await;
    assert_eq!(world.changes().await, ["created 1", "created 3", "created 4"]);
    assert_eq!(cursor(&world).await.as_deref(), Some("2026-11-20T13:00:00+02:00"), "as the source wrote it");
    let warnings = world.state().await.expect("it was polled").warnings;
    assert_eq!(warnings, ["1 items have no value for the cursor (`cursor.value`)"]);
    // An equal value may have come late, and is told of; what is known already is not.
    world.serve(r#"[{"id":2,"at":"2026-11-20T13:00:00+02:00"},{"id":5,"at":"2026-11-20T11:00:00Z"}]"#);
    assert_eq!(world.changes().await, ["created 2", "created 5"]);
    world.serve("[]");
    assert_eq!(world.changes().await, [""; 0]);
    assert_eq!(cursor(&world).await.as_deref(), Some("2026-11-20T13:00:00+02:00"), "nothing new moves nothing");
    assert_eq!(all_asked(&world), ["-", "2026-11-20T13:00:00+02:00", "2026-11-20T13:00:00+02:00"]);
}

#[tokio::test]
async fn numbers_and_overlaps_are_exact() {
    let check = async |overlap: &str, json: &str, expected: &str| {
        let world = World::new(&format!("{SINCE}cursor.overlap = {overlap}\n"), |_| Reply::json("[]")).await;
        world.serve(json);
        world.poll().await;
        world.poll().await;
        assert_eq!(all_asked(&world), ["-", expected], "{json}");
    };
    check("10", r#"[{"id":1,"at":9007199254740993},{"id":2,"at":9007199254740992}]"#, "9007199254740983").await;
    check("\"5m\"", r#"[{"id":1,"at":1795000000}]"#, "1794999700").await;
    check("\"5m\"", r#"[{"id":1,"at":"2026-11-20 00:02:00.000"}]"#, "2026-11-19 23:57:00.000").await;
    check("\"5m\"", r#"[{"id":1,"at":"2026-11-20"}]"#, "2026-11-19").await;
}

#[tokio::test]
async fn the_first_poll_may_begin_some_time_ago_by_the_clock_of_the_source() {
    let rules = format!("{SINCE}cursor.initial = \"-1h\"\n");
    let world = World::new(&rules, |_| Reply::of(404, "").with("date", "Fri, 20 Nov 2026 12:00:30 GMT")).await;
    world.poll_with_ticks_of(Duration::ZERO).await;
    let margin = Duration::from_secs(65 * 60);
    let ours = (world.now() - margin).to_utc().format("%Y-%m-%dT%H:%M:%SZ").to_string();
    world.serve("[]");
    world.poll_with_ticks_of(Duration::ZERO).await;
    // A minute later by both clocks, and from then on from there: there was nothing yet.
    world.poll_with_ticks_of(Duration::ZERO).await;
    assert_eq!(all_asked(&world), [ours.as_str(), "2026-11-20T11:01:30Z", "2026-11-20T11:01:30Z"]);
}

#[tokio::test]
async fn values_of_several_kinds_fail_the_poll() {
    let world = World::new(SINCE, |_| Reply::json(r#"[{"id":1,"at":7},{"id":2,"at":"2026-11-20"}]"#)).await;
    insta::assert_snapshot!(world.failure().await, @r#"connector orders: SOURCE/items: `cursor.value` gives "7", which is a number, and "2026-11-20", which is a date: none is the largest"#);
    world.serve(r#"[{"id":1,"at":{"seconds":7}}]"#);
    insta::assert_snapshot!(world.failure().await, @r#"connector orders: SOURCE/items: item 1 of page 1: `cursor.value` (.at) gives an object, where a text or a number is needed; it begins: {"id":1,"at":{"seconds":7}}"#);
}

#[tokio::test]
async fn a_poll_that_is_not_complete_moves_the_cursor_only_if_the_source_ascends() {
    let check = async |ascending: bool, expected: Option<&str>| {
        let rules = format!("{SINCE}cursor.ascending = {ascending}\npagination.link = {{}}\n");
        let world = World::new(&rules, |_| Reply::json(r#"[{"id":1,"at":1}]"#)).await;
        world.poll().await;
        world.source.respond(|request| match request.target.as_str() {
            "/items?since=1" => Reply::json(r#"[{"id":2,"at":2}]"#).with("link", "</items?page=2>; rel=next"),
            _ => Reply::of(404, ""),
        });
        assert!(matches!(world.poll().await.outcome, PollOutcome::Partial(_)));
        assert_eq!(cursor(&world).await.as_deref(), expected);
    };
    check(false, Some("1")).await;
    check(true, Some("2")).await;
}

#[tokio::test]
async fn a_cursor_that_is_too_old_is_forgotten_and_everything_polled_at_once() {
    let check = async |rules: &str, refusal: Reply| {
        let world = World::new(&format!("{SINCE}{rules}"), |_| Reply::json(r#"[{"id":1,"at":5}]"#)).await;
        world.poll().await;
        world.source.respond(move |request| match asked(request, "since") {
            Some(_) => refusal.clone(),
            None => Reply::json(r#"[{"id":1,"at":5},{"id":2,"at":3}]"#),
        });
        let report = world.poll().await;
        assert_eq!(
            (report.outcome, report.requests, report.changes.created),
            (PollOutcome::Compared(Completeness::Complete), 2, 1)
        );
        assert!(report.notes[0].starts_with("the cursor is too old"), "{:?}", report.notes);
        assert_eq!(all_asked(&world), ["-", "5", "-"]);
    };
    check("", Reply::of(410, "")).await;
    check("cursor.too_old = \".code == \\\"expired\\\"\"\n", Reply::of(400, r#"{"code":"expired"}"#)).await;

    let world = World::new(SINCE, |_| Reply::json(r#"[{"id":1,"at":5}]"#)).await;
    world.poll().await;
    world.source.respond(|_| Reply::of(400, r#"{"code":"expired"}"#));
    assert!(matches!(world.poll().await.outcome, PollOutcome::Failed(_)), "nobody said what that means");
    world.source.respond(|_| Reply::of(410, ""));
    let report = world.poll().await;
    assert!(matches!(report.outcome, PollOutcome::Failed(_)), "without a cursor it is just gone");
    assert_eq!(report.requests, 2);
}

#[tokio::test]
async fn only_a_poll_of_everything_finds_what_was_removed_or_missed() {
    let rules = r#"
request.query = { since = "{{ cursor }}" }
cursor = { value = ".at", reconcile = "1h" }
changes.lists = "everything"
changes.events = ["created", "updated", "removed"]
"#;
    let everything = |json: &'static str| {
        move |request: &Request| Reply::json(if asked(request, "since").is_some() { "[]" } else { json })
    };
    let world = World::new(rules, everything(r#"[{"id":1,"at":1},{"id":2,"at":2},{"id":3,"at":9}]"#)).await;
    assert_eq!(world.changes().await, [""; 0]);
    world.source.respond(everything(r#"[{"id":1,"at":1},{"id":4,"at":2}]"#));
    assert_eq!(world.changes().await, [""; 0]);
    assert_eq!(cursor(&world).await.as_deref(), Some("9"));
    world.clock.advance(Duration::from_secs(60 * 60));
    assert_eq!(world.changes().await, ["created 4", "removed 2", "removed 3"]);
    assert_eq!(cursor(&world).await.as_deref(), Some("2"), "what is asked from is what there is");
    assert_eq!(world.changes().await, [""; 0]);
    assert_eq!(all_asked(&world), ["-", "9", "-", "2"]);
}

#[tokio::test]
async fn an_edit_of_keys_polls_everything() {
    let mut world = World::new(SINCE, |_| Reply::json(r#"[{"id":1,"uid":"a","at":5}]"#)).await;
    world.poll().await;
    world.edit(&format!("{SINCE}item.key = \".uid\"\n"));
    assert_eq!(world.changes().await, [""; 0]);
    world.edit(&format!("{SINCE}item.key = \".uid\"\nitem.watch = [\".id\"]\n"));
    assert_eq!(world.changes().await, [""; 0]);
    assert_eq!(all_asked(&world), ["-", "-", "5"], "new fingerprints need no more than each item's next sight");
}

#[tokio::test]
async fn a_token_of_the_answer_is_asked_with_as_it_is() {
    let rules = r#"
request.query = { since = "{{ cursor }}" }
response.items = ".items[]"
cursor.answer = ".token"
pagination.link = {}
changes.first_poll = "send"
"#;
    let world = World::new(rules, |request| match request.target.as_str() {
        "/items" => Reply::json(r#"{"items":[{"id":1}],"token":"z"}"#).with("link", "</2>; rel=next"),
        "/2" => Reply::json(r#"{"items":[{"id":2}],"token":"a/1"}"#),
        _ => Reply::json(r#"{"items":[]}"#),
    })
    .await;
    assert_eq!(world.changes().await, ["created 1", "created 2"]);
    world.poll().await;
    world.poll().await;
    assert_eq!(all_asked(&world), ["-", "-", "a/1", "a/1"], "an answer without one changes nothing");
}
