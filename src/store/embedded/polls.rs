//! What the poll side needs, on disk.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::de::DeserializeOwned;

use super::history::walk;
use super::leases::lock;
use super::seen::{self, OpenLeaf};
use super::step::{End, Items, Step};
use super::value::{assemble, damaged, load};
use super::{Core, EmbeddedStore, announce, keys};
use crate::model::fingerprint::{BodyHash, KeyHash};
use crate::model::id::{ConnectorName, LeaseToken};
use crate::model::item::{KeptItem, SeenItem, SetAside};
use crate::model::secret::Secret;
use crate::model::time::Timestamp;
use crate::store::kv::{KeyValue, Order};
use crate::store::{ConnectorState, PollCommit, PollLease, PollPart, PollStore, SeenSelection, StoreError};

/// How many leaves of seen items one commit looks through for items to forget.
const LEAVES_SWEPT: usize = 16;

/// After how many forgotten items a commit leaves the rest to the next one.
const MOST_FORGOTTEN: usize = 500;

#[async_trait]
impl PollStore for EmbeddedStore {
    async fn lease_poll(
        &self,
        connector: &ConnectorName,
        now: Timestamp,
        lease_for: Duration,
    ) -> Result<Option<PollLease>, StoreError> {
        let kv = self.kv()?;
        // Nothing that a poll finds could be written down.
        self.core.committer.check()?;
        let (token, until) = (LeaseToken::new(), now + lease_for);
        if !self.core.leases.take_poll(connector, token, now, until) {
            return Ok(None);
        }
        match read_json(&*kv, &keys::connector(connector)) {
            Ok(state) => Ok(Some(PollLease { connector: connector.clone(), token, until, state })),
            Err(error) => {
                self.core.leases.release_poll(connector, token);
                Err(error)
            }
        }
    }

    async fn release_poll(&self, lease: PollLease) -> Result<(), StoreError> {
        self.kv()?;
        self.core.leases.release_poll(&lease.connector, lease.token);
        Ok(())
    }

    async fn connector_state(&self, connector: &ConnectorName) -> Result<Option<ConnectorState>, StoreError> {
        read_json(&*self.kv()?, &keys::connector(connector))
    }

    async fn seen_items(
        &self,
        connector: &ConnectorName,
        selection: SeenSelection,
    ) -> Result<Vec<SeenItem>, StoreError> {
        let connector = connector.clone();
        self.read(move |kv, _| match selection {
            SeenSelection::All => seen::all(kv, &connector),
            SeenSelection::After(after, most) => seen::following(kv, &connector, after, most),
            SeenSelection::Keys(hashes) => seen::some(kv, &connector, &hashes),
        })
        .await
    }

    async fn kept_items(
        &self,
        connector: &ConnectorName,
        keys: Vec<KeyHash>,
    ) -> Result<Vec<Option<KeptItem>>, StoreError> {
        let connector = connector.clone();
        self.read(move |kv, _| keys.iter().map(|hash| read_json(kv, &keys::kept(&connector, hash))).collect()).await
    }

    async fn set_aside(
        &self,
        connector: &ConnectorName,
        selection: SeenSelection,
    ) -> Result<Vec<SetAside>, StoreError> {
        let connector = connector.clone();
        self.read(move |kv, _| match selection {
            SeenSelection::All => read_set_aside(kv, &connector, None, usize::MAX),
            SeenSelection::After(after, most) => read_set_aside(kv, &connector, after, most),
            SeenSelection::Keys(hashes) => {
                let found = hashes.iter().map(|hash| read_json(kv, &keys::set_aside(&connector, hash)));
                found.filter_map(Result::transpose).collect()
            }
        })
        .await
    }

    async fn kept_grant(&self, id: BodyHash) -> Result<Option<Secret>, StoreError> {
        let key = keys::grant(&id);
        let Some(body) = load(&*self.kv()?, &key)? else { return Ok(None) };
        let text = String::from_utf8(body).map_err(|_| damaged(&key, "it is no text"))?;
        Ok(Some(Secret::new(text)))
    }

    async fn keep_grant(&self, id: BodyHash, grant: Secret) -> Result<(), StoreError> {
        self.replace(keys::grant(&id), Some(grant.expose().as_bytes().to_vec())).await
    }

    async fn commit_items(&self, lease: &PollLease, part: PollPart) -> Result<(), StoreError> {
        let PollPart { updates, set_aside, dropped } = part;
        let mut items = Items::new(updates, set_aside, dropped);
        loop {
            let step;
            (step, items, _) = self.next_step(&lease.connector, items, None).await?;
            self.commit_step(&lease.connector, lease.token, step).await?;
            if items.is_empty() {
                return Ok(());
            }
        }
    }

