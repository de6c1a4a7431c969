use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::num::NonZeroU8;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::model::change::Lists;
use crate::model::fingerprint::Fingerprint;

/// Items from `key=version` words.
fn items(listing: &str) -> Vec<Item> {
    listing
        .split_whitespace()
        .map(|word| {
            let (key, version) = word.split_once('=').expect("key=version");
            item(key, version)
        })
        .collect()
}

fn item(key: &str, version: &str) -> Item {
    let value = json!({"key": key, "version": version});
    Item { key: key.into(), key_hash: KeyHash::of(key), fingerprint: Fingerprint::of([&value]), record: value.into() }
}

fn everything() -> ChangeRules {
    ChangeRules { events: ChangeKind::ALL.to_vec(), lists: Lists::Everything, ..ChangeRules::default() }
}

/// A store of seen items in memory, and the polls that fill it.
struct History {
    rules: ChangeRules,
    footing: Footing,
    completeness: Completeness,
    now: Timestamp,
    seen: BTreeMap<KeyHash, SeenItem>,
}

impl History {
    fn new(rules: ChangeRules) -> Self {
        Self {
            rules,
            footing: Footing::First,
            completeness: Completeness::Complete,
            now: Timestamp::from_millis(1_795_000_000_123),
            seen: BTreeMap::new(),
        }
    }

    /// A history whose first poll found this.
    fn after(rules: ChangeRules, listing: &str) -> Self {
        let mut history = Self::new(rules);
        history.poll(listing);
        history
    }

    fn detect(&mut self, items: &[Item]) -> Detection {
        self.now = self.now + Duration::from_secs(60);
        let seen: Vec<SeenItem> = self.seen.values().cloned().collect();
        let detection = detect(&self.rules, self.footing, &seen, items, self.completeness, self.now);
        for finding in &detection.findings {
            self.seen.insert(finding.seen.key_hash, finding.seen.clone());
        }
        if self.completeness != Completeness::Partial {
            self.footing = Footing::Usual;
        }
        detection
    }

    /// Polls a listing and returns its changes: `+a=1` created, `*a=1` reappeared, `~a=1` updated, `-a` removed.
    fn poll(&mut self, listing: &str) -> String {
        let items = items(listing);
        let detection = self.detect(&items);
        let mut text = String::new();
        for finding in &detection.findings {
            let Some(change) = finding.change else { continue };
            let subject = finding.item.map_or_else(
                || finding.seen.key.clone().expect("a removed item has its key"),
                |index| {
                    format!(
                        "{}={}",
                        items[index].key,
                        items[index].record.value()["version"].as_str().expect("a version")
                    )
                },
            );
            let sign = match (change.kind, change.reappeared) {
                (ChangeKind::Created, false) => '+',
                (ChangeKind::Created, true) => '*',
                (ChangeKind::Updated, _) => '~',
                (ChangeKind::Removed, _) => '-',
            };
            write!(text, "{sign}{subject} ").expect("a string takes everything");
        }
        text.trim_end().to_owned()
    }

    fn poll_as(&mut self, completeness: Completeness, listing: &str) -> String {
        self.completeness = completeness;
        let changes = self.poll(listing);
        self.completeness = Completeness::Complete;
        changes
    }

    fn poll_on(&mut self, footing: Footing, listing: &str) -> String {
        self.footing = footing;
        self.poll(listing)
    }
}

#[test]
fn the_first_poll_takes_as_seen_what_the_rules_say() {
    let check = |first_poll, listing: &str, expected: &str| {
        let mut history = History::new(ChangeRules { first_poll, ..everything() });
        assert_eq!(history.poll(listing), expected);
        assert_eq!(history.poll(listing), "", "nothing is told twice");
    };
    check(FirstPoll::Baseline, "c=1 a=1 b=1", "");
    check(FirstPoll::Send, "c=1 a=1 b=1", "+c=1 +a=1 +b=1");
    check(FirstPoll::Latest(2), "c=1 a=1 b=1", "+c=1 +a=1");
    check(FirstPoll::Latest(2), "c=1 c=1 b=1 a=1", "+c=1 +b=1");
    check(FirstPoll::Latest(9), "c=1", "+c=1");
    check(FirstPoll::Latest(0), "c=1", "");
    check(FirstPoll::Send, "", "");
}

