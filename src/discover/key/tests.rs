use serde_json::{Value, json};

use crate::discover::About;
use crate::discover::testing::{draft, said};

fn check(answer: &Value, expected: &str) {
    assert_eq!(said(&draft(answer, None), About::Key, "item.key"), expected, "{answer}");
}

fn check_two(first: &Value, again: &Value, expected: &str) {
    assert_eq!(said(&draft(first, Some(again)), About::Key, "item.key"), expected, "{first}");
}

#[test]
fn identifiers_are_found_by_name_and_by_being_different() {
    for (answer, expected) in [
        (json!([{"id": 1_017, "name": "a"}, {"id": 1_018, "name": "b"}]), ".id certain"),
        (json!([{"_id": "65f0", "__v": 0}, {"_id": "65f1", "__v": 0}]), "._id certain"),
        (json!([{"sha": "a1", "node_id": "x"}, {"sha": "b2", "node_id": "y"}]), ".sha certain"),
        (json!([{"guid": "p1", "title": "A"}, {"guid": "p2", "title": "B"}]), ".guid certain"),
        (
            json!({"kind": "Listing", "data": {"children": [{"kind": "t3", "data": {"id": "a", "title": "A"}}, {"kind": "t3", "data": {"id": "b", "title": "B"}}]}}),
            ".data.id certain",
        ),
        (json!({"vulnerabilities": [{"cve": {"id": "CVE-1"}}, {"cve": {"id": "CVE-2"}}]}), ".cve.id certain"),
        (json!({"items": [{"sys": {"id": "a"}}, {"sys": {"id": "b"}}], "total": 2}), ".sys.id certain"),
        (json!({"items": [{"attributes": {"id": "a"}}, {"attributes": {"id": "b"}}]}), ".attributes.id certain"),
        (json!({"query": {"recentchanges": [{"rcid": 1, "pageid": 5}, {"rcid": 2, "pageid": 5}]}}), ".rcid certain"),
        (json!({"query": {"recentchanges": [{"rcid": 7, "pageid": 5}, {"rcid": 2, "pageid": 6}]}}), ".rcid certain"),
        (json!([{"slug": "a", "title": "A"}, {"slug": "b", "title": "B"}]), ".slug likely"),
        (json!([{"name": "main", "commit": {"sha": "a1"}}, {"name": "dev", "commit": {"sha": "b2"}}]), ".name likely"),
        (json!([{"version": "v1", "date": "2026-11-20"}, {"version": "v2", "date": "2026-11-19"}]), ".version likely"),
        (
            json!([{"url": "https://x/1", "title": "Long words of a headline"}, {"url": "https://x/2", "title": "Other words of a headline"}]),
            ".url likely",
        ),
        (json!([{"id": 1, "user_id": 7}]), ".id likely"),
        (json!({"events": [{"event_id": 9, "user_id": 7}, {"event_id": 8, "user_id": 6}]}), ".event_id certain"),
        (json!([{"ref": "a", "object": {"sha": "1"}}, {"ref": "b", "object": {"sha": "2"}}]), ".ref likely"),
        (json!([{"type": "a", "ruleset_id": 1}, {"type": "a", "ruleset_id": 2}]), ".ruleset_id doubtful"),
        (json!(["a", "b"]), ". certain"),
        (json!([1, 1, 2]), ". certain"),
    ] {
        check(&answer, expected);
    }
}

#[test]
fn counters_dates_and_measures_are_no_keys() {
    let quote = |position: u32, time: u32| json!({"position": position, "time": format!("2026-11-20T12:00:{time:02}Z"), "price": f64::from(time) + 0.5});
    let draft_of_quotes = json!([quote(1, 3), quote(2, 5), quote(3, 7)]);
    assert!(said(&draft(&draft_of_quotes, None), About::Key, "item.key").ends_with("doubtful"));
    for (answer, expected) in [
        (
            json!([{"rank": 1, "symbol": "BTC"}, {"rank": 2, "symbol": "ETH"}, {"rank": 3, "symbol": "XMR"}]),
            ".symbol likely",
        ),
        (json!([{"index": 0, "name": "a"}, {"index": 1, "name": "b"}, {"index": 2, "name": "c"}]), ".name likely"),
        (json!([{"n": 1, "name": "a"}, {"n": 2, "name": "b"}, {"n": 3, "name": "c"}]), ".name likely"),
        (json!([{"date": "2026-11-20", "name": "a"}, {"date": "2026-11-19", "name": "b"}]), ".name likely"),
        (json!([{"ts": 1_763_640_000, "name": "a"}, {"ts": 1_763_640_060, "name": "b"}]), ".name likely"),
        (json!([{"score": 12, "name": "a"}, {"score": 7, "name": "b"}]), ".name likely"),
        // What an id refers to is unique by chance.
        (json!([{"owner": {"id": 1}, "name": "a"}, {"owner": {"id": 2}, "name": "b"}]), ".name likely"),
        // Ids that begin at 1 are those of a small database.
        (json!([{"id": 1, "title": "a"}, {"id": 2, "title": "b"}, {"id": 3, "title": "c"}]), ".id certain"),
    ] {
        check(&answer, expected);
    }
}

