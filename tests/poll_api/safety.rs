//! What must never look like a change: edits of the configuration, and sources that are empty for a moment.

use crate::source::{Reply, Request};
use crate::world::World;

const BEFORE: &str =
    r#"[{"id":1,"uid":"a","v":1,"w":1},{"id":2,"uid":"b","v":1,"w":1,"draft":true},{"id":3,"uid":"c","v":1,"w":1}]"#;
const AFTER: &str =
    r#"[{"id":1,"uid":"a","v":2,"w":1},{"id":2,"uid":"b","v":1,"w":1,"draft":true},{"id":4,"uid":"d","v":1,"w":1}]"#;

/// Answers every path with this listing, and the path of an item with nothing more about it.
fn answer(listing: &'static str) -> impl FnMut(&Request) -> Reply + Send + 'static {
    move |request| {
        let is_item = request.target.starts_with("/item/");
        let body = if is_item { "{\"more\":true}" } else { listing };
        let etag = if body == AFTER { "\"after\"" } else { "\"before\"" };
        if request.header("if-none-match") == Some(etag) {
            Reply::of(304, "")
        } else {
            Reply::json(body).with("etag", etag)
        }
    }
}

/// Edits a connector's rules between two polls of the same listing, and then lets the listing change. The edit must
/// cause no event, and what changes afterwards must be told, the same as if the connector had always had the new rules.
async fn check_edit(from: &str, to: &str, told: &[&str]) {
    let mut world = World::new(from, answer(BEFORE)).await;
    assert_eq!(world.changes().await, [""; 0], "{from}");
    assert_eq!(world.changes().await, [""; 0], "{from}");
    world.edit(to);
    assert_eq!(world.changes().await, [""; 0], "{from} → {to}");
    assert_eq!(world.changes().await, [""; 0], "{from} → {to}");
    world.source.respond(answer(AFTER));
    let mut changes = world.changes().await;
    changes.sort();
    assert_eq!(changes, told, "{from} → {to}");
    assert_eq!(world.changes().await, [""; 0], "{from} → {to}");
}

const RECENT: &str = "changes.events = [\"created\", \"updated\"]\n";
const EVERYTHING: &str = "changes.lists = \"everything\"\nchanges.events = [\"created\", \"updated\", \"removed\"]\n";

/// Checks an edit that adds this line, and one that takes it away.
async fn check_line(line: &str, with: &[&str], without: &[&str]) {
    for (rules, more) in [(RECENT, None), (EVERYTHING, Some("removed 3"))] {
        let edited = format!("{rules}{line}\n");
        let told = |told: &[&str], more: Option<&str>| {
            let mut told: Vec<String> = told.iter().copied().chain(more).map(str::to_owned).collect();
            told.sort();
            told
        };
        let more_with = more.map(|more| if line.contains(".uid") { more.replace('3', "c") } else { more.to_owned() });
        let with = told(with, more_with.as_deref());
        let without = told(without, more);
        check_edit(rules, &edited, &with.iter().map(String::as_str).collect::<Vec<_>>()).await;
        check_edit(&edited, rules, &without.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
}

const TOLD: &[&str] = &["created 4", "updated 1"];

#[tokio::test]
async fn edits_of_what_items_are_take_what_is_there_as_seen() {
    check_line("item.key = \".uid\"", &["created d", "updated a"], TOLD).await;
    check_line("item.key = [\".id\"]", TOLD, TOLD).await;
    check_line("item.filter = \".draft | not\"", TOLD, TOLD).await;
    check_line("item.filter = \".draft == null\"", TOLD, TOLD).await;
    check_line("request.query = { all = \"yes\" }", TOLD, TOLD).await;
    check_line("response.items = \".[] | select(.id)\"", TOLD, TOLD).await;
    check_line("pagination.link = {}", TOLD, TOLD).await;
    check_line("response.format = \"json\"", TOLD, TOLD).await;
}

#[tokio::test]
async fn edits_of_what_counts_update_nothing() {
    check_line("item.watch = [\".v\"]", TOLD, TOLD).await;
    check_line("item.watch = [\".w\"]", &["created 4"], TOLD).await;
    check_line("item.watch = [\".v\", \".new\"]", TOLD, TOLD).await;
    check_line("item.ignore = [\".v\"]", &["created 4"], TOLD).await;
}

#[tokio::test]
async fn edits_of_what_is_told_and_how_tell_nothing() {
    check_line("item.data = \"{id}\"", TOLD, TOLD).await;
    check_line("changes.previous = true", TOLD, TOLD).await;
    check_line("changes.forget_after = \"9d\"", TOLD, TOLD).await;
    check_line("changes.empty = \"ok\"", TOLD, TOLD).await;
    check_line("changes.hold_above = { created = 9 }", TOLD, TOLD).await;
    check_edit(RECENT, &format!("{RECENT}changes.first_poll = \"send\"\n"), TOLD).await;
    check_line("request.headers = { X-Team = \"a\" }", TOLD, TOLD).await;
    check_line("request.timeout = \"9s\"", TOLD, TOLD).await;
    check_line("auth.bearer.token = { env = \"TOKEN\" }", TOLD, TOLD).await;
    check_line("detail = { request = { url = \"SOURCE/item/{{ item.id }}\" } }", TOLD, TOLD).await;
}

#[tokio::test]
async fn edits_of_connectors_with_elements_tell_nothing() {
    let each =
        |elements: &str| format!("{RECENT}each = {elements}\nrequest.query = {{ repo = \"{{{{ params.repo }}}}\" }}\n");
    let one = each("[{ repo = \"a\" }]");
    check_edit(RECENT, &one, TOLD).await;
    check_edit(&one, RECENT, TOLD).await;
    check_edit(&one, &each("[{ repo = \"b\" }]"), TOLD).await;
    check_edit(&one, &each("[{ repo = \"b\" }, { repo = \"a\" }]"), TOLD).await;
    check_edit(&one, &format!("{one}item.watch = [\".v\"]\n"), TOLD).await;
    check_edit(&one, &format!("{one}item.key = \".uid\"\n"), &["created d", "updated a"]).await;
}

#[tokio::test]
async fn a_list_of_recent_items_that_becomes_one_of_everything_removes_only_what_it_has_listed() {
    check_edit(RECENT, EVERYTHING, &["created 4", "removed 3", "updated 1"]).await;
    check_edit(EVERYTHING, RECENT, TOLD).await;
}

#[tokio::test]
async fn a_new_rule_for_what_counts_applies_to_an_item_once_it_was_seen() {
    let mut world = World::new("item.watch = [\".v\"]", answer(BEFORE)).await;
    world.poll().await;
    world.edit("item.watch = [\".v\", \".w\"]");
    world.serve(r#"[{"id":1,"v":1,"w":2},{"id":2,"v":2,"w":1}]"#);
    assert_eq!(world.changes().await, [""; 0], "what it was under the old rule tells nothing of what it is");
    world.serve(r#"[{"id":1,"v":1,"w":3},{"id":2,"v":2,"w":1},{"id":3,"v":1,"w":9}]"#);
    assert_eq!(world.changes().await, ["updated 1"], "3 was not listed in between");
    world.serve(r#"[{"id":1,"v":1,"w":3},{"id":2,"v":2,"w":1},{"id":3,"v":1,"w":8}]"#);
    assert_eq!(world.changes().await, ["updated 3"]);
}

#[tokio::test]
async fn a_source_that_is_empty_for_a_moment_removes_nothing() {
    let world = World::new(EVERYTHING, answer(BEFORE)).await;
    world.poll().await;
    for _ in 0..3 {
        for _ in 0..2 {
            world.serve("[]");
            assert_eq!(world.changes().await, [""; 0]);
        }
        world.source.respond(answer(BEFORE));
        assert_eq!(world.changes().await, [""; 0], "nothing has reappeared");
    }
    world.serve("[]");
    assert_eq!(world.changes().await, [""; 0]);
    assert_eq!(world.changes().await, [""; 0], "although the answer is the same");
    assert_eq!(world.changes().await, ["removed 1", "removed 2", "removed 3"]);
    world.source.respond(answer(BEFORE));
    assert_eq!(world.changes().await, ["created 1", "created 2", "created 3"]);
    assert!(world.events().await.iter().rev().take(3).all(|event| event.reappeared));
}

#[tokio::test]
async fn an_empty_source_is_believed_if_it_is_said_to_be_usual() {
    let world = World::new(&format!("{EVERYTHING}changes.empty = \"ok\"\n"), answer(BEFORE)).await;
    world.poll().await;
    world.serve("[]");
    assert_eq!(world.changes().await, ["removed 1", "removed 2", "removed 3"]);
}

#[tokio::test]
async fn what_is_removed_says_what_it_was_if_items_are_kept() {
    let rules = format!("{EVERYTHING}changes.previous = true\n");
    let world = World::new(&rules, answer(BEFORE)).await;
    world.poll().await;
    world.source.respond(answer(AFTER));
    world.poll().await;
    let events = world.events().await;
    let removed = events.iter().find(|event| event.event_type.action() == "removed").expect("an event");
    assert_eq!((removed.key.as_str(), removed.data.get()), ("3", r#"{"id":3,"uid":"c","v":1,"w":1}"#));
    world.source.respond(answer(BEFORE));
    world.poll().await;
    let events = world.events().await;
    let reappeared = events.iter().rev().find(|event| event.key == "3").expect("an event");
    assert_eq!((reappeared.event_type.action(), reappeared.reappeared), ("created", true));
    assert_eq!(reappeared.data.get(), r#"{"id":3,"uid":"c","v":1,"w":1}"#);
}
