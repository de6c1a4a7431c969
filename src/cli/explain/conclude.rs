//! Facts → the one sentence that answers the question. A pure function.

use serde::Serialize;

use super::facts::{EventFacts, Facts, MatchedEvent, Memory, Service, Source};
use super::words::{attempt_number, joined, last_outcome, says};
use crate::cli::status::time;
use crate::model::change::ChangeKind;
use crate::model::delivery::DeathReason;
use crate::model::id::{ConnectorName, SubscriptionName};
use crate::model::item::SetAsideReason;
use crate::server::wire::{DeliveryDetail, MatchVerdict, PresenceName};
use crate::store::DeliveryStateName;

/// Why an item was or was not sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Conclusion {
    pub case: Case,
    pub sentence: String,
}

/// Which of the possible answers it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Case {
    Held,
    AwaitingDetail,
    Filtered,
    /// The next poll will find something.
    Pending,
    /// It changed in a way that becomes no event.
    KindNotWanted,
    Missing,
    NobodyWants,
    Dead,
    Waiting,
    Sent,
    /// Its event is kept, its deliveries are not.
    NoDeliveryKept,
    Baseline,
    OtherRules,
    /// It was seen, and no event of it is kept.
    NoEventKept,
    /// Nothing is known of it.
    Unknown,
    /// The service was not asked.
    OnlyLooked,
    /// Neither the service nor the source was asked.
    NothingKnown,
}

/// Returns what the facts come to.
pub fn conclude(facts: &Facts) -> Conclusion {
    let answers = [set_aside, filtered, news, missing, last_event, without_event, unknown];
    let (case, sentence) = answers.iter().find_map(|answer| answer(facts)).unwrap_or_else(|| only_looked(facts));
    Conclusion { case, sentence }
}

type Answer = Option<(Case, String)>;

fn set_aside(facts: &Facts) -> Answer {
    let memory = facts.memory.as_ref()?;
    let change = memory.item.set_aside.as_ref()?;
    let (name, kind, since) = (&facts.connector, change.kind, time(Some(change.since)));
    Some(match change.why {
        SetAsideReason::Held => {
            let cause = memory.connector.hold.as_ref().map(|hold| format!(": {}", hold.cause)).unwrap_or_default();
            let sentence = format!(
                "It is held since {since} ({kind}){cause}; `pollhook approve {name}` sends what is held, `pollhook drop \
                 {name}` forgets it."
            );
            (Case::Held, sentence)
        }
        SetAsideReason::Detail => {
            let sentence = format!(
                "It waits for its detail since {since} ({kind}), which could not be had; each poll asks \
                 again, and `pollhook status {name}` says what is wrong."
            );
            (Case::AwaitingDetail, sentence)
        }
    })
}

fn filtered(facts: &Facts) -> Answer {
    let Source::Filtered { filter, error, .. } = &facts.source else { return None };
    let how = match error {
        Some(error) => format!("`item.filter` ({filter}) fails on it: {error}"),
        None => format!("`item.filter` ({filter}) leaves it out"),
    };
    let before = match last_event(facts) {
        Some((_, sentence)) => format!(" Before that: {}", lower_first(&sentence)),
        None => String::new(),
    };
    Some((Case::Filtered, format!("It is in the source, and {how}, so it is not looked at.{before}")))
}

/// Something is in the source that the next poll is going to find.
fn news(facts: &Facts) -> Answer {
    if !matches!(facts.source, Source::Listed { .. }) {
        return None;
    }
    let memory = facts.memory.as_ref()?;
    let same_rules = memory.rules_that_differ.is_empty();
    let (kind, what) = match &memory.item.seen {
        None if memory.connector.is_baselined => (ChangeKind::Created, "It is new in the source"),
        None => {
            let (name, failing) = (&facts.connector, failing(memory));
            let sentence = format!("It is in the source, which no poll of {name} has read yet.{failing}");
            return Some((Case::Pending, sentence));
        }
        Some(seen) if seen.presence == PresenceName::Removed => {
            (ChangeKind::Created, "It was removed and is back in the source")
        }
        Some(seen) if same_rules && !seen.is_of_older_rules && facts.fingerprint_now != Some(seen.fingerprint) => {
            (ChangeKind::Updated, "It has changed in the source since it was last seen")
        }
        Some(_) => return None,
    };
    if !facts.rules.events.contains(&kind) {
        let sentence =
            format!("{what}, but `changes.events` of {} leaves out {kind}, so nothing is sent of it.", facts.connector);
        return Some((Case::KindNotWanted, sentence));
    }
    let at = memory.next_poll.map(|next| format!(", at {},", time(Some(next.at)))).unwrap_or_default();
    let made = match facts.matching.as_ref().filter(|matching| matching.of == MatchedEvent::Next) {
        None => ".".to_owned(),
        Some(matching) => match willing(facts).as_slice() {
            [] => format!(". No subscription wants {}: {}.", matching.event_type, objections(facts)),
            names => format!(" and makes {} of it, for {}.", matching.event_type, joined(names)),
        },
    };
    Some((Case::Pending, format!("{what}; the next poll{at} finds that{made}{}", failing(memory))))
}

