//! What one poll does under its lease: it asks, reads page by page, compares, and says what is to be committed.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::changes::{ChangesError, updates};
use super::compare::{Comparison, Finding, PageIs};
use super::context::FetchContext;
use super::cursor::{UNKNOWN_CLOCK_MARGIN, Watermark, is_in_answer};
use super::detect::{Detector, Footing, Listing};
use super::error::PollFailure;
use super::fetch::{home_host, longest_turn};
use super::paginate::{self, Advance, Pager, Truncation};
use super::plan::{Ending, Plan, Refused, memory_of};
use super::poller::Poller;
use super::report::{ChangeCounts, PollOutcome, PollReport};
use super::settle::{Evidence, STILL_FAILS, Settled, Settling};
use super::walk::{Page, Walker, compute};
use super::warnings;
use crate::model::change::{ChangeKind, EmptyRule, FirstPoll, HoldAbove};
use crate::model::connector::Connector;
use crate::model::fingerprint::KeyHash;
use crate::model::item::{Completeness, Item, Presence};
use crate::model::quantity::format_duration;
use crate::model::time::Timestamp;
use crate::store::{ConnectorState, PollLease, PollPart, SeenSelection, StoreError};

/// How much longer than `forget_after` seen items are kept, because when they were last seen is refreshed only daily.
const FORGETTING_SLACK: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest that a poll may fetch pages.
const LONGEST_FETCHING: Duration = Duration::from_secs(15 * 60);

/// The longest that a poll may wait in all because of rates that are configured.
const LONGEST_WAITING: Duration = Duration::from_secs(60 * 60);

/// How many bytes of new and changed items a poll keeps in memory. Up to this, all it finds is committed at once when it
/// ends; beyond, a part of it before.
pub const MOST_PENDING_BYTES: usize = 16 << 20;

/// How many seen items are looked through at once for those that are missing.
const SEEN_AT_ONCE: usize = 10_000;

/// Why a poll ended before it came to a commit of its own.
pub(super) enum Broken {
    Failure(PollFailure),
    Store(StoreError),
    /// It was told to stop.
    Stopped,
}

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<ChangesError> for Broken {
    fn from(error: ChangesError) -> Self {
        match error {
            ChangesError::Item(failure) => Self::Failure(failure),
            ChangesError::Store(error) => Self::Store(error),
        }
    }
}

/// What a poll is going to commit.
pub(super) struct Prepared {
    pub part: PollPart,
    pub state: ConnectorState,
    pub forget_before: Option<Timestamp>,
}

impl Prepared {
    /// A commit that changes nothing but the state.
    pub fn only(state: ConnectorState) -> Self {
        Self { part: PollPart::default(), state, forget_before: None }
    }
}

/// A poll under way.
pub(super) struct Polling<'a> {
    pub poller: &'a Poller,
    pub lease: &'a PollLease,
    pub stop: &'a CancellationToken,
    pub report: &'a mut PollReport,
    /// What the source has refused of what was remembered.
    pub refused: Refused,
    /// The items whose changes were set aside before the poll ended.
    pub ahead: HashSet<KeyHash>,
}

/// What the pages of a poll came to.
struct Reading {
    comparison: Comparison,
    watermark: Watermark,
    /// How many pages were read, and how many values they had.
    pages: usize,
    yielded: usize,
}

