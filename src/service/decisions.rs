//! Decisions about changes that are held, handed to the poller of their connector.

use std::collections::HashMap;

use async_trait::async_trait;

use crate::model::change::{Decide, Decided, Decision, DecisionError};
use crate::model::id::ConnectorName;
use crate::poll::Poller;

/// The pollers of all connectors.
pub struct Decisions {
    pollers: HashMap<ConnectorName, Poller>,
}

impl Decisions {
    /// Returns what hands decisions to these pollers.
    pub fn new(pollers: &[Poller]) -> Self {
        Self { pollers: pollers.iter().map(|poller| (poller.connector().name.clone(), poller.clone())).collect() }
    }
}

#[async_trait]
impl Decide for Decisions {
    async fn decide(&self, connector: &ConnectorName, decision: Decision) -> Result<Decided, DecisionError> {
        let poller = self.pollers.get(connector).ok_or(DecisionError::UnknownConnector)?;
        poller.decide(decision).await
    }
}
