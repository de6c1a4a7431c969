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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::{Environment, load};
    use crate::deliver::Holder;
    use crate::model::secret::Secret;
    use crate::model::time::Timestamp;
    use crate::store::SubscriptionStore;
    use crate::store::memory::MemoryStore;
    use crate::telemetry::Telemetry;

    async fn store(store: &MemoryStore, name: &str, definition: &Value) {
        let stored = StoredSubscription {
            name: name.parse().expect("a name"),
            definition: Secret::new(definition.to_string()),
            former_secrets: Vec::new(),
            created_at: Timestamp::EPOCH,
            changed_at: Timestamp::EPOCH,
            revision: 1,
            made_by: None,
        };
        store.store_subscription(stored).await.expect("a change");
    }

    #[tokio::test]
    async fn what_was_made_is_taken_up_and_what_cannot_be_used_is_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.toml");
        std::fs::write(&path, "[subscriptions.log]\nurl = \"http://configured/\"").expect("a file");
        let configuration = load(&path, &Environment::from([])).expect("a right configuration");
        let definitions = Definitions::of(&configuration.connectors, configuration.egress.clone());
        let memory = MemoryStore::new();
        store(&memory, "erp", &json!({"url": "http://10.0.0.1/", "connectors": ["orders"]})).await;
        store(&memory, "log", &json!({"url": "http://made/"})).await;
        store(&memory, "odd", &json!({"url": "http://made/", "colour": "red"})).await;

        let registry = registry(&configuration, &definitions, memory, Telemetry::shared()).await.expect("a registry");
        let present = registry.present();
        let urls: Vec<_> = present.all().map(|one| (one.name.as_str(), one.url.as_str())).collect();
        assert_eq!(urls, [("log", "http://configured/"), ("erp", "http://10.0.0.1/")]);
        let names: Vec<_> = present.names().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["erp", "log", "odd"], "what waits for the odd one is kept");
        let odd = present.holder(&"odd".parse().expect("a name"));
        assert!(matches!(odd, Holder::Made(made) if made.subscription.is_none()));
    }
}