    async fn commit_poll(&self, lease: PollLease, commit: PollCommit) -> Result<(), StoreError> {
        let PollLease { connector, token, .. } = lease;
        let PollCommit { updates, news, state, forget_before, set_aside, dropped, record, .. } = commit;
        if let Some(bound) = forget_before {
            let mut hashes: Vec<KeyHash> = updates.iter().map(|update| update.seen.key_hash).collect();
            hashes.sort_unstable();
            self.forget(&connector, token, bound, hashes).await?;
        }
        let mut items = Items::new(updates, set_aside, dropped);
        let state = serde_json::to_vec(&state).expect("a state is written to memory without errors");
        let mut end = Some(End { news: self.stage(news).await?, state, record });
        while end.is_some() {
            let step;
            (step, items, end) = self.next_step(&connector, items, end).await?;
            self.commit_step(&connector, token, step).await?;
        }
        Ok(())
    }
}

/// Returns what the JSON text of any size stands for; `None` if there is nothing under the key.
fn read_json<T: DeserializeOwned>(kv: &dyn KeyValue, key: &[u8]) -> Result<Option<T>, StoreError> {
    load(kv, key)?.map(|body| parse(key, &body)).transpose()
}

pub(super) fn parse<T: DeserializeOwned>(key: &[u8], body: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(body).map_err(|error| damaged(key, format!("its JSON cannot be read: {error}")))
}

fn read_set_aside(
    kv: &dyn KeyValue,
    connector: &ConnectorName,
    after: Option<KeyHash>,
    most: usize,
) -> Result<Vec<SetAside>, StoreError> {
    let mut found = Vec::new();
    if most > 0 {
        walk(kv, &keys::set_aside_after(connector, after.as_ref()), Order::Ascending, |key, value| {
            found.push(parse(key, &assemble(kv, key, value)?)?);
            Ok(found.len() < most)
        })?;
    }
    Ok(found)
}

impl EmbeddedStore {
    /// Fills the next step of a commit, with its end if that fits; returns what is left.
    async fn next_step(
        &self,
        connector: &ConnectorName,
        mut items: Items,
        mut end: Option<End>,
    ) -> Result<(Step, Items, Option<End>), StoreError> {
        let of = connector.clone();
        self.read(move |kv, core| {
            let mut step = Step::default();
            step.fill(kv, core, &of, &mut items)?;
            if items.is_empty()
                && let Some(due) = end.take()
            {
                end = step.end(kv, core, &of, due)?;
            }
            Ok((step, items, end))
        })
        .await
    }

    /// Makes a step durable, unless someone else took the poll over.
    async fn commit_step(&self, connector: &ConnectorName, token: LeaseToken, step: Step) -> Result<(), StoreError> {
        let Step { batch, ahead, queued, is_last } = step;
        for pieces in ahead {
            self.commit_batch(pieces).await?;
        }
        let connector = connector.clone();
        self.commit(move |transaction, core| {
            core.leases.begin_poll_commit(&connector, token)?;
            transaction.append(batch);
            let held = Arc::clone(core);
            transaction.when_durable(move || {
                held.leases.poll_committed(&connector, token);
                if is_last {
                    held.leases.release_poll(&connector, token);
                }
            });
            announce(transaction, core, queued);
            Ok(())
        })
        .await
    }

    /// Forgets items that were last seen before the bound, in the next few leaves, but for those that are going to be
    /// updated.
    async fn forget(
        &self,
        connector: &ConnectorName,
        token: LeaseToken,
        bound: Timestamp,
        updated: Vec<KeyHash>,
    ) -> Result<(), StoreError> {
        let of = connector.clone();
        let step = self.read(move |kv, core| sweep(kv, core, &of, bound, &updated)).await?;
        if step.batch.is_empty() { Ok(()) } else { self.commit_step(connector, token, step).await }
    }
}

fn sweep(
    kv: &dyn KeyValue,
    core: &Core,
    connector: &ConnectorName,
    bound: Timestamp,
    updated: &[KeyHash],
) -> Result<Step, StoreError> {
    let mut step = Step::default();
    let mut forgotten = 0;
    let mut position = lock(&core.swept).get(connector).copied();
    for _ in 0..LEAVES_SWEPT {
        let Some(mut leaf) = OpenLeaf::following(kv, connector, position)? else {
            position = None;
            break;
        };
        position = Some(leaf.lowest());
        let old = leaf.forget(|item| item.last_seen < bound && updated.binary_search(&item.key_hash).is_err());
        if old.is_empty() {
            continue;
        }
        forgotten += old.len();
        for item in old {
            step.remove(kv, keys::kept(connector, &item.key_hash))?;
        }
        leaf.write(connector, &mut step.batch);
        if forgotten > MOST_FORGOTTEN {
            break;
        }
    }
    let mut swept = lock(&core.swept);
    match position {
        Some(lowest) => swept.insert(connector.clone(), lowest),
        None => swept.remove(connector),
    };
    Ok(step)
}
