//! `pollhook demo`: a sample API, the real service and a verifying receiver in one process.

mod ledger;
mod shop;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Global;
use super::check::counted;
use super::failure::Failure;
use super::output::{Colour, Output};
use super::receiver::{Received, Receiver};
use super::run::{self, Signals};
use crate::clock::{SharedClock, SystemClock};
use crate::config::{self, Configuration, Environment};
use crate::deliver::VerifyingKey;
use crate::model::change::ChangeKind;
use crate::model::secret::SigningSecret;
use crate::model::time::Timestamp;
use crate::service::{self, Service};
use crate::telemetry::Telemetry;

use ledger::{Entry, Ledger};
use shop::{Shop, Version};

#[derive(Debug, clap::Args)]
pub struct DemoArguments {
    /// End by itself after this many verified deliveries; without it, Ctrl-C ends the demo
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    events: Option<u32>,
    /// Print a JSON object for each delivery and for the summary
    #[arg(long)]
    json: bool,
}

/// How long the last deliveries may take to arrive once the shop has stopped changing.
const LAST_ARRIVALS: Duration = Duration::from_secs(20);

/// The receiver refuses every delivery of this count once, to show that it comes again.
const REFUSE_EVERY: usize = 9;

/// Runs the demo, and fails if anything was lost, repeated or wrongly signed.
pub async fn demo(arguments: DemoArguments, global: &Global, output: &mut Output) -> Result<(), Failure> {
    global.log.start(Some("warn"))?;
    let mut signals = Signals::listen()?;
    let clock = SystemClock::shared();
    let folder = Folder::create()?;

    let (shop_listener, shop_address) = loopback().await?;
    let (receiver_listener, receiver_address) = loopback().await?;
    let (admin_listener, admin_address) = loopback().await?;
    let configuration = configure(folder.path(), &shop_address, &receiver_address, &admin_address)?;

    let (changed, mut changes) = mpsc::unbounded_channel();
    let (received, mut deliveries) = mpsc::unbounded_channel();
    let shop = Arc::new(Shop::new(clock.clone(), changed));
    let keys = configuration.subscriptions.iter().flat_map(|one| VerifyingKey::all_of(&one.signing)).collect();
    let receiver = Receiver { keys, answer: now_and_then_refusing(), clock: clock.clone(), received };

    let telemetry = Telemetry::shared();
    let store = run::open_store(&configuration.store, telemetry.clone())?;
    let stop = CancellationToken::new();
    let service = Service { configuration, store, listener: admin_listener, clock: clock.clone(), telemetry };
    let mut service = pin!(service::run(service, stop.clone().cancelled_owned()));

    if !arguments.json {
        introduce(output, &shop_address, &receiver_address, &admin_address, folder.path())?;
    }
    let mut watch = Watch {
        ledger: Ledger::default(),
        changes: &mut changes,
        deliveries: &mut deliveries,
        as_json: arguments.json,
        output,
    };
    let enough = arguments.events.map(|count| count as usize);
    tokio::select! {
        ended = &mut service => return Err(stopped_early(ended)),
        ended = shop.clone().serve(shop_listener) => return Err(Failure::Failed(format!("the shop ended: {ended:?}"))),
        ended = receiver.serve(receiver_listener) => {
            return Err(Failure::Failed(format!("the receiver ended: {ended:?}")));
        }
        ended = watch.run(&mut signals, &shop, &clock, enough) => ended?,
    }
    stop.cancel();
    service.await.map_err(|error| Failure::caused("the service stopped", error))?;
    watch.summary()
}

fn stopped_early(ended: Result<(), service::ServiceError>) -> Failure {
    match ended {
        Ok(()) => Failure::Failed("the service stopped by itself".to_owned()),
        Err(error) => Failure::caused("the service stopped", error),
    }
}

async fn loopback() -> Result<(TcpListener, String), Failure> {
    let listener = run::listen(([127, 0, 0, 1], 0).into()).await?;
    let address = listener.local_addr().map_err(|error| Failure::caused("cannot listen on loopback", error))?;
    Ok((listener, address.to_string()))
}

