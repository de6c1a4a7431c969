//! `/v1/connectors/{name}/remembered` and `/match`: what is known of items, and who would be told of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};

use super::ServerState;
use super::connectors::Named;
use super::problem::Problem;
use super::wire::{
    ConnectorMemory, ItemMemory, LONGEST_LIST, MatchAnswer, MatchRequest, MatchVerdict, RememberedAnswer,
    RememberedRequest, RulesView, SeenMemory,
};
use crate::deliver;
use crate::model::connector::Connector;
use crate::model::event::Event;
use crate::model::fingerprint::KeyHash;
use crate::model::item::{KeptItem, SeenItem, SetAside, SetAsideReason};
use crate::store::{ConnectorState, SeenSelection};

/// How many items are read at once.
const PART: usize = 100;

/// How many bytes of kept items one answer has, but for the last one of them.
const MOST_KEPT: usize = 16 << 20;

/// `POST /v1/connectors/{name}/remembered`: what the store remembers of items.
pub async fn remembered(
    State(state): State<Arc<ServerState>>,
    Path(name): Path<Named>,
    request: Result<Json<RememberedRequest>, JsonRejection>,
) -> Result<Json<RememberedAnswer>, Problem> {
    let connector = name.find(&state)?;
    let Json(RememberedRequest { keys }) = request?;
    if keys.is_empty() || keys.len() > RememberedRequest::MOST_KEYS {
        let most = RememberedRequest::MOST_KEYS;
        return Err(Problem::bad_request(format_args!("`keys` has 1 to {most} texts, not {}", keys.len())));
    }
    let polls = state.store.connector_state(&connector.name).await?;
    let last_poll = state.store.polls(&connector.name, None, 1).await?.pop();
    let reading = Reading { state: &state, connector, polls: polls.as_ref() };
    let mut data = Vec::with_capacity(keys.len());
    let mut room = MOST_KEPT;
    for part in keys.chunks(PART) {
        reading.read(part, &mut data, &mut room).await?;
    }
    let connector = ConnectorMemory {
        name: connector.name.clone(),
        rules: connector.digest.into(),
        remembered_under: polls.as_ref().map(|state| state.digest.into()),
        is_baselined: polls.as_ref().is_some_and(|state| state.baselined),
        baseline: polls.as_ref().and_then(|state| state.baseline),
        items: polls.as_ref().map_or(0, |state| state.items),
        hold: polls.and_then(|state| state.hold),
        last_poll,
    };
    Ok(Json(RememberedAnswer { connector, data }))
}

/// Reads what is remembered of a connector's items.
struct Reading<'a> {
    state: &'a ServerState,
    connector: &'a Connector,
    polls: Option<&'a ConnectorState>,
}

impl Reading<'_> {
    /// Appends what is remembered of the items with these keys, with kept items as long as there is room.
    async fn read(&self, keys: &[String], data: &mut Vec<ItemMemory>, room: &mut usize) -> Result<(), Problem> {
        let (store, name) = (&self.state.store, &self.connector.name);
        let rules = RulesView::from(self.connector.digest);
        let mut hashes: Vec<KeyHash> = keys.iter().map(|key| KeyHash::of(key)).collect();
        hashes.sort_unstable();
        hashes.dedup();
        let seen = store.seen_items(name, SeenSelection::Keys(hashes.clone())).await?;
        let set_aside = store.set_aside(name, SeenSelection::Keys(hashes.clone())).await?;
        let kept = if *room > 0 { store.kept_items(name, hashes.clone()).await? } else { Vec::new() };
        for key in keys {
            let hash = KeyHash::of(key);
            let place = hashes.binary_search(&hash).unwrap_or_default();
            let is_cut = *room == 0;
            let kept = kept.get(place).and_then(Option::as_ref).filter(|_| !is_cut);
            *room = room.saturating_sub(kept.map_or(0, |kept| kept.get().len()));
            data.push(ItemMemory {
                key: key.clone(),
                seen: find(&seen, hash, |seen: &SeenItem| seen.key_hash)
                    .map(|seen| SeenMemory::new(seen, self.polls, rules)),
                set_aside: find(&set_aside, hash, |change: &SetAside| change.key_hash)
                    .filter(|change| self.is_set_aside(change))
                    .map(Into::into),
                kept: kept.map(|kept| self.shown(kept)),
                is_cut,
            });
        }
        Ok(())
    }

    /// Tells whether a change is set aside for good: a poll that ended early may have left some behind, although nothing
    /// is held.
    fn is_set_aside(&self, change: &SetAside) -> bool {
        change.why != SetAsideReason::Held || self.polls.is_some_and(|state| state.hold.is_some())
    }

    fn shown(&self, kept: &KeptItem) -> KeptItem {
        self.connector.redactor.redact_json(kept)
    }
}

/// Returns the entry with this hash, by which they ascend.
fn find<T>(entries: &[T], hash: KeyHash, of: impl Fn(&T) -> KeyHash) -> Option<&T> {
    entries.binary_search_by_key(&hash, of).ok().map(|place| &entries[place])
}

/// `POST /v1/connectors/{name}/match`: what each subscription says to an event of the connector, which is neither kept
/// nor sent.
pub async fn matching(
    State(state): State<Arc<ServerState>>,
    Path(name): Path<Named>,
    request: Result<Json<MatchRequest>, JsonRejection>,
) -> Result<Json<MatchAnswer>, Problem> {
    let connector = name.find(&state)?;
    let Json(MatchRequest { event }) = request?;
    if event.connector != connector.events_as {
        let (given, expected) = (&event.connector, &connector.events_as);
        return Err(Problem::bad_request(format_args!(
            "the event is of {given}, and events of {expected} are asked for"
        )));
    }
    Ok(Json(verdicts(&state, &event).await?))
}

async fn verdicts(state: &ServerState, event: &Event) -> Result<MatchAnswer, Problem> {
    let present = state.registry.present();
    let mut answer = MatchAnswer::new(present.explain(event), LONGEST_LIST);
    for view in answer.data.iter_mut().filter(|view| view.verdict == MatchVerdict::Matches) {
        if let Some(subscription) = present.get(&view.subscription) {
            let lane = state.store.lane_state(&subscription.name).await?;
            view.disabled = deliver::disabled(subscription, &lane).cloned();
        }
    }
    Ok(answer)
}

#[cfg(test)]
mod tests;
