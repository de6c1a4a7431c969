//! What most of many durations do not exceed.

use std::time::Duration;

/// Returns what so many percent of the durations do not exceed, in words.
pub fn percentile(durations: &mut [Duration], percent: usize) -> String {
    durations.sort_unstable();
    let index = (durations.len() * percent / 100).min(durations.len() - 1);
    format!("{:.2} ms", durations[index].as_secs_f64() * 1e3)
}