#[test]
fn an_empty_first_poll_is_a_baseline_too() {
    assert_eq!(History::after(everything(), "").poll("a=1"), "+a=1");
}

#[test]
fn changes_come_in_the_order_of_the_listing_and_removals_last_by_key() {
    let mut history = History::after(everything(), "z=1 y=1 a=1 m=1");
    assert_eq!(history.poll("n=1 m=2 b=1"), "+n=1 ~m=2 +b=1 -a -y -z");
}

#[test]
fn an_order_that_differs_is_no_change() {
    assert_eq!(History::after(everything(), "a=1 b=1 c=1").poll("c=1 a=1 b=1"), "");
}

#[test]
fn a_list_of_recent_items_removes_nothing() {
    let rules = ChangeRules { events: ChangeKind::ALL.to_vec(), ..ChangeRules::default() };
    let mut history = History::after(rules, "a=1 b=1");
    assert_eq!(history.poll("c=1"), "+c=1");
    assert_eq!(history.poll("a=1 c=1"), "");
    assert_eq!(history.poll("a=2 c=1"), "~a=2");
}

#[test]
fn only_a_complete_poll_removes() {
    for completeness in [Completeness::Truncated, Completeness::Partial] {
        let mut history = History::after(everything(), "a=1 b=1");
        assert_eq!(history.poll_as(completeness, "c=1 a=2"), "+c=1 ~a=2", "{completeness:?}");
        assert_eq!(history.poll("c=1 a=2"), "-b");
    }
}

#[test]
fn an_item_is_removed_after_missing_in_so_many_complete_polls_in_a_row() {
    let rules = ChangeRules { removed_after: NonZeroU8::new(3).expect("not zero"), ..everything() };
    let mut history = History::after(rules, "a=1 b=1");
    assert_eq!(history.poll("a=1"), "");
    assert_eq!(history.poll("a=1"), "");
    assert_eq!(history.poll_as(Completeness::Truncated, "a=1"), "", "neither counts nor resets");
    assert_eq!(history.poll("a=1 b=1"), "", "it came back in time");
    assert_eq!(history.poll("a=1"), "");
    assert_eq!(history.poll_as(Completeness::Partial, "b=1"), "", "a partial poll saw it: it is there");
    assert_eq!(history.poll("a=1"), "");
    assert_eq!(history.poll("a=1"), "");
    assert_eq!(history.poll("a=1"), "-b");
    assert_eq!(history.poll("a=1"), "");
    assert_eq!(history.poll("a=1 b=1"), "*b=1");
}

#[test]
fn an_item_that_returns_changed_before_it_is_removed_is_updated() {
    let rules = ChangeRules { removed_after: NonZeroU8::new(2).expect("not zero"), ..everything() };
    let mut history = History::after(rules, "a=1 b=1");
    assert_eq!(history.poll("a=1"), "");
    assert_eq!(history.poll("a=1 b=2"), "~b=2");
}

#[test]
fn a_key_that_comes_twice_counts_once() {
    let mut history = History::after(everything(), "a=1 b=1");
    assert_eq!(history.poll("a=2 b=1 a=1"), "", "the version that is known still shows");
    assert_eq!(history.poll("a=2 b=1 a=3"), "~a=3", "the last one counts");
    assert_eq!(history.poll("c=1 a=3 b=1 c=2"), "+c=2");
    let notes = history.detect(&items("a=3 a=3 b=1 c=2 a=3")).notes;
    assert_eq!(notes, [Note::DuplicateKey { key: "a".to_owned(), count: 3 }]);
}

