//! Subscriptions made over the API, in memory.

use async_trait::async_trait;

use super::MemoryStore;
use crate::model::id::SubscriptionName;
use crate::store::{StoreError, StoredSubscription, SubscriptionStore};

#[async_trait]
impl SubscriptionStore for MemoryStore {
    async fn stored_subscriptions(&self) -> Result<Vec<StoredSubscription>, StoreError> {
        Ok(self.open()?.subscriptions.values().cloned().collect())
    }

    async fn store_subscription(&self, subscription: StoredSubscription) -> Result<(), StoreError> {
        self.open()?.subscriptions.insert(subscription.name.clone(), subscription);
        Ok(())
    }

    async fn forget_subscription(&self, name: &SubscriptionName) -> Result<(), StoreError> {
        self.open()?.subscriptions.remove(name);
        Ok(())
    }
}
