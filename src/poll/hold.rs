//! When too much changes at once: the changes are held until somebody decides about them.

use super::aside::{Asides, set_aside};
use super::compare::Finding;
use super::report::ChangeCounts;
use crate::model::change::{ChangeKind, ChangeRules, HoldAbove, Share};
use crate::model::item::{Presence, SetAside, SetAsideReason};
use crate::model::time::Timestamp;
use crate::store::Hold;

/// What a poll is about to change, as far as limits count it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub created: u64,
    pub removed: u64,
    /// The items that were there before, those that are removed included.
    pub present: u64,
}

impl Tally {
    /// Counts what a poll found, where so many of the items that it found were there before.
    pub fn of(findings: &[Finding], known: usize) -> Self {
        let count = |is_counted: fn(&Finding) -> bool| findings.iter().filter(|&finding| is_counted(finding)).count();
        let created = count(|finding| finding.change.is_some_and(|change| change.kind == ChangeKind::Created));
        let missing = count(|finding| finding.seen.presence != Presence::Present && finding.seen.key.is_some());
        Self { created: created as u64, removed: count(is_removal) as u64, present: (known + missing) as u64 }
    }

    /// Returns which limit this exceeds, in words.
    pub fn exceeds(self, limits: HoldAbove) -> Option<String> {
        let Self { created, removed, present } = self;
        if let Some(most) = limits.created.filter(|most| created > *most) {
            return Some(too_many_created(created, most));
        }
        match limits.removed {
            Some(Share::Count(most)) if removed > most => {
                Some(format!("{removed} items removed at once, and `hold_above.removed` is {most}"))
            }
            Some(Share::Percent(most)) if u128::from(removed) * 100 > u128::from(present) * u128::from(most) => {
                Some(format!("{removed} of {present} items removed at once, and `hold_above.removed` is {most}%"))
            }
            _ => None,
        }
    }
}

fn too_many_created(created: u64, most: u64) -> String {
    format!("{created} items created at once, and `hold_above.created` is {most}")
}

/// Tells whether a finding is an item's removal, wanted as an event or not.
fn is_removal(finding: &Finding) -> bool {
    finding.seen.presence == Presence::Removed && finding.seen.key.is_some()
}

/// Parts the changes that are to be held from what only concerns the memory.
///
/// A removal that nobody wants to know of is held as well where removals are limited: should the items come back, they
/// would all be created anew.
pub(super) fn hold(
    rules: &ChangeRules,
    asides: &mut Asides,
    findings: Vec<Finding>,
    at: Timestamp,
) -> (Vec<Finding>, Vec<SetAside>) {
    let holds_all_removals = rules.hold_above.removed.is_some();
    let mut memory = Vec::new();
    let mut held = Vec::new();
    for finding in findings {
        let is_held = finding.change.is_some() || holds_all_removals && is_removal(&finding);
        let since = asides.since(&finding.seen.key_hash, SetAsideReason::Held).unwrap_or(at);
        match set_aside(&finding, SetAsideReason::Held, since).filter(|_| is_held) {
            Some(change) => {
                asides.put(&change);
                held.push(change);
            }
            None => memory.push(finding),
        }
    }
    (memory, held)
}

/// Returns the hold of so many changes; `None` if there are none.
pub(super) fn held(counts: ChangeCounts, since: Timestamp, cause: String) -> Option<Hold> {
    let ChangeCounts { created, updated, removed } = counts;
    let hold = Hold { since, cause, created: created as u64, updated: updated as u64, removed: removed as u64 };
    (counts.total() > 0).then_some(hold)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_limit_is_too_much() {
        let check = |created, removed, present, limits: HoldAbove, expected: Option<&str>| {
            assert_eq!(Tally { created, removed, present }.exceeds(limits).as_deref(), expected);
        };
        let limits = |created, removed| HoldAbove { created, removed };
        check(9, 9, 9, HoldAbove::default(), None);
        check(2, 9, 9, limits(Some(2), None), None);
        check(3, 9, 9, limits(Some(2), None), Some("3 items created at once, and `hold_above.created` is 2"));
        check(
            1,
            0,
            0,
            limits(Some(0), Some(Share::Percent(0))),
            Some("1 items created at once, and `hold_above.created` is 0"),
        );
        check(9, 2, 9, limits(None, Some(Share::Count(2))), None);
        check(
            9,
            3,
            9,
            limits(None, Some(Share::Count(2))),
            Some("3 items removed at once, and `hold_above.removed` is 2"),
        );
        check(9, 2, 10, limits(None, Some(Share::Percent(20))), None);
        check(
            0,
            3,
            10,
            limits(None, Some(Share::Percent(20))),
            Some("3 of 10 items removed at once, and `hold_above.removed` is 20%"),
        );
        check(0, 10, 10, limits(None, Some(Share::Percent(100))), None);
        check(0, 0, 0, limits(None, Some(Share::Percent(0))), None);
        check(0, u64::MAX, u64::MAX, limits(None, Some(Share::Percent(100))), None);
    }
}
