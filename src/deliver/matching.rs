//! Which subscriptions an event goes to.

use std::cell::LazyCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::model::event::{Event, Route};
use crate::model::id::SubscriptionName;
use crate::model::subscription::{Mismatch, Subscription};
use crate::telemetry::SharedTelemetry;

/// All subscriptions, asked of every event.
#[derive(Debug)]
pub struct SubscriptionSet {
    entries: Vec<Entry>,
    telemetry: SharedTelemetry,
}

#[derive(Debug)]
struct Entry {
    subscription: Arc<Subscription>,
    /// A filter that fails on one event tends to fail on all: it is told of once.
    failure_told: AtomicBool,
}

impl SubscriptionSet {
    /// Returns the set of these subscriptions.
    pub fn new(subscriptions: Vec<Arc<Subscription>>, telemetry: SharedTelemetry) -> Self {
        let entries = subscriptions
            .into_iter()
            .map(|subscription| Entry { subscription, failure_told: AtomicBool::new(false) })
            .collect();
        Self { entries, telemetry }
    }

    /// Returns the subscriptions, in the order they were given in.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Subscription>> {
        self.entries.iter().map(|entry| &entry.subscription)
    }

    /// Returns what each subscription says to an event, in the order of the subscriptions.
    pub fn explain(&self, event: &Event) -> Vec<(&SubscriptionName, Result<(), Mismatch>)> {
        // Only a filter looks at the event's JSON form, and all filters look at the same one.
        let json = LazyCell::new(|| serde_json::to_value(event).expect("an event is written without errors"));
        let check = |entry: &Entry| {
            let matching = &entry.subscription.matching;
            matching.check_kind(event)?;
            if matching.filter.is_some() { matching.check_filter(&json) } else { Ok(()) }
        };
        self.entries.iter().map(|entry| (&entry.subscription.name, check(entry))).collect()
    }
}

impl Route for SubscriptionSet {
    fn subscriptions(&self, event: &Event) -> Vec<SubscriptionName> {
        let mut matching = Vec::new();
        for (entry, (name, answer)) in self.entries.iter().zip(self.explain(event)) {
            match answer {
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
}
