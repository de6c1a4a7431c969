//! Kinto: a store of records with an ETag over all of them, pages behind the header `Next-Page`, and tombstones for
//! whoever asks what has happened since.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pollhook::http::Method;
use serde_json::Value;
use tempfile::TempDir;

use crate::servers::{Server, Verified};
use crate::{EVERYTHING, Scene, change, only};

const COLLECTION: &str = "/v1/buckets/shop/collections/orders";

/// A server with a collection of seven records.
struct Kinto {
    server: Server,
    authorization: String,
    _folder: TempDir,
}

impl Kinto {
    async fn start() -> Self {
        let authorization = format!("Basic {}", STANDARD.encode("tests:s3cr3t"));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let kinto = Self { server: Server::kinto(folder.path()).await, authorization, _folder: folder };
        kinto.ask(Method::PUT, "/v1/buckets/shop", "{}").await;
        kinto.ask(Method::PUT, COLLECTION, "{}").await;
        for number in 1..=7 {
            kinto.put(number, "open").await;
        }
        kinto
    }

    async fn ask(&self, method: Method, path: &str, body: &str) -> Value {
        let headers = [("authorization", self.authorization.as_str()), ("content-type", "application/json")];
        change(method, &self.server.url(path), &headers, body).await
    }

    async fn put(&self, number: usize, state: &str) {
        let body = format!(r#"{{"data":{{"number":{number},"state":"{state}"}}}}"#);
        self.ask(Method::PUT, &format!("{COLLECTION}/records/r{number}"), &body).await;
    }

    async fn delete(&self, number: usize) {
        self.ask(Method::DELETE, &format!("{COLLECTION}/records/r{number}"), "").await;
    }

    fn rules(&self, more: &str) -> String {
        format!(
            r#"
            request.url = "{}"
            auth.basic = {{ username = "tests", password = "s3cr3t" }}
            pagination.next_url.header = "Next-Page"
            response.items = ".data[]"
            item.key = ".id"
            {more}
            "#,
            self.server.url(&format!("{COLLECTION}/records"))
        )
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kinto_is_followed_by_lists_of_everything() {
    let kinto = Kinto::start().await;
    let rules = kinto.rules(EVERYTHING);
    let mut scene = Scene::start("records", &rules).await;
    scene.tells((1..=7).map(|number| format!("created r{number}"))).await;

    kinto.put(2, "paid").await;
    kinto.put(8, "open").await;
    kinto.delete(5).await;
    let received = scene.tells(["updated r2", "created r8", "removed r5"]).await;
    assert_eq!(only(&received, "records.updated r2")["data"]["state"], "paid");
    assert_eq!(only(&received, "records.removed r5")["data"]["number"], 5);

    let mut scene = scene
        .meanwhile(async || {
            kinto.put(5, "again").await;
            kinto.delete(1).await;
        })
        .await;
    let received = scene.tells(["created r5", "removed r1"]).await;
    let again = received.iter().map(Verified::event).filter(|event| event["reappeared"] == true);
    assert_eq!(again.count(), 1);
    scene.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kinto_is_followed_by_what_has_happened_since() {
    let kinto = Kinto::start().await;
    let rules = kinto.rules("request.query = { _since = \"{{ cursor }}\" }\ncursor.value = \".last_modified\"");
    let mut scene = Scene::start("records", &rules).await;
    scene.tells((1..=7).map(|number| format!("created r{number}"))).await;

    let mut scene = scene
        .meanwhile(async || {
            kinto.put(2, "paid").await;
            kinto.put(8, "open").await;
            kinto.delete(5).await;
        })
        .await;
    // What was deleted comes as a record that says so.
    let received = scene.tells(["updated r2", "created r8", "updated r5"]).await;
    assert_eq!(only(&received, "records.updated r5")["data"]["deleted"], true);
    scene.ends().await;
}
