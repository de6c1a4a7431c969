//! Subscriptions that were made over the API: what must survive of them.

use async_trait::async_trait;

use super::StoreError;
use crate::model::fingerprint::BodyHash;
use crate::model::id::SubscriptionName;
use crate::model::secret::Secret;
use crate::model::signing::Timed;
use crate::model::time::Timestamp;

/// What the API needs of a store, so that subscriptions made there outlive the service.
#[async_trait]
pub trait SubscriptionStore: Send + Sync + 'static {
    /// Returns all subscriptions that were made, by name.
    async fn stored_subscriptions(&self) -> Result<Vec<StoredSubscription>, StoreError>;

    /// Keeps a subscription, in place of the one that was kept under its name. When this returns, it is on disk: after a
    /// crash there is the one or the other.
    async fn store_subscription(&self, subscription: StoredSubscription) -> Result<(), StoreError>;

    /// Forgets a subscription; one that is not kept is forgotten already. What waits for it stays where it is.
    async fn forget_subscription(&self, name: &SubscriptionName) -> Result<(), StoreError>;
}

/// A subscription that was made over the API.
#[derive(Debug, Clone)]
pub struct StoredSubscription {
    pub name: SubscriptionName,
    /// What was asked for, as the text of a JSON object with the keys of a subscription. Secrets stand in it.
    pub definition: Secret,
    /// What deliveries were signed with before, and still are up to some time.
    pub former_secrets: Vec<Timed<Secret>>,
    pub created_at: Timestamp,
    pub changed_at: Timestamp,
    /// 1 when it was made, and one more with each change.
    pub revision: u64,
    /// The hash of the request that made it, if that may be repeated.
    pub made_by: Option<BodyHash>,
}
