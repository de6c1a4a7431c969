//! What the poll side needs, in memory.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;
use std::time::Duration;

use async_trait::async_trait;

use super::MemoryStore;
use crate::model::event::RoutedEvent;
use crate::model::fingerprint::{BodyHash, KeyHash};
use crate::model::id::{ConnectorName, LeaseToken};
use crate::model::item::{KeptItem, SeenItem, SetAside};
use crate::model::poll_record::PollRecord;
use crate::model::secret::Secret;
use crate::model::time::Timestamp;
use crate::store::{ConnectorState, POLLS_KEPT, PollCommit, PollLease, PollPart, PollStore, SeenSelection, StoreError};

#[derive(Debug, Default)]
pub(super) struct Connector {
    pub lease: Option<(LeaseToken, Timestamp)>,
    pub state: Option<ConnectorState>,
    seen: BTreeMap<KeyHash, SeenItem>,
    kept: HashMap<KeyHash, KeptItem>,
    set_aside: BTreeMap<KeyHash, SetAside>,
    pub polls: BTreeMap<Timestamp, PollRecord>,
}

impl Connector {
    fn check(&self, lease: &PollLease) -> Result<(), StoreError> {
        match self.lease {
            Some((token, _)) if token == lease.token => Ok(()),
            _ => Err(StoreError::StaleLease { what: format!("connector {}", lease.connector) }),
        }
    }

    /// Remembers items from now on as this part of a poll says; returns its events.
    fn take(&mut self, part: PollPart) -> Vec<RoutedEvent> {
        let mut events = Vec::new();
        for update in part.updates {
            let key = update.seen.key_hash;
            self.seen.insert(key, in_whole_seconds(update.seen));
            self.set_aside.remove(&key);
            if let Some(kept) = update.kept {
                self.kept.insert(key, kept);
            }
            events.extend(update.event);
        }
        for key in part.dropped {
            self.set_aside.remove(&key);
        }
        self.set_aside.extend(part.set_aside.into_iter().map(|change| (change.key_hash, change)));
        events
    }

    fn note(&mut self, record: PollRecord) {
        self.polls.retain(|at, _| *at < record.at);
        self.polls.insert(record.at, record);
        while self.polls.len() > POLLS_KEPT {
            self.polls.pop_first();
        }
    }
}

/// Returns the entries that are asked for.
fn select<T: Clone>(entries: &BTreeMap<KeyHash, T>, selection: SeenSelection) -> Vec<T> {
    match selection {
        SeenSelection::All => entries.values().cloned().collect(),
        SeenSelection::After(after, most) => {
            let start = after.map_or(Bound::Unbounded, Bound::Excluded);
            entries.range((start, Bound::Unbounded)).take(most).map(|(_, entry)| entry.clone()).collect()
        }
        SeenSelection::Keys(keys) => keys.iter().filter_map(|key| entries.get(key).cloned()).collect(),
    }
}

#[async_trait]
impl PollStore for MemoryStore {
    async fn lease_poll(
        &self,
        connector: &ConnectorName,
        now: Timestamp,
        lease_for: Duration,
    ) -> Result<Option<PollLease>, StoreError> {
        let mut inner = self.open()?;
        let entry = inner.connectors.entry(connector.clone()).or_default();
        if entry.lease.is_some_and(|(_, until)| until > now) {
            return Ok(None);
        }
        let (token, until) = (LeaseToken::new(), now + lease_for);
        entry.lease = Some((token, until));
        Ok(Some(PollLease { connector: connector.clone(), token, until, state: entry.state.clone() }))
    }

    async fn release_poll(&self, lease: PollLease) -> Result<(), StoreError> {
        let mut inner = self.open()?;
        let entry = inner.connectors.entry(lease.connector).or_default();
        if entry.lease.is_some_and(|(token, _)| token == lease.token) {
            entry.lease = None;
        }
        Ok(())
    }

    async fn connector_state(&self, connector: &ConnectorName) -> Result<Option<ConnectorState>, StoreError> {
        Ok(self.open()?.connectors.get(connector).and_then(|entry| entry.state.clone()))
    }

    async fn seen_items(
        &self,
        connector: &ConnectorName,
        selection: SeenSelection,
    ) -> Result<Vec<SeenItem>, StoreError> {
        let inner = self.open()?;
        Ok(inner.connectors.get(connector).map_or_else(Vec::new, |entry| select(&entry.seen, selection)))
    }

    async fn kept_items(
        &self,
        connector: &ConnectorName,
        keys: Vec<KeyHash>,
    ) -> Result<Vec<Option<KeptItem>>, StoreError> {
        let inner = self.open()?;
        let kept = inner.connectors.get(connector).map(|entry| &entry.kept);
        Ok(keys.iter().map(|key| kept.and_then(|kept| kept.get(key).cloned())).collect())
    }

    async fn set_aside(
        &self,
        connector: &ConnectorName,
        selection: SeenSelection,
    ) -> Result<Vec<SetAside>, StoreError> {
        let inner = self.open()?;
        Ok(inner.connectors.get(connector).map_or_else(Vec::new, |entry| select(&entry.set_aside, selection)))
    }

    async fn kept_grant(&self, id: BodyHash) -> Result<Option<Secret>, StoreError> {
        Ok(self.open()?.grants.get(&id).cloned())
    }

    async fn keep_grant(&self, id: BodyHash, grant: Secret) -> Result<(), StoreError> {
        self.open()?.grants.insert(id, grant);
        Ok(())
    }

    async fn commit_items(&self, lease: &PollLease, part: PollPart) -> Result<(), StoreError> {
        let mut inner = self.open()?;
        let entry = inner.connectors.entry(lease.connector.clone()).or_default();
        entry.check(lease)?;
        for routed in entry.take(part) {
            inner.add(routed, &self.wakes);
        }
        Ok(())
    }

    async fn commit_poll(&self, lease: PollLease, commit: PollCommit) -> Result<(), StoreError> {
        let mut inner = self.open()?;
        let entry = inner.connectors.entry(lease.connector.clone()).or_default();
        entry.check(&lease)?;
        entry.lease = None;
        entry.state = Some(commit.state);
        if let Some(bound) = commit.forget_before {
            let updated: HashSet<KeyHash> = commit.updates.iter().map(|update| update.seen.key_hash).collect();
            entry.seen.retain(|key, seen| seen.last_seen >= bound || updated.contains(key));
            entry.kept.retain(|key, _| entry.seen.contains_key(key));
        }
        let part = PollPart { updates: commit.updates, set_aside: commit.set_aside, dropped: commit.dropped };
        let events = entry.take(part);
        if let Some(record) = commit.record {
            entry.note(record);
        }
        for routed in commit.news.into_iter().chain(events) {
            inner.add(routed, &self.wakes);
        }
        Ok(())
    }
}

fn in_whole_seconds(mut seen: SeenItem) -> SeenItem {
    for time in [&mut seen.first_seen, &mut seen.last_seen] {
        *time = Timestamp::from_millis(time.as_seconds() * 1000);
    }
    seen
}
