//! Which changes of a connector become events.

use std::num::NonZeroU8;

use super::keys::{FIRST_POLL, LATEST};
use super::reader::{Fields, choice, wrong_type};
use super::tree::{Entry, NodeValue};
use crate::model::change::{ChangeKind, ChangeRules, EmptyRule, FirstPoll, HoldAbove, Lists, Share};

/// Reads `changes`.
pub(super) fn changes(fields: &Fields<'_>) -> Option<ChangeRules> {
    let fields = fields.table_or_empty("changes")?;
    let events = kinds(&fields);
    let lists = fields.choice("lists", &[Lists::Recent, Lists::Everything]);
    if let (Some(events), Some(Lists::Recent)) = (&events, lists)
        && events.contains(&ChangeKind::Removed)
    {
        let place = fields.entry("events").map_or(fields.place, |entry| entry.node.place);
        fields.report.error_with_help(
            place,
            "\"removed\" needs lists = \"everything\"",
            "only of a source that lists all its items is a missing one known to be removed",
        );
    }
    let first_poll = first_poll(&fields);
    let removed_after = fields.count("removed_after").and_then(|count| NonZeroU8::new(u8::try_from(count).ok()?));
    let hold_above = hold_above(&fields, lists);
    let empty = fields.choice("empty", &[EmptyRule::Ok, EmptyRule::Suspicious]);
    let (previous, forget_after) = (fields.boolean("previous"), fields.duration("forget_after"));
    Some(ChangeRules {
        events: events?,
        lists: lists?,
        first_poll: first_poll?,
        removed_after: removed_after?,
        previous: previous?,
        forget_after: forget_after?,
        hold_above: hold_above?,
        empty: empty?,
    })
}

fn kinds(fields: &Fields<'_>) -> Option<Vec<ChangeKind>> {
    let Some(entry) = fields.entry("events") else { return Some(ChangeRules::default().events) };
    let kinds = fields.choices("events", &ChangeKind::ALL)?;
    if kinds.is_empty() {
        fields.report.error(entry.node.place, "a connector without events sends nothing");
    }
    Some(kinds)
}

fn hold_above(fields: &Fields<'_>, lists: Option<Lists>) -> Option<HoldAbove> {
    let fields = fields.table_or_empty("hold_above")?;
    let created = fields.entry("created").map(|_| fields.count("created"));
    let removed = fields.entry("removed").map(|entry| share(&fields, entry));
    if let (Some(entry), Some(Lists::Recent)) = (fields.entry("removed"), lists) {
        fields.report.error_with_help(
            entry.key_place,
            "a limit for removed items needs lists = \"everything\"",
            "only of a source that lists all its items is a missing one known to be removed",
        );
    }
    if created == Some(None) || removed == Some(None) {
        return None;
    }
    Some(HoldAbove { created: created.flatten(), removed: removed.flatten() })
}

/// Reads a number of items, or a part of them.
fn share(fields: &Fields<'_>, entry: &Entry) -> Option<Share> {
    let report = fields.report;
    match &entry.node.value {
        NodeValue::Integer(number) => {
            let count = u64::try_from(*number).ok();
            if count.is_none() {
                report.error(entry.node.place, "must be at least 0");
            }
            count.map(Share::Count)
        }
        NodeValue::Text(text) => {
            let percent = text.trim().strip_suffix('%').and_then(|number| number.trim().parse::<u8>().ok());
            let percent = percent.filter(|percent| *percent <= 100);
            if percent.is_none() {
                report.error(entry.node.place, "not a part of the items: write a whole number from \"0%\" to \"100%\"");
            }
            percent.map(Share::Percent)
        }
        _ => {
            wrong_type(report, &entry.node, "a number of items, or a part of them such as \"20%\"");
            None
        }
    }
}

fn first_poll(fields: &Fields<'_>) -> Option<FirstPoll> {
    let Some(entry) = fields.entry("first_poll") else { return Some(ChangeRules::default().first_poll) };
    match &entry.node.value {
        NodeValue::Text(_) => {
            let index = choice(fields.report, &entry.node, &FIRST_POLL)?;
            Some([FirstPoll::Baseline, FirstPoll::Send][index])
        }
        NodeValue::Table(table) => {
            let fields = Fields::new(fields.report, table, entry.key_place, &LATEST);
            fields.required("latest")?;
            Some(FirstPoll::Latest(usize::try_from(fields.count("latest")?).ok()?))
        }
        _ => {
            wrong_type(fields.report, &entry.node, "\"baseline\", \"send\" or { latest = 5 }");
            None
        }
    }
}
