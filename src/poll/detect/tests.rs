use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::num::NonZeroU8;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::model::change::Lists;
use crate::model::fingerprint::{Fingerprint, KeyHash};
use crate::poll::compare::{Comparison, Duplicate, Finding, PageIs};

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
    ChangeRules {
        events: ChangeKind::ALL.to_vec(),
        lists: Lists::Everything,
        empty: EmptyRule::Ok,
        ..ChangeRules::default()
    }
}

/// A store of seen items in memory, and the polls that fill it.
struct History {
    rules: ChangeRules,
    footing: Footing,
    epoch: u8,
    completeness: Completeness,
    /// How many items a page has.
    page: usize,
    now: Timestamp,
    seen: BTreeMap<KeyHash, SeenItem>,
}

impl History {
    fn new(rules: ChangeRules) -> Self {
        Self {
            rules,
            footing: Footing::First,
            epoch: 0,
            completeness: Completeness::Complete,
            page: usize::MAX,
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

    fn compare(&mut self, items: &[Item]) -> Comparison {
        self.now = self.now + Duration::from_secs(60);
        let detector = Detector::new(self.rules.clone(), self.footing, self.epoch, self.now);
        let mut comparison = Comparison::new(detector);
        for page in items.chunks(self.page) {
            let asked = comparison.asks_for(page);
            let seen: Vec<SeenItem> = asked.iter().filter_map(|hash| self.seen.get(hash)).cloned().collect();
            comparison.take(page.to_vec(), &seen, None);
        }
        comparison
    }

    fn detect(&mut self, items: &[Item]) -> Vec<Finding> {
        let mut comparison = self.compare(items);
        let detector = Detector::new(self.rules.clone(), self.footing, self.epoch, self.now);
        if !detector.believes(self.completeness) {
            return Vec::new();
        }
        let mut findings = comparison.decide();
        let listing = Listing {
            completeness: self.completeness,
            is_full: true,
            pages: items.len().div_ceil(self.page).max(1),
            is_empty: items.is_empty(),
        };
        if let Some(needed) = detector.believes_missing(listing) {
            let seen: Vec<SeenItem> = self.seen.values().cloned().collect();
            findings.extend(comparison.missing(&seen, needed));
        }
        for finding in &findings {
            self.seen.insert(finding.seen.key_hash, finding.seen.clone());
        }
        if self.completeness != Completeness::Partial {
            self.footing = Footing::Usual;
        }
        findings
    }

    /// Polls a listing and returns its changes: `+a=1` created, `*a=1` reappeared, `~a=1` updated, `-a` removed.
    fn poll(&mut self, listing: &str) -> String {
        let mut text = String::new();
        for finding in self.detect(&items(listing)) {
            let Some(change) = finding.change else { continue };
            let subject = match &finding.item {
                Some(item) => {
                    format!("{}={}", item.key, item.record.value()["version"].as_str().expect("a version"))
                }
                None => finding.seen.key.expect("a removed item has its key"),
            };
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
    check(FirstPoll::Latest(2), "c=1 b=1 c=2 a=1", "+c=2 +b=1");
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
    let comparison = history.compare(&items("a=3 a=3 b=1 c=2 a=3"));
    assert_eq!(comparison.duplicates(), [Duplicate { key: "a".to_owned(), count: 3 }]);
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
    history.epoch += 1;
    assert_eq!(history.poll("a=x b=1 d=z"), "+d=z -c");
    assert_eq!(history.poll("a=x b=2 d=z"), "~b=2");
    history.epoch += 1;
    assert_eq!(history.poll_as(Completeness::Partial, "a=y"), "", "each item is by itself");
    assert_eq!(history.poll("a=z b=3 c=1 d=z"), "~a=z *c=1");
    assert_eq!(history.poll("a=z b=4 c=1 d=z"), "~b=4");
}

#[test]
fn a_partial_poll_says_nothing_before_there_is_a_baseline_or_under_new_rules() {
    for footing in [Footing::First, Footing::Rebaseline] {
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
    let rewritten = |history: &mut History, listing: &str| history.detect(&items(listing)).len();
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

#[test]
fn one_poll_of_several_pages_or_of_nothing_does_not_prove_a_removal() {
    let mut history = History::after(everything(), "a=1 b=1 c=1");
    history.page = 1;
    assert_eq!(history.poll("a=1 b=1"), "");
    assert_eq!(history.poll("a=1 b=1"), "-c");
    history.page = 3;
    assert_eq!(history.poll("a=1"), "-b", "a page that is all there is");

    let mut history = History::after(ChangeRules { empty: EmptyRule::Suspicious, ..everything() }, "a=1 b=1");
    assert_eq!(history.poll(""), "");
    assert_eq!(history.poll(""), "");
    assert_eq!(history.poll("a=1 b=1"), "", "it was a flap");
    assert_eq!(history.poll(""), "");
    assert_eq!(history.poll(""), "");
    assert_eq!(history.poll(""), "-a -b");
}

#[test]
fn what_is_known_on_a_page_is_also_known_on_a_later_one() {
    let mut history = History::after(everything(), "a=1 b=1 c=1");
    history.page = 2;
    assert_eq!(history.poll("a=2 b=1 a=1 c=1"), "", "the version that is known still shows");
    assert_eq!(history.poll("a=1 b=1 a=2 c=1"), "");
    assert_eq!(history.poll("d=1 b=1 d=2 a=2 c=1"), "+d=2 ~a=2");
}

#[test]
fn a_page_is_known_if_all_of_it_was_there_when_the_source_was_last_read_through() {
    let mut history = History::after(ChangeRules::default(), "a=1 b=1");
    let read_through = history.now;
    history.poll("c=1 a=1");
    let check = |listing: &str, read_through_at: Option<Timestamp>, epoch: u8, expected: PageIs| {
        let detector = Detector::new(history.rules.clone(), Footing::Usual, epoch, history.now);
        let mut comparison = Comparison::new(detector);
        let seen: Vec<SeenItem> = history.seen.values().cloned().collect();
        assert_eq!(comparison.take(items(listing), &seen, read_through_at), expected, "{listing}");
    };
    check("a=1 b=1", Some(read_through), 0, PageIs::Known);
    check("a=1 b=2", Some(read_through), 0, PageIs::New);
    check("a=1 c=1", Some(read_through), 0, PageIs::New);
    check("a=1 c=1", Some(history.now), 0, PageIs::Known);
    check("a=1 d=1", Some(history.now), 0, PageIs::New);
    check("a=1", None, 0, PageIs::New);
    check("a=1", Some(read_through), 1, PageIs::New);
    check("", Some(read_through), 0, PageIs::New);
}

#[test]
fn what_is_decided_ahead_is_not_decided_again() {
    let mut history = History::after(everything(), "a=1 b=1");
    history.now = history.now + Duration::from_secs(60);
    let mut comparison = Comparison::new(Detector::new(everything(), Footing::Usual, 0, history.now));
    let seen: Vec<SeenItem> = history.seen.values().cloned().collect();
    comparison.take(items("a=2 b=1 c=1"), &seen, None);
    assert!(comparison.bytes() > 0);
    assert_eq!(comparison.decide().len(), 2);
    assert_eq!(comparison.bytes(), 0);
    assert_eq!(comparison.asks_for(&items("a=1 c=2 d=1")), [KeyHash::of("d")]);
    comparison.take(items("a=1 c=2 d=1"), &[], None);
    let keys: Vec<_> = comparison.decide().into_iter().filter_map(|finding| finding.seen.key).collect();
    assert_eq!(keys, ["d"]);
    assert_eq!((comparison.items, comparison.known, comparison.unknown), (6, 2, 2));
    assert_eq!(comparison.missing(&seen, 1).len(), 0);
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
    page: usize,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let keys = || prop::collection::btree_set(0..12_u8, 0..4);
    let completeness = prop_oneof![
        4 => Just(Completeness::Complete), 1 => Just(Completeness::Truncated), 1 => Just(Completeness::Partial),
    ];
    let step = (
        keys(),
        keys(),
        keys(),
        any::<u64>(),
        prop::collection::vec(0..12_u8, 0..3),
        0..12_usize,
        completeness,
        1..6_usize,
    );
    let step = step.prop_map(|(edited, deleted, inserted, order, repeated, listed, completeness, page)| Step {
        edited,
        deleted,
        inserted,
        order,
        repeated,
        listed,
        completeness,
        page,
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

            history.page = step.page;
            let pages = listing.len().div_ceil(step.page);
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
                            let needed = if pages > 1 { removed_after.max(2) } else { removed_after };
                            known.removed = known.missed >= needed;
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
