//! datasette: SQL tables, pages behind addresses that it gives in headers and in answers.

use serde_json::json;

use crate::servers::{Server, sqlite};
use crate::{EVERYTHING, Scene, only};

#[tokio::test(flavor = "multi_thread")]
async fn datasette_is_followed_and_its_numbers_stay_as_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let database = folder.path().join("shop.db");
    sqlite(&database, "create table releases (id integer primary key, name text, size integer, score real)");
    for id in 1..=7 {
        let size = 9_007_199_254_740_990_u64 + id;
        sqlite(&database, &format!("insert into releases values ({id}, 'r{id}', {size}, {id}.0)"));
    }
    let source = Server::datasette(&database).await;
    let rules = format!(
        r#"
        request.url = "{}"
        pagination.next_url.value = ".next_url"
        response.items = ".rows[]"
        item.key = ".id"
        {EVERYTHING}
        "#,
        source.url("/shop/releases.json?_shape=objects&_size=3")
    );
    let mut scene = Scene::start("releases", &rules).await;
    let received = scene.tells((1..=7).map(|id| format!("created {id}"))).await;
    let third = received.iter().find(|one| one.summary() == "releases.created 3").expect("it was received");
    // One more than what a floating-point number can hold, and a whole number that was written with a fraction.
    assert!(third.body.contains(r#""size":9007199254740993,"score":3.0}"#), "{}", third.body);

    let mut scene = scene
        .meanwhile(async || {
            sqlite(
                &database,
                "update releases set score = 0.1 where id = 4; insert into releases values (8, 'r8', 1, 1.5); \
                 delete from releases where id = 6",
            );
        })
        .await;
    let received = scene.tells(["created 8", "updated 4", "removed 6"]).await;
    let changes = &only(&received, "releases.updated 4")["changes"];
    assert_eq!(changes, &json!([{ "op": "replace", "path": "/score", "value": 0.1 }]));
    scene.ends().await;
}