/// Says why the next poll may come to nothing.
fn failing(memory: &Memory) -> String {
    let failing = memory.failing.as_ref();
    failing.map(|one| format!(" But polls fail since {}: {}", time(one.since), one.error)).unwrap_or_default()
}

fn missing(facts: &Facts) -> Answer {
    let seen = facts.memory.as_ref()?.item.seen.as_ref()?;
    if seen.presence != PresenceName::Missing || matches!(facts.source, Source::Listed { .. }) {
        return None;
    }
    let polls = if seen.missed == 1 { "the last poll".to_owned() } else { format!("the last {} polls", seen.missed) };
    let sentence = format!(
        "It was missing in {polls}, and counts as removed when enough polls in a row have missed it \
         (`changes.removed_after`; two at least where there are several pages)."
    );
    Some((Case::Missing, sentence))
}

fn last_event(facts: &Facts) -> Answer {
    let last = facts.events.first()?;
    if last.subscriptions.is_empty() {
        return Some((Case::NobodyWants, nobody_wanted(facts, last)));
    }
    let of = |state| last.deliveries.iter().filter(move |one| one.delivery.state == state);
    let dead: Vec<String> = of(DeliveryStateName::Dead).map(dead_letter).collect();
    let waiting: Vec<String> = of(DeliveryStateName::Pending).map(|one| waits(facts, one)).collect();
    let sent: Vec<String> = of(DeliveryStateName::Delivered)
        .map(|one| format!("was sent to {} on {}", one.delivery.subscription, time(one.delivery.settled_at)))
        .collect();
    let case = match (dead.is_empty(), waiting.is_empty(), sent.is_empty()) {
        (false, ..) => Case::Dead,
        (true, false, _) => Case::Waiting,
        (true, true, false) => Case::Sent,
        (true, true, true) => Case::NoDeliveryKept,
    };
    let event = format!("{} of {}", last.event.event_type, time(Some(last.event.time)));
    if case == Case::NoDeliveryKept {
        let names = joined(&last.subscriptions);
        return Some((
            case,
            format!("Its last event, {event}, went to {names}; what became of that is no longer kept."),
        ));
    }
    let parts = [dead, waiting, sent].concat().join("; it ");
    Some((case, format!("It {parts} ({event}).")))
}

fn dead_letter(one: &DeliveryDetail) -> String {
    let delivery = &one.delivery;
    let reason = delivery.reason.map_or("dead", DeathReason::as_str);
    let outcome = last_outcome(one).map(|outcome| format!(", {outcome}")).unwrap_or_default();
    format!(
        "is a dead letter of {} since {} ({reason}{outcome}): `pollhook replay {}` sends it again",
        delivery.subscription,
        time(delivery.settled_at),
        delivery.id,
    )
}

fn waits(facts: &Facts, one: &DeliveryDetail) -> String {
    let name = &one.delivery.subscription;
    let said =
        facts.matching.iter().flat_map(|matching| &matching.subscriptions).find(|view| view.subscription == *name);
    if let Some(disabled) = said.and_then(|view| view.disabled.as_ref()) {
        let (at, reason) = (time(Some(disabled.at)), &disabled.reason);
        return format!(
            "waits for {name}, which is disabled since {at} ({reason}): `pollhook subscriptions enable {name}` sends it"
        );
    }
    if said.is_none() && facts.matching.as_ref().is_some_and(|matching| matching.left_out == 0) {
        return format!("waits for {name}, which is no subscription any more");
    }
    let number = attempt_number(one.delivery.attempts + 1);
    let after = last_outcome(one).map(|outcome| format!(" (the last one: {outcome})")).unwrap_or_default();
    format!("is waiting for its {number} attempt to {name} at {}{after}", time(one.delivery.due))
}

fn nobody_wanted(facts: &Facts, last: &EventFacts) -> String {
    let (event, at) = (&last.event.event_type, time(Some(last.event.time)));
    let names = willing(facts);
    let is_of_last = facts.matching.as_ref().is_some_and(|matching| matching.of == MatchedEvent::Last);
    match names.first().filter(|_| is_of_last) {
        Some(name) => {
            let (connector, from) = (&last.event.connector, last.event.time);
            format!(
                "No subscription wanted it when it was found ({event} of {at}); {} would now: `pollhook replay --to {name} \
                 --connector {connector} --from {from}` sends what was found since.",
                joined(&names),
            )
        }
        None => format!("No subscription wants it ({event} of {at}): {}.", objections(facts)),
    }
}

/// Returns those that want the event that was asked about.
fn willing(facts: &Facts) -> Vec<SubscriptionName> {
    let views = facts.matching.iter().flat_map(|matching| &matching.subscriptions);
    views.filter(|view| view.verdict == MatchVerdict::Matches).map(|view| view.subscription.clone()).collect()
}

/// The most subscriptions whose reasons the sentence gives.
const MOST_REASONS: usize = 3;

