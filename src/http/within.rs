//! A deadline for what is more than one exchange.

use std::future::Future;
use std::time::Duration;

/// Returns what comes of something within so long. If it takes longer, it is dropped, and there is `None`.
pub async fn within<T>(deadline: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(deadline, work).await.ok()
}
