//! Roundup: an issue tracker that gives the address of the next page in its answers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pollhook::http::Method;
use serde_json::Value;

use crate::servers::Server;
use crate::{EVERYTHING, Scene, change, only};

struct Roundup {
    server: Server,
    authorization: String,
}

impl Roundup {
    async fn ask(&self, method: Method, path: &str, etag: &str, body: &str) -> Value {
        let origin = self.server.url("");
        let headers = [
            ("authorization", self.authorization.as_str()),
            ("content-type", "application/json"),
            // What it wants to see of a client that is no browser.
            ("x-requested-with", "rest"),
            ("origin", &origin),
            ("referer", &self.server.url("/")),
            ("if-match", etag),
        ];
        change(method, &self.server.url(&format!("/rest/data/issue{path}")), &headers, body).await
    }

    async fn create(&self, title: &str) {
        self.ask(Method::POST, "", "", &format!(r#"{{"title":"{title}"}}"#)).await;
    }

    async fn rename(&self, number: usize, title: &str) {
        let etag = self.etag(number).await;
        self.ask(Method::PATCH, &format!("/{number}"), &etag, &format!(r#"{{"title":"{title}"}}"#)).await;
    }

    async fn retire(&self, number: usize) {
        let etag = self.etag(number).await;
        self.ask(Method::DELETE, &format!("/{number}"), &etag, "").await;
    }

    async fn etag(&self, number: usize) -> String {
        let issue = self.ask(Method::GET, &format!("/{number}"), "", "").await;
        issue["data"]["@etag"].as_str().expect("an ETag").to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn roundup_is_followed_page_by_page() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = Server::roundup(folder.path()).await;
    let roundup = Roundup { server, authorization: format!("Basic {}", STANDARD.encode("admin:admin")) };
    for number in 1..=5 {
        roundup.create(&format!("issue {number}")).await;
    }
    let rules = format!(
        r#"
        request.url = "{}"
        request.query = {{ "@page_size" = 2, "@fields" = "title", "@sort" = "id" }}
        auth.basic = {{ username = "admin", password = "admin" }}
        pagination.next_url.value = '.data."@links".next[0].uri'
        response.items = ".data.collection[]"
        item.key = ".id"
        {EVERYTHING}
        "#,
        roundup.server.url("/rest/data/issue")
    );
    let mut scene = Scene::start("issues", &rules).await;
    scene.tells((1..=5).map(|number| format!("created {number}"))).await;

    roundup.rename(2, "another title").await;
    roundup.create("issue 6").await;
    let received = scene.tells(["updated 2", "created 6"]).await;
    assert_eq!(only(&received, "issues.updated 2")["previous"]["title"], "issue 2");

    let mut scene = scene
        .meanwhile(async || {
            roundup.retire(4).await;
            roundup.rename(6, "issue six").await;
        })
        .await;
    scene.tells(["removed 4", "updated 6"]).await;
    scene.ends().await;
}