fn objections(facts: &Facts) -> String {
    let views: Vec<_> = facts.matching.iter().flat_map(|matching| &matching.subscriptions).collect();
    if views.is_empty() {
        return "there is no subscription".to_owned();
    }
    let mut reasons: Vec<String> =
        views.iter().take(MOST_REASONS).map(|view| format!("{} {}", view.subscription, says(view))).collect();
    let left =
        views.len().saturating_sub(MOST_REASONS) + facts.matching.as_ref().map_or(0, |matching| matching.left_out);
    if left > 0 {
        let do_not = if left == 1 { "does not" } else { "do not" };
        reasons.push(format!("{left} more {do_not} want it either"));
    }
    reasons.join("; ")
}

/// The item was seen, and there is no event of it.
fn without_event(facts: &Facts) -> Answer {
    let memory = facts.memory.as_ref()?;
    let seen = memory.item.seen.as_ref()?;
    let first = time(Some(seen.first_seen_at));
    if let Some(baseline) = memory.connector.baseline.filter(|baseline| baseline.covers(seen.first_seen_at)) {
        let poll = if baseline.is_first { "the first poll" } else { "the poll" };
        let why = if baseline.is_first {
            "which takes what is there as the baseline (`changes.first_poll`)"
        } else {
            "which took what it found as seen, because the rules for keys were edited or `pollhook baseline` asked for it"
        };
        return Some((Case::Baseline, format!("It was seen at {poll}, on {first}, {why}, so no event was made.")));
    }
    if seen.is_of_older_rules {
        let sentence = format!(
            "It was seen since {first}, last under other rules for fingerprints: the next poll that finds it takes its new \
             fingerprint without an event."
        );
        return Some((Case::OtherRules, sentence));
    }
    if !facts.rules.events.contains(&ChangeKind::Created) {
        let name = &facts.connector;
        let sentence = format!(
            "It was first seen on {first}, and `changes.events` of {name} leaves out created, so no event was made."
        );
        return Some((Case::KindNotWanted, sentence));
    }
    let cut = if facts.events_are_cut { ", as far as was looked" } else { "" };
    let sentence = format!(
        "It was first seen on {first}, and no event of it is kept{cut}: it was taken as seen, or its event is older than \
         what is kept."
    );
    Some((Case::NoEventKept, sentence))
}

/// The service answers, and knows nothing of the item.
fn unknown(facts: &Facts) -> Answer {
    facts.memory.as_ref()?;
    let name = &facts.connector;
    let sentence = match &facts.source {
        Source::NotListed { unless: None, items: 0, .. } => {
            format!("It is unknown, and the source lists no items at all; `pollhook try {name}` says why.")
        }
        Source::NotListed { unless, examples, .. } => {
            let (unless, like) = (unless_said(unless.as_deref()), keys_like(name, examples));
            format!("It is not in the source{unless}, and no poll has seen it. Is the key right?{like}")
        }
        Source::OnFailedPage { page, problem } => {
            format!("It is on page {page} of the source, of which nothing counts until this is well: {problem}")
        }
        Source::Failed { .. } => "No poll has seen it, and the source could not be asked whether it has it.".to_owned(),
        _ => "No poll has seen it; without --no-look the source is asked whether it has it.".to_owned(),
    };
    Some((Case::Unknown, sentence))
}

fn unless_said(unless: Option<&str>) -> String {
    unless.map(|unless| format!(", unless {unless}")).unwrap_or_default()
}

/// Returns what keys of a connector look like, for whoever may have misspelt one.
fn keys_like(connector: &ConnectorName, examples: &[String]) -> String {
    if examples.is_empty() { String::new() } else { format!(" Keys of {connector} look like {}.", joined(examples)) }
}

/// The service was not asked.
fn only_looked(facts: &Facts) -> (Case, String) {
    let name = &facts.connector;
    let silent = if matches!(facts.service, Service::Silent { .. }) {
        "The service does not answer, so what it knows is not told"
    } else {
        ""
    };
    let sentence = match &facts.source {
        Source::Listed { .. } => match willing(facts).as_slice() {
            [] => format!(
                "It is in the source. {silent}; of the configured subscriptions none wants it as new: {}.",
                objections(facts)
            ),
            names => format!("It is in the source. {silent}; if it is new, it goes to {}.", joined(names)),
        },
        Source::NotListed { unless, examples, .. } => {
            let (unless, like) = (unless_said(unless.as_deref()), keys_like(name, examples));
            format!("It is not in the source{unless}. {silent}.{like}")
        }
        Source::OnFailedPage { page, problem } => {
            format!("It is on page {page} of the source, of which nothing counts until this is well: {problem}")
        }
        Source::Failed { .. } | Source::NotAsked { .. } | Source::Filtered { .. } => {
            return (
                Case::NothingKnown,
                "Nothing is known of it: neither the service nor the source was there to be asked.".to_owned(),
            );
        }
    };
    (Case::OnlyLooked, sentence)
}

fn lower_first(sentence: &str) -> String {
    let mut characters = sentence.chars();
    characters.next().map(|first| first.to_lowercase().chain(characters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
