//! The main job on other people's software: API servers from npm, PyPI and Debian are polled by the real binary, and
//! its deliveries are judged by the official Python verifier. `tests/run` installs all of them.

#[path = "../support/process.rs"]
mod process;
#[path = "../support/servers.rs"]
mod servers;
#[path = "../support/service.rs"]
mod service;
#[expect(dead_code, reason = "the tests of faults use all of it")]
#[path = "../support/source.rs"]
mod source;
#[path = "../support/wait.rs"]
mod wait;
#[path = "../support/web.rs"]
mod web;

mod datasette;
mod github;
mod json_server;
mod kinto;
mod mediawiki;
mod numbers;
mod roundup;

use std::time::Duration;

use pollhook::http::Method;
use serde_json::Value;

use servers::{PythonReceiver, Verified};
use service::{Home, Service};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The rules of a connector whose source lists all its items, on pages that can shift: while one item is removed, another
/// can slip past the reader once.
const EVERYTHING: &str = r#"
changes.events = ["created", "updated", "removed"]
changes.lists = "everything"
changes.removed_after = 2
"#;

/// How long a change may take from the source to the receiver, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connector that is polled every second, and a receiver that is told of everything.
struct Scene {
    connector: &'static str,
    home: Home,
    service: Service,
    receiver: PythonReceiver,
    /// All deliveries that there should have been until now.
    expected: Vec<String>,
}

impl Scene {
    /// Starts the service with a connector of these rules.
    async fn start(connector: &'static str, rules: &str) -> Self {
        Self::start_in(connector, rules, |_| {}).await
    }

    /// Starts the service in a folder that is prepared like this.
    async fn start_in(connector: &'static str, rules: &str, prepare: impl FnOnce(&Home)) -> Self {
        let receiver = PythonReceiver::start(SECRET).await;
        let home = Home::new(&format!(
            r#"
            [connectors.{connector}]
            every = "1s"
            changes.first_poll = "send"
            changes.previous = true
            {rules}

            [subscriptions.python]
            url = "{url}"
            secret = "{SECRET}"
            "#,
            url = receiver.url()
        ));
        prepare(&home);
        let service = home.start().await;
        Self { connector, home, service, receiver, expected: Vec::new() }
    }

    /// Waits until these changes were delivered too, such as `created 7`, and checks that there was nothing else: each
    /// one was delivered once and found good. Returns all deliveries.
    async fn tells<T: AsRef<str>>(&mut self, changes: impl IntoIterator<Item = T>) -> Vec<Verified> {
        let connector = self.connector;
        self.expected.extend(changes.into_iter().map(|change| format!("{connector}.{}", change.as_ref())));
        self.expected.sort();
        let enough = async || Some(self.receiver.received()).filter(|received| received.len() >= self.expected.len());
        let what = format!("{} deliveries arrive", self.expected.len());
        let received = wait::until(&what, PATIENCE, enough).await;
        for one in &received {
            assert!(one.accepted, "{:?}: {}", one.problem, one.body);
        }
        let mut summaries: Vec<String> = received.iter().map(Verified::summary).collect();
        summaries.sort();
        assert_eq!(summaries, self.expected, "{}", self.service.log().join("\n"));
        received
    }

    /// Stops the service, lets this happen, and starts it again.
    async fn meanwhile(self, happens: impl AsyncFnOnce()) -> Self {
        let Self { connector, home, service, receiver, expected } = self;
        service.stop().await;
        happens().await;
        let service = home.start().await;
        Self { connector, home, service, receiver, expected }
    }

    /// Waits until the connector was polled so many times more.
    async fn polls(&self, times: usize) {
        let path = format!("/v1/connectors/{}", self.connector);
        let mut last = self.service.get(&path).await["polled_at"].clone();
        for _ in 0..times {
            last = wait::until("the connector is polled", PATIENCE, async || {
                let connector = self.service.get(&path).await;
                assert_eq!(connector["status"], "ok", "{connector}");
                Some(connector["polled_at"].clone()).filter(|polled_at| *polled_at != last)
            })
            .await;
        }
    }

    /// Checks that two more polls tell nothing more, and stops the service.
    async fn ends(mut self) {
        self.polls(2).await;
        self.tells([""; 0]).await;
        assert_eq!(self.service.list("/v1/events").await.len(), self.expected.len());
        self.service.stop().await;
    }
}

/// Returns the event of the one delivery with this summary.
fn only(received: &[Verified], summary: &str) -> Value {
    let matching: Vec<Value> = received.iter().filter(|one| one.summary() == summary).map(Verified::event).collect();
    assert_eq!(matching.len(), 1, "{summary}");
    matching.into_iter().next().expect("there is one")
}

/// Asks a server for a change, which has to succeed, and returns its answer.
async fn change(method: Method, url: &str, headers: &[(&str, &str)], body: &str) -> Value {
    let response = web::send(method, url, headers, body.as_bytes()).await.expect("an answer");
    let answer = String::from_utf8_lossy(&response.body);
    assert!((200..300).contains(&response.status), "{url}: {}: {answer}", response.status);
    serde_json::from_str(&answer).unwrap_or_default()
}
