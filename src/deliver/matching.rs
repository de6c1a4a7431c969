//! Which subscriptions an event goes to.

use std::cell::LazyCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::event::{Event, EventType, Route};
use crate::model::id::{ConnectorName, SubscriptionName};
use crate::model::subscription::{Mismatch, Subscription};
use crate::telemetry::SharedTelemetry;

/// All subscriptions, asked of every event. A set never changes; another one takes its place.
#[derive(Debug)]
pub struct SubscriptionSet {
    entries: Vec<Arc<Entry>>,
    by_name: HashMap<SubscriptionName, usize>,
    interested: Mutex<Interested>,
    telemetry: SharedTelemetry,
}

#[derive(Debug)]
struct Entry {
    subscription: Arc<Subscription>,
    /// A filter that fails on one event tends to fail on all: it is told of once.
    failure_told: AtomicBool,
}

/// Which entries want the events of a connector that have a type, found out when there is the first such event.
/// Patterns look at nothing else of an event, so most events cost no pattern at all.
#[derive(Debug, Default)]
struct Interested {
    by_kind: HashMap<(ConnectorName, EventType), Arc<[usize]>>,
    /// How many entries that holds in all.
    held: usize,
}

/// The most that is remembered of who is interested. Beyond that it is found out anew.
const MOST_HELD: usize = 1 << 20;

impl SubscriptionSet {
    /// Returns the set of these subscriptions, whose names differ.
    pub fn new(subscriptions: Vec<Arc<Subscription>>, telemetry: SharedTelemetry) -> Self {
        Self::of(subscriptions, None, telemetry)
    }

    /// Returns the set that takes this one's place. What was told of a subscription that stays is not told again.
    pub fn replaced_by(&self, subscriptions: Vec<Arc<Subscription>>) -> Self {
        Self::of(subscriptions, Some(self), Arc::clone(&self.telemetry))
    }

    fn of(subscriptions: Vec<Arc<Subscription>>, before: Option<&Self>, telemetry: SharedTelemetry) -> Self {
        let entry = |subscription: Arc<Subscription>| {
            let entry = before.and_then(|before| before.entry(&subscription.name));
            match entry.filter(|entry| Arc::ptr_eq(&entry.subscription, &subscription)) {
                Some(entry) => Arc::clone(entry),
                None => Arc::new(Entry { subscription, failure_told: AtomicBool::new(false) }),
            }
        };
        let entries: Vec<Arc<Entry>> = subscriptions.into_iter().map(entry).collect();
        let names = entries.iter().map(|entry| entry.subscription.name.clone());
        let by_name = names.enumerate().map(|(index, name)| (name, index)).collect();
        Self { entries, by_name, interested: Mutex::default(), telemetry }
    }

    /// Returns the subscriptions, in the order they were given in.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Subscription>> {
        self.entries.iter().map(|entry| &entry.subscription)
    }

    /// Returns the subscription with this name.
    pub fn get(&self, name: &SubscriptionName) -> Option<&Arc<Subscription>> {
        self.entry(name).map(|entry| &entry.subscription)
    }

    /// Returns what each subscription says to an event, in the order of the subscriptions: those that say nothing against
    /// it are those that it is routed to.
    pub fn explain(&self, event: &Event) -> Vec<(&Arc<Subscription>, Result<(), Mismatch>)> {
        let json = json_of(event);
        let check = |entry: &Entry| {
            entry.subscription.matching.check_kind(event)?;
            entry.check_filter(&json)
        };
        self.entries.iter().map(|entry| (&entry.subscription, check(entry))).collect()
    }

    fn entry(&self, name: &SubscriptionName) -> Option<&Arc<Entry>> {
        self.by_name.get(name).and_then(|index| self.entries.get(*index))
    }

    /// Returns the numbers of the entries whose patterns match an event.
    fn interested(&self, event: &Event) -> Arc<[usize]> {
        // What is remembered is whole at every step, so a panic elsewhere does not spoil it.
        let lock = || self.interested.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = (event.connector.clone(), event.event_type.clone());
        if let Some(found) = lock().by_kind.get(&kind) {
            return Arc::clone(found);
        }
        let wants = |(_, entry): &(usize, &Arc<Entry>)| entry.subscription.matching.check_kind(event).is_ok();
        let found: Arc<[usize]> = self.entries.iter().enumerate().filter(wants).map(|(index, _)| index).collect();
        lock().remember(kind, &found);
        found
    }
}

