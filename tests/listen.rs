//! `pollhook listen` verifies what it is sent and says so.

#[expect(dead_code, reason = "other tests use all of it")]
#[path = "support/process.rs"]
mod process;
#[path = "support/wait.rs"]
mod wait;
#[expect(dead_code, reason = "other tests use all of it")]
#[path = "support/web.rs"]
mod web;

use std::process::Command;
use std::time::Duration;

use pollhook::http::Method;
use serde_json::Value;

use process::Process;

const PATIENCE: Duration = Duration::from_secs(30);

/// Sends a body with these headers to `pollhook listen` with these arguments. Returns what was answered and printed.
async fn listened(arguments: &[&str], headers: &[(&str, &str)], body: &[u8]) -> (u16, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_pollhook"));
    command.current_dir(folder.path()).env_clear().args(["listen", "--address", "127.0.0.1:0", "--json"]);
    let mut process = Process::start("pollhook listen", command.args(arguments));
    let url_in = |line: &str| Some(line.strip_prefix("listening on ")?.split([',', ';']).next()?.to_owned());
    let url = process.line("its address", PATIENCE, url_in).await;
    let answer = web::send(Method::POST, &url, headers, body).await.expect("an answer");
    let printed = process.line("the delivery", PATIENCE, |line| serde_json::from_str(line).ok()).await;
    (answer.status, printed)
}

#[tokio::test]
async fn signatures_of_github_s_style_are_verified() {
    // GitHub documents this example.
    let arguments = ["--style", "github", "--secret", "It's a Secret to Everybody"];
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let headers = [("x-hub-signature-256", signature), ("webhook-id", "evt_1")];
    let (status, said) = listened(&arguments, &headers, b"Hello, World!").await;
    assert_eq!((status, &said["verified"], &said["webhook_id"]), (204, &true.into(), &"evt_1".into()), "{said}");

    let (status, said) = listened(&arguments, &headers, b"Hello, World?").await;
    assert_eq!((status, &said["verified"]), (400, &false.into()), "{said}");
    let (status, said) = listened(&arguments, &headers[1..], b"Hello, World!").await;
    assert_eq!((status, &said["problem"]), (400, &"the header `X-Hub-Signature-256` is missing".into()), "{said}");
}

#[tokio::test]
async fn without_a_secret_nothing_is_verified() {
    let (status, said) = listened(&["--status", "503"], &[], b"[1]").await;
    assert_eq!((status, &said["verified"], &said["body"]), (503, &Value::Null, &vec![1].into()), "{said}");
}
