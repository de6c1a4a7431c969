//! The subscriptions that there are: those of the configuration and those that were made over the API. They come and go
//! while the service runs.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::lane;
use super::matching::SubscriptionSet;
use crate::model::event::{Event, Route};
use crate::model::id::SubscriptionName;
use crate::model::secret::Secret;
use crate::model::signing::{Signing, Timed};
use crate::model::subscription::{Mismatch, Subscription};
use crate::store::{SharedStore, StoreError, StoredSubscription};
use crate::telemetry::SharedTelemetry;

/// Holds the present subscriptions. Whoever routes by them, runs lanes for them or shows them asks it each time, or
/// waits for [`Registry::changes`].
pub struct Registry {
    store: SharedStore,
    present: watch::Sender<Arc<Present>>,
    changes: mpsc::UnboundedSender<Work>,
    /// What [`Registry::run`] takes changes from.
    work: Mutex<mpsc::UnboundedReceiver<Work>>,
}

/// A change that waits for its turn.
type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// All subscriptions at one time.
#[derive(Debug)]
pub struct Present {
    configured: Vec<Arc<Subscription>>,
    made: BTreeMap<SubscriptionName, Arc<Made>>,
    set: SubscriptionSet,
    names: Arc<[SubscriptionName]>,
}

/// A subscription that was made over the API.
#[derive(Debug)]
pub struct Made {
    pub stored: StoredSubscription,
    /// `None` if what is stored cannot be used by this version.
    pub subscription: Option<Arc<Subscription>>,
    /// What was asked for, with `***` for each secret.
    pub shown: Value,
}

