//! Connections that are kept and then closed at the worst moments: no delivery is lost, and none fails.

use std::collections::BTreeMap;
use std::sync::Arc;

use fastrand::Rng;
use pollhook::model::delivery::DeliveryState;

use crate::fault::{Conduct, FaultReceiver};
use crate::wait;
use crate::world::World;

const DELIVERIES: usize = 400;

/// How long all of this may take on a machine that is busy with other tests.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(120);

/// A connection's first request is always answered. Then it may be closed before the answer is read, a little later,
/// or when the next request begins to arrive or has arrived.
#[tokio::test(flavor = "multi_thread")]
async fn no_delivery_fails_because_of_a_connection_that_was_kept() {
    for concurrency in [1, 8] {
        let seed = fastrand::u64(..);
        let receiver = FaultReceiver::start();
        receiver.conducts(Conduct::Fickle(Arc::new(std::sync::Mutex::new(Rng::with_seed(seed)))));
        let mut world = World::new();
        let rules = format!("concurrency = {concurrency}");
        world.run(&receiver.url(), &rules).await;
        let keys: Vec<String> = (0..DELIVERIES).map(|number| number.to_string()).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let ids = world.add(&keys, 0).await;
        let mut attempts = BTreeMap::new();
        wait::until(&format!("all is tried (seed {seed})"), PATIENCE, async || {
            for id in &ids {
                if !attempts.contains_key(id) {
                    let (delivery, made) = world.delivery(id).await;
                    attempts.insert(id, (!made.is_empty()).then_some((delivery, made))?);
                }
            }
            Some(())
        })
        .await;
        for (delivery, made) in attempts.values() {
            let delivered = matches!(delivery.state, DeliveryState::Delivered { .. });
            assert!(delivered, "seed {seed}, {concurrency} at once: {made:?}");
        }
        let received = receiver.received();
        let acknowledged = received.iter().filter(|request| request.is_acknowledged).count();
        assert_eq!(acknowledged, DELIVERIES, "seed {seed}: each was acknowledged once");
    }
}
