//! A poll without state, for people who write a connector.

use pollhook::model::item::Completeness;
use pollhook::poll::{Look, created_event, look};

use crate::source::Reply;
use crate::world::World;

async fn look_at(world: &World) -> Look {
    look(&world.connector, &world.context.fetching).await
}

#[tokio::test]
async fn a_look_finds_items_and_leaves_no_trace() {
    let world = World::new("pagination.link = {}\nitem.data = \"{id}\"", |request| match request.target.as_str() {
        "/items" => Reply::json(r#"[{"id":1,"x":2},{"id":3}]"#).with("link", "</2>; rel=next"),
        _ => Reply::json("[]"),
    })
    .await;
    let look = look_at(&world).await;
    assert_eq!((look.completeness, look.problem, look.requests), (Completeness::Complete, None, 2));
    let pages: Vec<_> =
        look.pages.iter().map(|page| (page.status, page.bytes, page.received, page.items, page.format)).collect();
    assert_eq!(pages, [(200, 25, 25, 2, Some("JSON")), (200, 2, 2, 0, Some("JSON"))]);
    let event = created_event(&world.connector, &look.items[0], world.now()).expect("data");
    assert_eq!((event.event_type.as_str(), event.data.get()), ("orders.created", r#"{"id":1}"#));
    assert_eq!(world.state().await, None);
}

#[tokio::test]
async fn a_look_that_finds_nothing_says_why() {
    let check = async |rules: &str, reply: Reply| {
        let world = World::new(rules, move |_| reply.clone()).await;
        let look = look_at(&world).await;
        let problem = look.problem.expect("there are no items");
        let lines: Vec<String> = [problem.to_string()].into_iter().chain(look.explanation).collect();
        lines.join("\n").replace(&world.source.url(""), "SOURCE")
    };
    let problem = check("response.items = \".data[]?\"", Reply::json(r#"{"total":0,"orders":[{"id":1}]}"#)).await;
    insta::assert_snapshot!(problem, @"
    `response.items` (.data[]?) gives nothing
    the answer is an object with `total` (number) and `orders` (array of 1); `.data` is not there
    what could be items is `.orders[]` (array of 1)
    ");
    let problem =
        check("response.items = \".data.orders[]\"", Reply::json(r#"{"data":{"order_list":[{"id":1}]}}"#)).await;
    insta::assert_snapshot!(problem, @"
    connector orders: SOURCE/items: `response.items` (.data.orders[]) failed on the answer: `.data.orders` is null, so `[]` finds nothing to iterate over; `.data` has the keys: order_list
    `.data` is there, an object with `order_list` (array of 1); `.orders` is not there: did you mean `.order_list`?
    what could be items is `.data.order_list[]` (array of 1)
    ");
    let problem = check("response.items = \".[] | select(.paid)\"", Reply::json(r#"[{"id":1,"paid":false}]"#)).await;
    insta::assert_snapshot!(problem, @"
    `response.items` (.[] | select(.paid)) gives nothing
    `.[]` gives one value, an object with `id` (number) and `paid` (boolean); `select(.paid)` gives nothing
    in the first one `.paid` is false
    ");
    let problem = check("item.filter = \".open\"", Reply::json(r#"[{"id":1},{"id":2,"open":false}]"#)).await;
    insta::assert_snapshot!(problem, @"
    none of 2 items passes `item.filter` (.open)
    in the first item `.open` is null
    the first item is an object with `id` (number); `.open` is not there
    ");
    let problem = check("item.key = \".id\"", Reply::json(r#"[{"id":1},{"id":2},{"uuid":"x"}]"#)).await;
    insta::assert_snapshot!(problem, @"
    connector orders: SOURCE/items: item 3 of page 1: `item.key` (.id) gives null, where a text, a number or a boolean is needed
    item 3 is an object with `uuid` (text); `.id` is not there: did you mean `.uuid`?
    2 of the 3 items on this page are well
    ");
    let cursor = "cursor.value = \".updated\"\ncursor.initial = \"2026-01-01\"\nrequest.query.since = \"{{ cursor }}\"";
    let problem = check(cursor, Reply::json(r#"[{"id":1,"updated":{"at":"2026-01-02"}}]"#)).await;
    insta::assert_snapshot!(problem, @"
    connector orders: SOURCE/items?since=2026-01-01: item 1 of page 1: `cursor.value` (.updated) gives an object, where a text or a number is needed
    in item 1, `.updated` gives an object with `at` (text)
    ");
    let problem = check("", Reply::of(401, r#"{"message":"Bad credentials"}"#)).await;
    insta::assert_snapshot!(problem, @r#"connector orders: SOURCE/items: the source answered 401 Unauthorized (check the connector's `auth`, and what its token is allowed to do); it begins: {"message":"Bad credentials"}"#);
}

#[tokio::test]
async fn a_cursor_that_no_item_has_is_warned_of() {
    let cursor = "cursor.value = \".updated\"\ncursor.initial = \"2026-01-01\"\nrequest.query.since = \"{{ cursor }}\"";
    let world = World::new(cursor, |_| Reply::json(r#"[{"id":1,"updated_at":"2026-01-02"},{"id":2}]"#)).await;
    let look = look_at(&world).await;
    assert_eq!((look.problem, look.items.len()), (None, 2));
    insta::assert_snapshot!(look.warnings.join("\n"), @"
    `cursor.value` (.updated) gives nothing in any of 2 items
    the first item is an object with `id` (number) and `updated_at` (text); `.updated` is not there: did you mean `.updated_at`?
    ");
}
