//! The Debian package `webhook`, which runs a command for each request whose HMAC is right, and answers 500 to others.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::servers::{Server, file, free_port, tool};
use crate::{PATIENCE, Scene, settled, summaries, wait};

const SECRET: &str = "It's a Secret to Everybody";

/// Starts it with these hooks.
async fn start(folder: &Path, hooks: &Value) -> Server {
    let port = free_port();
    let mut command = Command::new(tool("webhook/usr/bin/webhook"));
    command.args(["-ip", "127.0.0.1", "-port", &port.to_string(), "-verbose", "-hooks"]);
    command.arg(file(folder, "hooks.json", &hooks.to_string()));
    Server::start("webhook", &mut command, port, "/").await
}

#[tokio::test(flavor = "multi_thread")]
async fn webhook_takes_what_is_signed_with_its_secret_and_nothing_else() {
    let scene = Scene::start().await;
    let script = format!("#!/bin/sh\nprintf '%s\\n' \"$1\" >> '{}'\n", scene.received().display());
    let script = file(scene.folder.path(), "keep", &script);
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let rule = json!({
        "type": "payload-hmac-sha256",
        "secret": SECRET,
        "parameter": { "source": "header", "name": "X-Hub-Signature-256" },
    });
    let hooks = json!([{
        "id": "orders",
        "execute-command": script,
        // It answers when the command has ended.
        "include-command-output-in-response": true,
        "pass-arguments-to-command": [{ "source": "entire-payload" }],
        "trigger-rule": { "match": rule },
    }]);
    let webhook = start(scene.folder.path(), &hooks).await;
    let home = scene.home(&format!(
        r#"
        [subscriptions.right]
        url = "{url}"
        secret = "{SECRET}"
        signature.style = "github"
        concurrency = 1

        [subscriptions.wrong]
        url = "{url}"
        secret = "another secret"
        signature.style = "github"
        retry = []
        "#,
        url = webhook.url("/hooks/orders")
    ));
    let service = home.start().await;
    scene.tells(&["orders.created 1", "orders.created 2", "orders.created 3"]).await;
    settled(&service, "right").await;

    let dead = wait::until("what is signed wrongly is refused", PATIENCE, async || {
        let dead = service.get("/v1/deliveries?subscription=wrong&state=dead").await["data"].clone();
        (dead.as_array().map(Vec::len) == Some(3)).then_some(dead)
    })
    .await;
    let id = dead[0]["id"].as_str().expect("a delivery has an id");
    let attempt: Value = service.get(&format!("/v1/deliveries/{id}")).await["attempts"][0].clone();
    assert_eq!((&attempt["status"], &attempt["failure"]["class"]), (&json!(500), &json!("status")), "{attempt}");
    assert_eq!(summaries(&scene.received()).len(), 3);
    service.stop().await;
}
