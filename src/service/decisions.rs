//! Decisions about changes that are held, handed to the poller of their connector.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::SharedClock;
use crate::model::change::{Decide, Decided, Decision, DecisionError};
use crate::model::id::ConnectorName;
use crate::poll::Poller;

/// How long a decision waits for the end of a poll that is under way: as long as somebody likes to look on.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How long it waits before it looks again.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// The pollers of all connectors.
pub struct Decisions {
    pollers: HashMap<ConnectorName, Poller>,
    clock: SharedClock,
}

impl Decisions {
    /// Returns what hands decisions to these pollers.
    pub fn new(pollers: &[Poller], clock: SharedClock) -> Self {
        let by_name = pollers.iter().map(|poller| (poller.connector().name.clone(), poller.clone()));
        Self { pollers: by_name.collect(), clock }
    }
}

#[async_trait]
impl Decide for Decisions {
    async fn decide(&self, connector: &ConnectorName, decision: Decision) -> Result<Decided, DecisionError> {
        let poller = self.pollers.get(connector).ok_or(DecisionError::UnknownConnector)?;
        let deadline = self.clock.now() + LONGEST_WAIT;
        loop {
            match poller.decide(decision).await {
                Err(DecisionError::PollUnderWay) if self.clock.now() < deadline => {
                    self.clock.sleep_until(self.clock.now() + BETWEEN_LOOKS).await;
                }
                outcome => return outcome,
            }
        }
    }
}
