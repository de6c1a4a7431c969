//! What a poll makes of what it found: events now, or changes that wait for somebody's approval or for their details.

use std::collections::HashSet;

use serde_json::Value;
use url::Url;

use super::aside::{Asides, finding_of, set_aside};
use super::compare::{Comparison, Finding};
use super::context::PollContext;
use super::detail::{DetailFetcher, Detailed};
use super::detect::Footing;
use super::error::PollFailure;
use super::hold::{self, Tally};
use super::walk::Counts;
use crate::model::change::ChangeKind;
use crate::model::connector::{Connector, Detail};
use crate::model::fingerprint::KeyHash;
use crate::model::item::{Presence, SetAside, SetAsideReason};
use crate::model::time::Timestamp;
use crate::store::{ConnectorState, Hold, SeenSelection, StoreError};

/// The most new and changed items whose details one poll asks for; those of the others wait for the next poll.
const MOST_DETAILS: usize = 1000;

/// The most details that one poll asks for which could not be had before.
const MOST_RETRIED: usize = 200;

/// What a warning begins with that tells of a change which has waited for its detail in vain.
pub(super) const STILL_FAILS: &str = "a detail still fails: ";

/// What becomes of a poll's findings.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// What is remembered from now on, and what becomes an event. Removals come last.
    pub findings: Vec<Finding>,
    /// Changes that wait from now on.
    pub set_aside: Vec<SetAside>,
    /// Those of these items wait no more.
    pub dropped: Vec<KeyHash>,
    /// What is held after the poll.
    pub hold: Option<Hold>,
    /// How many changes this poll found that are held.
    pub held: usize,
    /// How many changes wait for their details after the poll.
    pub awaiting_detail: u64,
    /// Why the poll is not complete, although all pages were read.
    pub failure: Option<PollFailure>,
    /// The source asked not to be polled before this.
    pub not_before: Option<Timestamp>,
    /// What was asked for and came of details.
    pub asked: Counts,
    /// What is odd, for people.
    pub warnings: Vec<String>,
}

/// What a poll read, as far as it says something of changes that wait.
pub(super) struct Evidence<'a> {
    /// What it found; `None` if all pages were as before.
    pub comparison: Option<&'a Comparison>,
    /// Whether it tells anything.
    pub is_believed: bool,
    /// Whether what it did not find is not there.
    pub lists_all: bool,
}

/// Settles what polls of one connector find.
pub(super) struct Settling<'a> {
    pub connector: &'a Connector,
    pub context: &'a PollContext,
    /// The state before the poll.
    pub state: Option<&'a ConnectorState>,
    pub footing: Footing,
    /// The present rules for fingerprints.
    pub epoch: u8,
    pub at: Timestamp,
    /// The items whose changes were set aside before the poll ended, because they are held in any case.
    pub ahead: &'a HashSet<KeyHash>,
    /// The address of the connector's first page.
    pub home: Url,
}

impl Settled {
    /// Returns the state of a connector that has this set aside.
    pub fn note_in(&self, state: ConnectorState) -> ConnectorState {
        ConnectorState {
            hold: self.hold.clone(),
            awaiting_detail: self.awaiting_detail,
            not_before: state.not_before.max(self.not_before),
            ..state
        }
    }
}

