//! Subscriptions made over the API, on disk.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::history::walk;
use super::polls::parse;
use super::value::assemble;
use super::{EmbeddedStore, keys};
use crate::model::fingerprint::BodyHash;
use crate::model::id::SubscriptionName;
use crate::model::secret::Secret;
use crate::model::signing::Timed;
use crate::model::time::Timestamp;
use crate::store::kv::Order;
use crate::store::{StoreError, StoredSubscription, SubscriptionStore};

/// A stored subscription as it is written.
#[derive(Serialize, Deserialize)]
struct Written {
    name: SubscriptionName,
    definition: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    former_secrets: Vec<WrittenSecret>,
    created_at: Timestamp,
    changed_at: Timestamp,
    revision: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made_by: Option<BodyHash>,
}

#[derive(Serialize, Deserialize)]
struct WrittenSecret {
    secret: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

#[async_trait]
impl SubscriptionStore for EmbeddedStore {
    async fn stored_subscriptions(&self) -> Result<Vec<StoredSubscription>, StoreError> {
        self.read(|kv, _| {
            let mut found = Vec::new();
            walk(kv, &keys::subscriptions(), Order::Ascending, |key, value| {
                found.push(parse::<Written>(key, &assemble(kv, key, value)?)?.into());
                Ok(true)
            })?;
            Ok(found)
        })
        .await
    }

    async fn store_subscription(&self, subscription: StoredSubscription) -> Result<(), StoreError> {
        let key = keys::subscription(&subscription.name);
        let body = serde_json::to_vec(&Written::from(subscription)).expect("texts and numbers are written as JSON");
        self.replace(key, Some(body)).await
    }

    async fn forget_subscription(&self, name: &SubscriptionName) -> Result<(), StoreError> {
        self.replace(keys::subscription(name), None).await
    }
}

impl From<StoredSubscription> for Written {
    fn from(subscription: StoredSubscription) -> Self {
        let StoredSubscription { name, definition, former_secrets, created_at, changed_at, revision, made_by } =
            subscription;
        let written =
            |timed: Timed<Secret>| WrittenSecret { secret: timed.secret.expose().to_owned(), until: timed.until };
        let former_secrets = former_secrets.into_iter().map(written).collect();
        let definition = definition.expose().to_owned();
        Self { name, definition, former_secrets, created_at, changed_at, revision, made_by }
    }
}

impl From<Written> for StoredSubscription {
    fn from(written: Written) -> Self {
        let Written { name, definition, former_secrets, created_at, changed_at, revision, made_by } = written;
        let timed = |written: WrittenSecret| Timed { secret: Secret::new(written.secret), until: written.until };
        let former_secrets = former_secrets.into_iter().map(timed).collect();
        Self { name, definition: Secret::new(definition), former_secrets, created_at, changed_at, revision, made_by }
    }
}
