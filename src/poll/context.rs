//! What polls need of the house.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::tape::Tape;
use crate::auth::Credentials;
use crate::clock::SharedClock;
use crate::http::{Budgets, HttpClient};
use crate::model::event::Route;
use crate::model::limits::{HostLimits, HostName};
use crate::model::time::Timestamp;
use crate::store::SharedStore;
use crate::telemetry::SharedTelemetry;

/// What polls need of the house. Clones share everything in it.
#[derive(Clone)]
pub struct PollContext {
    pub fetching: FetchContext,
    pub store: SharedStore,
    pub route: Arc<dyn Route>,
}

/// What fetching needs of the house, with or without a store. Clones share everything in it.
#[derive(Clone)]
pub struct FetchContext {
    pub http: HttpClient,
    pub clock: SharedClock,
    pub telemetry: SharedTelemetry,
    /// What is left for each host.
    pub budgets: Budgets,
    /// What the clocks of hosts say.
    clocks: Arc<Mutex<HashMap<HostName, HostClock>>>,
    /// What sources gave to prove with who requests are from.
    pub credentials: Credentials,
    /// What takes the answers down, or gives them in place of the sources.
    pub tape: Option<Tape>,
    /// Whether a page that failed is tried again where that may help.
    pub is_patient: bool,
}

/// What a host's clock says.
#[derive(Debug, Clone, Copy, Default)]
struct HostClock {
    /// How far it is ahead of ours, in milliseconds.
    ahead: i64,
    /// Whether it was told that they differ.
    is_told: bool,
}

/// How much a host's clock may differ from ours without a word.
const MOST_CLOCK_DIFFERENCE: Duration = Duration::from_secs(60);

impl FetchContext {
    /// Returns what fetching needs, without anything that has been configured.
    pub fn new(http: HttpClient, clock: SharedClock, telemetry: SharedTelemetry) -> Self {
        let budgets = Budgets::new(clock.clone(), HashMap::new());
        let clocks = Arc::default();
        let credentials = Credentials::new(None, clock.clone(), telemetry.clone());
        Self { http, clock, telemetry, budgets, clocks, credentials, tape: None, is_patient: true }
    }

    /// Returns the same with limits of hosts, which all connectors share.
    pub fn with_hosts(self, hosts: HashMap<HostName, HostLimits>) -> Self {
        Self { budgets: Budgets::new(self.clock.clone(), hosts), ..self }
    }

    /// Returns the same with a tape, which records what is answered or gives it in place of the sources.
    pub fn with_tape(self, tape: Tape) -> Self {
        Self { tape: Some(tape), ..self }
    }

    /// Returns the same for somebody who is waiting: what fails is said at once, and not tried again.
    pub fn impatient(self) -> Self {
        Self { is_patient: false, ..self }
    }

    /// Returns the same, with a store in which grants are kept that token endpoints replace.
    pub fn keeping_grants_in(self, store: SharedStore) -> Self {
        let credentials = Credentials::new(Some(store), self.clock.clone(), self.telemetry.clone());
        Self { credentials, ..self }
    }

    /// Compares a host's clock with ours, and tells once if they differ by more than a minute.
    pub(super) fn compare_clocks(&self, host: &HostName, theirs: Timestamp) {
        let ours = self.clock.now();
        let difference = theirs.since(ours).max(ours.since(theirs));
        let mut clocks = self.clocks.lock().unwrap_or_else(PoisonError::into_inner);
        let known = clocks.entry(host.clone()).or_default();
        known.ahead = theirs.as_millis() - ours.as_millis();
        if difference > MOST_CLOCK_DIFFERENCE && !known.is_told {
            known.is_told = true;
            self.telemetry.poll.clock_differs(host, difference, theirs > ours);
        }
    }

    /// Returns the time by a host's clock; `None` if it has not answered yet.
    pub(super) fn time_at(&self, host: &HostName) -> Option<Timestamp> {
        let clocks = self.clocks.lock().unwrap_or_else(PoisonError::into_inner);
        let ahead = clocks.get(host)?.ahead;
        Some(Timestamp::from_millis(self.clock.now().as_millis().saturating_add(ahead)))
    }
}
