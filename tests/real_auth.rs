//! How pollhook proves who it is, judged by other people's software: an OAuth 2.0 server, a server that wants HTTP
//! digest, and AWS's own library for its signatures. `tests/run` installs all of them from npm.

#[path = "support/process.rs"]
mod process;
#[path = "support/service.rs"]
mod service;
#[expect(dead_code, reason = "the tests of faults use all of it")]
#[path = "support/source.rs"]
mod source;
#[path = "support/wait.rs"]
mod wait;
#[path = "support/web.rs"]
mod web;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pollhook::http::Method;
use serde_json::{Value, json};

use process::Process;
use service::{Home, Service};
use source::{Reply, Source};

/// How long something may take on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// The OAuth 2.0 server and its API.
struct Issuer {
    _process: Process,
    origin: String,
    refresh_token: String,
}

impl Issuer {
    /// Starts a server whose access tokens are good for so many seconds.
    async fn start(seconds: u64) -> Self {
        let mut process = node("oauth.mjs", &[&seconds.to_string()]);
        let said = process.line("its address", PATIENCE, |line| serde_json::from_str::<Value>(line).ok()).await;
        let text = |name: &str| said[name].as_str().expect("a text").to_owned();
        Self { origin: text("origin"), refresh_token: text("refresh_token"), _process: process }
    }

    /// Returns how often it did what.
    async fn count(&self, what: &str) -> u64 {
        let url = format!("{}/counts", self.origin);
        let response = web::send(Method::GET, &url, &[], b"").await.expect("an answer");
        let counts: Value = serde_json::from_slice(&response.body).expect("JSON");
        counts[what].as_u64().expect("a count")
    }

    /// Makes the access token invalid that was used last.
    async fn revoke(&self) {
        assert!(web::answers(&format!("{}/revoke", self.origin)).await);
    }

    /// Waits until its API has answered so many requests more.
    async fn answered(&self, more: u64) {
        let before = self.count("answered").await;
        wait::until("the API is polled", PATIENCE, async || {
            (self.count("answered").await >= before + more).then_some(())
        })
        .await;
    }

    /// Returns a connector that uses a client's secret.
    fn connector_of_machine(&self, name: &str) -> String {
        self.connector(name, "client_id = \"machine\", client_secret = \"machine: s3cret & more\", scope = \"read\"")
    }

    /// Returns a connector that uses the refresh token.
    fn connector_of_person(&self, name: &str) -> String {
        let grant = format!(
            "client_id = \"person\", client_secret = \"person-s3cret\", client_auth = \"body\", refresh_token = \"{}\"",
            self.refresh_token
        );
        self.connector(name, &grant)
    }

    /// Returns subscriptions whose receiver takes the access tokens of a client's secret.
    fn subscriptions(&self, count: u64) -> String {
        let Self { origin, .. } = self;
        let one = |number: u64| {
            format!(
                "[subscriptions.s{number}]\nurl = \"{origin}/orders\"\nauth.oauth2 = {{ token_url = \"{origin}/token\", \
                 client_id = \"machine\", client_secret = \"machine: s3cret & more\", scope = \"read\" }}\n"
            )
        };
        (0..count).map(one).collect()
    }