/// Who has a name.
#[derive(Debug, Clone, Copy)]
pub enum Holder<'a> {
    Nobody,
    /// The configuration, whether or not a subscription of that name was made before.
    Configured(&'a Arc<Subscription>),
    Made(&'a Arc<Made>),
}

/// What becomes of a name.
#[derive(Debug)]
pub enum Change {
    /// This subscription has it from now on.
    Put(Made),
    /// Nobody has it any more.
    Remove,
    /// All stays as it is.
    Nothing,
}

impl Registry {
    /// Returns the registry of the configured subscriptions and of those that were made. Where both have a name, the
    /// configured one counts.
    pub fn new(
        configured: Vec<Arc<Subscription>>,
        made: Vec<Made>,
        store: SharedStore,
        telemetry: SharedTelemetry,
    ) -> Arc<Self> {
        let made = made.into_iter().map(|made| (made.stored.name.clone(), Arc::new(made))).collect();
        let present = Present::new(configured, made, |subscriptions| SubscriptionSet::new(subscriptions, telemetry));
        let (changes, work) = mpsc::unbounded_channel();
        Arc::new(Self { store, present: watch::Sender::new(Arc::new(present)), changes, work: Mutex::new(work) })
    }

    /// Returns the subscriptions as they are now.
    pub fn present(&self) -> Arc<Present> {
        Arc::clone(&self.present.borrow())
    }

    /// Returns what tells that the subscriptions are others than they were.
    pub fn changes(&self) -> watch::Receiver<Arc<Present>> {
        self.present.subscribe()
    }

    /// Makes changes, one after the other, until it is told to stop. A change that was begun is finished, whether or not
    /// somebody still waits for it: what is durable is also routed by.
    pub async fn run(&self, stop: CancellationToken) {
        let mut work = self.work.lock().await;
        while let Some(Some(change)) = stop.run_until_cancelled(work.recv()).await {
            change.await;
        }
    }

    /// Decides about a name, knowing who has it, and makes the change: first durable, then routed by. Returns what the
    /// decision comes to when both are done. While [`Registry::run`] does not run, this waits.
    pub async fn change<T, E>(
        self: &Arc<Self>,
        name: SubscriptionName,
        decide: impl FnOnce(Holder<'_>) -> Result<(Change, T), E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let registry = Arc::clone(self);
        let work: Work = Box::pin(async move {
            // Nobody may be waiting any more.
            let _ = answer.send(registry.make(&name, decide).await);
        });
        let closed = || Err(StoreError::Closed.into());
        if self.changes.send(work).is_err() {
            return closed();
        }
        answered.await.unwrap_or_else(|_| closed())
    }

    /// Takes over another configuration. Returns the names that subscriptions which were made had until now and that the
    /// configuration takes: those are kept, and come back when the configuration has done with their names.
    pub async fn configure(self: &Arc<Self>, configured: Vec<Arc<Subscription>>) -> Vec<SubscriptionName> {
        let (answer, answered) = oneshot::channel();
        let registry = Arc::clone(self);
        let work: Work = Box::pin(async move {
            let before = registry.present();
            registry.replace(&before, configured, before.made.clone());
            let given_way = registry.present().given_way();
            let earlier: BTreeSet<_> = before.given_way().into_iter().collect();
            let _ = answer.send(given_way.into_iter().filter(|name| !earlier.contains(name)).collect());
        });
        // If nobody makes changes any more, the service is stopping.
        let _ = self.changes.send(work);
        answered.await.unwrap_or_default()
    }

    async fn make<T, E: From<StoreError>>(
        &self,
        name: &SubscriptionName,
        decide: impl FnOnce(Holder<'_>) -> Result<(Change, T), E>,
    ) -> Result<T, E> {
        let before = self.present();
        let (change, outcome) = decide(before.holder(name))?;
        let mut made = before.made.clone();
        match change {
            Change::Nothing => return Ok(outcome),
            Change::Put(one) => {
                if matches!(before.holder(name), Holder::Nobody) {
                    // Whoever had the name before may have been disabled.
                    lane::enable(&*self.store, name).await?;
                }
                self.store.store_subscription(one.stored.clone()).await?;
                made.insert(name.clone(), Arc::new(one));
            }
            Change::Remove => {
                self.store.forget_subscription(name).await?;
                made.remove(name);
            }
        }
        self.replace(&before, before.configured.clone(), made);
        Ok(outcome)
    }

    fn replace(
        &self,
        before: &Present,
        configured: Vec<Arc<Subscription>>,
        made: BTreeMap<SubscriptionName, Arc<Made>>,
    ) {
        let present = Present::new(configured, made, |subscriptions| before.set.replaced_by(subscriptions));
        self.present.send_replace(Arc::new(present));
    }
}

impl Route for Registry {
    fn subscriptions(&self, event: &Event) -> Vec<SubscriptionName> {
        self.present().set.subscriptions(event)
    }
}

impl Present {
    fn new(
        configured: Vec<Arc<Subscription>>,
        made: BTreeMap<SubscriptionName, Arc<Made>>,
        set: impl FnOnce(Vec<Arc<Subscription>>) -> SubscriptionSet,
    ) -> Self {
        let mut names: BTreeSet<SubscriptionName> = configured.iter().map(|one| one.name.clone()).collect();
        let mut all = configured.clone();
        all.extend(
            made.values()
                .filter(|made| !names.contains(&made.stored.name))
                .filter_map(|made| made.subscription.clone()),
        );
        names.extend(made.keys().cloned());
        Self { configured, made, set: set(all), names: names.into_iter().collect() }
    }

    /// Returns the subscription with this name.
    pub fn get(&self, name: &SubscriptionName) -> Option<&Arc<Subscription>> {
        self.set.get(name)
    }

    /// Returns all subscriptions that events go to: the configured ones in their order, then the others by name.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Subscription>> {
        self.set.all()
    }

    /// Returns what each subscription says to an event, in the same order.
    pub fn explain(&self, event: &Event) -> Vec<(&Arc<Subscription>, Result<(), Mismatch>)> {
        self.set.explain(event)
    }

    /// Returns all names that somebody has, also those of subscriptions that cannot be used now: what waits for them is
    /// kept.
    pub fn names(&self) -> Arc<[SubscriptionName]> {
        Arc::clone(&self.names)
    }

    /// Returns who has a name.
    pub fn holder(&self, name: &SubscriptionName) -> Holder<'_> {
        match (self.set.get(name), self.made.get(name)) {
            (Some(subscription), made) if !made.is_some_and(|made| made.is(subscription)) => {
                Holder::Configured(subscription)
            }
            (_, Some(made)) => Holder::Made(made),
            (_, None) => Holder::Nobody,
        }
    }

    /// Returns the names of subscriptions that were made and gave way to configured ones.
    pub fn given_way(&self) -> Vec<SubscriptionName> {
        let gave_way = |name: &&SubscriptionName| matches!(self.holder(name), Holder::Configured(_));
        self.made.keys().filter(gave_way).cloned().collect()
    }
}

/// Returns the secrets that something is signed with, as they are written.
pub fn signing_secrets(signing: &Signing) -> Vec<Timed<Secret>> {
    match signing {
        Signing::Standard(secrets) => {
            secrets.iter().map(|timed| Timed { secret: timed.secret.to_text(), until: timed.until }).collect()
        }
        Signing::Header(_, secrets) => secrets.clone(),
    }
}

impl Made {
    fn is(&self, subscription: &Arc<Subscription>) -> bool {
        self.subscription.as_ref().is_some_and(|own| Arc::ptr_eq(own, subscription))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::deliver::fixture;
    use crate::model::secret::Secret;
    use crate::model::time::Timestamp;
    use crate::store::SubscriptionStore;
    use crate::store::memory::MemoryStore;
    use crate::telemetry::Telemetry;

    fn made(name: &str, url: &str) -> Made {
        let subscription = Arc::new(fixture::subscription(name, url));
        let stored = StoredSubscription {
            name: subscription.name.clone(),
            definition: Secret::new(json!({ "url": url }).to_string()),
            former_secrets: Vec::new(),
            created_at: Timestamp::EPOCH,
            changed_at: Timestamp::EPOCH,
            revision: 1,
            made_by: None,
        };
        Made { stored, subscription: Some(subscription), shown: json!(null) }
    }

    fn configured(names: &[&str]) -> Vec<Arc<Subscription>> {
        names.iter().map(|name| Arc::new(fixture::subscription(name, "http://configured/"))).collect()
    }

    fn name(text: &str) -> SubscriptionName {
        text.parse().expect("a name")
    }

    /// Runs a test beside the task that makes changes.
    async fn with_registry<F: Future<Output = ()>>(
        configured: Vec<Arc<Subscription>>,
        made: Vec<Made>,
        test: impl FnOnce(Arc<Registry>, Arc<MemoryStore>) -> F,
    ) {
        let store = MemoryStore::new();
        let registry = Registry::new(configured, made, store.clone(), Telemetry::shared());
        let stop = CancellationToken::new();
        let tested = async {
            test(registry.clone(), store).await;
            stop.cancel();
        };
        tokio::join!(registry.run(stop.clone()), tested);
    }

    /// Checks where an event goes, and to which URLs.
    #[track_caller]
    fn check(registry: &Registry, expected: &[(&str, &str)]) {
        let event = fixture::event("orders", "created", &json!(1));
        let present = registry.present();
        let url =
            |name: &SubscriptionName| present.get(name).expect("it is there").url.host_str().unwrap_or("").to_owned();
        let names = registry.subscriptions(&event);
        let found: Vec<_> = names.iter().map(|name| (name.as_str(), url(name))).collect();
        let expected: Vec<_> = expected.iter().map(|(name, host)| (*name, (*host).to_owned())).collect();
        assert_eq!(found, expected);
    }

    async fn put(registry: &Arc<Registry>, one: Made) -> Result<(), StoreError> {
        registry.change(one.stored.name.clone(), |_| Ok((Change::Put(one), ()))).await
    }

    #[tokio::test]
    async fn subscriptions_come_change_and_go_first_durable_and_then_routed_by() {
        with_registry(configured(&["erp"]), Vec::new(), async |registry, store| {
            let mut changes = registry.changes();
            check(&registry, &[("erp", "configured")]);
            put(&registry, made("chat", "http://one/")).await.expect("a change");
            assert!(changes.has_changed().expect("the registry is there"));
            changes.mark_unchanged();
            check(&registry, &[("erp", "configured"), ("chat", "one")]);
            put(&registry, made("chat", "http://two/")).await.expect("a change");
            check(&registry, &[("erp", "configured"), ("chat", "two")]);
            assert_eq!(store.stored_subscriptions().await.expect("a read").len(), 1);
            let removed: Result<(), StoreError> = registry.change(name("chat"), |_| Ok((Change::Remove, ()))).await;
            removed.expect("a change");
            check(&registry, &[("erp", "configured")]);
            assert_eq!(&*registry.present().names(), [name("erp")]);
            assert!(store.stored_subscriptions().await.expect("a read").is_empty());

            crate::store::HistoryStore::close(&*store).await.expect("it closes");
            put(&registry, made("late", "http://three/")).await.expect_err("it cannot be kept");
            check(&registry, &[("erp", "configured")]);
        })
        .await;
    }

    #[tokio::test]
    async fn a_change_whose_asker_went_away_is_made_whole() {
        let store = MemoryStore::new();
        let registry = Registry::new(Vec::new(), Vec::new(), store.clone(), Telemetry::shared());
        let mut asking = Box::pin(put(&registry, made("chat", "http://one/")));
        assert!(futures_util::poll!(asking.as_mut()).is_pending());
        drop(asking);
        let stop = CancellationToken::new();
        let asked = async {
            put(&registry, made("other", "http://two/")).await.expect("a change");
            stop.cancel();
        };
        tokio::join!(registry.run(stop.clone()), asked);
        check(&registry, &[("chat", "one"), ("other", "two")]);
        assert_eq!(store.stored_subscriptions().await.expect("a read").len(), 2);
    }

    #[tokio::test]
    async fn what_the_configuration_names_gives_way_and_comes_back() {
        with_registry(
            configured(&["a"]),
            vec![made("a", "http://made/"), made("b", "http://made/")],
            async |registry, _| {
                check(&registry, &[("a", "configured"), ("b", "made")]);
                assert_eq!(registry.present().given_way(), [name("a")]);
                assert!(matches!(registry.present().holder(&name("a")), Holder::Configured(_)));
                assert!(matches!(registry.present().holder(&name("b")), Holder::Made(_)));
                assert!(matches!(registry.present().holder(&name("c")), Holder::Nobody));
                assert_eq!(registry.configure(configured(&["b", "a"])).await, [name("b")]);
                check(&registry, &[("b", "configured"), ("a", "configured")]);
                assert_eq!(registry.configure(Vec::new()).await, []);
                check(&registry, &[("a", "made"), ("b", "made")]);
            },
        )
        .await;
    }

    #[tokio::test]
    async fn one_that_cannot_be_used_keeps_its_name() {
        let broken = Made { subscription: None, ..made("old", "http://made/") };
        with_registry(Vec::new(), vec![broken], async |registry, _| {
            check(&registry, &[]);
            assert_eq!(&*registry.present().names(), [name("old")]);
            assert!(matches!(registry.present().holder(&name("old")), Holder::Made(_)));
        })
        .await;
    }
}