/// Writes the demo's configuration and loads it, as `pollhook run` would.
fn configure(folder: &Path, shop: &str, receiver: &str, admin: &str) -> Result<Configuration, Failure> {
    let text = format!(
        r#"# What `pollhook demo` runs on.
[server]
listen = "{admin}"

[connectors.orders]
every = "1s"
request.url = "http://{shop}/orders"
pagination.link = {{ max_pages = 50 }}
item.key = ".id"

[connectors.orders.changes]
events = ["created", "updated", "removed"]
lists = "everything"
previous = true

[subscriptions.receiver]
url = "http://{receiver}/hooks/orders"
secret = "{secret}"
retry = ["500ms", "1s", "2s", "5s"]
"#,
        secret = SigningSecret::generate().expose(),
    );
    let file = folder.join("config.toml");
    std::fs::write(&file, text).map_err(|error| Failure::caused(format!("cannot write {}", file.display()), error))?;
    config::load(&file, &Environment::default()).map_err(Failure::Configuration)
}

/// Returns answers of which one in [`REFUSE_EVERY`] is 503, but never twice for the same delivery.
fn now_and_then_refusing() -> super::receiver::Answer {
    let seen: Mutex<HashSet<String>> = Mutex::new(HashSet::new());
    Box::new(move |headers: &HeaderMap| {
        let id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let first_time = seen.insert(id);
        if first_time && seen.len().is_multiple_of(REFUSE_EVERY) {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::NO_CONTENT
        }
    })
}

fn introduce(output: &mut Output, shop: &str, receiver: &str, admin: &str, folder: &Path) -> Result<(), Failure> {
    output.line("pollhook demo: an API that only answers when asked, turned into webhooks")?;
    output.line("")?;
    output
        .line(format_args!("  the API        http://{shop}/orders   (a shop; its orders appear, change and vanish)"))?;
    output
        .line(format_args!("  pollhook       http://{admin}   (polls it every second; try /metrics or /v1/events)"))?;
    output.line(format_args!("  the receiver   http://{receiver}   (verifies each signature; refuses some once)"))?;
    output.line(format_args!("  configuration  {}", folder.join("config.toml").display()))?;
    output.line("")?;
    output.line("Each line below is one webhook that arrived. Ctrl-C ends the demo.")?;
    output.line("")
}

/// Watches changes being made and deliveries arriving.
struct Watch<'a> {
    ledger: Ledger,
    changes: &'a mut mpsc::UnboundedReceiver<(Version, Timestamp)>,
    deliveries: &'a mut mpsc::UnboundedReceiver<Received>,
    as_json: bool,
    output: &'a mut Output,
}

