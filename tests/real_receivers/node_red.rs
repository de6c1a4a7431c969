//! Node-RED, with a flow that takes webhooks and writes them to a file.

use std::path::Path;
use std::process::Command;

use pollhook::http::Method;
use serde_json::{Value, json};

use crate::servers::{Server, file, free_port, tool};
use crate::{Scene, settled};

/// Takes a POST, writes its body to a file, and answers when that is done.
fn flows(received: &Path) -> Value {
    json!([
        { "id": "tab", "type": "tab", "label": "orders" },
        { "id": "ask", "type": "http in", "z": "tab", "url": "/ready", "method": "get", "wires": [["yes"]] },
        { "id": "yes", "type": "http response", "z": "tab", "statusCode": "200" },
        { "id": "in", "type": "http in", "z": "tab", "url": "/orders", "method": "post", "wires": [["text"]] },
        { "id": "text", "type": "json", "z": "tab", "property": "payload", "action": "str", "wires": [["keep"]] },
        {
            "id": "keep", "type": "file", "z": "tab", "filename": received, "filenameType": "str",
            "appendNewline": true, "overwriteFile": "false", "createDir": false, "wires": [["done"]],
        },
        { "id": "done", "type": "http response", "z": "tab", "statusCode": "204" },
    ])
}

/// Starts Node-RED at this port; it keeps its files in the folder.
async fn start(folder: &Path, port: u16, flows: &Value) -> Server {
    let flows = file(folder, "flows.json", &flows.to_string());
    let settings = "module.exports = { httpAdminRoot: false, telemetry: { enabled: false } };";
    let settings = file(folder, "settings.js", settings);
    let mut command = Command::new("node");
    command.arg(tool("node/node_modules/node-red/red.js")).arg("--settings").arg(settings);
    command.arg("--userDir").arg(folder).args(["--port", &port.to_string()]).arg(flows);
    Server::start("Node-RED", &mut command, port, "/ready").await
}

#[tokio::test(flavor = "multi_thread")]
async fn node_red_is_told_of_every_change_also_of_those_that_it_slept_through() {
    let scene = Scene::start().await;
    let (port, flows) = (free_port(), flows(&scene.received()));
    let node_red = start(scene.folder.path(), port, &flows).await;
    let home = scene.home(&format!(
        r#"
        [subscriptions.flow]
        url = "{}"
        retry = [{retry}]
        breaker.rest = "1s"
        "#,
        node_red.url("/orders"),
        retry = ["\"1s\""; 60].join(", "),
    ));
    let service = home.start().await;
    scene.tells(&["orders.created 1", "orders.created 2", "orders.created 3"]).await;
    scene.change(Method::PATCH, "/orders/2", r#"{"status":"paid"}"#).await;
    scene.tells(&["orders.created 1", "orders.created 2", "orders.created 3", "orders.updated 2"]).await;

    drop(node_red);
    scene.change(Method::POST, "/orders", r#"{"id":4,"status":"open"}"#).await;
    scene.change(Method::DELETE, "/orders/1", "").await;
    let retrying = crate::wait::until("deliveries fail", crate::PATIENCE, async || {
        let lane = service.get("/v1/subscriptions/flow").await["deliveries"].clone();
        (lane["retrying"] == json!(2)).then_some(lane)
    });
    assert_eq!(retrying.await["dead"], json!(0));
    let _node_red = start(scene.folder.path(), port, &flows).await;
    scene
        .tells(&[
            "orders.created 1",
            "orders.created 2",
            "orders.created 3",
            "orders.created 4",
            "orders.removed 1",
            "orders.updated 2",
        ])
        .await;
    settled(&service, "flow").await;
    service.stop().await;
}
