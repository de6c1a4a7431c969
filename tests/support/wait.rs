//! Waiting for what other processes bring about.

use std::time::Duration;

use pollhook::clock::SystemClock;

/// How often a condition is looked at.
const PACE: Duration = Duration::from_millis(20);

/// Waits until the condition yields something; fails, saying what did not come about, after so long.
pub async fn until<T>(what: &str, patience: Duration, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let clock = SystemClock::shared();
    let deadline = clock.now() + patience;
    loop {
        if let Some(result) = condition().await {
            return result;
        }
        assert!(clock.now() < deadline, "{what}: not within {patience:?}");
        pause(PACE).await;
    }
}

/// Lets this much time pass, for scenarios in which something happens at any moment.
pub async fn pause(duration: Duration) {
    let clock = SystemClock::shared();
    clock.sleep_until(clock.now() + duration).await;
}