impl Settling<'_> {
    /// Decides what becomes of findings. Asks for details, if there are any to be asked for.
    pub async fn settle(&self, findings: Vec<Finding>, evidence: Evidence<'_>) -> Result<Settled, StoreError> {
        let before = self.state.and_then(|state| state.hold.as_ref());
        if !evidence.is_believed {
            return Ok(Settled {
                hold: before.cloned(),
                awaiting_detail: self.state.map_or(0, |state| state.awaiting_detail),
                ..Settled::default()
            });
        }
        let is_held = before.is_some() || !self.ahead.is_empty();
        let mut asides = match self.state {
            Some(_) => Asides::read(&*self.context.store, &self.connector.name, is_held).await?,
            None => Asides::default(),
        };
        asides.hear_of(self.ahead);
        let mut settled = Settled { findings, ..Settled::default() };
        if self.footing == Footing::Rebaseline {
            // Nothing can be said of changes to items that went by other keys.
            settled.dropped = asides.take_all();
            return Ok(settled);
        }
        let mut cause = before.map(|hold| (hold.since, hold.cause.clone()));
        settled.findings = asides.take_known(settled.findings, self.epoch);
        if let Some(comparison) = evidence.comparison {
            settled.dropped = asides.take_back(|key| comparison.has_found(key), evidence.lists_all);
            if cause.is_none() && self.footing == Footing::Usual {
                let mut tally = Tally::of(&settled.findings, comparison.known);
                tally.created += asides.counts(SetAsideReason::Held).created as u64;
                cause = tally.exceeds(self.connector.changes.hold_above).map(|cause| (self.at, cause));
            }
        }
        if cause.is_some() {
            let rules = &self.connector.changes;
            let findings = std::mem::take(&mut settled.findings);
            (settled.findings, settled.set_aside) = hold::hold(rules, &mut asides, findings, self.at);
            settled.held = settled.set_aside.len();
        }
        for finding in &settled.findings {
            asides.end(&finding.seen.key_hash);
        }
        match &self.connector.detail {
            Some(detail) => self.add_details(detail, &mut asides, &mut settled).await?,
            None => settled.findings.extend(self.waiting(&asides, usize::MAX).await?),
        }
        for finding in &settled.findings {
            asides.end(&finding.seen.key_hash);
        }
        let held = asides.counts(SetAsideReason::Held);
        settled.hold = cause.and_then(|(since, cause)| hold::held(held, since, cause));
        settled.awaiting_detail = asides.counts(SetAsideReason::Detail).total() as u64;
        Ok(settled)
    }

    /// Sets changes aside that are held in any case, while the poll goes on. Returns what only concerns the memory, and
    /// what is set aside.
    pub async fn set_aside_ahead(&self, findings: Vec<Finding>) -> Result<(Vec<Finding>, Vec<SetAside>), StoreError> {
        let mut asides = Asides::read(&*self.context.store, &self.connector.name, true).await?;
        let findings = asides.take_known(findings, self.epoch);
        Ok(hold::hold(&self.connector.changes, &mut asides, findings, self.at))
    }

    /// Asks for the details of new and changed items, and then for some that could not be had before.
    async fn add_details(&self, detail: &Detail, asides: &mut Asides, settled: &mut Settled) -> Result<(), StoreError> {
        let (mut fresh, others): (Vec<Finding>, Vec<Finding>) =
            std::mem::take(&mut settled.findings).into_iter().partition(wants_detail);
        settled.findings = others;
        let retried = self.waiting(asides, MOST_RETRIED).await?;
        if fresh.is_empty() && retried.is_empty() {
            return Ok(());
        }
        let later = fresh.split_off(fresh.len().min(MOST_DETAILS));
        self.put_off(&later, asides, settled);
        let (first_retried, mut findings) = (fresh.len(), fresh);
        findings.extend(retried);
        let fetcher = DetailFetcher::new(self.connector, detail, &self.context.fetching, self.home.clone());
        let fetched = fetcher.fetch(findings.iter().map(record).collect()).await;
        settled.asked = Counts { pages: 0, requests: fetcher.requests(), bytes: fetcher.bytes() };
        settled.not_before = fetcher.not_before();

        let mut problems = Problems::default();
        let mut whole = Vec::new();
        for (index, (mut finding, detailed)) in findings.into_iter().zip(fetched).enumerate() {
            let is_fresh = index < first_retried;
            match detailed {
                Detailed::Whole(value) => {
                    if let Some(item) = &mut finding.item {
                        item.record = value.into();
                    }
                    whole.push(finding);
                }
                Detailed::Absent => {
                    problems.absent += 1;
                    asides.end(&finding.seen.key_hash);
                    settled.dropped.push(finding.seen.key_hash);
                }
                Detailed::Failed(problem) => {
                    problems.add(is_fresh, &finding, &problem);
                    self.put_off(&[finding], asides, settled);
                }
                Detailed::NotAsked if is_fresh => self.put_off(&[finding], asides, settled),
                Detailed::NotAsked => {}
            }
        }
        // In the order of the listing, before what is not in it.
        whole.append(&mut settled.findings);
        settled.findings = whole;
        problems.report(self.connector, first_retried, settled);
        Ok(())
    }

    /// Returns changes whose details could not be had before: those that wait longest, so many at most.
    async fn waiting(&self, asides: &Asides, most: usize) -> Result<Vec<Finding>, StoreError> {
        let keys = asides.longest_waiting(SetAsideReason::Detail, most);
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let (store, name) = (&self.context.store, &self.connector.name);
        let changes = store.set_aside(name, SeenSelection::Keys(keys.clone())).await?;
        let seen = store.seen_items(name, SeenSelection::Keys(keys)).await?;
        let finding = |change: SetAside| {
            let place = seen.binary_search_by_key(&change.key_hash, |seen| seen.key_hash);
            finding_of(self.connector, change, place.ok().map(|place| &seen[place]), self.epoch, self.at)
        };
        Ok(changes.into_iter().filter_map(finding).collect())
    }

    /// Lets changes wait for their details. One that has waited before goes to the end of the queue.
    fn put_off(&self, findings: &[Finding], asides: &mut Asides, settled: &mut Settled) {
        for change in findings.iter().filter_map(|finding| set_aside(finding, SetAsideReason::Detail, self.at)) {
            asides.put(&change);
            settled.set_aside.push(change);
        }
    }
}

fn wants_detail(finding: &Finding) -> bool {
    finding.item.is_some() && finding.change.is_some_and(|change| change.kind != ChangeKind::Removed)
}

fn record(finding: &Finding) -> Value {
    finding.item.as_ref().map(|item| item.record.value().into_owned()).unwrap_or_default()
}

/// What was wrong with details.
#[derive(Debug, Default)]
struct Problems {
    /// How many items are not there.
    absent: usize,
    /// How many details of new and changed items could not be had.
    failed: usize,
    /// The first of these, and the first of the others.
    first: Option<String>,
    first_retried: Option<String>,
}

impl Problems {
    fn add(&mut self, is_fresh: bool, finding: &Finding, problem: &str) {
        let key = finding.item.as_ref().map_or("", |item| &*item.key);
        let problem = format!("item {key}: {problem}");
        if is_fresh {
            self.failed += 1;
            self.first.get_or_insert(problem);
        } else {
            self.first_retried.get_or_insert(problem);
        }
    }

    fn report(self, connector: &Connector, asked: usize, settled: &mut Settled) {
        let Self { absent, failed, first, first_retried } = self;
        if absent > 0 {
            settled.warnings.push(format!("{absent} listed items are not there when their details are asked for"));
        }
        if let Some(problem) = first_retried {
            settled.warnings.push(connector.redactor.redact(&format!("{STILL_FAILS}{problem}")));
        }
        if let Some(problem) = first {
            let cause = format!("{failed} of {asked} details failed; the first: {problem}");
            settled.failure = Some(PollFailure::of(connector, &cause).and_not_before(settled.not_before));
            // Only a complete poll tells what is not there.
            settled.findings.retain(|finding| finding.seen.presence == Presence::Present);
        }
    }
}
