//! `pollhook run`: the service.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::Global;
use super::check::counted;
use super::failure::Failure;
use super::output::Output;
use crate::clock::SystemClock;
use crate::config::StoreChoice;
use crate::service::{self, Service};
use crate::store::{SharedStore, embedded};
use crate::telemetry::{SharedTelemetry, Telemetry};

#[derive(Debug, clap::Args)]
pub struct RunArguments {}

/// Runs the service until SIGTERM or SIGINT; a second signal ends it at once.
pub async fn run(_arguments: RunArguments, global: &Global, output: &mut Output) -> Result<(), Failure> {
    let configuration = global.load()?;
    super::warn(&configuration, output);
    global.log.start(None)?;
    let mut signals = Signals::listen()?;
    let listener = listen(configuration.server.listen).await.map_err(|failure| match failure {
        Failure::Failed(text) => {
            let file = global.config.display();
            Failure::Failed(format!("{text}: `listen` in `[server]` of {file}"))
        }
        other => other,
    })?;
    let telemetry = Telemetry::shared();
    let store = open_store(&configuration.store, telemetry.clone())?;
    let address = listener.local_addr().unwrap_or(configuration.server.listen);
    let StoreChoice::Sled { path } = &configuration.store;
    tracing::info!(
        %address,
        connectors = configuration.connectors.len(),
        subscriptions = configuration.subscriptions.len(),
        data = %path.display(),
        "pollhook {} runs at http://{address} with {} and {}",
        env!("CARGO_PKG_VERSION"),
        counted(configuration.connectors.len(), "connector"),
        counted(configuration.subscriptions.len(), "subscription"),
    );
    let stop = CancellationToken::new();
    let service = Service { configuration, store, listener, clock: SystemClock::shared(), telemetry };
    tokio::select! {
        ended = service::run(service, stop.clone().cancelled_owned()) => {
            ended.map_err(|error| Failure::caused("the service stopped", error))
        }
        () = signals.stop_then_return(&stop) => {
            Err(Failure::Failed("ended at once by a second signal; what was under way is taken up at the next start".to_owned()))
        }
    }
}

/// Listens on an address, or says why that cannot be.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => Failure::Failed(format!(
            "another program listens on {address} already; is pollhook running? Otherwise choose another address"
        )),
        _ => Failure::caused(format!("cannot listen on {address}"), error),
    })
}

/// Opens the configured store. Blocks while the database is read.
pub fn open_store(choice: &StoreChoice, telemetry: SharedTelemetry) -> Result<SharedStore, Failure> {
    let StoreChoice::Sled { path } = choice;
    let store = embedded::open(path, embedded::Options::default(), telemetry)
        .map_err(|error| Failure::caused("the store cannot be opened", error))?;
    Ok(Arc::new(store))
}

/// The signals that ask a process to stop.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Begins to listen; from now on these signals no longer end the process by themselves.
    pub fn listen() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::caused("cannot listen for signals", error));
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Cancels the token at the first signal, and returns at the second.
    pub async fn stop_then_return(&mut self, stop: &CancellationToken) {
        self.next().await;
        stop.cancel();
        self.next().await;
    }
}
