//! What a poll asks for, and what becomes of its connector's state when it is over: pure functions.

use std::time::Duration;

use super::cursor::{self, CursorValue, OverlapError, Watermark};
use super::detect::Footing;
use super::error::PollFailure;
use super::paginate::Truncation;
use crate::model::change::{ChangeRules, FirstPoll};
use crate::model::connector::{Connector, RulesDigest};
use crate::model::cursor::{CursorInitial, CursorRules};
use crate::model::item::{Completeness, PageMemory};
use crate::model::pagination::{PagePosition, StopRule};
use crate::model::time::Timestamp;
use crate::store::{Baseline, ConnectorState, Pass, RulesMemory};

/// How old the last comparison becomes before pages are read although they seem unchanged. It bounds how long a
/// server's wrong validators can hide a change.
pub const LONGEST_WITHOUT_COMPARING: Duration = Duration::from_secs(24 * 60 * 60);

/// What a poll asks for.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    connector: &'a Connector,
    state: Option<&'a ConnectorState>,
    /// How far what is found can be compared with what is remembered.
    pub footing: Footing,
    /// The present rules for fingerprints.
    pub epoch: u8,
    /// What `{{ cursor }}` stands for, if it stands for anything.
    pub cursor: Option<String>,
    /// The pass that this poll goes on with.
    pass: Option<&'a Pass>,
    refused: Refused,
    at: Timestamp,
}

/// What the source refused of what an earlier poll remembered.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Refused {
    /// It is too old.
    pub cursor: bool,
    /// Its position leads nowhere any more.
    pub pass: bool,
}

impl Refused {
    /// Returns what is left of a pass after a failure. One that takes what it finds as seen is not forgotten, or the next
    /// poll would tell of it.
    pub fn left_of(self, pass: Option<Pass>) -> Option<Pass> {
        pass.filter(|pass| !self.pass || pass.takes_as_seen)
    }
}

/// How reading the pages ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// With the last page.
    Complete,
    /// With a page that was known, on purpose.
    Known,
    /// Before the last page; if another poll can go on there, with the next page.
    Truncated { cause: Truncation, next: Option<PagePosition> },
    /// With a page that failed.
    Partial(PollFailure),
}

impl Ending {
    /// Returns whether all was read that was asked for.
    pub fn completeness(&self) -> Completeness {
        match self {
            Self::Complete => Completeness::Complete,
            Self::Known => Completeness::Known,
            Self::Truncated { .. } => Completeness::Truncated,
            Self::Partial(_) => Completeness::Partial,
        }
    }
}

/// Returns the digests of rules in the form in which they are remembered.
pub(super) fn memory_of(digest: &RulesDigest) -> RulesMemory {
    RulesMemory { pages: digest.pages, keys: digest.keys, fingerprints: digest.fingerprints }
}

impl<'a> Plan<'a> {
    /// Returns what to ask for now, less what the source just refused. `source_now` is the time by the clock of the
    /// source.
    pub fn of(
        connector: &'a Connector,
        state: Option<&'a ConnectorState>,
        refused: Refused,
        source_now: Timestamp,
        at: Timestamp,
    ) -> Result<Self, OverlapError> {
        let digest = memory_of(&connector.digest);
        let pass = state.and_then(|state| state.pass.as_ref().filter(|_| state.digest.pages == digest.pages));
        let mut plan = Self {
            connector,
            state,
            footing: footing(state, &digest),
            epoch: epoch(state, &digest),
            cursor: None,
            pass: pass.filter(|_| !refused.pass && !refused.cursor),
            refused,
            at,
        };
        if let Some(rules) = &connector.cursor {
            plan.cursor = plan.asked_with(rules, source_now)?;
        }
        Ok(plan)
    }

    fn asked_with(&self, rules: &CursorRules, source_now: Timestamp) -> Result<Option<String>, OverlapError> {
        if let Some(pass) = self.pass {
            return Ok(pass.asked_with.clone());
        }
        let initial = || rules.initial.as_ref().map(|initial| cursor::initial(initial, source_now));
        // An address that has the cursor in it cannot do without.
        let everything = || if needs_cursor(self.connector) { initial() } else { None };
        if self.footing == Footing::Rebaseline {
            return Ok(everything());
        }
        if self.refused.cursor {
            let is_literal = matches!(rules.initial, Some(CursorInitial::Literal(_)));
            return Ok(if is_literal { initial() } else { everything() });
        }
        if self.is_to_reconcile(rules) {
            return Ok(everything());
        }
        match self.stored_cursor() {
            Some(stored) => cursor::with_overlap(rules, stored).map(Some),
            None => Ok(initial()),
        }
    }

    fn is_to_reconcile(&self, rules: &CursorRules) -> bool {
        let reconciled_at = self.state.and_then(|state| state.reconciled_at);
        rules.reconcile.is_some_and(|reconcile| reconciled_at.is_none_or(|before| self.at.since(before) >= reconcile))
    }

