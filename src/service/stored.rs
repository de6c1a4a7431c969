//! Subscriptions that were made over the API, taken up again when the service starts.

use std::sync::Arc;

use serde_json::Value;

use crate::config::{Configuration, Defined, Definitions};
use crate::deliver::{Made, Registry};
use crate::store::{SharedStore, StoreError, StoredSubscription};
use crate::telemetry::SharedTelemetry;

/// Returns the registry of what is configured and of what was made before.
pub async fn registry(
    configuration: &Configuration,
    definitions: &Definitions,
    store: SharedStore,
    telemetry: SharedTelemetry,
) -> Result<Arc<Registry>, StoreError> {
    let stored = store.stored_subscriptions().await?;
    let made = stored.into_iter().map(|stored| made(stored, definitions)).collect();
    let registry = Registry::new(configuration.subscriptions.clone(), made, store, telemetry);
    for name in registry.present().given_way() {
        tracing::warn!(
            subscription = %name,
            "subscription {name} was made over the API, and is configured as well: the configuration counts as long as it \
             names it"
        );
    }
    Ok(registry)
}

/// Reads what was stored. What cannot be used any more is kept, so that it can be repaired.
fn made(stored: StoredSubscription, definitions: &Definitions) -> Made {
    match definitions.read_stored(&stored) {
        Ok(Defined { subscription, shown, .. }) => Made { stored, subscription: Some(subscription), shown },
        Err(mistakes) => {
            let name = &stored.name;
            tracing::error!(
                subscription = %name,
                "subscription {name} was made over the API and cannot be used: {mistakes}; nothing is sent to it until \
                 PUT /v1/subscriptions/{name} replaces it"
            );
            Made { stored, subscription: None, shown: Value::Null }
        }
    }
}
