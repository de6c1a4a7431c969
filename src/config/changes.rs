//! Which changes of a connector become events.

use std::num::NonZeroU8;

use super::keys::{FIRST_POLL, LATEST};
use super::reader::{Fields, choice, wrong_type};
use super::tree::NodeValue;
use crate::model::change::{ChangeKind, ChangeRules, FirstPoll, Lists};

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
    let (previous, forget_after) = (fields.boolean("previous"), fields.duration("forget_after"));
    Some(ChangeRules {
        events: events?,
        lists: lists?,
        first_poll: first_poll?,
        removed_after: removed_after?,
        previous: previous?,
        forget_after: forget_after?,
        ..ChangeRules::default()
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
