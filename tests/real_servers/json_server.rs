//! json-server: pages that are numbered and linked, weak ETags.

use pollhook::http::Method;
use serde_json::{Value, json};

use crate::servers::{PythonReceiver, Server, Verified, file};
use crate::{EVERYTHING, Scene, change, only, web};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

#[tokio::test(flavor = "multi_thread")]
async fn json_server_is_followed_page_by_page() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let orders: Vec<Value> = (1..=7).map(|id| json!({ "id": id, "status": "open", "total": id * 10 })).collect();
    let database = file(folder.path(), "db.json", &json!({ "orders": orders }).to_string());
    let source = Server::json_server(&database).await;
    let rules = format!(
        r#"
        request.url = "{}"
        pagination.link.max_pages = 20
        item.key = ".id"
        {EVERYTHING}
        "#,
        source.url("/orders?_page=1&_limit=3")
    );
    let mut scene = Scene::start("orders", &rules).await;
    scene.tells((1..=7).map(|id| format!("created {id}"))).await;

    change(Method::PATCH, &source.url("/orders/2"), JSON, r#"{"status":"paid"}"#).await;
    change(Method::POST, &source.url("/orders"), JSON, r#"{"id":8,"status":"open","total":80}"#).await;
    change(Method::DELETE, &source.url("/orders/5"), JSON, "{}").await;
    let received = scene.tells(["updated 2", "created 8", "removed 5"]).await;

    let updated = only(&received, "orders.updated 2");
    assert_eq!(updated["data"], json!({ "id": 2, "status": "paid", "total": 20 }));
    assert_eq!(updated["previous"], json!({ "id": 2, "status": "open", "total": 20 }));
    assert_eq!(updated["changes"], json!([{ "op": "replace", "path": "/status", "value": "paid" }]));
    assert_eq!(only(&received, "orders.removed 5")["data"], json!({ "id": 5, "status": "open", "total": 50 }));

    let scene = scene.meanwhile(async || {}).await;
    scene.polls(1).await;
    refuses_what_was_tampered_with(&scene.receiver, &received[0]).await;
    scene.service.stop().await;
}

/// Sends a delivery again, as it was and with one letter changed.
async fn refuses_what_was_tampered_with(receiver: &PythonReceiver, delivery: &Verified) {
    let kept = ["content-type", "webhook-id", "webhook-timestamp", "webhook-signature"];
    let headers: Vec<(&str, &str)> = delivery
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, _)| kept.contains(&name.to_ascii_lowercase().as_str()))
        .collect();
    let tampered = delivery.body.replacen("open", "paid", 1);
    assert_ne!(tampered, delivery.body);
    for (body, status) in [(&delivery.body, 204), (&tampered, 400)] {
        let answer = web::send(Method::POST, receiver.url(), &headers, body.as_bytes()).await.expect("an answer");
        assert_eq!(answer.status, status, "{:?}", receiver.received().last());
    }
}
