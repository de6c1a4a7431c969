//! Waiting for a point in time that changes.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::clock::SharedClock;
use crate::model::time::Timestamp;

/// A wait that is set anew only when its time changes.
#[derive(Default)]
pub(super) struct Alarm {
    at: Option<Timestamp>,
    sleep: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Alarm {
    /// Sets the alarm to this time, instead of any other.
    pub fn set(&mut self, clock: &SharedClock, at: Timestamp) {
        if self.at != Some(at) {
            let clock = Arc::clone(clock);
            self.at = Some(at);
            self.sleep = Some(Box::pin(async move { clock.sleep_until(at).await }));
        }
    }

    /// Waits until the alarm's time has come, once; for ever if none is set.
    pub async fn ring(&mut self) {
        match &mut self.sleep {
            Some(sleep) => {
                sleep.await;
                *self = Self::default();
            }
            None => std::future::pending().await,
        }
    }
}
