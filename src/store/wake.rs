//! What lanes wait on: one `Notify` for each subscription.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::model::id::SubscriptionName;

/// The wake-ups of all subscriptions of a store.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    by_subscription: Mutex<HashMap<SubscriptionName, Arc<Notify>>>,
}

impl Wakes {
    /// Returns what is notified when the subscription may have got work.
    pub fn of(&self, subscription: &SubscriptionName) -> Arc<Notify> {
        let mut wakes = self.by_subscription.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(wakes.entry(subscription.clone()).or_default())
    }

    /// Wakes the subscription's lane. If it does not wait, its next wait ends at once.
    pub fn wake(&self, subscription: &SubscriptionName) {
        self.of(subscription).notify_one();
    }
}
