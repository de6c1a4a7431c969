//! The stages of an explanation, for people.

use serde_json::Value;

use super::conclude::Conclusion;
use super::facts::{Comparison, Earlier, EventFacts, Facts, MatchedEvent, Matching, Memory, Service, Source};
use super::words::{joined, says};
use crate::cli::check::counted;
use crate::cli::failure::Failure;
use crate::cli::output::{Colour, Output, beginning};
use crate::cli::status::time;
use crate::model::delivery::Attempt;
use crate::model::item::SetAsideReason;
use crate::server::wire::{DeliveryDetail, MatchVerdict, MatchView, PresenceName};
use crate::store::DeliveryStateName;

/// The column in which what stands behind labels begins.
const INDENT: usize = 15;

/// How much of a value is shown, in characters.
const LONGEST_VALUE: usize = 60;

/// The most subscriptions that are shown.
const MOST_SUBSCRIPTIONS: usize = 20;

/// By how much a subscription's further lines are indented, at most.
const WIDEST_HEAD: usize = 20;

/// The most attempts of a delivery that are shown: the last ones.
const MOST_ATTEMPTS: usize = 5;

/// Prints each stage, and then what they come to.
pub fn print(facts: &Facts, conclusion: &Conclusion, output: &mut Output) -> Result<(), Failure> {
    let mut stages = Stages { output };
    stages.stage("item", [format!("{} of {}", shown(&facts.key), facts.connector)])?;
    stages.notes(facts)?;
    stages.source(facts)?;
    if let Some(memory) = &facts.memory {
        stages.seen(memory, facts)?;
        stages.held(memory)?;
    }
    if let Some(comparison) = &facts.comparison {
        stages.differences(comparison)?;
    }
    if let Some(matching) = &facts.matching {
        stages.matching(matching)?;
    }
    stages.events(facts)?;
    output.line("")?;
    let sentence = output.paint(Colour::Bold, &conclusion.sentence);
    output.paragraph(&sentence, 0)
}

struct Stages<'a> {
    output: &'a mut Output,
}

