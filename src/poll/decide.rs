//! What somebody decides about changes that are held.

use std::time::Duration;

use super::aside::finding_of;
use super::changes::{ChangesError, updates};
use super::compare::Finding;
use super::plan::memory_of;
use super::poller::Poller;
use crate::model::change::{ChangeKind, Decided, Decision, DecisionError};
use crate::model::item::{SetAside, SetAsideReason};
use crate::model::time::Timestamp;
use crate::store::{ConnectorState, PollCommit, PollLease, PollPart, SeenSelection, StoreError};

/// How many changes are decided about at once.
const PART: usize = 500;

/// The longest that carrying out a decision may take; what is decided by then stays so.
const LONGEST: Duration = Duration::from_secs(60 * 60);

impl From<StoreError> for DecisionError {
    fn from(error: StoreError) -> Self {
        Self::Failed(Box::new(error))
    }
}

impl From<ChangesError> for DecisionError {
    fn from(error: ChangesError) -> Self {
        match error {
            ChangesError::Item(failure) => Self::Failed(Box::new(failure)),
            ChangesError::Store(error) => error.into(),
        }
    }
}

impl Poller {
    /// Carries out what was decided about the changes that are held. It goes on part by part, each of which is durable:
    /// after a crash, the rest is still held.
    pub async fn decide(&self, decision: Decision) -> Result<Decided, DecisionError> {
        let (store, now) = (&self.context().store, self.context().fetching.clock.now());
        let name = &self.connector().name;
        let lease = store.lease_poll(name, now, LONGEST).await?.ok_or(DecisionError::PollUnderWay)?;
        match self.decide_leased(&lease, decision, now).await {
            Ok((decided, state)) => {
                store.commit_poll(lease, PollCommit::new(now, Vec::new(), state)).await?;
                self.context().fetching.telemetry.poll.decided(name, decision, decided);
                Ok(decided)
            }
            Err(error) => {
                store.release_poll(lease).await?;
                Err(error)
            }
        }
    }

    /// Returns what was decided about, and the state from then on.
    async fn decide_leased(
        &self,
        lease: &PollLease,
        decision: Decision,
        now: Timestamp,
    ) -> Result<(Decided, ConnectorState), DecisionError> {
        let digest = memory_of(&self.connector().digest);
        // A connector that was never polled is due as before.
        let state = lease.state.clone().unwrap_or_else(|| ConnectorState::first(Timestamp::EPOCH, digest));
        if state.hold.is_none() {
            return match decision {
                Decision::Baseline => {
                    Ok((Decided::NextPoll, ConnectorState { baseline_next: true, pages: Vec::new(), ..state }))
                }
                Decision::Approve | Decision::Drop => Err(DecisionError::NothingHeld),
            };
        }
        let (mut created, mut updated, mut removed, mut awaiting) = (0, 0, 0, 0);
        let mut after = None;
        loop {
            let selection = SeenSelection::After(after, PART);
            let changes = self.context().store.set_aside(&lease.connector, selection).await?;
            let Some(last) = changes.last() else { break };
            after = Some(last.key_hash);
            let held: Vec<SetAside> = changes.into_iter().filter(|change| change.why == SetAsideReason::Held).collect();
            for change in &held {
                *match change.kind {
                    ChangeKind::Created => &mut created,
                    ChangeKind::Updated => &mut updated,
                    ChangeKind::Removed => &mut removed,
                } += 1;
            }
            let part = match decision {
                Decision::Drop => {
                    PollPart { dropped: held.iter().map(|change| change.key_hash).collect(), ..PollPart::default() }
                }
                Decision::Approve | Decision::Baseline => self.part(held, decision, state.epoch, now).await?,
            };
            awaiting += part.set_aside.len() as u64;
            self.context().store.commit_items(lease, part).await?;
        }
        let state = ConnectorState {
            hold: None,
            awaiting_detail: state.awaiting_detail + awaiting,
            // What is remembered of items is newer than what is remembered of pages, or else is to be read again.
            pages: Vec::new(),
            ..state
        };
        Ok((Decided::Held { created, updated, removed }, state))
    }

    /// Returns what becomes of held changes that are approved or taken as seen.
    async fn part(
        &self,
        held: Vec<SetAside>,
        decision: Decision,
        epoch: u8,
        now: Timestamp,
    ) -> Result<PollPart, DecisionError> {
        let connector = self.connector();
        let mut part = PollPart::default();
        let is_approved = decision == Decision::Approve;
        let waits = |change: &SetAside| {
            is_approved
                && connector.detail.is_some()
                && change.kind != ChangeKind::Removed
                && connector.changes.wants(change.kind)
        };
        let (waiting, held): (Vec<SetAside>, Vec<SetAside>) = held.into_iter().partition(waits);
        let wait = |change| SetAside { why: SetAsideReason::Detail, since: now, ..change };
        part.set_aside = waiting.into_iter().map(wait).collect();

        let keys = held.iter().map(|change| change.key_hash).collect();
        let seen = self.context().store.seen_items(&connector.name, SeenSelection::Keys(keys)).await?;
        let mut findings: Vec<Finding> = Vec::with_capacity(held.len());
        for change in held {
            let key = change.key_hash;
            let place = seen.binary_search_by_key(&key, |seen| seen.key_hash);
            match finding_of(connector, change, place.ok().map(|place| &seen[place]), epoch, now) {
                Some(finding) if is_approved => findings.push(finding),
                Some(finding) => findings.push(Finding { change: None, ..finding }),
                None => part.dropped.push(key),
            }
        }
        part.updates = updates(self.shared_connector(), self.context(), findings).await?;
        Ok(part)
    }
}
