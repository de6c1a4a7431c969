//! Other people's servers and the official verifier, as `tests/run` installs them.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use serde::Deserialize;
use serde_json::Value;

use super::process::Process;
use super::{wait, web};

/// How long a server may take to start, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// An API server. Dropping it kills it.
pub struct Server {
    process: Process,
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

    /// Starts Kinto with a configuration in this folder; its records are in memory, three on a page.
    pub async fn kinto(folder: &Path) -> Self {
        let port = free_port();
        let settings = format!(
            r"
            [server:main]
            use = egg:waitress#main
            host = 127.0.0.1
            port = {port}

            [app:main]
            use = egg:kinto
            kinto.storage_backend = kinto.core.storage.memory
            kinto.permission_backend = kinto.core.permission.memory
            kinto.cache_backend = kinto.core.cache.memory
            kinto.bucket_create_principals = system.Everyone
            kinto.userid_hmac_secret = not-secret
            kinto.paginate_by = 3
            multiauth.policies = basicauth
            "
        );
        let lines: Vec<&str> = settings.lines().map(str::trim).collect();
        let settings = file(folder, "kinto.ini", &lines.join("\n"));
        let mut command = Command::new(tool("python/bin/kinto"));
        command.arg("start").arg("--ini").arg(settings);
        Self::start("Kinto", &mut command, port, "/v1/").await
    }

    /// Starts Roundup with a new tracker in this folder, of which `admin` is the administrator and the password.
    pub async fn roundup(folder: &Path) -> Self {
        let port = free_port();
        let mut command = Command::new(tool("python/bin/python"));
        command.arg(script("tracker.py")).arg(folder.join("tracker")).arg(port.to_string());
        Self::start("Roundup", &mut command, port, "/").await
    }

    /// Starts prism with what `tests/run` took out of GitHub's description of its API.
    pub async fn prism_of_github() -> Self {
        let port = free_port();
        let mut command = Command::new("node");
        command.arg(tool("node/node_modules/@stoplight/prism-cli/dist/index.js"));
        command.args(["mock", "--errors", "--host", "127.0.0.1", "--port", &port.to_string()]);
        command.arg(tool("node/github.json"));
        Self::start("prism", &mut command, port, "/repos/octocat/Hello-World/releases").await
    }

    /// Returns the address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// Starts a server at this port and waits until it answers requests for this path.
    pub async fn start(name: &str, command: &mut Command, port: u16, path: &str) -> Self {
        let mut process = Process::start(name, command);
        let origin = format!("http://127.0.0.1:{port}");
        let url = format!("{origin}{path}");
        wait::until(&format!("{name} answers"), PATIENCE, async || {
            process.check_alive();
            web::answers(&url).await.then_some(())
        })
        .await;
        Self { process, origin }
    }
}

/// A wiki with a main page. Dropping it kills its server.
pub struct MediaWiki {
    server: Server,
    settings: PathBuf,
}

impl Drop for MediaWiki {
    /// Kills the server's workers with it.
    fn drop(&mut self) {
        let group = i32::try_from(self.server.process.id()).ok().and_then(Pid::from_raw).expect("a process id");
        // It fails only if they have ended already.
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
    }
}

impl MediaWiki {
    /// Installs a wiki into this folder and serves it.
    pub async fn start(folder: &Path) -> Self {
        let port = free_port();
        let mut install = Command::new("php");
        install.arg(tool(MEDIAWIKI).join("maintenance/install.php")).args(["--dbtype", "sqlite", "--dbname", "wiki"]);
        install.arg("--dbpath").arg(folder).arg("--confpath").arg(folder);
        install.args(["--server", &format!("http://127.0.0.1:{port}"), "--scriptpath", ""]);
        install.args(["--pass", "not-a-secret-1", "wiki", "Admin"]);
        run(&mut install);
        let settings = folder.join("LocalSettings.php");
        let mut more = OpenOptions::new().append(true).open(&settings).expect("the installation wrote it");
        more.write_all(b"\n$wgRateLimits = [];\n").expect("it can be written");
        let mut command = Command::new("php");
        command.args(["-S", &format!("127.0.0.1:{port}"), "-t"]).arg(tool(MEDIAWIKI));
        // Its workers are processes of their own, which do not end with it.
        command.env("MW_CONFIG_FILE", &settings).env("PHP_CLI_SERVER_WORKERS", "2").process_group(0);
        let path = "/api.php?action=query&meta=siteinfo&format=json";
        let server = Server::start("MediaWiki", &mut command, port, path).await;
        Self { server, settings }
    }

    /// Returns the address of a path.
    pub fn url(&self, path: &str) -> String {
        self.server.url(path)
    }

    /// Deletes a page.
    pub fn delete(&self, title: &str) {
        let list = file(self.settings.parent().expect("it is in a folder"), "titles.txt", title);
        let mut delete = Command::new("php");
        delete.arg(tool(MEDIAWIKI).join("maintenance/deleteBatch.php")).arg(list);
        run(delete.env("MW_CONFIG_FILE", &self.settings));
    }
}

const MEDIAWIKI: &str = "mediawiki/usr/share/mediawiki";

fn run(command: &mut Command) {
    let output = command.output().expect("it can be started");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{command:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
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

/// Returns the path of something that `tests/run` installs.
pub fn tool(path: &str) -> PathBuf {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools").join(path);
    assert!(tool.exists(), "{} is missing: run `./tests/run`, which installs it", tool.display());
    tool
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/python").join(name)
}

/// Below the ports that systems give to whoever wants just any (32768 and more by default on Linux).
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// Returns a port that nobody listens at, and that nobody is given by the system before, or while, a server is away that
/// has it.
pub fn free_port() -> u16 {
    let mut ports = std::iter::repeat_with(|| fastrand::u16(PORTS)).take(100);
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.find(is_free).expect("one of a hundred ports is free")
}
