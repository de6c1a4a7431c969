//! Connections that are kept and then closed at the worst moments: no delivery is lost, and none fails.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use pollhook::model::delivery::DeliveryState;

use crate::fault::{Conduct, FaultReceiver, Received};
use crate::world::World;
use crate::{http2, secure, wait};

const DELIVERIES: usize = 400;

/// How many of them may come again although they were acknowledged.
const MOST_REPEATS: usize = DELIVERIES / 100;

/// How long all of this may take on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(120);

/// A connection's first request is always answered. Then it may be closed before the answer is read, a little later,
/// or when the next request begins to arrive or has arrived.
#[tokio::test(flavor = "multi_thread")]
async fn no_delivery_fails_because_of_a_connection_that_was_kept() {
    check(FaultReceiver::start(), "concurrency = 1").await;
    check(FaultReceiver::start(), "concurrency = 8").await;
}

/// A connection takes no more requests at any time, and those that it has taken are answered.
#[tokio::test(flavor = "multi_thread")]
async fn no_delivery_fails_because_of_a_connection_of_many_that_goes_away() {
    let receiver = FaultReceiver::secured(Arc::new(http2::configuration()));
    check(receiver, &format!("concurrency = 8\n{}", secure::trusting())).await;
}

async fn check(receiver: FaultReceiver, rules: &str) {
    let seed = fastrand::u64(..);
    receiver.conducts(Conduct::Fickle(Arc::new(Mutex::new(Rng::with_seed(seed)))));
    let mut world = World::new();
    world.run(&receiver.url(), rules).await;
    let keys: Vec<String> = (0..DELIVERIES).map(|number| number.to_string()).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let ids = world.add(&keys, 0).await;
    let mut tried = BTreeMap::new();
    wait::until(&format!("all is tried (seed {seed})"), PATIENCE, async || {
        for id in &ids {
            if !tried.contains_key(id) {
                let (delivery, attempts) = world.delivery(id).await;
                tried.insert(id, (!attempts.is_empty()).then_some((delivery, attempts))?);
            }
        }
        Some(())
    })
    .await;
    for (delivery, attempts) in tried.values() {
        let delivered = matches!(delivery.state, DeliveryState::Delivered { .. });
        assert!(delivered, "seed {seed}, {rules}: {attempts:?}");
    }
    let received = receiver.received();
    let acknowledged: Vec<&str> = received.iter().filter(|request| request.is_acknowledged).map(Received::id).collect();
    let distinct: BTreeSet<&str> = acknowledged.iter().copied().collect();
    assert_eq!(distinct.len(), DELIVERIES, "seed {seed}: each was acknowledged");
    // The answer to one may be lost with its connection. Then it comes again, under the same id.
    let repeats = acknowledged.len() - distinct.len();
    assert!(repeats <= MOST_REPEATS, "seed {seed}: {repeats} were acknowledged again");
}
