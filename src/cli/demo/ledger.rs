//! Holds what arrived against what the shop changed.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde_json::Value;

use super::shop::Version;
use crate::cli::receiver::Received;
use crate::model::change::ChangeKind;
use crate::model::time::Timestamp;

/// What was changed, and what of it arrived.
#[derive(Debug, Default)]
pub struct Ledger {
    outstanding: HashMap<Version, Timestamp>,
    arrived: HashMap<Version, String>,
    ids: HashSet<String>,
    latencies: Vec<Duration>,
    faults: Vec<String>,
    refused: usize,
}

/// What a delivery turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Entry {
    /// It told of a change for the first time, so long after the change.
    Expected { version: Version, latency: Duration },
    /// The receiver pretended to be out of order; it will come again.
    Refused,
    /// It should not have come, or not like this.
    Fault(String),
}

impl Ledger {
    /// Notes a change that must arrive.
    pub fn expect(&mut self, version: Version, at: Timestamp) {
        self.outstanding.insert(version, at);
    }

    /// Notes a delivery and says what it is.
    pub fn enter(&mut self, received: &Received) -> Entry {
        let entry = self.judge(received);
        match &entry {
            Entry::Expected { latency, .. } => self.latencies.push(*latency),
            Entry::Refused => self.refused += 1,
            Entry::Fault(fault) => self.faults.push(fault.clone()),
        }
        entry
    }

    fn judge(&mut self, received: &Received) -> Entry {
        if let Some(Err(error)) = &received.verified {
            return Entry::Fault(format!("a signature is wrong: {error}"));
        }
        let (Some(id), Some(event)) = (&received.webhook_id, &received.event) else {
            return Entry::Fault("a delivery has no webhook-id, or its body is no JSON".to_owned());
        };
        if !received.answered.is_success() {
            return Entry::Refused;
        }
        let Some(version) = version_of(event) else {
            return Entry::Fault(format!("{id} tells of no order: {event}"));
        };
        if !self.ids.insert(id.clone()) {
            return Entry::Fault(format!("{id} came again after it was acknowledged"));
        }
        if let Some(earlier) = self.arrived.get(&version) {
            return Entry::Fault(format!("{id} and {earlier} tell of the same change: {version:?}"));
        }
        let Some(changed_at) = self.outstanding.remove(&version) else {
            return Entry::Fault(format!("{id} tells of a change that was never made: {version:?}"));
        };
        self.arrived.insert(version.clone(), id.clone());
        Entry::Expected { version, latency: received.at.since(changed_at) }
    }

    /// Returns how many changes have arrived.
    pub fn arrived(&self) -> usize {
        self.arrived.len()
    }

    /// Returns how many deliveries the receiver refused, to see them come again.
    pub fn refused(&self) -> usize {
        self.refused
    }

    /// Returns how many changes have not arrived yet.
    pub fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    /// Returns what should not have happened.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// Returns the median time from a change to its receipt, if anything arrived.
    pub fn median_latency(&self) -> Option<Duration> {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }
}

fn version_of(event: &Value) -> Option<Version> {
    let kind = match event.get("type")?.as_str()? {
        "orders.created" => ChangeKind::Created,
        "orders.updated" => ChangeKind::Updated,
        "orders.removed" => ChangeKind::Removed,
        _ => return None,
    };
    let key = event.get("key")?.as_str()?.to_owned();
    let version = event.get("data")?.get("version")?.as_u64()?;
    Some(Version { kind, key, version })
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use serde_json::json;

    use super::*;
    use crate::deliver::VerifyError;

    fn received(id: &str, version: u64, answered: StatusCode, verified: Result<(), VerifyError>) -> Received {
        Received {
            cloud_event: None,
            at: Timestamp::from_millis(1500),
            path: "/".to_owned(),
            webhook_id: Some(id.to_owned()),
            event: Some(json!({ "type": "orders.updated", "key": "1001", "data": { "version": version } })),
            body: axum::body::Bytes::new(),
            verified: Some(verified),
            answered,
        }
    }

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        let version = Version { kind: ChangeKind::Updated, key: "1001".to_owned(), version: 2 };
        ledger.expect(version, Timestamp::from_millis(1000));
        ledger
    }

    #[test]
    fn a_change_is_expected_once_and_its_latency_measured() {
        let mut ledger = ledger();
        assert_eq!(ledger.enter(&received("a", 2, StatusCode::SERVICE_UNAVAILABLE, Ok(()))), Entry::Refused);
        assert!(matches!(ledger.enter(&received("a", 2, StatusCode::NO_CONTENT, Ok(()))), Entry::Expected { .. }));
        assert_eq!((ledger.arrived(), ledger.outstanding(), ledger.refused()), (1, 0, 1));
        assert_eq!(ledger.median_latency(), Some(Duration::from_millis(500)));
        assert!(ledger.faults().is_empty());
    }

    #[test]
    fn repeats_inventions_and_forgeries_are_faults() {
        let ok = StatusCode::NO_CONTENT;
        let mut ledger = ledger();
        assert!(matches!(ledger.enter(&received("a", 9, ok, Ok(()))), Entry::Fault(_)), "never made");
        assert!(matches!(ledger.enter(&received("b", 2, ok, Ok(()))), Entry::Expected { .. }));
        assert!(matches!(ledger.enter(&received("b", 2, ok, Ok(()))), Entry::Fault(_)), "acknowledged before");
        assert!(matches!(ledger.enter(&received("c", 2, ok, Ok(()))), Entry::Fault(_)), "detected twice");
        let forged = received("d", 2, StatusCode::BAD_REQUEST, Err(VerifyError::NoMatch));
        assert!(matches!(ledger.enter(&forged), Entry::Fault(_)), "forged");
        assert_eq!(ledger.faults().len(), 4);
    }
}