impl Stages<'_> {
    /// Prints a label and lines behind it.
    fn stage(&mut self, label: &str, lines: impl IntoIterator<Item = String>) -> Result<(), Failure> {
        self.stage_with_heads(label, lines, 0)
    }

    /// Prints a label and lines behind it, which begin with something of this width.
    fn stage_with_heads(
        &mut self,
        label: &str,
        lines: impl IntoIterator<Item = String>,
        head: usize,
    ) -> Result<(), Failure> {
        let mut label = label;
        for line in lines {
            let gap = " ".repeat(INDENT - label.len());
            let label_shown = if label.is_empty() { String::new() } else { self.output.paint(Colour::Dim, label) };
            self.indented(&format!("{label_shown}{gap}{line}"), INDENT + head)?;
            label = "";
        }
        Ok(())
    }

    /// Prints a line whose continuations are indented by so much.
    fn indented(&mut self, line: &str, indent: usize) -> Result<(), Failure> {
        self.output.paragraph(line, indent)
    }

    fn notes(&mut self, facts: &Facts) -> Result<(), Failure> {
        if let Service::Silent { reason } = &facts.service {
            self.stage("service", [self.output.paint(Colour::Yellow, reason)])?;
        }
        let differing = facts.memory.as_ref().map(|memory| &memory.rules_that_differ).filter(|parts| !parts.is_empty());
        if let Some(parts) = differing {
            let what = joined(parts);
            let note = format!("the service runs by another configuration than the one here: it differs in {what}");
            self.stage("configuration", [self.output.paint(Colour::Yellow, note)])?;
        }
        Ok(())
    }

    fn source(&mut self, facts: &Facts) -> Result<(), Failure> {
        let paint = |colour, text: String| self.output.paint(colour, text);
        let lines = match &facts.source {
            Source::NotAsked { reason } => vec![format!("not asked: {reason}")],
            Source::Failed { problem } => vec![paint(Colour::Red, format!("failed: {problem}"))],
            Source::Listed { page, position, url, pages, copies } => {
                let mut lines = vec![format!("on page {page} of {pages}, item {position} of it"), url.clone()];
                if *copies > 1 {
                    lines.push(paint(Colour::Yellow, format!("{copies} items have this key")));
                }
                lines
            }
            Source::Filtered { page, filter, looked_at, error } => {
                let mut lines =
                    vec![paint(Colour::Yellow, format!("on page {page}, and left out by item.filter: {filter}"))];
                lines.extend(looked_at.iter().map(|one| format!("{} is {}", one.path, value(&one.value))));
                lines.extend(error.as_ref().map(|error| paint(Colour::Red, format!("it fails: {error}"))));
                lines
            }
            Source::OnFailedPage { page, problem } => {
                vec![format!("on page {page}, of which nothing counts"), paint(Colour::Red, problem.clone())]
            }
            Source::NotListed { pages, items, unless, .. } => {
                let mut lines = vec![format!("not among {} on {}", counted(*items, "item"), counted(*pages, "page"))];
                lines.extend(unless.as_ref().map(|unless| format!("unless {unless}")));
                lines
            }
        };
        self.stage("source", lines)
    }

    fn seen(&mut self, memory: &Memory, facts: &Facts) -> Result<(), Failure> {
        let Some(seen) = &memory.item.seen else {
            let polled = match memory.polled_at {
                Some(at) => format!("never; the last poll was at {}", time(Some(at))),
                None => "never; there was no poll yet".to_owned(),
            };
            return self.stage("seen", [polled]);
        };
        let (first, last) = (time(Some(seen.first_seen_at)), time(Some(seen.last_seen_at)));
        let mut lines = vec![format!("first {first}, last {last}")];
        match seen.presence {
            PresenceName::Present => {}
            PresenceName::Missing => {
                let missed = format!("missing in the last {} polls in a row", seen.missed);
                lines.push(self.output.paint(Colour::Yellow, missed));
            }
            PresenceName::Removed => lines.push("taken for removed since".to_owned()),
        }
        self.stage("seen", lines)?;
        let mut lines = vec![format!("then {}", seen.fingerprint)];
        if seen.is_of_older_rules {
            lines.push("by other rules than those that run: it is replaced without an event".to_owned());
        }
        if let Some(now) = facts.fingerprint_now {
            let is_same = now == seen.fingerprint;
            let words = if is_same { "the same" } else { "another" };
            let colour = if is_same { Colour::Green } else { Colour::Yellow };
            lines.push(format!("now  {now}, {}", self.output.paint(colour, words)));
        }
        self.stage("fingerprint", lines)
    }

    fn held(&mut self, memory: &Memory) -> Result<(), Failure> {
        let Some(change) = &memory.item.set_aside else { return self.stage("held", ["no".to_owned()]) };
        let (kind, since) = (change.kind, time(Some(change.since)));
        let line = match (change.why, &memory.connector.hold) {
            (SetAsideReason::Held, Some(hold)) => format!("{kind}, since {since}: {}", hold.cause),
            (SetAsideReason::Held, None) => format!("{kind}, since {since}"),
            (SetAsideReason::Detail, _) => format!("{kind}, waits for its detail since {since}"),
        };
        self.stage("held", [self.output.paint(Colour::Yellow, line)])
    }

    fn differences(&mut self, comparison: &Comparison) -> Result<(), Failure> {
        let with = match comparison.with {
            Earlier::Kept => "the item that is kept",
            Earlier::LastEvent => "the data of its last event",
        };
        let mut lines = vec![match comparison.differences.len() {
            0 => format!("nothing that counts, compared with {with}"),
            _ => format!("compared with {with}"),
        }];
        let part = |part: &Option<Value>| part.as_ref().map_or_else(|| "nothing".to_owned(), value);
        lines.extend(
            comparison.differences.iter().map(|one| format!("{}: {} → {}", one.path, part(&one.then), part(&one.now))),
        );
        if comparison.left_out > 0 {
            lines.push(format!("and {} more", comparison.left_out));
        }
        self.stage("changed", lines)
    }

    fn matching(&mut self, matching: &Matching) -> Result<(), Failure> {
        let event = &matching.event_type;
        let asked = match matching.of {
            MatchedEvent::Last => format!("asked about its last event, {event}"),
            MatchedEvent::Next => format!("asked about {event}, which its next change makes"),
        };
        let only = if matching.only_configured { "; only those of the configuration" } else { "" };
        self.stage("subscriptions", [format!("{asked}{only}")])?;
        let shown = &matching.subscriptions[..matching.subscriptions.len().min(MOST_SUBSCRIPTIONS)];
        let width = shown.iter().map(|view| view.subscription.as_str().len()).max().unwrap_or(0);
        let verdicts: Vec<String> = shown.iter().map(|view| self.verdict(view, width)).collect();
        self.stage_with_heads("", verdicts, width.min(WIDEST_HEAD) + 2)?;
        if shown.is_empty() {
            self.stage("", ["there are none".to_owned()])?;
        }
        let left = matching.left_out + matching.subscriptions.len() - shown.len();
        if left > 0 { self.stage("", [format!("and {left} more; --json has them")]) } else { Ok(()) }
    }

    fn verdict(&self, view: &MatchView, width: usize) -> String {
        let (colour, mut words) = match view.verdict {
            MatchVerdict::Matches => (Some(Colour::Green), says(view)),
            MatchVerdict::FilterFailed => (Some(Colour::Red), says(view)),
            _ => (None, says(view)),
        };
        let mut colour = colour;
        if let Some(disabled) = &view.disabled {
            words = format!("{words}, and is disabled since {}: {}", time(Some(disabled.at)), disabled.reason);
            colour = Some(Colour::Yellow);
        }
        let words = colour.map_or_else(|| words.clone(), |colour| self.output.paint(colour, &words));
        format!("{:<width$}  {words}", view.subscription.as_str())
    }

    fn events(&mut self, facts: &Facts) -> Result<(), Failure> {
        if facts.memory.is_none() {
            return Ok(());
        }
        if facts.events.is_empty() {
            let cut = if facts.events_are_cut { " among the newest ones, as far as was looked" } else { "" };
            return self.stage("events", [format!("none is kept{cut}")]);
        }
        let mut label = "events";
        for facts in &facts.events {
            let event = &facts.event;
            self.stage(label, [format!("{} {}", event.event_type, time(Some(event.time))), event.id.to_string()])?;
            self.deliveries(facts)?;
            label = "";
        }
        if facts.events_are_cut {
            self.stage("", ["there may be older ones".to_owned()])?;
        }
        Ok(())
    }

    fn deliveries(&mut self, facts: &EventFacts) -> Result<(), Failure> {
        let blanks = " ".repeat(INDENT + 2);
        if facts.subscriptions.is_empty() {
            return self.indented(&format!("{blanks}no subscription wanted it"), INDENT + 2);
        }
        for one in &facts.deliveries {
            let line = self.delivery(one);
            self.indented(&format!("{blanks}{line}"), INDENT + 4)?;
            let kept = one.attempts.len();
            for attempt in &one.attempts[kept.saturating_sub(MOST_ATTEMPTS)..] {
                let line = self.attempt(attempt);
                self.indented(&format!("{blanks}  {line}"), INDENT + 8)?;
            }
        }
        let gone = facts.subscriptions.len() - facts.deliveries.len() - facts.left_out;
        if gone > 0 {
            self.indented(&format!("{blanks}to {gone} more, of which nothing is kept"), INDENT + 4)?;
        }
        if facts.left_out > 0 {
            self.indented(
                &format!("{blanks}to {} more: `pollhook deliveries` lists them", facts.left_out),
                INDENT + 4,
            )?;
        }
        Ok(())
    }

    fn delivery(&self, one: &DeliveryDetail) -> String {
        let delivery = &one.delivery;
        let (colour, state, at) = match delivery.state {
            DeliveryStateName::Pending => (Colour::Yellow, "pending", format!(", due {}", time(delivery.due))),
            DeliveryStateName::Delivered => (Colour::Green, "delivered", format!(" {}", time(delivery.settled_at))),
            DeliveryStateName::Dead => (Colour::Red, "dead", format!(" {}", time(delivery.settled_at))),
        };
        let reason = delivery.reason.map(|reason| format!(", {}", reason.as_str())).unwrap_or_default();
        let batch = if delivery.joined_to.is_some() || delivery.members > 0 { ", in a batch" } else { "" };
        let last = match delivery.attempts {
            0 => ", not attempted yet".to_owned(),
            1 => ", 1 attempt".to_owned(),
            attempts => format!(", {attempts} attempts"),
        };
        format!("{}: {}{at}{reason}{last}{batch}", delivery.subscription, self.output.paint(colour, state))
    }

    fn attempt(&self, attempt: &Attempt) -> String {
        let outcome = match (attempt.status, &attempt.failure) {
            (Some(status), _) => self.output.paint(Colour::of_status(status), status),
            (None, Some(failure)) => self.output.paint(Colour::Red, shown(&failure.message)),
            (None, None) => "no outcome was recorded".to_owned(),
        };
        let (number, at) = (attempt.number, time(Some(attempt.started_at)));
        format!("{number}. {at}, {} ms: {outcome}", attempt.duration.as_millis())
    }
}

fn value(value: &Value) -> String {
    beginning(&value.to_string(), LONGEST_VALUE)
}

/// Returns a text without what could control a terminal.
fn shown(text: &str) -> String {
    beginning(text, 400)
}
