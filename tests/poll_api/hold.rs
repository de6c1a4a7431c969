//! Too many changes at once, and what is decided about them.

use std::fmt::Write as _;

use pollhook::model::change::{Decided, Decision, DecisionError};
use pollhook::model::item::SetAside;
use pollhook::poll::PollReport;
use pollhook::store::SeenSelection;

use crate::source::Reply;
use crate::world::{World, name};

const EVERYTHING: &str = r#"
changes.lists = "everything"
changes.events = ["created", "updated", "removed"]
changes.empty = "ok"
"#;

/// Returns a listing of items from `key=version` words.
fn listing(words: &str) -> String {
    let mut json = String::new();
    for word in words.split_whitespace() {
        let (key, version) = word.split_once('=').unwrap_or((word, "0"));
        write!(json, r#",{{"id":{key},"v":{version}}}"#).expect("a string takes it");
    }
    format!("[{}]", json.trim_start_matches(','))
}

/// Returns a world that has taken this listing as seen.
async fn world(rules: &str, words: &str) -> World {
    let json = listing(words);
    let world = World::new(rules, move |_| Reply::json(json.clone())).await;
    assert_eq!(world.changes().await, [""; 0]);
    world
}

async fn everything(rules: &str, words: &str) -> World {
    world(&format!("{EVERYTHING}changes.hold_above = {rules}\n"), words).await
}

/// Polls this listing, and returns the events it made.
async fn poll(world: &World, words: &str) -> Vec<String> {
    world.serve(&listing(words));
    world.changes().await
}

/// Returns what is held, sorted.
async fn held(world: &World) -> Vec<String> {
    let version = |change: &SetAside| {
        let record: Option<serde_json::Value> =
            change.record.as_ref().map(|record| serde_json::from_str(record.get()).expect("JSON"));
        record.map_or_else(String::new, |record| format!("={}", record["v"]))
    };
    let changes = set_aside(world).await;
    let mut held: Vec<String> =
        changes.iter().map(|change| format!("{} {}{}", change.kind, change.key, version(change))).collect();
    held.sort();
    held
}

async fn set_aside(world: &World) -> Vec<SetAside> {
    world.store.set_aside(&name(), SeenSelection::All).await.expect("the store works")
}

/// Returns how many changes are said to be held: created, updated, removed.
async fn counts(world: &World) -> Option<(u64, u64, u64)> {
    let hold = world.state().await.expect("it was polled").hold?;
    Some((hold.created, hold.updated, hold.removed))
}

async fn decide(world: &World, decision: Decision) -> Result<Decided, DecisionError> {
    world.poller().decide(decision).await
}

/// Decides about what is held, and returns the events of that.
async fn decided(world: &World, decision: Decision, expected: (u64, u64, u64)) -> Vec<String> {
    let before = world.events().await.len();
    let (created, updated, removed) = expected;
    let decided = decide(world, decision).await.expect("something is held");
    assert_eq!(decided, Decided::Held { created, updated, removed });
    assert_eq!(held(world).await, [""; 0]);
    assert_eq!(counts(world).await, None);
    let mut events: Vec<String> = world.events().await[before..]
        .iter()
        .map(|event| format!("{} {}", event.event_type.action(), event.key))
        .collect();
    events.sort();
    events
}

#[tokio::test]
async fn more_than_so_many_new_items_at_once_are_held() {
    let world = everything("{ created = 2 }", "1").await;
    assert_eq!(poll(&world, "1 2 3").await, ["created 2", "created 3"], "as many as are allowed");
    assert_eq!(poll(&world, "1=1 2 4 5 6").await, ["connector.held orders"]);
    assert_eq!(held(&world).await, ["created 4=0", "created 5=0", "created 6=0", "removed 3", "updated 1=1"]);
    let news = world.events().await.pop().expect("an event");
    assert_eq!(news.event_type.as_str(), "pollhook.connector.held");
    let since = world.state().await.and_then(|state| state.hold).expect("a hold").since;
    insta::assert_snapshot!(
        news.data.get().replace(&since.to_string(), "NOW"),
        @r#"{"since":"NOW","cause":"3 items created at once, and `hold_above.created` is 2","created":3,"updated":1,"removed":1}"#
    );
    assert_eq!(counts(&world).await, Some((3, 1, 1)));
    assert_eq!(poll(&world, "1=1 2 4 5 6").await, [""; 0], "the source is as it was");
    let record = world.store.polls(&name(), None, 2).await.expect("the store works").remove(1);
    assert_eq!((record.created, record.held), (0, 5));
}

#[tokio::test]
async fn a_first_poll_is_not_held() {
    let rules = "changes.first_poll = \"send\"\nchanges.hold_above = { created = 1 }";
    let world = World::new(rules, |_| Reply::json(listing("1 2 3"))).await;
    assert_eq!(world.changes().await, ["created 1", "created 2", "created 3"]);
}

#[tokio::test]
async fn removals_are_limited_by_number_or_by_share() {
    let world = everything("{ removed = 2 }", "1 2 3 4 5").await;
    assert_eq!(poll(&world, "3 4 5").await, ["removed 1", "removed 2"]);
    assert_eq!(poll(&world, "6").await, ["connector.held orders"]);
    assert_eq!(held(&world).await, ["created 6=0", "removed 3", "removed 4", "removed 5"]);

    let world = everything("{ removed = \"40%\" }", "1 2 3 4 5").await;
    assert_eq!(poll(&world, "3 4 5 6 7 8").await, ["created 6", "created 7", "created 8", "removed 1", "removed 2"]);
    assert_eq!(poll(&world, "3 4 5").await, ["connector.held orders"]);
    let cause = world.state().await.expect("it was polled").hold.expect("a hold").cause;
    assert_eq!(cause, "3 of 6 items removed at once, and `hold_above.removed` is 40%");
}

#[tokio::test]
async fn while_changes_are_held_all_others_join_them_and_what_is_taken_back_leaves() {
    let world = everything("{ created = 1 }", "1 2 3").await;
    assert_eq!(poll(&world, "1 2 3 4 5").await, ["connector.held orders"]);
    let check = async |words: &str, expected: &[&str]| {
        assert_eq!(poll(&world, words).await, [""; 0], "{words}");
        assert_eq!(held(&world).await, expected, "{words}");
    };
    check("1 2 3 4 5", &["created 4=0", "created 5=0"]).await;
    check("1=1 2 3 4 5=1", &["created 4=0", "created 5=1", "updated 1=1"]).await;
    check("1=2 2 3 4 5=1", &["created 4=0", "created 5=1", "updated 1=2"]).await;
    check("1 3 4 5=1", &["created 4=0", "created 5=1", "removed 2"]).await;
    check("1 2=1 3 5=1", &["created 5=1", "updated 2=1"]).await;
    check("1 2 3 5=1 6", &["created 5=1", "created 6=0"]).await;
    assert_eq!(counts(&world).await, Some((2, 0, 0)));
    check("1 2 3", &[]).await;
    assert_eq!(counts(&world).await, None, "a hold of nothing ends");
    assert_eq!(poll(&world, "1 2 3=1 4").await, ["updated 3", "created 4"]);
}

#[tokio::test]
async fn what_left_a_list_of_recent_items_is_still_held() {
    let world = world("changes.hold_above = { created = 1 }", "1").await;
    assert_eq!(poll(&world, "2 3").await, ["connector.held orders"]);
    assert_eq!(poll(&world, "5 4").await, [""; 0]);
    assert_eq!(held(&world).await, ["created 2=0", "created 3=0", "created 4=0", "created 5=0"]);
    assert_eq!(
        decided(&world, Decision::Approve, (4, 0, 0)).await,
        ["created 2", "created 3", "created 4", "created 5"]
    );
    assert_eq!(poll(&world, "5 4 3 2").await, [""; 0]);
}

#[tokio::test]
async fn a_page_that_fails_takes_nothing_back() {
    let world =
        world(&format!("{EVERYTHING}changes.hold_above = {{ created = 1 }}\npagination.link = {{}}\n"), "1").await;
    let respond = |second_works: bool| {
        move |request: &crate::source::Request| match request.target.as_str() {
            "/items" => Reply::json(listing("1")).with("link", "</items?page=2>; rel=\"next\""),
            _ if second_works => Reply::json(listing("2 3")),
            _ => Reply::of(404, ""),
        }
    };
    world.source.respond(respond(true));
    assert_eq!(world.changes().await, ["connector.held orders"]);
    world.source.respond(respond(false));
    world.failure().await;
    assert_eq!(held(&world).await, ["created 2=0", "created 3=0"]);
    assert_eq!(counts(&world).await, Some((2, 0, 0)));
}

#[tokio::test]
async fn what_is_approved_is_sent_once() {
    let world = everything("{ created = 1 }\nchanges.previous = true", "1 2 3").await;
    // What a baseline finds is kept as well.
    assert_eq!(poll(&world, "1=1 2 4 5").await, ["connector.held orders"]);
    world.clock.advance(std::time::Duration::from_secs(3600));
    let time = world.now();
    assert_eq!(
        decided(&world, Decision::Approve, (2, 1, 1)).await,
        ["created 4", "created 5", "removed 3", "updated 1"]
    );
    let events = world.events().await;
    let of = |action: &str, key: &str| {
        let is_meant = |event: &&pollhook::model::event::Event| event.event_type.action() == action && event.key == key;
        events.iter().find(is_meant).expect("an event")
    };
    let updated = of("updated", "1");
    assert_eq!((updated.data.get(), updated.time), (r#"{"id":1,"v":1}"#, time));
    assert_eq!(updated.previous.as_ref().expect("kept").get(), r#"{"id":1,"v":0}"#);
    assert_eq!(updated.changes.as_ref().expect("kept").get(), r#"[{"op":"replace","path":"/v","value":1}]"#);
    assert_eq!(of("removed", "3").data.get(), r#"{"id":3,"v":0}"#);

    assert_eq!(poll(&world, "1=1 2 4 5").await, [""; 0]);
    assert_eq!(poll(&world, "1=1 2 3 4=1").await, ["created 3", "updated 4", "removed 5"]);
    let events = world.events().await;
    let reappeared = events.iter().rev().find(|event| event.key == "3").expect("an event");
    assert!(reappeared.reappeared, "it was there before the hold");
}

#[tokio::test]
async fn more_changes_than_are_decided_about_at_once_are_approved_all() {
    let world = everything("{ created = 100 }", "0").await;
    let words: Vec<String> = (0..1200).map(|key| key.to_string()).collect();
    assert_eq!(poll(&world, &words.join(" ")).await, ["connector.held orders"]);
    assert_eq!(decided(&world, Decision::Approve, (1199, 0, 0)).await.len(), 1199);
    assert_eq!(poll(&world, &words.join(" ")).await, [""; 0]);
}

#[tokio::test]
async fn what_is_dropped_is_found_again() {
    let world = everything("{ created = 1 }", "1").await;
    assert_eq!(poll(&world, "1 2 3").await, ["connector.held orders"]);
    assert_eq!(decided(&world, Decision::Drop, (2, 0, 0)).await, [""; 0]);
    assert_eq!(poll(&world, "1 2 3").await, ["connector.held orders"], "although the answer is the same");
    decided(&world, Decision::Drop, (2, 0, 0)).await;
    assert_eq!(poll(&world, "1").await, [""; 0], "it was a mistake of the source");
}

#[tokio::test]
async fn what_is_baselined_is_seen_and_not_sent() {
    let world = everything("{ created = 1 }", "1 2").await;
    assert_eq!(poll(&world, "1=1 3 4").await, ["connector.held orders"]);
    assert_eq!(decided(&world, Decision::Baseline, (2, 1, 1)).await, [""; 0]);
    assert_eq!(poll(&world, "1=1 3 4").await, [""; 0]);
    assert_eq!(poll(&world, "1=2 3 2").await, ["updated 1", "created 2", "removed 4"]);
}

#[tokio::test]
async fn without_a_hold_the_next_complete_poll_can_be_taken_as_seen() {
    let world = everything("{ created = 1 }", "1 2").await;
    for decision in [Decision::Approve, Decision::Drop] {
        assert!(matches!(decide(&world, decision).await, Err(DecisionError::NothingHeld)));
    }
    assert_eq!(decide(&world, Decision::Baseline).await.expect("it can be"), Decided::NextPoll);
    world.source.respond(|_| Reply::of(404, ""));
    world.failure().await;
    assert_eq!(poll(&world, "1=1 3 4 5").await, [""; 0], "the next one that is complete");
    assert_eq!(poll(&world, "1=2 3 4 6").await, ["updated 1", "created 6", "removed 5"]);

    let world = World::new("changes.first_poll = \"send\"", |_| Reply::json(listing("1 2"))).await;
    assert_eq!(decide(&world, Decision::Baseline).await.expect("it can be"), Decided::NextPoll);
    assert_eq!(world.changes().await, [""; 0], "the first poll, too");
    assert_eq!(poll(&world, "1 2 3").await, ["created 3"]);
}

#[tokio::test]
async fn nothing_is_decided_while_a_poll_is_under_way() {
    let world = everything("{ created = 1 }", "1").await;
    poll(&world, "1 2 3").await;
    let hour = std::time::Duration::from_secs(3600);
    let lease = world.store.lease_poll(&name(), world.now(), hour).await.expect("it works").expect("a lease");
    assert!(matches!(decide(&world, Decision::Approve).await, Err(DecisionError::PollUnderWay)));
    world.store.release_poll(lease).await.expect("it works");
    decided(&world, Decision::Approve, (2, 0, 0)).await;
}

#[tokio::test]
async fn removals_that_nobody_wants_to_know_of_are_held_so_that_nothing_reappears() {
    let rules = "changes.lists = \"everything\"\nchanges.hold_above = { removed = \"50%\" }\n";
    let world = world(rules, "1 2 3").await;
    assert_eq!(poll(&world, "1").await, ["connector.held orders"]);
    assert_eq!(poll(&world, "1 2 3").await, [""; 0], "they come back, and are not created anew");
    assert_eq!(counts(&world).await, None);
}

#[tokio::test]
async fn an_edit_that_makes_keys_incomparable_ends_a_hold() {
    let rules = format!("{EVERYTHING}changes.hold_above = {{ created = 1 }}\n");
    let mut world = world(&rules, "1").await;
    poll(&world, "1 2 3").await;
    world.edit(&format!("{rules}item.key = \".id + 100\"\n"));
    assert_eq!(poll(&world, "1 2 3").await, [""; 0]);
    assert_eq!((held(&world).await.len(), counts(&world).await), (0, None));
    assert_eq!(poll(&world, "1 2 3 4").await, ["created 104"]);
}

#[tokio::test]
async fn an_edit_of_what_counts_loses_no_held_change() {
    let rules = format!("{EVERYTHING}changes.hold_above = {{ created = 1 }}\n");
    let mut world = world(&rules, "1 2 3").await;
    assert_eq!(poll(&world, "1=1 3 4 5").await, ["connector.held orders"]);
    world.edit(&format!("{rules}item.watch = [\".v\", \".new\"]\n"));
    assert_eq!(poll(&world, "1=1 3 4 5").await, [""; 0]);
    assert_eq!(held(&world).await, ["created 4=0", "created 5=0", "removed 2", "updated 1=1"]);
    assert_eq!(
        decided(&world, Decision::Approve, (2, 1, 1)).await,
        ["created 4", "created 5", "removed 2", "updated 1"]
    );
    assert_eq!(poll(&world, "1=1 3 4 5").await, [""; 0]);
    assert_eq!(poll(&world, "1=2 3 4 5=1").await, ["updated 1", "updated 5"]);
}

#[tokio::test]
async fn a_hold_survives_that_its_limit_is_taken_away() {
    let rules = format!("{EVERYTHING}changes.hold_above = {{ created = 1 }}\n");
    let mut world = world(&rules, "1").await;
    let held_poll: PollReport = {
        world.serve(&listing("1 2 3"));
        world.poll().await
    };
    assert_eq!(held_poll.changes.total(), 0);
    world.edit(EVERYTHING);
    assert_eq!(poll(&world, "1 2 3 4").await, [""; 0]);
    assert_eq!(decided(&world, Decision::Approve, (3, 0, 0)).await, ["created 2", "created 3", "created 4"]);
}

#[tokio::test]
async fn a_flood_that_is_too_large_for_memory_is_held_as_a_whole() {
    const PAGES: usize = 6;
    let rules =
        "changes.hold_above = { created = 1 }\npagination.link = {}\nchanges.events = [\"created\", \"updated\"]\n";
    let world = world(rules, "0").await;
    let flood = |request: &crate::source::Request| {
        let number: usize =
            request.target.split_once("page=").map_or(0, |(_, number)| number.parse().expect("a number"));
        let padding = "x".repeat(pollhook::poll::MOST_PENDING_BYTES / 4);
        let reply = Reply::json(format!(r#"[{{"id":0,"v":1}},{{"id":{},"v":0,"x":"{padding}"}}]"#, number + 1));
        if number + 1 == PAGES {
            reply
        } else {
            reply.with("link", format!("</items?page={}>; rel=\"next\"", number + 1))
        }
    };
    world.source.respond(flood);
    for expected in [&["connector.held orders"][..], &[]] {
        assert_eq!(world.changes().await, expected);
        assert_eq!(counts(&world).await, Some((PAGES as u64, 1, 0)));
    }
    assert_eq!(set_aside(&world).await.len(), PAGES + 1);
    assert_eq!(decided(&world, Decision::Approve, (PAGES as u64, 1, 0)).await.len(), PAGES + 1);
    assert_eq!(world.changes().await, [""; 0]);
}