    fn connector(&self, name: &str, client: &str) -> String {
        let Self { origin, .. } = self;
        format!(
            "[connectors.{name}]\nevery = \"1s\"\nrequest.url = \"{origin}/orders?{name}\"\nresponse.items = \".[]\"\n\
             item.key = \".id\"\nauth.oauth2 = {{ token_url = \"{origin}/token\", {client} }}\n"
        )
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_connectors_share_a_token_and_replace_it_once() {
    const CONNECTORS: u64 = 50;
    let issuer = Issuer::start(600).await;
    let connectors = (0..CONNECTORS).map(|number| issuer.connector_of_machine(&format!("c{number}")));
    let home = Home::new(&connectors.collect::<Vec<_>>().concat());
    let service = home.start().await;
    issuer.answered(3 * CONNECTORS).await;
    assert_eq!((issuer.count("tokens").await, issuer.count("unauthorized").await), (1, 0));

    issuer.revoke().await;
    issuer.answered(3 * CONNECTORS).await;
    assert_eq!(issuer.count("tokens").await, 2);
    assert!(issuer.count("unauthorized").await <= CONNECTORS);
    assert_eq!(failures(&service), [""; 0]);
    service.stop().await;
}

/// A source that lists more and more orders.
struct Shop {
    source: Source,
    orders: Arc<AtomicU64>,
}

impl Shop {
    async fn start() -> Self {
        let orders = Arc::new(AtomicU64::new(1));
        let listed = Arc::clone(&orders);
        let source = Source::start(move |_| {
            let orders = (1..=listed.load(Ordering::Relaxed)).map(|id| json!({ "id": id })).collect::<Vec<_>>();
            Reply::json(Value::from(orders).to_string())
        })
        .await;
        Self { source, orders }
    }

    fn add(&self, more: u64) {
        self.orders.fetch_add(more, Ordering::Relaxed);
    }

    fn connector(&self) -> String {
        let url = self.source.url("/orders");
        format!(
            "[connectors.orders]\nevery = \"1s\"\nrequest.url = \"{url}\"\nresponse.items = \".[]\"\nitem.key = \".id\"\n"
        )
    }
}

/// Waits until the orders that are there are taken as seen.
async fn polled(service: &Service) {
    wait::until("orders is polled", PATIENCE, async || {
        let polled_at = service.get("/v1/connectors/orders").await["polled_at"].clone();
        (!polled_at.is_null()).then_some(())
    })
    .await;
}

/// Waits until so many deliveries are settled, and checks that each arrived with its first attempt.
async fn delivered_at_once(service: &Service, count: usize) {
    let deliveries = wait::until("everything is delivered", PATIENCE, async || {
        let deliveries = service.list("/v1/deliveries").await;
        (deliveries.len() == count && deliveries.iter().all(|delivery| delivery["state"] != "pending"))
            .then_some(deliveries)
    })
    .await;
    for delivery in deliveries {
        assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("delivered"), &json!(1)), "{delivery}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_lanes_share_a_token_and_replace_it_once_it_is_revoked() {
    const LANES: u64 = 50;
    let (issuer, shop) = (Issuer::start(600).await, Shop::start().await);
    let home = Home::new(&(shop.connector() + &issuer.subscriptions(LANES)));
    let service = home.start().await;
    polled(&service).await;
    shop.add(3);
    delivered_at_once(&service, 150).await;
    assert_eq!((issuer.count("tokens").await, issuer.count("unauthorized").await), (1, 0));

    issuer.revoke().await;
    shop.add(3);
    delivered_at_once(&service, 300).await;
    assert_eq!((issuer.count("tokens").await, issuer.count("answered").await), (2, 6 * LANES));
    assert!(issuer.count("unauthorized").await >= 1);
    let log = service.log().join("\n");
    assert!(!log.contains("Bearer") && !log.contains("s3cret"), "{log}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_expire_are_replaced_before_a_delivery_fails() {
    let (issuer, shop) = (Issuer::start(2).await, Shop::start().await);
    let home = Home::new(&(shop.connector() + &issuer.subscriptions(1)));
    let service = home.start().await;
    polled(&service).await;
    for count in 1..=5 {
        shop.add(1);
        delivered_at_once(&service, count).await;
    }
    assert!(issuer.count("tokens").await >= 2);
    assert_eq!(failures(&service), [""; 0]);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_expire_are_replaced_before_a_poll_fails() {
    let issuer = Issuer::start(2).await;
    let home = Home::new(&issuer.connector_of_machine("orders"));
    let service = home.start().await;
    issuer.answered(6).await;
    assert!(issuer.count("tokens").await >= 3);
    assert_eq!(failures(&service), [""; 0]);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_refresh_token_survives_kills() {
    let issuer = Issuer::start(2).await;
    let home = Home::new(&issuer.connector_of_person("orders"));
    for kills in 1..=3 {
        let service = home.start().await;
        issuer.answered(3).await;
        assert_eq!(failures(&service), [""; 0]);
        assert_eq!(issuer.count("refused_grants").await, 0);
        assert!(issuer.count("tokens").await > kills);
        let log = service.log().join("\n");
        assert!(!log.contains(&issuer.refresh_token), "{log}");
        if kills == 3 {
            service.stop().await;
        } else {
            let before = issuer.count("tokens").await;
            wait::until("a token is replaced", PATIENCE, async || {
                (issuer.count("tokens").await > before).then_some(())
            })
            .await;
            // What is on its way to the disk arrives there: that a kill in this instant costs the grant lies in the nature
            // of rotation.
            issuer.answered(1).await;
            drop(service);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_try_does_not_spend_the_refresh_token_unless_it_is_told_to() {
    let issuer = Issuer::start(600).await;
    let home = Home::new(&issuer.connector_of_person("orders"));
    let said = |arguments: &[&str]| {
        let output = home.command().args(["try", "orders"]).args(arguments).output().expect("it can be started");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, errors) = said(&[]);
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("--use-refresh-token"), "{errors}");
    assert_eq!(issuer.count("tokens").await, 0);
    let (code, errors) = said(&["--use-refresh-token"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(errors.contains("has replaced the refresh token") && !errors.contains(&issuer.refresh_token), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn digests_are_what_a_server_expects() {
    for (algorithm, qop) in [("MD5", "auth"), ("MD5-sess", "auth"), ("MD5", "none")] {
        let mut server = node("digest.mjs", &[algorithm, qop]);
        let origin =
            server.line("its address", PATIENCE, |line| line.starts_with("http://").then(|| line.to_owned())).await;
        let connector = |password: &str| {
            format!(
                "[connectors.orders]\nevery = \"1s\"\nrequest.url = \"{origin}/orders?a=b%20c\"\nresponse.items = \".[]\"\n\
                 item.key = \".id\"\nauth.digest = {{ username = \"me\", password = \"{password}\" }}\n"
            )
        };
        let home = Home::new(&connector("s3cret"));
        let service = home.start().await;
        let mut last = Value::Null;
        for _ in 0..3 {
            last = wait::until("orders is polled", PATIENCE, async || {
                let polled_at = service.get("/v1/connectors/orders").await["polled_at"].clone();
                Some(polled_at).filter(|polled_at| !polled_at.is_null() && *polled_at != last)
            })
            .await;
        }
        assert_eq!(failures(&service), [""; 0], "{algorithm} {qop}");
        service.stop().await;
        let output =
            Home::new(&connector("wrong")).command().args(["try", "orders"]).output().expect("it can be started");
        assert!(String::from_utf8_lossy(&output.stderr).contains("401"), "{output:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_are_those_of_the_library_of_aws() {
    let source = Source::start(|_| Reply::json(r#"[{"id":1}]"#)).await;
    let check = |service: &str, request: &str| {
        let configuration = format!(
            "[connectors.orders]\nevery = \"1m\"\nitem.key = \".id\"\nauth.sigv4 = {{ access_key_id = \"AKIDEXAMPLE\", \
             secret_access_key = \"s3cret+key/\", session_token = \"session==\", region = \"eu-west-1\", \
             service = \"{service}\" }}\n{}",
            request.replace("SOURCE", &source.url(""))
        );
        let output = Home::new(&configuration).command().args(["try", "orders"]).output().expect("it can be started");
        assert!(output.status.success(), "{output:?}");
        let sent = source.take_requests().remove(0);
        let headers: serde_json::Map<String, Value> =
            sent.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let said = json!({
            "service": service, "region": "eu-west-1", "access_key_id": "AKIDEXAMPLE",
            "secret_access_key": "s3cret+key/", "method": sent.method, "url": source.url(&sent.target),
            "headers": headers, "body": sent.body,
        });
        let mut library = Command::new("node");
        library.arg(script("signature.mjs")).arg(modules()).arg(said.to_string());
        let expected = library.output().expect("node can be started");
        let expected = String::from_utf8_lossy(&expected.stdout).trim().to_owned();
        assert_eq!(sent.header("authorization"), Some(expected.as_str()), "{said}");
    };
    check("execute-api", "request.url = \"SOURCE/\"");
    check("execute-api", "request.url = \"SOURCE/a b/ä/x+y:z,(1)/%2F//end/?q=a+b&q=%c3%a4%20&empty&e=\"");
    check("s3", "request.url = \"SOURCE/a b/ä/x+y:z,(1)/~end?list-type=2&prefix=a/b\"");
    let post =
        "request = { url = \"SOURCE/\", method = \"POST\", headers = { X-Amz-Target = \"  Logs.List   All \" }, ";
    check("logs", &format!("{post} body = {{ name = \"ä\", n = 1.0 }} }}"));
    check("sts", &format!("{post} form = {{ Action = \"GetCallerIdentity\", Version = \"2011-06-15\" }} }}"));
}

/// Returns what failed polls said.
fn failures(service: &Service) -> Vec<String> {
    service.log().into_iter().filter(|line| line.contains("\"WARN\"") || line.contains("\"ERROR\"")).collect()
}

fn node(name: &str, arguments: &[&str]) -> Process {
    Process::start(name, Command::new("node").arg(script(name)).arg(modules()).args(arguments))
}

fn modules() -> PathBuf {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools/node/node_modules");
    assert!(modules.exists(), "{} is missing: run `./tests/run`, which installs it", modules.display());
    modules
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support").join(name)
}
