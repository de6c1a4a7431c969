//! Starts, supervises and stops everything that runs: the server, a poll loop per connector, a lane for each subscription
//! that there is at present, and the pruning of what retention no longer keeps.

mod decisions;
mod lanes;
mod retention;
mod stored;
pub mod supervisor;

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;

use crate::clock::SharedClock;
use crate::config::{Configuration, Definitions};
use crate::deliver::replay::{self, ReplayContext};
use crate::deliver::{DeliverContext, Renderer};
use crate::http::{HttpClient, HttpError};
use crate::poll::{FetchContext, PollContext, Poller, driver};
use crate::server::{self, ServerParts, ServerState};
use crate::store::{SharedStore, StoreError};
use crate::telemetry::SharedTelemetry;

use decisions::Decisions;
use supervisor::{OnCancel, OnFailure, Supervisor, TaskKind};

/// How long polls and deliveries that are under way may take to finish once the service is told to stop.
pub const GRACE: Duration = Duration::from_secs(20);

/// Everything that the service runs on. All of it is passed in, so that tests run the real service.
pub struct Service {
    pub configuration: Configuration,
    pub store: SharedStore,
    pub listener: TcpListener,
    pub clock: SharedClock,
    pub telemetry: SharedTelemetry,
}

/// Why the service could not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    #[error("the HTTP client cannot be set up")]
    Client(#[source] HttpError),
    #[error("the subscriptions that were made over the API cannot be read")]
    Subscriptions(#[source] StoreError),
    #[error("the task {0} failed, and the service cannot go on without it")]
    Task(String),
    #[error("the store could not be closed")]
    Close(#[source] StoreError),
}

/// Runs the service until `shutdown` ends: then nothing new is begun, what is under way is finished within
/// [`GRACE`], and the store is closed.
pub async fn run(service: Service, shutdown: impl Future<Output = ()>) -> Result<(), ServiceError> {
    let Service { configuration, store, listener, clock, telemetry } = service;
    let http = HttpClient::with_egress(configuration.egress.clone()).map_err(ServiceError::Client)?;
    let definitions = Arc::new(Definitions::of(&configuration.connectors, configuration.egress.clone()));
    let registry = stored::registry(&configuration, &definitions, store.clone(), telemetry.clone())
        .await
        .map_err(ServiceError::Subscriptions)?;
    let mut supervisor = Supervisor::new(clock.clone());

    let poll_context = PollContext {
        fetching: FetchContext::new(http.clone(), clock.clone(), telemetry.clone())
            .with_hosts(configuration.hosts.clone())
            .keeping_grants_in(store.clone()),
        store: store.clone(),
        route: registry.clone(),
    };
    let pollers = configuration.connectors.iter().map(|connector| Poller::new(connector.clone(), poll_context.clone()));
    let pollers: Vec<Poller> = pollers.collect();
    let credentials = poll_context.fetching.credentials.clone();

    let decisions = Arc::new(Decisions::new(&pollers, clock.clone()));
    let parts = ServerParts {
        registry: registry.clone(),
        definitions,
        store: store.clone(),
        decide: decisions,
        clock: clock.clone(),
        telemetry: telemetry.clone(),
    };
    let state = Arc::new(ServerState::new(&configuration, parts));
    let listener = Mutex::new(Some(listener));
    supervisor.start(
        TaskKind { name: "server".to_owned(), on_failure: OnFailure::StopService, on_cancel: OnCancel::Finish },
        move |stop| {
            let listener = listener.lock().unwrap_or_else(PoisonError::into_inner).take();
            let state = state.clone();
            async move { Ok(server::run(listener.expect("the server is started once"), state, stop).await?) }
        },
    );

    for poller in pollers {
        supervisor.start(
            TaskKind {
                name: format!("poll {}", poller.connector().name),
                on_failure: OnFailure::Restart,
                on_cancel: OnCancel::Finish,
            },
            move |stop| {
                let poller = poller.clone();
                async move { Ok(driver::run(poller, stop).await?) }
            },
        );
    }

    let deliver_context = DeliverContext {
        http,
        store: store.clone(),
        clock: clock.clone(),
        route: registry.clone(),
        renderer: Arc::new(Renderer::default()),
        credentials: credentials.clone(),
        telemetry: telemetry.clone(),
    };
    let (changed, laned) = (registry.clone(), registry.clone());
    supervisor.start(
        TaskKind { name: "registry".to_owned(), on_failure: OnFailure::Restart, on_cancel: OnCancel::Finish },
        move |stop| {
            let registry = changed.clone();
            async move {
                registry.run(stop).await;
                Ok(())
            }
        },
    );
    let starter = supervisor.starter();
    supervisor.start(
        TaskKind { name: "lanes".to_owned(), on_failure: OnFailure::Restart, on_cancel: OnCancel::Finish },
        move |stop| {
            let lanes = lanes::keep(laned.clone(), deliver_context.clone(), starter.clone(), stop);
            async move {
                lanes.await;
                Ok(())
            }
        },
    );

    let replays = ReplayContext {
        store: store.clone(),
        clock: clock.clone(),
        registry: registry.clone(),
        telemetry: telemetry.clone(),
    };
    supervisor.start(
        TaskKind { name: "replays".to_owned(), on_failure: OnFailure::Restart, on_cancel: OnCancel::Finish },
        move |stop| {
            let replays = replays.clone();
            async move { Ok(replay::run(replays, stop).await?) }
        },
    );

    let retention = configuration.retention;
    let (pruned, pruning_clock) = (store.clone(), clock.clone());
    supervisor.start(
        TaskKind { name: "retention".to_owned(), on_failure: OnFailure::Restart, on_cancel: OnCancel::Drop },
        move |_stop| retention::run(pruned.clone(), pruning_clock.clone(), retention, registry.clone()),
    );

    let ended = supervisor.run_until(shutdown, GRACE).await;
    credentials.settled().await;
    let closed = store.close().await.map_err(ServiceError::Close);
    ended.map_err(|failed| ServiceError::Task(failed.task))?;
    closed?;
    tracing::info!("stopped");
    Ok(())
}
