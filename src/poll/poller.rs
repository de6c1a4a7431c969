//! One poll: lease, walk, detect, commit.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use super::context::{FetchContext, PollContext};
use super::detect::{Detection, Finding, Footing, Note, detect};
use super::error::PollFailure;
use super::events::{EventError, Subject, event, keep};
use super::memo::Memo;
use super::pace::{listened, paced};
use super::paginate::{self, Pager};
use super::report::{ChangeCounts, PollOutcome, PollReport};
use super::walk::{Reading, Walked, Walker, compute};
use crate::model::change::ChangeKind;
use crate::model::connector::{Connector, RulesDigest};
use crate::model::event::{Event, Route, ServiceNews};
use crate::model::fingerprint::KeyHash;
use crate::model::item::{Completeness, Item, KeptItem, PageMemory, Presence, SeenItem};
use crate::model::quantity::format_duration;
use crate::model::time::Timestamp;
use crate::store::{ConnectorState, PollCommit, PollLease, RulesMemory, SeenSelection, SeenUpdate, StoreError};

/// After how many failed polls in a row an event tells of it.
pub const FAILURES_BEFORE_NEWS: u32 = 3;

/// How old the last comparison becomes before pages are read although they seem unchanged. It bounds how long a
/// server's wrong validators can hide a change.
pub const LONGEST_WITHOUT_COMPARING: Duration = Duration::from_secs(24 * 60 * 60);

/// How much longer than `forget_after` seen items are kept, because when they were last seen is refreshed only daily.
const FORGETTING_SLACK: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a lease lasts beyond the work that is done under it, so that the commit finds it still held.
const TIME_TO_COMMIT: Duration = Duration::from_secs(60);

/// The longest that a poll may fetch pages.
const LONGEST_FETCHING: Duration = Duration::from_secs(15 * 60);

/// Polls one connector.
#[derive(Clone)]
pub struct Poller {
    connector: Arc<Connector>,
    context: PollContext,
    /// Of the last poll that read all pages.
    memo: Arc<Mutex<Arc<Memo>>>,
}

