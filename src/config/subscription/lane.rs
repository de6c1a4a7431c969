//! How a subscription's deliveries are spaced, ordered and repeated.

use crate::config::reader::Fields;
use crate::model::lane::LanePolicy;
use crate::model::retry::RetryPolicy;

/// Reads what the lane keeps to.
pub(super) fn lane(fields: &Fields<'_>) -> Option<LanePolicy> {
    let concurrency = usize::try_from(fields.count("concurrency")?).ok()?;
    Some(LanePolicy { concurrency, ..LanePolicy::default() })
}

/// Reads when failed deliveries are attempted again.
pub(super) fn retry(fields: &Fields<'_>) -> Option<RetryPolicy> {
    match fields.entry("retry") {
        Some(_) => fields.durations("retry").map(RetryPolicy::new),
        None => Some(RetryPolicy::default()),
    }
}
