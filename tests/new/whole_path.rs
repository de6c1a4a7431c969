//! From a URL to a verified webhook, as somebody types it.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use pollhook::clock::SystemClock;
use pollhook::http::Method;
use serde_json::{Value, json};

use crate::desk::Desk;
use crate::process::Process;
use crate::receiver::{Received, Receiver};
use crate::servers::{Server, file, tool};
use crate::{wait, web};

/// How long anything here may take, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(120);

#[expect(clippy::print_stdout, reason = "how long it takes is what people want to know")]
#[tokio::test(flavor = "multi_thread")]
async fn three_commands_lead_from_a_url_to_a_verified_webhook() {
    let database = tempfile::tempdir().expect("a folder");
    let orders: Vec<Value> = (1..=4).map(|id| json!({ "id": id, "status": "open", "total": id * 10 })).collect();
    let database = file(database.path(), "db.json", &json!({ "orders": orders }).to_string());
    let source = Server::json_server(&database).await;
    let receiver = Receiver::start().await;
    let address = source.url("/orders");
    let clock = SystemClock::shared();
    let began = clock.monotonic();

    let desk = Desk::new().with("config.toml", "[server]\nlisten = \"127.0.0.1:0\"\n");
    let said = desk.well(&["new", &address, "--to", &receiver.url()]);
    let secret = said.err.split_whitespace().find(|word| word.starts_with("whsec_")).expect("the secret is printed");
    let mut service = Process::start("pollhook run", &mut desk.command(&["run"]));
    wait::until("the first poll is made", PATIENCE, async || {
        service.check_alive();
        let url = format!("{}/v1/connectors/orders", address_of(&service)?);
        let answer = web::send(Method::GET, &url, &[], b"").await?;
        let connector: Value = serde_json::from_slice(&answer.body).ok()?;
        (connector["items"] == 4).then_some(())
    })
    .await;
    let made = Command::new("curl")
        .args(["--silent", "--fail", "--json", r#"{"id":5,"status":"open","total":50}"#, &address])
        .output()
        .expect("curl can be started");
    assert!(made.status.success(), "{made:?}");

    let received = wait::until("the webhook comes", PATIENCE, async || receiver.so_far().first().cloned()).await;
    let took = clock.monotonic().saturating_sub(began);
    let event = received.json();
    assert_eq!((&event["type"], &event["key"]), (&json!("orders.created"), &json!("5")), "{event}");
    assert_eq!(event["data"], json!({ "id": 5, "status": "open", "total": 50 }));
    assert_eq!(problem_of(&received, secret), Value::Null);
    assert_ne!(problem_of(&received, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), Value::Null);
    println!("from the URL to a verified webhook: {:.1} s", took.as_secs_f64());
}

/// Returns where a service listens, once its log says so.
fn address_of(service: &Process) -> Option<String> {
    let address = |line: &String| {
        let line: Value = serde_json::from_str(line).ok()?;
        Some(format!("http://{}", line["address"].as_str()?))
    };
    service.lines().iter().find_map(address)
}

/// Returns what the official Python verifier objects to.
fn problem_of(received: &Received, secret: &str) -> Value {
    let headers: serde_json::Map<String, Value> = received
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), json!(value.to_str().expect("plain text"))))
        .collect();
    let body = String::from_utf8(received.body.clone()).expect("UTF-8");
    let trial = json!([{ "verifier": "standardwebhooks", "key": secret, "headers": headers, "body": body }]);
    let mut judge = Command::new(tool("python/bin/python"))
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/python/verify.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python can be started");
    judge.stdin.take().expect("it is piped").write_all(trial.to_string().as_bytes()).expect("it reads");
    let output = judge.wait_with_output().expect("it ends");
    let verdicts: Value = serde_json::from_slice(&output.stdout).expect("verdicts");
    verdicts[0]["problem"].clone()
}