/// Why a poll ended before it came to a commit of its own.
enum Broken {
    Failure(PollFailure),
    Store(StoreError),
}

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Poller {
    /// Returns what polls a connector.
    pub fn new(connector: Arc<Connector>, context: PollContext) -> Self {
        Self { connector, context, memo: Arc::default() }
    }

    /// Returns the connector that is polled.
    pub fn connector(&self) -> &Connector {
        &self.connector
    }

    pub(super) fn context(&self) -> &PollContext {
        &self.context
    }

    /// Polls once. Fails only if the store does.
    pub async fn poll(&self) -> Result<PollReport, StoreError> {
        self.poll_until(&CancellationToken::new()).await
    }

    /// Polls once. When it is told to stop, it fetches no more, but a commit that has begun is finished.
    pub async fn poll_until(&self, stop: &CancellationToken) -> Result<PollReport, StoreError> {
        let PollContext { store, fetching: FetchContext { clock, telemetry, .. }, .. } = &self.context;
        let mut report = PollReport::begun(clock.now());
        let began = clock.monotonic();
        let lease_for = longest_fetching(&self.connector) + TIME_TO_COMMIT;
        if let Some(lease) = store.lease_poll(&self.connector.name, report.at, lease_for).await? {
            match self.poll_leased(lease, stop, &mut report).await {
                Ok(()) => {}
                Err(StoreError::StaleLease { .. }) => report.outcome = PollOutcome::Held,
                Err(error) => return Err(error),
            }
        }
        report.elapsed = clock.monotonic().saturating_sub(began);
        telemetry.poll.finished(&self.connector.name, &report);
        Ok(report)
    }

    async fn poll_leased(
        &self,
        lease: PollLease,
        stop: &CancellationToken,
        report: &mut PollReport,
    ) -> Result<(), StoreError> {
        let store = &self.context.store;
        let state = lease.state.clone();
        let Some(found) = self.find(state.as_ref(), stop, report).await else {
            report.outcome = PollOutcome::Stopped;
            return store.release_poll(lease).await;
        };
        let prepared = match found {
            Ok(Walked::Unchanged { .. }) => {
                report.outcome = PollOutcome::Unchanged;
                Ok(Prepared::only(self.succeeded(state.clone(), report.at)))
            }
            Ok(Walked::Read(reading)) => self.compare(state.clone(), reading, report).await,
            Err(failure) => Err(Broken::Failure(failure)),
        };
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(Broken::Store(error)) => {
                store.release_poll(lease).await?;
                return Err(error);
            }
            Err(Broken::Failure(PollFailure { not_before: Some(until), .. })) if report.requests == 0 => {
                report.outcome = PollOutcome::PutOff(until);
                return store.release_poll(lease).await;
            }
            Err(Broken::Failure(failure)) => {
                report.changes = ChangeCounts::default();
                let state = self.failed(state.clone(), &failure, report.at);
                report.outcome = PollOutcome::Failed(failure);
                Prepared::only(state)
            }
        };
        let failures_before = state.as_ref().map_or(0, |state| state.failures);
        report.failures = prepared.state.failures;
        report.recovered_after = if report.failures == 0 { failures_before } else { 0 };
        let news = self.news(state.as_ref(), &prepared.state, report.at);
        let Prepared { updates, state, forget_before } = prepared;
        let state = paced(&self.connector, &self.context.fetching, state, report);
        let (state, silence) = listened(&self.connector, &self.context.fetching.telemetry.poll, state, report);
        let news = news.into_iter().chain(silence).map(|event| self.context.route.route(event)).collect();
        store.commit_poll(lease, PollCommit { news, forget_before, ..PollCommit::new(report.at, updates, state) }).await
    }

    /// Walks the source's pages, until it is told to stop or it takes too long.
    async fn find(
        &self,
        state: Option<&ConnectorState>,
        stop: &CancellationToken,
        report: &mut PollReport,
    ) -> Option<Result<Walked, PollFailure>> {
        let context = &self.context.fetching;
        let mut walker = Walker::new(Arc::clone(&self.connector), context.clone());
        walker.memo = Arc::clone(&self.memo.lock().unwrap_or_else(PoisonError::into_inner));
        let longest = longest_fetching(&self.connector);
        let mut found = tokio::select! {
            biased;
            () = stop.cancelled() => None,
            found = self.walk(&mut walker, state, report.at) => Some(found),
            () = context.clock.sleep_until(report.at + longest) => {
                let cause = format!("its pages were not read within {}", format_duration(longest));
                Some(Err(PollFailure::of(&self.connector, &cause)))
            }
        };
        if let Some(Ok(Walked::Read(Reading { memo, failure: None, .. }))) = &mut found {
            *self.memo.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(std::mem::take(memo));
        }
        report.pages = walker.visits.len();
        report.requests = walker.requests;
        report.fresh_for = walker.fresh_for;
        report.bytes = walker.visits.iter().map(|visit| visit.bytes).sum();
        found
    }

    async fn walk(
        &self,
        walker: &mut Walker,
        state: Option<&ConnectorState>,
        at: Timestamp,
    ) -> Result<Walked, PollFailure> {
        let cursor = state.and_then(|state| state.cursor.as_deref());
        let pager =
            Pager::new(&self.connector, cursor, at, None).map_err(|error| PollFailure::of(&self.connector, &error))?;
        walker.walk(pager, state.map_or(&[], |state| self.remembered_pages(state, at))).await
    }

    /// Returns the pages that may stand for their items: those that were compared lately, under the same rules.
    fn remembered_pages<'a>(&self, state: &'a ConnectorState, at: Timestamp) -> &'a [PageMemory] {
        let compared_lately =
            state.compared_at.is_some_and(|compared_at| at.since(compared_at) < LONGEST_WITHOUT_COMPARING);
        if state.baselined && compared_lately && state.digest == memory_of(&self.connector.digest) {
            &state.pages
        } else {
            &[]
        }
    }

    /// Compares what was read with what is remembered.
    async fn compare(
        &self,
        state: Option<ConnectorState>,
        reading: Reading,
        report: &mut PollReport,
    ) -> Result<Prepared, Broken> {
        let Reading { items, pages, completeness, truncation, failure, .. } = reading;
        report.items = items.len();
        report.notes.extend(truncation.map(|truncation| format!("paging stopped: {truncation}")));
        let at = report.at;
        let footing = footing(state.as_ref(), &self.connector.digest);
        let seen = self.seen_items(&items).await?;
        // Items that were seen before the rules asked for them to be kept are kept at the first chance.
        let keeps_from_now_on = self.connector.changes.previous
            && state.as_ref().is_some_and(|state| state.digest.pages != self.connector.digest.pages);
        let connector = Arc::clone(&self.connector);
        let (items, detection) = compute(move || {
            let mut detection = detect(&connector.changes, footing, &seen, &items, completeness, at);
            if keeps_from_now_on {
                detection.add_unchanged(&seen, &items);
            }
            (items, detection)
        })
        .await;
        report.notes.extend(detection.notes.iter().map(|Note::DuplicateKey { key, count }| {
            format!("{count} items have the key {}", self.connector.redactor.redact(key))
        }));
        for change in detection.findings.iter().filter_map(|finding| finding.change) {
            report.changes.count(change.kind);
        }
        let awaits_removal =
            detection.findings.iter().any(|finding| matches!(finding.seen.presence, Presence::Missing(_)));
        let item_count = items.len() as u64;
        let updates = self.updates(items, detection).await?;
        if let Some(failure) = failure {
            let mut state = self.failed(state, &failure, at);
            // What is remembered of items is newer now than what is remembered of pages.
            if !updates.is_empty() {
                state.pages.clear();
            }
            report.outcome = PollOutcome::Partial(failure);
            return Ok(Prepared { updates, state, forget_before: None });
        }
        report.outcome = PollOutcome::Compared(completeness);
        let is_complete = completeness == Completeness::Complete;
        Ok(Prepared {
            updates,
            state: ConnectorState {
                compared_at: Some(at),
                baselined: true,
                // While an item is on its way to being removed, polls in which it is missing have to be counted.
                pages: if awaits_removal { Vec::new() } else { pages },
                digest: memory_of(&self.connector.digest),
                items: item_count,
                ..self.succeeded(state, at)
            },
            forget_before: is_complete.then(|| at - self.connector.changes.forget_after - FORGETTING_SLACK),
        })
    }

    async fn seen_items(&self, items: &[Item]) -> Result<Vec<SeenItem>, StoreError> {
        let selection = if self.connector.changes.detects_removal() {
            SeenSelection::All
        } else {
            let mut keys: Vec<KeyHash> = items.iter().map(|item| item.key_hash).collect();
            keys.sort_unstable();
            keys.dedup();
            SeenSelection::Keys(keys)
        };
        self.context.store.seen_items(&self.connector.name, selection).await
    }

    /// Returns what is committed of each finding, in the same order.
    async fn updates(&self, items: Vec<Item>, detection: Detection) -> Result<Vec<SeenUpdate>, Broken> {
        let at = self.context.fetching.clock.now();
        let findings = detection.findings;
        let mut kept: Vec<Option<KeptItem>> = Vec::new();
        if self.connector.changes.previous {
            let keys = findings.iter().filter(|finding| tells_of_before(finding)).map(|finding| finding.seen.key_hash);
            kept = self.context.store.kept_items(&self.connector.name, keys.collect()).await?;
        }
        let connector = Arc::clone(&self.connector);
        let route = Arc::clone(&self.context.route);
        let made = compute(move || {
            let mut kept = kept.into_iter();
            let update = |finding| {
                let kept = if tells_of_before(&finding) { kept.next().flatten() } else { None };
                update(&connector, &*route, finding, &items, kept.as_deref(), at)
            };
            findings.into_iter().map(update).collect::<Result<Vec<_>, EventError>>()
        })
        .await;
        made.map_err(|error| Broken::Failure(PollFailure::of(&self.connector, &error)))
    }

    fn succeeded(&self, state: Option<ConnectorState>, at: Timestamp) -> ConnectorState {
        ConnectorState {
            polled_at: at,
            succeeded_at: Some(at),
            failures: 0,
            failing_since: None,
            last_error: None,
            not_before: None,
            ..state.unwrap_or_else(|| ConnectorState::first(at, memory_of(&self.connector.digest)))
        }
    }

    fn failed(&self, state: Option<ConnectorState>, failure: &PollFailure, at: Timestamp) -> ConnectorState {
        let state = state.unwrap_or_else(|| ConnectorState::first(at, memory_of(&self.connector.digest)));
        ConnectorState {
            polled_at: at,
            failures: state.failures.saturating_add(1),
            failing_since: state.failing_since.or(Some(at)),
            last_error: Some(failure.to_string()),
            not_before: failure.not_before,
            ..state
        }
    }

    /// Returns what there is to tell of the connector itself.
    fn news(&self, before: Option<&ConnectorState>, after: &ConnectorState, at: Timestamp) -> Option<Event> {
        let failures_before = before.map_or(0, |state| state.failures);
        let name = self.connector.name.as_str();
        if after.failures == FAILURES_BEFORE_NEWS {
            let data = json!({
                "failures": after.failures,
                "since": after.failing_since,
                "error": after.last_error,
            });
            Some(Event::of_service(ServiceNews::ConnectorFailing, name, at, &data))
        } else if after.failures == 0 && failures_before >= FAILURES_BEFORE_NEWS {
            let data = json!({
                "failures": failures_before,
                "since": before.and_then(|state| state.failing_since),
            });
            Some(Event::of_service(ServiceNews::ConnectorRecovered, name, at, &data))
        } else {
            None
        }
    }
}