impl Polling<'_> {
    /// Polls, anew with less of what is remembered if the source refuses that.
    pub async fn poll(&mut self) -> Result<Prepared, Broken> {
        let Poller { connector, context, .. } = self.poller;
        loop {
            let state = self.lease.state.as_ref();
            let source_now = source_now(connector, &context.fetching);
            let plan = Plan::of(connector, state, self.refused, source_now, self.report.at)
                .map_err(|error| Broken::Failure(PollFailure::of(connector, &error)))?;
            let failure = match self.follow(&plan).await {
                Err(Broken::Failure(failure)) => failure,
                other => return other,
            };
            if plan.goes_on() && failure.refuses_page() {
                self.refused.pass = true;
                self.report.notes.push(format!("it could not go on where it had stopped, so it began anew: {failure}"));
            } else if plan.cursor.is_some() && failure.refuses_cursor() && !self.refused.cursor {
                self.refused.cursor = true;
                self.report.notes.push(format!("the cursor is too old, so everything is polled: {failure}"));
            } else {
                return Err(Broken::Failure(failure));
            }
        }
    }

    /// Does what a plan says, and counts what was asked for even if that fails.
    async fn follow(&mut self, plan: &Plan<'_>) -> Result<Prepared, Broken> {
        let Poller { connector, context, memo } = self.poller;
        let pager = Pager::new(connector, plan.cursor.as_deref(), self.report.at, plan.from())
            .map_err(|error| Broken::Failure(PollFailure::of(connector, &error)))?;
        let mut walker = Walker::new(Arc::clone(connector), context.fetching.clone(), pager);
        walker.memo = Arc::clone(&memo.lock().unwrap_or_else(PoisonError::into_inner));
        let result = self.walk(plan, &mut walker).await;
        self.report.count(walker.counts);
        self.report.fresh_for = walker.fresh_for;
        result
    }

    async fn walk(&mut self, plan: &Plan<'_>, walker: &mut Walker) -> Result<Prepared, Broken> {
        let Poller { memo, .. } = self.poller;
        let remembered = plan.remembered_pages();
        if !remembered.is_empty() && self.in_time(walker.is_unchanged(remembered)).await?.map_err(Broken::Failure)? {
            self.report.outcome = PollOutcome::Unchanged;
            return self.conclude_unchanged(plan, walker).await;
        }
        let detector = Detector::new(plan.rules(), plan.footing, plan.epoch, self.report.at);
        let mut reading = Reading {
            comparison: Comparison::new(detector.clone().rewriting(plan.rewrites())),
            watermark: Watermark::default(),
            pages: 0,
            yielded: 0,
        };
        let ending = self.read(plan, walker, &mut reading).await?;
        if !matches!(ending, Ending::Partial(_)) {
            let new_memo = std::mem::take(&mut walker.new_memo);
            *memo.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(new_memo);
        }
        self.conclude(plan, &detector, walker, reading, ending).await
    }

    /// Reads page after page. What takes too much memory is committed on the way.
    async fn read(&mut self, plan: &Plan<'_>, walker: &mut Walker, reading: &mut Reading) -> Result<Ending, Broken> {
        loop {
            let page = self.in_time(walker.next_page()).await?;
            let page = match page.and_then(|page| reading.raise_watermark(page, &self.poller.connector)) {
                Ok(page) => page,
                Err(failure) if reading.pages == 0 => return Err(Broken::Failure(failure)),
                Err(failure) => return Ok(Ending::Partial(failure)),
            };
            reading.pages += 1;
            reading.yielded += page.yielded;
            let page_is = self.take(plan, reading, page.items).await?;
            let is_known = page_is == PageIs::Known;
            match page.advance {
                Advance::Last => return Ok(Ending::Complete),
                Advance::Next | Advance::Stop(Truncation::MaxPages { .. }) if is_known => {
                    let moved = walker.rows_moved();
                    return Ok(moved.map_or(Ending::Known, |cause| Ending::Truncated { cause, next: None }));
                }
                Advance::Next => {}
                Advance::Stop(cause) => return Ok(Ending::Truncated { cause, next: walker.position() }),
            }
            if reading.comparison.bytes() > MOST_PENDING_BYTES {
                if self.commits_ahead(plan) {
                    let findings = reading.comparison.decide();
                    self.commit_ahead(findings).await?;
                } else if self.is_held_anyway(plan, &reading.comparison) {
                    let findings = reading.comparison.decide();
                    self.set_aside_ahead(plan, walker, findings).await?;
                }
            }
        }
    }

    /// Waits for an answer of the source, but not for too long, and not if it is told to stop.
    async fn in_time<T>(
        &self,
        answer: impl Future<Output = Result<T, PollFailure>>,
    ) -> Result<Result<T, PollFailure>, Broken> {
        let Poller { connector, context, .. } = self.poller;
        let longest = longest_fetching(connector, &context.fetching);
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Broken::Stopped),
            answer = answer => Ok(answer),
            () = context.fetching.clock.sleep_until(self.report.at + longest) => {
                let cause = format!("its pages were not read within {}", format_duration(longest));
                Ok(Err(PollFailure::of(connector, &cause)))
            }
        }
    }

    /// Compares the items of a page with what is remembered of them.
    async fn take(&self, plan: &Plan<'_>, reading: &mut Reading, items: Vec<Item>) -> Result<PageIs, Broken> {
        let Poller { connector, context, .. } = self.poller;
        let asked = reading.comparison.asks_for(&items);
        let seen = context.store.seen_items(&connector.name, SeenSelection::Keys(asked)).await?;
        let stops_at = plan.stops_at_known();
        let mut comparison = reading.comparison.take_over();
        let (comparison, page_is) = compute(move || {
            let page_is = comparison.take(items, &seen, stops_at);
            (comparison, page_is)
        })
        .await;
        reading.comparison = comparison;
        Ok(page_is)
    }

    /// Tells whether a part of the changes may become durable before all of them are known: not if they may have to be
    /// held, or to wait for their details.
    fn commits_ahead(&self, plan: &Plan<'_>) -> bool {
        let connector = &self.poller.connector;
        let is_held = self.lease.state.as_ref().is_some_and(|state| state.hold.is_some());
        let may_be_held = is_held || connector.changes.hold_above != HoldAbove::default();
        let sends = plan.footing == Footing::Usual
            || plan.footing == Footing::First && connector.changes.first_poll != FirstPoll::Baseline;
        !(plan.footing == Footing::Usual && may_be_held || sends && connector.detail.is_some())
    }

    /// Tells whether all changes of this poll are held, whatever else it finds.
    fn is_held_anyway(&self, plan: &Plan<'_>, comparison: &Comparison) -> bool {
        let Some(state) = &self.lease.state else { return false };
        let rules = &self.poller.connector.changes;
        // Items that wait for their details are not remembered, but not new either.
        let created = (comparison.unknown as u64).saturating_sub(state.awaiting_detail);
        let exceeds = rules.hold_above.created.is_some_and(|most| created > most) && rules.wants(ChangeKind::Created);
        plan.footing == Footing::Usual && (state.hold.is_some() || exceeds)
    }

    async fn set_aside_ahead(
        &mut self,
        plan: &Plan<'_>,
        walker: &Walker,
        findings: Vec<Finding>,
    ) -> Result<(), Broken> {
        let Poller { connector, context, .. } = self.poller;
        let found: Vec<KeyHash> =
            findings.iter().filter(|finding| finding.change.is_some()).map(|finding| finding.seen.key_hash).collect();
        let (memory, set_aside) = self.settling(plan, walker).set_aside_ahead(findings).await?;
        self.ahead.extend(found);
        self.report.held += set_aside.len();
        let updates = updates(connector, context, memory).await?;
        context.store.commit_items(self.lease, PollPart { updates, set_aside, ..PollPart::default() }).await?;
        Ok(())
    }

    async fn commit_ahead(&mut self, findings: Vec<Finding>) -> Result<(), Broken> {
        let Poller { connector, context, .. } = self.poller;
        let changes = counts(&findings);
        let updates = updates(connector, context, findings).await?;
        context.store.commit_items(self.lease, PollPart { updates, ..PollPart::default() }).await?;
        self.report.changes.add(changes);
        Ok(())
    }

    /// Looks for what is missing, in parts.
    async fn missing(
        &mut self,
        plan: &Plan<'_>,
        reading: &Reading,
        needed: u8,
    ) -> Result<(Vec<Finding>, bool), Broken> {
        let Poller { connector, context, .. } = self.poller;
        let (mut findings, mut awaits_removal): (Vec<Finding>, bool) = (Vec::new(), false);
        let mut after: Option<KeyHash> = None;
        loop {
            let selection = SeenSelection::After(after, SEEN_AT_ONCE);
            let seen = context.store.seen_items(&connector.name, selection).await?;
            let Some(last) = seen.last() else { break };
            after = Some(last.key_hash);
            let missing = reading.comparison.missing(&seen, needed);
            awaits_removal |= missing.iter().any(|finding| matches!(finding.seen.presence, Presence::Missing(_)));
            findings.extend(missing);
            if findings.iter().map(Finding::bytes).sum::<usize>() > MOST_PENDING_BYTES && self.commits_ahead(plan) {
                self.commit_ahead(std::mem::take(&mut findings)).await?;
            }
        }
        Ok((findings, awaits_removal))
    }

    /// Decides what the poll came to, now that no more is read.
    async fn conclude(
        &mut self,
        plan: &Plan<'_>,
        detector: &Detector,
        walker: &mut Walker,
        mut reading: Reading,
        mut ending: Ending,
    ) -> Result<Prepared, Broken> {
        let Poller { connector, .. } = self.poller;
        let completeness = ending.completeness();
        let at = self.report.at;
        let mut findings = if detector.believes(completeness) { reading.comparison.decide() } else { Vec::new() };
        let listing =
            Listing { completeness, is_full: plan.is_full(), pages: reading.pages, is_empty: reading.yielded == 0 };
        let mut awaits_removal = false;
        let needed = detector.believes_missing(listing);
        if let Some(needed) = needed {
            let (missing, awaits) = self.missing(plan, &reading, needed).await?;
            findings.extend(missing);
            awaits_removal = awaits;
        }
        self.report.items = reading.comparison.items;
        let is_suspicious = listing.is_empty && connector.changes.empty == EmptyRule::Suspicious;
        let evidence = Evidence {
            comparison: Some(&reading.comparison),
            is_believed: detector.believes(completeness),
            lists_all: needed.is_some() && !is_suspicious,
        };
        let mut settled = self.settle(plan, walker, findings, evidence).await?;
        if let Some(failure) = settled.failure.take().filter(|_| completeness != Completeness::Partial) {
            ending = Ending::Partial(failure);
        }
        let part = self.part_of(&mut settled).await?;

        let before = self.lease.state.clone();
        if let Ending::Partial(failure) = &ending {
            let state = plan.advance(self.poller.failed(before, failure, at), &ending, &reading.watermark);
            self.report.outcome = PollOutcome::Partial(failure.clone());
            return Ok(Prepared { part, state: settled.note_in(state), forget_before: None });
        }
        let state = plan.advance(self.poller.succeeded(before, at), &ending, &reading.watermark);
        let state = settled.note_in(state);
        let Reading { comparison, watermark, .. } = &reading;
        let mut warnings = warnings::of(connector, plan, &state, &ending, comparison, watermark);
        self.report.notes.extend(warnings::behind(&state));
        self.report.notes.extend(warnings.iter().cloned());
        warnings.append(&mut settled.warnings);
        self.report.outcome = PollOutcome::Compared(completeness);
        self.report.cause = match &ending {
            Ending::Truncated { cause, .. } => Some(cause.to_string()),
            _ => None,
        };
        // What is held was seen, although it is not remembered as such.
        let is_to_forget = state.read_through_at == Some(at) && state.hold.is_none();
        Ok(Prepared {
            part,
            state: ConnectorState {
                compared_at: Some(at),
                // While an item is on its way to being removed, polls in which it is missing have to be counted.
                pages: if awaits_removal || state.pass.is_some() { Vec::new() } else { walker.take_memory() },
                digest: memory_of(&connector.digest),
                epoch: plan.epoch,
                items: comparison.items as u64,
                baseline_next: false,
                warnings,
                ..state
            },
            forget_before: is_to_forget.then(|| at - connector.changes.forget_after - FORGETTING_SLACK),
        })
    }

    /// Decides what a poll came to that found all pages as they were: details can still be had that could not be before.
    async fn conclude_unchanged(&mut self, plan: &Plan<'_>, walker: &Walker) -> Result<Prepared, Broken> {
        let state = self.poller.succeeded(self.lease.state.clone(), self.report.at);
        if state.awaiting_detail == 0 {
            return Ok(Prepared::only(state));
        }
        let evidence = Evidence { comparison: None, is_believed: true, lists_all: false };
        let mut settled = self.settle(plan, walker, Vec::new(), evidence).await?;
        let part = self.part_of(&mut settled).await?;
        let mut state = settled.note_in(state);
        state.warnings.retain(|warning| !warning.starts_with(STILL_FAILS));
        state.warnings.append(&mut settled.warnings);
        Ok(Prepared { part, state, forget_before: None })
    }

    /// Decides which changes become events, and asks for their details.
    async fn settle(
        &self,
        plan: &Plan<'_>,
        walker: &Walker,
        findings: Vec<Finding>,
        evidence: Evidence<'_>,
    ) -> Result<Settled, Broken> {
        let settling = self.settling(plan, walker);
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Broken::Stopped),
            settled = settling.settle(findings, evidence) => Ok(settled?),
        }
    }

    fn settling(&self, plan: &Plan<'_>, walker: &Walker) -> Settling<'_> {
        let Poller { connector, context, .. } = self.poller;
        Settling {
            connector,
            context,
            state: self.lease.state.as_ref(),
            footing: plan.footing,
            epoch: plan.epoch,
            at: self.report.at,
            ahead: &self.ahead,
            home: walker.home().clone(),
        }
    }

    /// Returns what is committed of what was decided, and reports it.
    async fn part_of(&mut self, settled: &mut Settled) -> Result<PollPart, Broken> {
        let Poller { connector, context, .. } = self.poller;
        let findings = std::mem::take(&mut settled.findings);
        let changes = counts(&findings);
        let updates = updates(connector, context, findings).await?;
        self.report.changes.add(changes);
        self.report.held += settled.held;
        self.report.count(settled.asked);
        self.report.notes.extend(settled.warnings.iter().cloned());
        let (set_aside, dropped) = (std::mem::take(&mut settled.set_aside), std::mem::take(&mut settled.dropped));
        Ok(PollPart { updates, set_aside, dropped })
    }
}