#[test]
fn unwanted_kinds_are_remembered_but_not_told() {
    let mut history = History::after(ChangeRules { events: vec![ChangeKind::Updated], ..everything() }, "a=1");
    assert_eq!(history.poll("a=1 b=1"), "");
    assert_eq!(history.poll("b=2"), "~b=2");
    assert_eq!(history.poll("a=2 b=2"), "", "the removal of a was remembered, and its return is a creation");
}

#[test]
fn new_rules_for_keys_take_what_is_found_as_seen() {
    let mut history = History::after(everything(), "1=1 2=1");
    assert_eq!(history.poll_on(Footing::Rebaseline, "a=1 b=1 2=2"), "");
    assert_eq!(history.poll("a=1 b=1 2=2"), "", "the old keys are gone silently");
    assert_eq!(history.poll("a=2 b=1 c=1"), "~a=2 +c=1 -2");
}

#[test]
fn new_rules_for_keys_forget_the_old_ones_even_if_the_listing_is_cut() {
    let mut history = History::after(everything(), "1=1 2=1");
    history.footing = Footing::Rebaseline;
    assert_eq!(history.poll_as(Completeness::Truncated, "a=1"), "");
    assert_eq!(history.poll("a=1"), "");
}

#[test]
fn new_rules_for_fingerprints_update_nothing() {
    let mut history = History::after(everything(), "a=1 b=1 c=1");
    assert_eq!(history.poll_on(Footing::Refingerprint, "a=x b=y d=z"), "+d=z -c");
    assert_eq!(history.poll("a=x b=2 d=z"), "~b=2");
}

#[test]
fn a_partial_poll_says_nothing_before_there_is_a_baseline_or_under_new_rules() {
    for footing in [Footing::First, Footing::Rebaseline, Footing::Refingerprint] {
        let mut history = History::after(everything(), "a=1");
        let before = history.seen.clone();
        history.footing = footing;
        assert_eq!(history.poll_as(Completeness::Partial, "a=2 b=1"), "", "{footing:?}");
        assert_eq!(history.seen, before, "{footing:?}");
    }
}

#[test]
fn a_first_poll_that_was_cut_off_by_a_crash_repeats_nothing() {
    let mut history = History::new(ChangeRules { first_poll: FirstPoll::Send, ..everything() });
    assert_eq!(history.poll("a=1 b=1"), "+a=1 +b=1");
    assert_eq!(history.poll_on(Footing::First, "a=1 b=2 c=1"), "~b=2 +c=1");
}

#[test]
fn items_that_left_a_list_of_recent_ones_are_not_removed_when_it_becomes_a_list_of_everything() {
    let mut history = History::after(ChangeRules::default(), "a=1 b=1");
    assert_eq!(history.poll("b=1 c=1"), "+c=1");
    history.rules = everything();
    assert_eq!(history.poll("b=1 c=1"), "");
    assert_eq!(history.poll("c=1"), "-b", "what was seen since has its key");
}

#[test]
fn memory_is_rewritten_only_for_a_reason() {
    let rewritten = |history: &mut History, listing: &str| history.detect(&items(listing)).findings.len();
    let mut history = History::after(ChangeRules::default(), "a=1 b=1");
    assert_eq!(rewritten(&mut history, "a=1 b=1"), 0);
    assert_eq!(rewritten(&mut history, "a=1 b=2"), 1);
    history.rules = everything();
    assert_eq!(rewritten(&mut history, "a=1 b=2"), 2, "their keys' texts are kept from now on");
    assert_eq!(rewritten(&mut history, "a=1 b=2"), 0);
    history.now = history.now + LAST_SEEN_IS_KEPT;
    assert_eq!(rewritten(&mut history, "a=1 b=2"), 2, "last_seen is older than a day");
    for seen in history.seen.values() {
        assert_eq!(seen.last_seen.as_millis() % 1000, 0, "times are whole seconds");
        assert!(seen.first_seen < seen.last_seen);
    }
}

