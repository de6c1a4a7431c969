//! The real service, started from its binary.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use pollhook::http::Method;
use serde_json::Value;
use tempfile::TempDir;

use super::process::Process;
use super::{wait, web};

/// How long the service may take to start, and to stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// A folder with a configuration, in which the service keeps its data.
pub struct Home {
    folder: TempDir,
}

/// A running service. Dropping it kills it with SIGKILL.
pub struct Service {
    pub process: Process,
    address: String,
}

impl Home {
    /// Makes a folder with this configuration, to which a server on a free port and a store are added.
    pub fn new(configuration: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let text = format!("[server]\nlisten = \"127.0.0.1:0\"\n\n[store.sled]\npath = \"data\"\n\n{configuration}");
        fs::write(folder.path().join("config.toml"), text).expect("the configuration can be written");
        Self { folder }
    }

    /// Returns the folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the service without waiting for anything.
    pub fn launch(&self) -> Process {
        Process::start("pollhook run", self.command().args(["run", "--log-format", "json"]))
    }

    /// Starts the service and waits until it is ready.
    pub async fn start(&self) -> Service {
        let mut process = self.launch();
        let address = process.line("its address", PATIENCE, address_in).await;
        let ready = format!("http://{address}/readyz");
        wait::until("the service is ready", PATIENCE, async || web::answers(&ready).await.then_some(())).await;
        Service { process, address }
    }

    /// Returns the binary, to be run in the folder with further arguments.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pollhook"));
        command.current_dir(self.path()).env_remove("POLLHOOK_CONFIG").env_remove("POLLHOOK_LOG");
        command
    }
}

impl Service {
    /// Returns where the service is reached.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Gets a resource of the admin API.
    pub async fn get(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.url());
        let response = web::send(Method::GET, &url, &[], b"").await.unwrap_or_else(|| panic!("{url}: no answer"));
        let body = String::from_utf8_lossy(&response.body).into_owned();
        assert_eq!(response.status, 200, "{url}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{url}: {error}: {body}"))
    }

    /// Gets a list of the admin API, all of its parts.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        let mut entries = Vec::new();
        let mut before = String::new();
        loop {
            let mut part = self.get(&format!("{path}?limit=200{before}")).await;
            entries.append(part["data"].as_array_mut().expect("a list has data"));
            match part["next"].as_str() {
                Some(next) => before = format!("&before={next}"),
                None => return entries,
            }
        }
    }

    /// Returns the log so far.
    pub fn log(&self) -> Vec<String> {
        self.process.lines()
    }

    /// Asks the service to stop, without waiting for it.
    pub fn terminate(&self) {
        self.process.terminate();
    }

    /// Waits for the end of the service and returns how it ended.
    pub async fn ended(&mut self, patience: Duration) -> ExitStatus {
        self.process.ended(patience).await
    }

    /// Asks the service to stop, and checks that it ends well.
    pub async fn stop(mut self) {
        self.terminate();
        let status = self.ended(PATIENCE).await;
        assert!(status.success(), "the service ended with {status}:\n{}", self.log().join("\n"));
    }
}

/// Reads the address out of the log line that says where the service listens.
fn address_in(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    line["address"].as_str().map(str::to_owned)
}
