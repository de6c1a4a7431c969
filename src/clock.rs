//! The one place where time is read and waited for.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::model::time::Timestamp;

/// A source of time. The service runs on [`SystemClock`]; tests move a [`ManualClock`] by hand.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// Returns the present time.
    fn now(&self) -> Timestamp;

    /// Returns a reading that never goes backwards, for measuring how long something took.
    fn monotonic(&self) -> Duration;

    /// Waits until `now` is at or after the given time.
    async fn sleep_until(&self, at: Timestamp);
}

/// A clock that many tasks share.
pub type SharedClock = Arc<dyn Clock>;

/// The operating system's clock.
#[derive(Debug)]
pub struct SystemClock {
    started: std::time::Instant,
}

/// The longest single wait: so that a step of the system's clock is noticed within it.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

impl SystemClock {
    /// Returns the operating system's clock.
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everything else reads")]
    pub fn shared() -> SharedClock {
        Arc::new(Self { started: std::time::Instant::now() })
    }
}

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everything else reads")]
    fn now(&self) -> Timestamp {
        Timestamp::from(chrono::Utc::now())
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock that everything else waits on")]
    async fn sleep_until(&self, at: Timestamp) {
        loop {
            let left = at.since(self.now());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(LONGEST_WAIT)).await;
        }
    }
}

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct ManualClock {
    now: watch::Sender<Timestamp>,
}

impl ManualClock {
    /// Returns a clock that stands at the given time.
    pub fn starting_at(now: Timestamp) -> Arc<Self> {
        Arc::new(Self { now: watch::Sender::new(now) })
    }

    /// Moves the clock forward and wakes whoever waited for a time that has now come.
    pub fn advance(&self, duration: Duration) {
        self.now.send_modify(|now| *now = *now + duration);
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.borrow()
    }

    fn monotonic(&self) -> Duration {
        self.now().since(Timestamp::EPOCH)
    }

    async fn sleep_until(&self, at: Timestamp) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.now.subscribe().wait_for(|now| *now >= at).await;
    }
}