impl Watch<'_> {
    /// Prints what arrives until enough has, or a signal comes; then waits for what is still on its way.
    async fn run(
        &mut self,
        signals: &mut Signals,
        shop: &Shop,
        clock: &SharedClock,
        enough: Option<usize>,
    ) -> Result<(), Failure> {
        while enough.is_none_or(|enough| self.ledger.arrived() < enough) && self.ledger.faults().is_empty() {
            tokio::select! {
                noted = self.next() => noted?,
                () = signals.next() => break,
            }
        }
        shop.close();
        let deadline = clock.now() + LAST_ARRIVALS;
        while self.ledger.outstanding() > 0 {
            tokio::select! {
                noted = self.next() => noted?,
                () = clock.sleep_until(deadline) => break,
                () = signals.next() => break,
            }
        }
        Ok(())
    }

    /// Takes note of the next change or delivery. Changes come first: each is made before it can be delivered.
    async fn next(&mut self) -> Result<(), Failure> {
        tokio::select! {
            biased;
            Some((version, at)) = self.changes.recv() => {
                self.ledger.expect(version, at);
                Ok(())
            }
            Some(received) = self.deliveries.recv() => {
                let entry = self.ledger.enter(&received);
                self.print(&received, &entry)
            }
        }
    }

    fn print(&mut self, received: &Received, entry: &Entry) -> Result<(), Failure> {
        if self.as_json {
            let (outcome, latency) = match entry {
                Entry::Expected { latency, .. } => ("verified", Some(latency.as_millis())),
                Entry::Refused => ("refused", None),
                Entry::Fault(_) => ("fault", None),
            };
            return self.output.line(json!({
                "at": received.at,
                "outcome": outcome,
                "latency_ms": latency,
                "webhook_id": received.webhook_id,
                "event": received.event,
            }));
        }
        let time = received.at.to_utc().format("%H:%M:%S%.3f");
        match entry {
            Entry::Expected { version, latency } => {
                let colour = match version.kind {
                    ChangeKind::Created => Colour::Green,
                    ChangeKind::Updated => Colour::Yellow,
                    ChangeKind::Removed => Colour::Red,
                };
                let kind = self.output.paint(colour, format_args!("{:<7}", version.kind.as_str()));
                let story = story(received.event.as_ref());
                self.output.line(format_args!(
                    "{time}  {kind}  order {}  {story:<34}  verified, {} ms after the API showed it",
                    version.key,
                    latency.as_millis(),
                ))
            }
            Entry::Refused => {
                let id = received.webhook_id.as_deref().unwrap_or_default();
                let refused =
                    self.output.paint(Colour::Dim, format_args!("refused  {id} with 503: it will come again"));
                self.output.line(format_args!("{time}  {refused}"))
            }
            Entry::Fault(fault) => {
                let fault = self.output.paint(Colour::Red, format_args!("FAULT    {fault}"));
                self.output.line(format_args!("{time}  {fault}"))
            }
        }
    }

    /// Says how it went; fails if anything was lost, repeated or wrong.
    fn summary(self) -> Result<(), Failure> {
        let ledger = &self.ledger;
        let (lost, faults) = (ledger.outstanding(), ledger.faults().len());
        let median = ledger.median_latency().map(|median| median.as_millis());
        if self.as_json {
            self.output.line(json!({
                "delivered": ledger.arrived(),
                "lost": lost,
                "faults": ledger.faults(),
                "refused": ledger.refused(),
                "median_latency_ms": median,
            }))?;
        } else {
            self.output.line("")?;
            self.output.line(format_args!(
                "{} delivered and verified, {lost} lost, {faults} repeated, invented or forged; {} refused once and sent again",
                counted(ledger.arrived(), "change"),
                ledger.refused(),
            ))?;
            if let Some(median) = median {
                self.output
                    .line(format_args!("{median} ms from the API showing a change to its verified receipt (median)"))?;
            }
            for fault in ledger.faults() {
                self.output.line(format_args!("fault: {fault}"))?;
            }
        }
        if lost == 0 && faults == 0 { Ok(()) } else { Err(Failure::Said) }
    }
}

/// Returns what an event tells, in a few words.
fn story(event: Option<&Value>) -> String {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or("?").to_owned();
    let Some(event) = event else { return String::new() };
    let data = event.get("data");
    let customer = text(data.and_then(|data| data.get("customer")));
    let status = text(data.and_then(|data| data.get("status")));
    match event.get("previous").and_then(|previous| previous.get("status")) {
        Some(before) => format!("{customer}: {} → {status}", text(Some(before))),
        None => {
            let total = data.and_then(|data| data.get("total")).and_then(Value::as_u64).unwrap_or_default();
            format!("{customer}: {status}, {}.{:02}", total / 100, total % 100)
        }
    }
}

/// A folder of its own that goes with the demo.
struct Folder(PathBuf);

impl Folder {
    fn create() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("pollhook-demo-{:08x}", fastrand::u32(..)));
        std::fs::create_dir(&path)
            .map_err(|error| Failure::caused(format!("cannot create the folder {}", path.display()), error))?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed from a temporary folder goes with it.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