impl Entry {
    fn check_filter(&self, json: &impl std::ops::Deref<Target = serde_json::Value>) -> Result<(), Mismatch> {
        let matching = &self.subscription.matching;
        if matching.filter.is_some() { matching.check_filter(json) } else { Ok(()) }
    }
}

impl Interested {
    fn remember(&mut self, kind: (ConnectorName, EventType), found: &Arc<[usize]>) {
        let size = 1 + found.len();
        if self.held + size > MOST_HELD {
            *self = Self::default();
        }
        if self.by_kind.insert(kind, Arc::clone(found)).is_none() {
            self.held += size;
        }
    }
}

/// Returns the event's JSON form, made when the first filter asks for it: all filters look at the same one.
fn json_of(event: &Event) -> LazyCell<serde_json::Value, impl FnOnce() -> serde_json::Value + '_> {
    LazyCell::new(move || serde_json::to_value(event).expect("an event is written without errors"))
}

impl Route for SubscriptionSet {
    fn subscriptions(&self, event: &Event) -> Vec<SubscriptionName> {
        let json = json_of(event);
        let mut matching = Vec::new();
        for index in &*self.interested(event) {
            let entry = &self.entries[*index];
            let name = &entry.subscription.name;
            match entry.check_filter(&json) {
                Ok(()) => matching.push(name.clone()),
                Err(Mismatch::FilterFailed(error)) => {
                    let first = !entry.failure_told.swap(true, Ordering::Relaxed);
                    self.telemetry.deliver.filter_failed(name, event.id, &error, first);
                }
                Err(Mismatch::Connector | Mismatch::EventType | Mismatch::Filter) => {}
            }
        }
        matching
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;
    use proptest::sample::select;
    use serde_json::json;

    use super::*;
    use crate::deliver::fixture;
    use crate::model::expression::Expression;
    use crate::model::pattern::Pattern;
    use crate::model::subscription::Matching;
    use crate::telemetry::Telemetry;

    /// Name, connectors, events and filter of a subscription.
    type Wanted<'a> = (&'a str, &'a [&'a str], &'a [&'a str], Option<&'a str>);

    fn set(subscriptions: &[Wanted<'_>]) -> SubscriptionSet {
        let patterns = |texts: &[&str]| texts.iter().map(|text| Pattern::new(text)).collect();
        let subscriptions = subscriptions.iter().map(|(name, connectors, events, filter)| {
            let mut subscription = fixture::subscription(name, "http://localhost/");
            subscription.matching = Matching {
                connectors: patterns(connectors),
                events: patterns(events),
                filter: filter.map(|source| Expression::parse(source).expect("an expression")),
            };
            Arc::new(subscription)
        });
        SubscriptionSet::new(subscriptions.collect(), Telemetry::shared())
    }

    #[track_caller]
    fn check(set: &SubscriptionSet, event: &Event, expected: &[&str]) {
        let names = set.subscriptions(event);
        assert_eq!(names.iter().map(SubscriptionName::as_str).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn connectors_and_types_decide() {
        let set = set(&[
            ("all", &[], &[], None),
            ("globbed", &["gh-*"], &["created", "*.removed"], None),
            ("stars", &["*"], &[], None),
            ("own", &["pollhook"], &[], None),
        ]);
        check(&set, &fixture::event("orders", "updated", &json!(1)), &["all", "stars"]);
        check(&set, &fixture::event("orders", "updated", &json!(2)), &["all", "stars"]);
        check(&set, &fixture::event("gh-rust", "created", &json!(1)), &["all", "globbed", "stars"]);
        check(&set, &fixture::event("gh-rust", "removed", &json!(1)), &["all", "globbed", "stars"]);
        check(&set, &fixture::event("gh-rust", "updated", &json!(1)), &["all", "stars"]);
        check(&set, &fixture::event("pollhook", "delivery.dead", &json!(1)), &["own"]);
    }

    #[test]
    fn filters_see_the_whole_event_and_one_that_fails_matches_nothing() {
        let set = set(&[
            ("dear", &[], &[], Some(".data.total > 100")),
            ("keyed", &[], &[], Some(r#".key == "k" and .type == "orders.created""#)),
            ("failing", &[], &[], Some(".data.total | error")),
        ]);
        check(&set, &fixture::event("orders", "created", &json!({"total": 101})), &["dear", "keyed"]);
        check(&set, &fixture::event("orders", "created", &json!({"total": 99})), &["keyed"]);
        let metrics = set.telemetry.metrics();
        assert!(metrics.contains(r#"pollhook_filter_failures_total{subscription="failing"} 2"#), "{metrics}");
    }

    #[test]
    fn what_is_explained_is_what_happens_also_when_all_that_was_remembered_is_forgotten() {
        let set = set(&[
            ("all", &[], &[], None),
            ("created", &["o*", "pollhook"], &["created"], Some(".data > 1")),
            ("test", &["pollhook"], &["test"], None),
        ]);
        for round in 0..3 {
            for (connector, action) in [("orders", "created"), ("orders", "removed"), ("pollhook", "test"), ("x", "y")]
            {
                let event = fixture::event(connector, action, &json!(round));
                let explained = set.explain(&event).into_iter().filter(|(_, answer)| answer.is_ok());
                let explained: Vec<_> = explained.map(|(subscription, _)| subscription.name.clone()).collect();
                assert_eq!(set.subscriptions(&event), explained, "{connector}.{action}");
            }
            set.interested.lock().unwrap_or_else(PoisonError::into_inner).held = MOST_HELD;
        }
        assert!(set.interested.lock().unwrap_or_else(PoisonError::into_inner).by_kind.len() <= 4);
    }

    proptest! {
        #[test]
        fn whoever_says_nothing_against_an_event_gets_it_and_nobody_else(
            wanted in vec((
                vec(select(&["*", "a", "b*", "*c", "pollhook"][..]), 0..3),
                vec(select(&["*", "created", "*.removed", "a.updated", "bc.*"][..]), 0..3),
                option::of(select(&[".data > 1", ".key == \"k\"", ".data | error", ".previous", "true"][..])),
            ), 0..12),
            events in vec((
                select(&["a", "b", "bc", "pollhook"][..]),
                select(&["created", "updated", "removed"][..]),
                0..4,
            ), 1..6),
        ) {
            let names: Vec<String> = (0..wanted.len()).map(|number| format!("s{number}")).collect();
            let wanted: Vec<Wanted<'_>> = names.iter().zip(&wanted)
                .map(|(name, (connectors, events, filter))| (name.as_str(), &connectors[..], &events[..], *filter))
                .collect();
            let set = set(&wanted);
            for (connector, action, data) in events {
                let event = fixture::event(connector, action, &json!(data));
                let explained = set.explain(&event);
                prop_assert_eq!(explained.len(), names.len());
                let willing = explained.iter().filter(|(_, answer)| answer.is_ok());
                let willing: Vec<_> = willing.map(|(subscription, _)| subscription.name.clone()).collect();
                prop_assert_eq!(set.subscriptions(&event), willing);
            }
        }
    }

    #[test]
    fn a_failing_filter_that_stays_is_told_of_once() {
        let before = set(&[("failing", &[], &[], Some("error"))]);
        before.subscriptions(&fixture::event("orders", "created", &json!(1)));
        let stays: Vec<_> = before.all().cloned().collect();
        let after = before.replaced_by(stays);
        let told = |set: &SubscriptionSet| set.entries[0].failure_told.load(Ordering::Relaxed);
        assert!(told(&before) && told(&after));
        let mut subscription = fixture::subscription("failing", "http://localhost/");
        subscription.matching.filter = Some(Expression::parse("error").expect("an expression"));
        assert!(!told(&after.replaced_by(vec![Arc::new(subscription)])));
    }
}