/// Tells whether a finding's event says what the item was before.
fn tells_of_before(finding: &Finding) -> bool {
    finding.change.is_some_and(|change| change.kind != ChangeKind::Created)
}

/// Returns what is committed of a finding. `kept` is the item as it was before.
fn update(
    connector: &Connector,
    route: &dyn Route,
    finding: Finding,
    items: &[Item],
    kept: Option<&RawValue>,
    at: Timestamp,
) -> Result<SeenUpdate, EventError> {
    let item = finding.item.map(|index| &items[index]);
    let keeps = connector.changes.previous;
    let value = item.filter(|_| keeps || finding.change.is_some()).map(|item| item.record.value());
    let event = match finding.change {
        None => None,
        Some(change) => {
            let key = item.map(|item| &*item.key).or(finding.seen.key.as_deref()).unwrap_or_default();
            let subject = Subject { key, value: value.as_deref(), kept };
            Some(route.route(event(connector, change, subject, at)?))
        }
    };
    let kept = value.filter(|_| keeps).map(|value| keep(&value));
    Ok(SeenUpdate { seen: finding.seen, kept, event })
}

/// What a poll is going to commit.
struct Prepared {
    updates: Vec<SeenUpdate>,
    state: ConnectorState,
    forget_before: Option<Timestamp>,
}

impl Prepared {
    /// A commit that changes nothing but the state.
    fn only(state: ConnectorState) -> Self {
        Self { updates: Vec::new(), state, forget_before: None }
    }
}

fn memory_of(digest: &RulesDigest) -> RulesMemory {
    RulesMemory { pages: digest.pages, keys: digest.keys, fingerprints: digest.fingerprints }
}

fn footing(state: Option<&ConnectorState>, digest: &RulesDigest) -> Footing {
    match state.filter(|state| state.baselined) {
        None => Footing::First,
        Some(state) if state.digest.keys != digest.keys => Footing::Rebaseline,
        Some(state) if state.digest.fingerprints != digest.fingerprints => Footing::Refingerprint,
        Some(_) => Footing::Usual,
    }
}

/// Returns how long a poll may fetch pages: enough for all of them, unless both pages and time limits are many.
fn longest_fetching(connector: &Connector) -> Duration {
    let tries_of_one_page = connector.request.timeout * 3 + super::fetch::LONGEST_PAUSE * 2;
    let pages = u32::try_from(paginate::max_pages(connector)).unwrap_or(u32::MAX);
    tries_of_one_page.saturating_mul(pages).min(LONGEST_FETCHING).max(tries_of_one_page)
}
