//! Subscriptions made over the API, in each store.

use std::sync::Arc;

use pollhook::model::fingerprint::BodyHash;
use pollhook::model::secret::Secret;
use pollhook::model::signing::Timed;
use pollhook::store::memory::MemoryStore;
use pollhook::store::{HistoryStore, Retention, SharedStore, StoreError, StoredSubscription, SubscriptionStore};

use super::support::{MapKeyValue, at, open_map, open_sled, subscription};

/// Returns a subscription of a revision, whose definition has about so many bytes.
fn made(name: &str, revision: u64, length: usize) -> StoredSubscription {
    let former = (1..revision).map(|number| Timed {
        secret: Secret::new(format!("secret {number}")),
        until: (number > 1).then(|| at(number)),
    });
    StoredSubscription {
        name: subscription(name),
        definition: Secret::new(format!("{{\"url\":\"{}\"}}", "ü".repeat(length / 2))),
        former_secrets: former.collect(),
        created_at: at(1),
        changed_at: at(revision),
        revision,
        made_by: (revision == 2).then(|| BodyHash::of(b"request")),
    }
}

/// Returns all of a subscription, its secrets as well.
fn described(one: &StoredSubscription) -> String {
    let former: Vec<_> = one.former_secrets.iter().map(|timed| (timed.secret.expose(), timed.until)).collect();
    let (definition, made_by) = (one.definition.expose(), one.made_by);
    format!("{} {definition} {former:?} {} {} {} {made_by:?}", one.name, one.created_at, one.changed_at, one.revision)
}

async fn check(store: &dyn SubscriptionStore, expected: &[StoredSubscription]) {
    let found = store.stored_subscriptions().await.expect("a read");
    let described = |all: &[StoredSubscription]| all.iter().map(described).collect::<Vec<_>>();
    assert_eq!(described(&found), described(expected));
}

async fn are_kept_replaced_and_forgotten(store: SharedStore) {
    check(&*store, &[]).await;
    for (revision, length) in [(1, 10), (2, 50_000), (3, 20_000), (4, 7)] {
        store.store_subscription(made("erp", revision, length)).await.expect("a change");
        store.store_subscription(made("erp-2", revision, 10)).await.expect("a change");
        store.store_subscription(made("chat", 1, 20_000)).await.expect("a change");
        let expected = [made("chat", 1, 20_000), made("erp", revision, length), made("erp-2", revision, 10)];
        check(&*store, &expected).await;
    }
    store.forget_subscription(&subscription("erp")).await.expect("a change");
    store.forget_subscription(&subscription("erp")).await.expect("it is forgotten already");
    check(&*store, &[made("chat", 1, 20_000), made("erp-2", 4, 10)]).await;
    store.close().await.expect("it closes");
    assert!(matches!(store.stored_subscriptions().await, Err(StoreError::Closed)));
    assert!(matches!(store.store_subscription(made("erp", 1, 1)).await, Err(StoreError::Closed)));
}

#[tokio::test]
async fn are_kept_in_memory() {
    are_kept_replaced_and_forgotten(MemoryStore::new()).await;
}

#[tokio::test]
async fn are_kept_by_the_embedded_store() {
    are_kept_replaced_and_forgotten(Arc::new(open_map(&Arc::new(MapKeyValue::default())))).await;
}

/// Also large ones: pruning, which removes pieces that nobody refers to, leaves theirs alone.
#[tokio::test]
async fn outlive_the_process_and_pruning() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open_sled(directory.path()).expect("a new store");
    for one in [made("chat", 1, 90_000), made("erp", 2, 10)] {
        store.store_subscription(one).await.expect("a change");
    }
    drop(store);
    let store = open_sled(directory.path()).expect("the store opens");
    while !store.prune(at(1000), Retention::default(), &[], 500).await.expect("a step").finished {}
    check(&store, &[made("chat", 1, 90_000), made("erp", 2, 10)]).await;
    store.forget_subscription(&subscription("chat")).await.expect("a change");
    check(&store, &[made("erp", 2, 10)]).await;
}