#[test]
fn two_answers_tell_keys_from_what_is_different_by_chance() {
    let story = |id: u32, name: &str, request: u32| json!({"id": id, "name": name, "token": format!("r{request}")});
    // Numbered from the top, whatever is there.
    check_two(
        &json!([story(1, "c", 1), story(2, "b", 2), story(3, "a", 3)]),
        &json!([story(1, "d", 4), story(2, "c", 5), story(3, "b", 6)]),
        ".name likely",
    );
    check_two(
        &json!([{"uuid": "1", "slug": "a"}, {"uuid": "2", "slug": "b"}]),
        &json!([{"uuid": "3", "slug": "a"}, {"uuid": "4", "slug": "b"}]),
        ".slug likely",
    );
    let first = json!([story(10, "a", 1), story(11, "b", 2), story(12, "c", 3)]);
    let draft = draft(&first, Some(&json!([story(11, "b", 2), story(12, "c", 3), story(13, "d", 4)])));
    assert_eq!(
        draft.about(About::Key).expect("a key").because,
        "it is different in all 3 items, and 2 of them are in both answers"
    );
}

#[test]
fn two_fields_identify_what_one_does_not() {
    check(
        &json!({"data": [{"type": "a", "id": "1"}, {"type": "b", "id": "1"}, {"type": "a", "id": "2"}]}),
        r#"[".type",".id"] likely"#,
    );
    check(
        &json!([{"station": "S1", "date": "2026-11-20", "t": 1.5}, {"station": "S2", "date": "2026-11-20", "t": 1.5}, {"station": "S1", "date": "2026-11-19", "t": 2.5}, {"station": "S2", "date": "2026-11-19", "t": 2.5}]),
        r#"[".date",".station"] doubtful"#,
    );
}

#[test]
fn where_nothing_identifies_an_item_the_best_there_is_is_doubtful() {
    check(
        &json!([{"level": "info"}, {"level": "warn"}, {"level": "info"}, {"level": "info", "x": 1}]),
        "tojson doubtful",
    );
    check(
        &json!([{"name": "a", "x": 1}, {"name": "a", "x": 2}, {"name": "b", "x": 1}, {"name": "b", "x": 1}, {"name": "b", "x": 2}]),
        r#"[".name",".x"] doubtful"#,
    );
    // The same item twice does not make its id less of one.
    check(&json!([{"id": "a"}, {"id": "b"}, {"id": "a"}]), ".id certain");
}

#[test]
fn keys_of_known_apis_are_found_behind_what_their_items_are_packed_into() {
    let video = |id: &str| json!({"kind": "x", "etag": format!("e{id}"), "id": {"kind": "v", "videoId": id}, "snippet": {"title": "Some words of a title"}});
    let post = |id: u32| json!({"post": {"uri": format!("at://{id}"), "cid": format!("c{id}"), "author": {"did": "x"}, "likeCount": 1}});
    let message = |id: u32| json!({"type": "message", "user": "U1", "text": format!("hello {id}"), "ts": format!("176364000{id}.000200")});
    let order = |id: u32| json!({"total": 1.5, "status": format!("s{id}"), "_links": {"self": {"href": format!("/orders/{id}")}}});
    for (answer, expected) in [
        (json!({"items": [video("a"), video("b")]}), ".id.videoId likely"),
        (json!({"feed": [post(1), post(2)], "cursor": "x"}), ".post.uri likely"),
        (json!({"ok": true, "messages": [message(1), message(3)]}), ".ts certain"),
        (json!({"_embedded": {"orders": [order(1), order(2)]}}), "._links.self.href likely"),
        (json!({"rows": [{"pk": 1, "name": "a"}, {"pk": 2, "name": "b"}, {"pk": 3, "name": "c"}]}), ".pk certain"),
        (json!([{"date": "2026-11-19", "open": "1.5"}, {"date": "2026-11-20", "open": "1.6"}]), ".date doubtful"),
    ] {
        check(&answer, expected);
    }
}

#[test]
fn times_at_even_steps_are_keys_and_those_of_when_items_were_made_are_not() {
    let rows = |name: &str, hours: &[i64]| -> Value {
        let row = |hour: &i64| json!({name: 1_795_176_000 + hour * 3600, "value": hour % 3});
        hours.iter().map(row).collect()
    };
    check(&rows("time", &[0, 1, 2, 3, 4]), ".time likely");
    check(&rows("t", &[4, 3, 2, 1, 0]), ".t likely");
    check(&rows("time", &[0, 1, 2, 4, 5]), ".time doubtful");
    check(&rows("created", &[0, 1, 2, 3, 4]), ".created doubtful");
    check(&rows("time", &[0, 1, 2]), ".time doubtful");
    // Days without those on which nothing is open, and months.
    check(&rows("date", &[0, 24, 48, 72, 96, 168, 192, 216, 240, 264]), ".date likely");
    check(&rows("month", &[0, 744, 1416, 2160, 2880]), ".month likely");
}

#[test]
fn stamps_of_messages_are_keys_by_their_form() {
    let messages = |name: &str, stamp: fn(u32) -> Value| -> Value {
        (1..=3).map(|id| json!({name: stamp(id), "user": "U1", "reply_count": id})).collect()
    };
    let stamp = |id: u32| json!(format!("176364000{id}.000200"));
    check(&messages("ts", stamp), ".ts certain");
    check(&messages("id", stamp), ".id certain");
    check(&messages("score", stamp), ".score doubtful");
    check(&messages("ts", |id| json!(format!("176364000{id}.5"))), ".ts doubtful");
}
