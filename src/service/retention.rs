//! Removes what retention no longer keeps, in small steps while everything else runs.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::SharedClock;
use crate::deliver::Registry;
use crate::service::supervisor::TaskError;
use crate::store::{Retention, SharedStore};

/// How many events one step looks at.
const STEP: usize = 500;

/// The wait between two steps of a round: short, but long enough not to be noticed by polls and deliveries.
const BETWEEN_STEPS: Duration = Duration::from_millis(250);

/// The wait between two rounds.
const BETWEEN_ROUNDS: Duration = Duration::from_secs(5 * 60);

/// Prunes for as long as it is polled; what waits for none of the present subscriptions is not kept for ever either. Dropping
/// it at any point loses nothing.
pub async fn run(
    store: SharedStore,
    clock: SharedClock,
    retention: Retention,
    registry: Arc<Registry>,
) -> Result<(), TaskError> {
    loop {
        let pruned = store.prune(clock.now(), retention, &registry.present().names(), STEP).await?;
        if pruned.events > 0 || pruned.deliveries > 0 {
            tracing::debug!(
                events = pruned.events,
                deliveries = pruned.deliveries,
                "removed what was kept long enough"
            );
        }
        store.prune_replays(clock.now() - retention.delivered, STEP).await?;
        let wait = if pruned.finished { BETWEEN_ROUNDS } else { BETWEEN_STEPS };
        clock.sleep_until(clock.now() + wait).await;
    }
}