impl Reading {
    /// Takes in the cursor values of a page, which have to be comparable with those before.
    fn raise_watermark(&mut self, mut page: Page, connector: &Connector) -> Result<Page, PollFailure> {
        let merged = self.watermark.merge(std::mem::take(&mut page.watermark), is_in_answer(connector));
        merged.map(|()| page).map_err(|error| PollFailure::of(connector, &error))
    }
}

fn counts(findings: &[Finding]) -> ChangeCounts {
    let mut counts = ChangeCounts::default();
    for change in findings.iter().filter_map(|finding| finding.change) {
        counts.count(change.kind);
    }
    counts
}

/// Returns the time by the clock of a connector's source. If that is not known yet, it is taken to be slow.
pub(super) fn source_now(connector: &Connector, context: &FetchContext) -> Timestamp {
    let now = context.clock.now();
    let host = home_host(connector, Some(""), now);
    host.and_then(|host| context.time_at(&host)).unwrap_or_else(|| now - UNKNOWN_CLOCK_MARGIN)
}

/// Returns how long a poll may fetch pages: enough for all of them, unless both pages and time limits are many, and for
/// as long as their turns may be apart.
pub(super) fn longest_fetching(connector: &Connector, context: &FetchContext) -> Duration {
    let tries_of_one_page = connector.request.timeout * 3 + super::fetch::LONGEST_PAUSE * 2;
    let pages = u32::try_from(paginate::max_pages(connector)).unwrap_or(u32::MAX);
    let waits = longest_turn(connector, context).saturating_mul(pages).min(LONGEST_WAITING);
    tries_of_one_page.saturating_mul(pages).min(LONGEST_FETCHING).max(tries_of_one_page) + waits
}
