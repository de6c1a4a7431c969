use serde_json::{Value, json};

use crate::discover::About;
use crate::discover::testing::{draft, said};

fn check(first: &Value, again: Option<&Value>, expected: &str) {
    assert_eq!(said(&draft(first, again), About::Volatile, "item.ignore"), expected, "{first}");
}

fn rows(row: impl Fn(u32) -> Value) -> Value {
    (1..=5).map(|id| row(id * 7)).collect()
}

#[test]
fn what_differs_in_nearly_all_items_is_volatile() {
    let first = rows(|id| json!({"id": id, "status": "open", "etag": format!("a{id}"), "lag": {"ms": id}}));
    let mut again = rows(|id| json!({"id": id, "status": "open", "etag": format!("b{id}"), "lag": {"ms": id + 1}}));
    check(&first, Some(&again), r#"[".etag",".lag.ms"] likely"#);
    again[0]["status"] = json!("closed");
    check(&first, Some(&again), r#"[".etag",".lag.ms"] likely"#);
    check(&first, Some(&first), "nothing");
}

#[test]
fn what_differs_in_a_few_items_is_a_change() {
    let first = rows(|id| json!({"id": id, "status": "open", "updated_at": "2026-11-20T12:00:00Z"}));
    let mut again = first.clone();
    again[1]["status"] = json!("closed");
    again[1]["updated_at"] = json!("2026-11-20T12:05:00Z");
    check(&first, Some(&again), "nothing");
}

#[test]
fn counters_and_relative_times_are_volatile_by_name() {
    let item = |id: u32| json!({"id": id, "download_count": 4, "posted": "3 hours ago", "name": "x", "age": "2 d"});
    check(&rows(item), None, r#"[".download_count",".posted",".age"] likely"#);
    check(&json!([{"id": 1, "score": "A+"}, {"id": 2, "score": "B"}]), None, "nothing");
}

#[test]
fn counters_within_lists_are_left_out_of_each_element_that_there_is() {
    let item = |id: u32, count: u32| match id {
        7 => json!({"id": id, "assets": null}),
        _ => json!({"id": id, "assets": [{"name": "x", "download_count": count}]}),
    };
    check(&rows(|id| item(id, 1)), Some(&rows(|id| item(id, 2))), r#"[".assets[]?.download_count"] likely"#);
}
