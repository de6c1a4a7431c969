//! The whole way from other people's software to other people's software: what json-server lists is polled by the real
//! binary, and delivered to Node-RED and to the Debian package `webhook`. `tests/run` installs all of them.

#[path = "../support/process.rs"]
mod process;
#[expect(dead_code, reason = "the tests of sources use all of it")]
#[path = "../support/servers.rs"]
mod servers;
#[expect(dead_code, reason = "the tests of the service use all of it")]
#[path = "../support/service.rs"]
mod service;
#[path = "../support/wait.rs"]
mod wait;
#[path = "../support/web.rs"]
mod web;

mod node_red;
mod webhook;

use std::fs;
use std::path::Path;
use std::time::Duration;

use pollhook::http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use servers::Server;
use service::{Home, Service};

/// How long a change may take from the source to the receiver, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// A source of three orders, and what writes down what was received.
struct Scene {
    folder: TempDir,
    source: Server,
}

impl Scene {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let orders: Vec<Value> = (1..=3).map(|id| json!({ "id": id, "status": "open" })).collect();
        let database = servers::file(folder.path(), "db.json", &json!({ "orders": orders }).to_string());
        let source = Server::json_server(&database).await;
        Self { folder, source }
    }

    /// Returns where the service lives that polls the source and has these subscriptions.
    fn home(&self, subscriptions: &str) -> Home {
        Home::new(&format!(
            r#"
            [connectors.orders]
            every = "1s"
            request.url = "{}"
            item.key = ".id"
            changes = {{ events = ["created", "updated", "removed"], lists = "everything", first_poll = "send" }}
            {subscriptions}
            "#,
            self.source.url("/orders")
        ))
    }

    /// Returns the file that the receiver writes what it is sent to, a line for each.
    fn received(&self) -> std::path::PathBuf {
        self.folder.path().join("received.ndjson")
    }

    /// Changes something at the source.
    async fn change(&self, method: Method, path: &str, body: &str) {
        let headers = [("content-type", "application/json")];
        let response = web::send(method, &self.source.url(path), &headers, body.as_bytes()).await.expect("an answer");
        assert!((200..300).contains(&response.status), "{path}: {}", response.status);
    }

    /// Waits until these events were received, such as `orders.created 7`, each once.
    async fn tells(&self, expected: &[&str]) {
        let mut expected: Vec<String> = expected.iter().map(|&text| text.to_owned()).collect();
        expected.sort();
        let found = wait::until("the receiver is told of everything", PATIENCE, async || {
            Some(summaries(&self.received())).filter(|found| found.len() >= expected.len())
        });
        assert_eq!(found.await, expected);
    }
}

/// Returns type and key of each event in a file of such.
fn summaries(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    // The last line may be about to be written.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let events = whole.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let mut summaries: Vec<String> =
        events.map(|event| format!("{} {}", text(&event["type"]), text(&event["key"]))).collect();
    summaries.sort();
    summaries
}

/// Waits until a subscription has nothing left to do.
async fn settled(service: &Service, name: &str) {
    wait::until("everything is settled", PATIENCE, async || {
        let lane = service.get(&format!("/v1/subscriptions/{name}")).await["deliveries"].clone();
        ["waiting", "retrying", "dead"].iter().all(|state| lane[state] == json!(0)).then_some(())
    })
    .await;
}