    /// Returns the cursor that is to be asked from, before the overlap is taken off.
    fn stored_cursor(&self) -> Option<&'a str> {
        self.state.and_then(|state| state.cursor.as_deref()).filter(|_| !self.refused.cursor)
    }

    /// Returns the page to begin with, if that is not the first.
    pub fn from(&self) -> Option<&PagePosition> {
        self.pass.map(|pass| &pass.position)
    }

    /// Tells whether it begins where an earlier poll had to stop, and not with the first page.
    pub fn goes_on(&self) -> bool {
        self.from().is_some_and(|position| *position != PagePosition::First)
    }

    /// Tells whether it asks for everything there is, from the beginning.
    pub fn is_full(&self) -> bool {
        self.cursor.is_none() && self.pass.is_none()
    }

    /// Returns how many items the last poll had that compared any.
    pub fn items_before(&self) -> usize {
        self.state.map_or(0, |state| usize::try_from(state.items).unwrap_or(usize::MAX))
    }

    /// Returns until when what was seen counts as known, if a known page ends this poll.
    pub fn stops_at_known(&self) -> Option<Timestamp> {
        let reconciles = self.connector.cursor.as_ref().is_some_and(|rules| rules.reconcile.is_some());
        let stops = self.connector.pagination.stop == Some(StopRule::Known)
            && self.footing == Footing::Usual
            && !(reconciles && self.cursor.is_none());
        self.state.filter(|_| stops).and_then(|state| state.read_through_at)
    }

    /// Returns the rules that changes are detected by: the latest items are only among those that the first poll of a
    /// pass finds.
    pub fn rules(&self) -> ChangeRules {
        let mut rules = self.connector.changes.clone();
        if self.pass.is_some() && matches!(rules.first_poll, FirstPoll::Latest(_)) {
            rules.first_poll = FirstPoll::Baseline;
        }
        rules
    }

    /// Tells whether everything that is found is written anew: items that were seen before the rules asked for them to be
    /// kept are kept at the first chance.
    pub fn rewrites(&self) -> bool {
        self.connector.changes.previous
            && self.state.is_some_and(|state| state.digest.pages != self.connector.digest.pages)
    }

    /// Returns the pages that may stand for their items: those that were compared lately, under the same rules.
    pub fn remembered_pages(&self) -> &'a [PageMemory] {
        let Some(state) = self.state else { return &[] };
        let compared_lately =
            state.compared_at.is_some_and(|compared_at| self.at.since(compared_at) < LONGEST_WITHOUT_COMPARING);
        let reconciles = self.connector.cursor.as_ref().is_some_and(|rules| self.is_to_reconcile(rules));
        let is_usual = state.baselined && state.pass.is_none() && state.digest == memory_of(&self.connector.digest);
        if is_usual && compared_lately && !reconciles && !self.refused.cursor { &state.pages } else { &[] }
    }

    /// Returns what a state becomes through a poll that read the source, whether it could be finished or not: what
    /// is remembered of how far the source was read.
    pub fn advance(&self, state: ConnectorState, ending: &Ending, watermark: &Watermark) -> ConnectorState {
        let baseline = self.baseline(state.baseline);
        let largest = self.largest(watermark);
        let state = match ending {
            Ending::Complete | Ending::Known => self.read_through(state, ending, largest),
            Ending::Truncated { cause: Truncation::MaxPages { .. }, next } => {
                self.cut_off(state, next.as_ref(), largest)
            }
            Ending::Truncated { cause, .. } => {
                // What was missed of an incremental source would seem new if this had been its first poll.
                let may_have_missed = matches!(cause, Truncation::RowsMoved { .. }) && self.connector.cursor.is_some();
                ConnectorState { pass: None, baselined: state.baselined || !may_have_missed, ..state }
            }
            Ending::Partial(_) => self.broken_off(state, largest),
        };
        ConnectorState { baseline, ..state }
    }

    /// Returns which polls took what they found as seen, this one included.
    fn baseline(&self, before: Option<Baseline>) -> Option<Baseline> {
        let takes_as_seen = match self.footing {
            Footing::Usual => false,
            Footing::First => self.connector.changes.first_poll != FirstPoll::Send,
            Footing::Rebaseline => true,
        };
        if !takes_as_seen {
            return before;
        }
        let from = before.filter(|_| self.pass.is_some()).map_or(self.at, |before| before.from);
        Some(Baseline { from, until: self.at, is_first: self.footing == Footing::First })
    }

    fn read_through(&self, state: ConnectorState, ending: &Ending, largest: Option<String>) -> ConnectorState {
        let is_reconciled = matches!(ending, Ending::Complete) && self.connector.cursor.is_some() && self.is_full();
        let replaces = matches!(ending, Ending::Complete) && self.cursor.is_none();
        let cursor = match largest {
            None => self.stored_cursor().map(str::to_owned).or_else(|| self.initial_time()),
            Some(largest) if replaces || cursor::is_in_answer(self.connector) => Some(largest),
            largest => self.raised(largest),
        };
        ConnectorState {
            cursor,
            pass: None,
            baselined: true,
            read_through_at: Some(self.at),
            reconciled_at: if is_reconciled { Some(self.at) } else { state.reconciled_at },
            ..state
        }
    }

    /// Some page failed. What is committed of the others came under the present rules for fingerprints.
    fn broken_off(&self, state: ConnectorState, largest: Option<String>) -> ConnectorState {
        let state = ConnectorState { pass: self.refused.left_of(state.pass), ..state };
        if self.footing != Footing::Usual {
            return state;
        }
        ConnectorState {
            cursor: if self.is_ascending() { self.raised(largest) } else { state.cursor },
            epoch: self.epoch,
            digest: RulesMemory { fingerprints: self.connector.digest.fingerprints, ..state.digest },
            ..state
        }
    }

    /// There are more pages than a poll may read.
    fn cut_off(&self, state: ConnectorState, next: Option<&PagePosition>, largest: Option<String>) -> ConnectorState {
        let pass = self.pass_from(next, largest.clone());
        if pass.is_none() && self.settles_for_the_newest() {
            return ConnectorState { pass, baselined: true, read_through_at: Some(self.at), ..state };
        }
        let is_reconciling = pass.is_some() && self.connector.cursor.is_some() && self.is_full();
        ConnectorState {
            cursor: if self.is_ascending() { self.raised(largest) } else { state.cursor.clone() },
            baselined: state.baselined || pass.is_none(),
            reconciled_at: if is_reconciling { Some(self.at) } else { state.reconciled_at },
            pass,
            ..state
        }
    }

    /// Returns how the next poll goes on after the last page that this one could read, if it is to.
    fn pass_from(&self, next: Option<&PagePosition>, largest: Option<String>) -> Option<Pass> {
        let is_wanted = match (&self.connector.cursor, self.connector.pagination.stop) {
            (Some(_), _) => true,
            (None, Some(StopRule::Known)) => !self.settles_for_the_newest(),
            (None, None) => false,
        };
        let gained = largest.as_ref().filter(|largest| self.is_ascending() && Some(*largest) != self.cursor.as_ref());
        let (position, asked_with) = match gained {
            // What was read counts already, so the rest is asked for as if it were all.
            Some(gained) => (&PagePosition::First, Some(gained.clone())),
            // More items may have the same value than one poll may read.
            None => (next?, self.cursor.clone()),
        };
        is_wanted.then(|| Pass {
            since: self.pass.map_or(self.at, |pass| pass.since),
            position: position.clone(),
            asked_with,
            takes_as_seen: self.footing == Footing::Rebaseline,
            cursor: largest,
            polls: self.pass.map_or(0, |pass| pass.polls).saturating_add(1),
        })
    }

    /// Tells whether a first poll is content with the newest items: what follows is older, and not to be sent anyhow.
    fn settles_for_the_newest(&self) -> bool {
        let sends_nothing = match self.footing {
            Footing::First => self.connector.changes.first_poll != FirstPoll::Send,
            Footing::Rebaseline => true,
            Footing::Usual => false,
        };
        self.connector.cursor.is_none() && self.connector.pagination.stop == Some(StopRule::Known) && sends_nothing
    }

    fn is_ascending(&self) -> bool {
        self.connector.cursor.as_ref().is_some_and(|rules| rules.ascending)
    }

    /// Returns the largest cursor value of this poll and those that it goes on from.
    fn largest(&self, watermark: &Watermark) -> Option<String> {
        let earlier = self.pass.and_then(|pass| pass.cursor.as_deref());
        if cursor::is_in_answer(self.connector) {
            watermark.value().or(earlier).map(str::to_owned)
        } else {
            watermark.or_larger(earlier)
        }
    }

    /// Returns the cursor that is stored, or what was found if that is larger.
    fn raised(&self, found: Option<String>) -> Option<String> {
        let watermark = found.map(|found| Watermark::of(CursorValue::stored(&found))).unwrap_or_default();
        watermark.or_larger(self.stored_cursor())
    }

    /// Returns the time that the first poll asked from: until there are items, it is all there is to go by.
    fn initial_time(&self) -> Option<String> {
        let rules = self.connector.cursor.as_ref()?;
        matches!(rules.initial, Some(CursorInitial::Ago(_))).then(|| self.cursor.clone()).flatten()
    }
}

fn footing(state: Option<&ConnectorState>, digest: &RulesMemory) -> Footing {
    let Some(state) = state else { return Footing::First };
    let has_items = state.baselined || state.pass.is_some();
    let takes_as_seen = state.baseline_next || state.pass.as_ref().is_some_and(|pass| pass.takes_as_seen);
    if has_items && state.digest.keys != digest.keys || takes_as_seen {
        Footing::Rebaseline
    } else if state.baselined {
        Footing::Usual
    } else {
        Footing::First
    }
}

/// Returns the number of the present rules for fingerprints.
fn epoch(state: Option<&ConnectorState>, digest: &RulesMemory) -> u8 {
    state.map_or(0, |state| state.epoch.wrapping_add(u8::from(state.digest.fingerprints != digest.fingerprints)))
}

/// Tells whether the address of the first page cannot be made without a cursor.
fn needs_cursor(connector: &Connector) -> bool {
    connector.request.url.references().iter().any(|name| name == "cursor")
}
