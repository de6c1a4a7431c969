//! From items to events.

use pollhook::model::item::Completeness;
use pollhook::poll::PollOutcome;

use crate::source::Reply;
use crate::world::World;

const EVERYTHING: &str = r#"
request.timeout = "5s"
changes.lists = "everything"
changes.events = ["created", "updated", "removed"]
"#;

#[tokio::test]
async fn changes_become_events_in_the_order_of_the_listing() {
    let world = World::new(EVERYTHING, |_| Reply::json(r#"[{"id":1},{"id":2},{"id":3}]"#)).await;
    assert_eq!(world.changes().await, [""; 0], "the first poll is a baseline");
    world.serve(r#"[{"id":4},{"id":2,"status":"paid"},{"id":3}]"#);
    assert_eq!(world.changes().await, ["created 4", "updated 2", "removed 1"]);
    world.serve(r#"[{"id":3},{"id":2,"status":"paid"},{"id":4}]"#);
    assert_eq!(world.changes().await, [""; 0], "another order is no change");
    let report = world.poll().await;
    assert_eq!((report.outcome, report.requests), (PollOutcome::Unchanged, 1));
}

#[tokio::test]
async fn numbers_arrive_exactly_as_the_source_wrote_them() {
    let world = World::new("changes.first_poll = \"send\"", |_| {
        Reply::json(r#"[{"id":9007199254740993,"a":1.0,"b":1e400,"c":0.1000,"d":-0,"e":1E5}]"#)
    })
    .await;
    world.poll().await;
    let events = world.events().await;
    assert_eq!(events[0].key, "9007199254740993");
    let text = r#"{"id":9007199254740993,"a":1.0,"b":1e400,"c":0.1000,"d":-0,"e":1E5}"#;
    assert_eq!(events[0].data.get(), text);
    assert!(serde_json::to_string(&events[0]).expect("JSON").contains(text));
}

#[tokio::test]
async fn an_update_carries_what_changed_if_items_are_kept() {
    let rules = format!("{EVERYTHING}changes.previous = true\nchanges.first_poll = \"send\"\n");
    let world = World::new(&rules, |_| Reply::json(r#"[{"id":1,"n":1.0,"tags":["a"]},{"id":2,"n":2}]"#)).await;
    world.poll().await;
    world.serve(r#"[{"id":1,"n":1,"tags":["a","b"]}]"#);
    world.poll().await;
    let events = world.events().await;
    let [_, _, updated, removed] = &events[..] else { panic!("{events:?}") };
    assert_eq!(updated.previous.as_ref().expect("kept").get(), r#"{"id":1,"n":1.0,"tags":["a"]}"#);
    assert_eq!(
        updated.changes.as_ref().expect("kept").get(),
        r#"[{"op":"replace","path":"/n","value":1},{"op":"add","path":"/tags/1","value":"b"}]"#,
    );
    assert_eq!((removed.event_type.as_str(), removed.data.get()), ("orders.removed", r#"{"id":2,"n":2}"#));
    assert!(removed.previous.is_none());
}

#[tokio::test]
async fn data_shapes_the_event_and_what_it_says_of_before() {
    let rules = "changes.previous = true\nchanges.first_poll = \"send\"\nitem.data = \"{id, n}\"";
    let world = World::new(rules, |_| Reply::json(r#"[{"id":1,"n":1,"secret":1}]"#)).await;
    world.poll().await;
    world.serve(r#"[{"id":1,"n":2,"secret":2}]"#);
    world.poll().await;
    let events = world.events().await;
    assert_eq!(events[0].data.get(), r#"{"id":1,"n":1}"#);
    assert_eq!(events[1].previous.as_ref().expect("kept").get(), r#"{"id":1,"n":1}"#);
    assert_eq!(events[1].changes.as_ref().expect("kept").get(), r#"[{"op":"replace","path":"/n","value":2}]"#);
}

#[tokio::test]
async fn items_kept_from_now_on_tell_what_changed() {
    let mut world = World::new("", |_| Reply::json(r#"[{"id":1,"n":1}]"#)).await;
    world.poll().await;
    world.edit("changes.previous = true");
    world.poll().await;
    world.serve(r#"[{"id":1,"n":2}]"#);
    world.poll().await;
    assert_eq!(world.events().await[0].previous.as_ref().expect("kept").get(), r#"{"id":1,"n":1}"#);
}

#[tokio::test]
async fn rules_say_which_items_there_are_and_what_counts() {
    let rules = r#"
response.items = ".orders[]"
item.key = [".shop", ".id"]
item.watch = [".status", ".lines[]?", ".meta"]
item.ignore = ".meta.fetched_at"
item.filter = ".status != \"draft\""
changes.first_poll = "send"
"#;
    let world = World::new(rules, |_| {
        Reply::json(r#"{"orders":[{"shop":"a","id":1,"status":"open"},{"shop":"a","id":2,"status":"draft"}]}"#)
    })
    .await;
    assert_eq!(world.changes().await, [r#"created ["a",1]"#]);
    let check = async |json: &str, expected: &[&str]| {
        world.serve(json);
        assert_eq!(world.changes().await, expected, "{json}");
    };
    check(
        r#"{"orders":[{"shop":"a","id":1,"status":"open","note":"x","meta":{"fetched_at":5}}]}"#,
        &[r#"updated ["a",1]"#],
    )
    .await;
    check(r#"{"orders":[{"shop":"a","id":1,"status":"open","note":"y","meta":{"fetched_at":6}}]}"#, &[]).await;
    check(r#"{"orders":[{"shop":"a","id":1,"status":"open","lines":[{}],"meta":{}}]}"#, &[r#"updated ["a",1]"#]).await;
    check(r#"{"orders":[{"shop":"a","id":1,"status":"draft"}]}"#, &[]).await;
    check(r#"{"orders":[{"shop":"a","id":2,"status":"open"}]}"#, &[r#"created ["a",2]"#]).await;
}

#[tokio::test]
async fn keys_are_text_as_it_is_and_numbers_as_they_are_written() {
    let world = World::new("changes.first_poll = \"send\"", |_| {
        Reply::json(r#"[{"id":"ä \"1\""},{"id":1.50},{"id":true},{"id":"1.50"}]"#)
    })
    .await;
    let report = world.poll().await;
    assert_eq!(report.outcome, PollOutcome::Compared(Completeness::Complete));
    let keys: Vec<String> = world.events().await.iter().map(|event| event.key.clone()).collect();
    assert_eq!(keys, ["ä \"1\"", "1.50", "true"]);
    assert_eq!(report.notes, ["2 items have the key 1.50"]);
}

#[tokio::test]
async fn edited_rules_take_what_is_there_as_seen() {
    let mut world = World::new(EVERYTHING, |_| Reply::json(r#"[{"id":1,"uid":"a"},{"id":2,"uid":"b"}]"#)).await;
    world.poll().await;
    world.edit(&format!("{EVERYTHING}item.key = \".uid\"\n"));
    assert_eq!(world.changes().await, [""; 0], "new keys");
    world.edit(&format!("{EVERYTHING}item.key = \".uid\"\nitem.watch = [\".id\"]\n"));
    assert_eq!(world.changes().await, [""; 0], "new fingerprints");
    world.serve(r#"[{"id":3,"uid":"a"}]"#);
    assert_eq!(world.changes().await, ["updated a", "removed b"]);
}

#[tokio::test]
async fn an_item_that_is_missing_is_counted_although_the_answer_stays_the_same() {
    let rules = format!("{EVERYTHING}changes.removed_after = 3\n");
    let world = World::new(&rules, |_| Reply::json(r#"[{"id":1},{"id":2}]"#)).await;
    world.poll().await;
    world.serve(r#"[{"id":1}]"#);
    assert_eq!(world.changes().await, [""; 0]);
    assert_eq!(world.changes().await, [""; 0]);
    assert_eq!(world.changes().await, ["removed 2"]);
    assert_eq!(world.poll().await.outcome, PollOutcome::Unchanged);
}

#[tokio::test]
async fn items_that_are_gone_for_long_are_forgotten() {
    let world = World::new("changes.forget_after = \"2d\"", |_| Reply::json(r#"[{"id":1},{"id":2}]"#)).await;
    world.poll().await;
    world.serve(r#"[{"id":2}]"#);
    let day = std::time::Duration::from_secs(24 * 60 * 60);
    for _ in 0..5 {
        world.clock.advance(day);
        assert_eq!(world.changes().await, [""; 0]);
    }
    world.serve(r#"[{"id":2},{"id":1}]"#);
    assert_eq!(world.changes().await, ["created 1"], "1 was forgotten, and 2 was there all the time");
}

#[tokio::test]
async fn a_turnover_of_nearly_all_items_is_told() {
    let listing = |keys: std::ops::Range<u32>| {
        let items: Vec<String> = keys.map(|key| format!("{{\"id\":{key}}}")).collect();
        format!("[{}]", items.join(","))
    };
    let world = World::new("", |_| Reply::json("[]")).await;
    let check = async |keys: std::ops::Range<u32>, expected: &[&str]| {
        world.serve(&listing(keys));
        world.poll().await;
        assert_eq!(world.state().await.expect("it was polled").warnings, expected);
    };
    check(0..20, &[]).await;
    check(10..30, &[]).await;
    let warning = "nearly all items are new: 2 of 20 are still there; did the API change what `item.key` gives, or is it polled too seldom?";
    check(28..48, &[warning]).await;
    check(28..49, &[]).await;
}
