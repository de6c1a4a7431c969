//! What is odd about a source, for people.

use super::compare::{Comparison, Duplicate};
use super::cursor::Watermark;
use super::detect::Footing;
use super::paginate::Truncation;
use super::plan::{Ending, Plan};
use crate::model::connector::Connector;
use crate::store::ConnectorState;

/// Of how many items it is noticed that nearly all were replaced.
const LEAST_TURNOVER: usize = 10;

/// How many of a hundred are nearly all.
const NEARLY_ALL: usize = 90;

/// Returns what is odd about a source that was read; `state` is that after the poll.
pub(super) fn of(
    connector: &Connector,
    plan: &Plan<'_>,
    state: &ConnectorState,
    ending: &Ending,
    comparison: &Comparison,
    watermark: &Watermark,
) -> Vec<String> {
    let mut warnings = Vec::new();
    match ending {
        Ending::Truncated { cause: cause @ Truncation::MaxPages { .. }, .. } if state.pass.is_none() => {
            warnings.push(format!("paging stopped: {cause}; what follows is not read, unless you raise it"));
        }
        Ending::Truncated { cause, .. } if state.pass.is_none() => warnings.push(format!("paging stopped: {cause}")),
        _ => {}
    }
    for Duplicate { key, count } in comparison.duplicates() {
        warnings.push(format!("{count} items have the key {}", connector.redactor.redact(key)));
    }
    if watermark.missing > 0 {
        warnings.push(format!("{} items have no value for the cursor (`cursor.value`)", watermark.missing));
    }
    warnings.extend(turnover(plan, ending, comparison));
    warnings
}

/// Returns a warning if nearly all items that were there have been replaced by unknown ones.
fn turnover(plan: &Plan<'_>, ending: &Ending, comparison: &Comparison) -> Option<String> {
    let before = plan.items_before();
    let is_comparable = plan.footing == Footing::Usual && plan.is_full() && matches!(ending, Ending::Complete);
    let were_replaced =
        comparison.known * 100 <= before * (100 - NEARLY_ALL) && comparison.unknown * 100 >= before * NEARLY_ALL;
    (is_comparable && before >= LEAST_TURNOVER && were_replaced).then(|| {
        format!(
            "nearly all items are new: {} of {before} are still there; did the API change what `item.key` gives, or is it polled too seldom?",
            comparison.known
        )
    })
}

/// Returns that there is more to read than one poll may, if so.
pub(super) fn behind(state: &ConnectorState) -> Option<String> {
    let pass = state.pass.as_ref()?;
    let polls = if pass.polls == 1 { "1 poll".to_owned() } else { format!("{} polls", pass.polls) };
    Some(format!("there are more pages than one poll may read (max_pages): after {polls}, the next one goes on"))
}
