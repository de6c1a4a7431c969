//! What becomes of detected changes: updates of what is remembered, with their events.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::compare::Finding;
use super::context::PollContext;
use super::error::PollFailure;
use super::events::{EventError, Subject, event, keep};
use super::walk::compute;
use crate::model::change::ChangeKind;
use crate::model::connector::Connector;
use crate::model::event::Route;
use crate::model::item::KeptItem;
use crate::model::time::Timestamp;
use crate::store::{SeenUpdate, StoreError};

/// Why changes could not be made ready to be committed.
#[derive(Debug)]
pub(super) enum ChangesError {
    /// Something is wrong with an item.
    Item(PollFailure),
    Store(StoreError),
}

/// Returns what is committed of each finding, in the same order: what is remembered, and the event of its change.
pub(super) async fn updates(
    connector: &Arc<Connector>,
    context: &PollContext,
    findings: Vec<Finding>,
) -> Result<Vec<SeenUpdate>, ChangesError> {
    let at = context.fetching.clock.now();
    let mut kept: Vec<Option<KeptItem>> = Vec::new();
    if connector.changes.previous {
        let keys = findings.iter().filter(|finding| tells_of_before(finding)).map(|finding| finding.seen.key_hash);
        kept = context.store.kept_items(&connector.name, keys.collect()).await.map_err(ChangesError::Store)?;
    }
    let route = Arc::clone(&context.route);
    let made_for = Arc::clone(connector);
    let made = compute(move || {
        let mut kept = kept.into_iter();
        let update = |finding| {
            let kept = if tells_of_before(&finding) { kept.next().flatten() } else { None };
            update(&made_for, &*route, finding, kept.as_deref(), at)
        };
        findings.into_iter().map(update).collect::<Result<Vec<_>, EventError>>()
    })
    .await;
    made.map_err(|error| ChangesError::Item(PollFailure::of(connector, &error)))
}

/// Tells whether a finding's event says what the item was before.
fn tells_of_before(finding: &Finding) -> bool {
    finding.change.is_some_and(|change| change.kind != ChangeKind::Created)
}

/// Returns what is committed of a finding. `kept` is the item as it was before.
fn update(
    connector: &Connector,
    route: &dyn Route,
    finding: Finding,
    kept: Option<&RawValue>,
    at: Timestamp,
) -> Result<SeenUpdate, EventError> {
    // What the listing alone says of an item that has a detail is not all of it.
    let keeps = connector.changes.previous && (connector.detail.is_none() || finding.change.is_some());
    let value = finding.item.as_ref().map(|item| item.record.value());
    let event = match finding.change {
        None => None,
        Some(change) => {
            let key = finding.item.as_ref().map(|item| &*item.key).or(finding.seen.key.as_deref()).unwrap_or_default();
            let subject = Subject { key, value: value.as_deref(), kept };
            Some(route.route(event(connector, change, subject, at)?))
        }
    };
    let kept = value.filter(|_| keeps).map(|value| keep(&value));
    Ok(SeenUpdate { seen: finding.seen, kept, event })
}