/// What a source does between two polls, and how the poll ends.
#[derive(Debug, Clone)]
struct Step {
    edited: BTreeSet<u8>,
    deleted: BTreeSet<u8>,
    inserted: BTreeSet<u8>,
    order: u64,
    repeated: Vec<u8>,
    listed: usize,
    completeness: Completeness,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let keys = || prop::collection::btree_set(0..12_u8, 0..4);
    let completeness = prop_oneof![
        4 => Just(Completeness::Complete), 1 => Just(Completeness::Truncated), 1 => Just(Completeness::Partial),
    ];
    let step = (keys(), keys(), keys(), any::<u64>(), prop::collection::vec(0..12_u8, 0..3), 0..12_usize, completeness);
    let step = step.prop_map(|(edited, deleted, inserted, order, repeated, listed, completeness)| Step {
        edited,
        deleted,
        inserted,
        order,
        repeated,
        listed,
        completeness,
    });
    prop::collection::vec(step, 1..40)
}

/// What a careful reader of all listings would have told, item by item.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Known {
    version: u32,
    missed: u8,
    removed: bool,
}

proptest! {
    /// Each version of an item is told exactly once, by the first poll that could; nothing is removed without proof.
    #[test]
    fn random_histories_are_told_exactly_once(steps in steps(), removed_after in 1..4_u8) {
        let rules = ChangeRules { removed_after: NonZeroU8::new(removed_after).expect("not zero"), ..everything() };
        let mut history = History::new(rules);
        let mut source: BTreeMap<u8, u32> = BTreeMap::new();
        let mut known: BTreeMap<u8, Known> = BTreeMap::new();
        let mut told: BTreeSet<(u8, u32)> = BTreeSet::new();
        let (mut versions, mut baselined) = (0, false);
        for step in steps {
            for key in step.deleted {
                source.remove(&key);
            }
            for key in step.inserted.iter().filter(|key| !source.contains_key(key)).copied().collect::<Vec<_>>() {
                versions += 1;
                source.insert(key, versions);
            }
            for (_, version) in source.iter_mut().filter(|(key, _)| step.edited.contains(key)) {
                versions += 1;
                *version = versions;
            }
            let mut listing: Vec<(u8, u32)> = source.iter().map(|(&key, &version)| (key, version)).collect();
            fastrand::Rng::with_seed(step.order).shuffle(&mut listing);
            if step.completeness != Completeness::Complete {
                listing.truncate(step.listed);
            }
            for key in step.repeated {
                listing.extend(listing.iter().find(|listed| listed.0 == key).copied());
            }

            let mut expected: BTreeSet<String> = BTreeSet::new();
            if baselined || step.completeness != Completeness::Partial {
                for &(key, version) in &listing {
                    let before = known.insert(key, Known { version, missed: 0, removed: false });
                    match before {
                        None if baselined => expected.insert(format!("+{key}={version}")),
                        Some(before) if before.removed => expected.insert(format!("*{key}={version}")),
                        Some(before) if before.version != version => expected.insert(format!("~{key}={version}")),
                        _ => false,
                    };
                }
                if baselined && step.completeness == Completeness::Complete {
                    for (key, known) in &mut known {
                        if !known.removed && !listing.iter().any(|listed| listed.0 == *key) {
                            known.missed += 1;
                            known.removed = known.missed == removed_after;
                            if known.removed {
                                expected.insert(format!("-{key}"));
                            }
                        }
                    }
                }
                baselined = true;
            }

            let text: Vec<String> = listing.iter().map(|(key, version)| format!("{key}={version}")).collect();
            let changes = history.poll_as(step.completeness, &text.join(" "));
            let changes: Vec<String> = changes.split_whitespace().map(str::to_owned).collect();
            let distinct: BTreeSet<String> = changes.iter().cloned().collect();
            prop_assert_eq!(distinct.len(), changes.len());
            prop_assert_eq!(&distinct, &expected);
            for change in changes.iter().filter(|change| change.starts_with(['+', '~'])) {
                let (key, version) = change[1..].split_once('=').expect("key=version");
                let told_now = (key.parse().expect("a key"), version.parse().expect("a version"));
                prop_assert!(told.insert(told_now), "{change} was told before");
            }
        }
    }
}
