//! Other people's servers and the official verifier, as `tests/run` installs them.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::process::Process;
use super::{wait, web};

/// How long a server may take to start, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// An API server. Dropping it kills it.
pub struct Server {
    _process: Process,
    origin: String,
}

impl Server {
    /// Starts json-server with this database; it writes changes back to the file.
    pub async fn json_server(database: &Path) -> Self {
        let port = free_port();
        let script = tool("node/node_modules/json-server/lib/cli/bin.js");
        let mut command = Command::new("node");
        command.arg(script).args(["--host", "127.0.0.1", "--port", &port.to_string()]).arg(database);
        Self::start("json-server", &mut command, port, "/db").await
    }

    /// Starts datasette with this SQLite database.
    pub async fn datasette(database: &Path) -> Self {
        let port = free_port();
        let mut command = Command::new(tool("python/bin/datasette"));
        command.args(["serve", "--host", "127.0.0.1", "--port", &port.to_string()]).arg(database);
        Self::start("datasette", &mut command, port, "/-/versions.json").await
    }

    /// Returns the address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    async fn start(name: &str, command: &mut Command, port: u16, path: &str) -> Self {
        let mut process = Process::start(name, command);
        let origin = format!("http://127.0.0.1:{port}");
        let url = format!("{origin}{path}");
        wait::until(&format!("{name} answers"), PATIENCE, async || {
            process.check_alive();
            web::answers(&url).await.then_some(())
        })
        .await;
        Self { _process: process, origin }
    }
}

/// A receiver that checks each delivery with the official Python package for Standard Webhooks.
pub struct PythonReceiver {
    process: Process,
    url: String,
}

/// What the receiver was sent and what it thought of it.
#[derive(Debug, Clone, Deserialize)]
pub struct Verified {
    pub accepted: bool,
    /// What the verifier objected to.
    pub problem: Option<String>,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Verified {
    /// Returns the body as JSON.
    pub fn event(&self) -> Value {
        serde_json::from_str(&self.body).expect("a delivery's body is JSON")
    }

    /// Returns type and key of the event, as in `orders.created 7`.
    pub fn summary(&self) -> String {
        let event = self.event();
        format!("{} {}", event["type"].as_str().unwrap_or("?"), event["key"].as_str().unwrap_or("?"))
    }
}

impl PythonReceiver {
    /// Starts a receiver that knows this secret.
    pub async fn start(secret: &str) -> Self {
        let mut command = Command::new(tool("python/bin/python"));
        command.arg("-u").arg(script("receiver.py")).arg(secret);
        let mut process = Process::start("the Python receiver", &mut command);
        let url =
            process.line("its address", PATIENCE, |line| line.starts_with("http://").then(|| line.to_owned())).await;
        Self { process, url }
    }

    /// Returns the address that it listens at.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns everything it was sent so far, in order.
    pub fn received(&self) -> Vec<Verified> {
        self.process.lines().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

/// Runs SQL statements on a SQLite database, which is made if it is not there.
pub fn sqlite(database: &Path, statements: &str) {
    let mut child = Command::new(tool("python/bin/python"))
        .arg(script("sqlite.py"))
        .arg(database)
        .stdin(Stdio::piped())
        .spawn()
        .expect("Python can be started");
    child.stdin.take().expect("it is piped").write_all(statements.as_bytes()).expect("Python reads its input");
    assert!(child.wait().expect("Python ends").success(), "the statements failed: {statements}");
}

/// Writes a text to a file in a folder and returns its path.
pub fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).expect("the file can be written");
    path
}

fn tool(path: &str) -> PathBuf {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools").join(path);
    assert!(tool.exists(), "{} is missing: run `./tests/run`, which installs it", tool.display());
    tool
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/python").join(name)
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound socket").port()
}
