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
    let pages: Vec<_> = look.pages.iter().map(|page| (page.status, page.bytes, page.items, &*page.answer)).collect();
    assert_eq!(pages, [(200, 25, 2, r#"[{"id":1,"x":2},{"id":3}]"#), (200, 2, 0, "[]")]);
    let event = created_event(&world.connector, &look.items[0], world.now()).expect("data");
    assert_eq!((event.event_type.as_str(), event.data.get()), ("orders.created", r#"{"id":1}"#));
    assert_eq!(world.state().await, None);
}

#[tokio::test]
async fn a_look_that_finds_nothing_says_why() {
    let check = async |rules: &str, reply: Reply| {
        let world = World::new(rules, move |_| reply.clone()).await;
        let problem = look_at(&world).await.problem.expect("there are no items");
        problem.to_string().replace(&world.source.url(""), "SOURCE")
    };
    let problem = check("response.items = \".data[]?\"", Reply::json(r#"{"total":0,"orders":[{"id":1}]}"#)).await;
    insta::assert_snapshot!(problem, @r#"`response.items` (.data[]?) gives nothing; the answer begins: {"total":0,"orders":[{"id":1}]}"#);
    let problem = check("item.filter = \".open\"", Reply::json(r#"[{"id":1},{"id":2,"open":false}]"#)).await;
    insta::assert_snapshot!(problem, @r#"none of 2 items passes `item.filter` (.open); the answer begins: [{"id":1},{"id":2,"open":false}]"#);
    let problem = check("", Reply::of(401, r#"{"message":"Bad credentials"}"#)).await;
    insta::assert_snapshot!(problem, @r#"connector orders: SOURCE/items: the source answered 401 Unauthorized (check the connector's `auth`, and what its token is allowed to do); it begins: {"message":"Bad credentials"}"#);
}
