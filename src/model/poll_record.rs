//! What is kept of a poll for people to look at.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// One poll, as its connector's history has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollRecord {
    /// When it began.
    pub at: Timestamp,
    /// In milliseconds.
    pub elapsed: u64,
    /// How it ended, in one word: `unchanged`, `complete`, `truncated`, `partial` or `failed`.
    pub outcome: String,
    /// Why it was truncated, partial or failed; secrets taken out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    pub pages: u64,
    /// Redirects and repeated tries included.
    pub requests: u64,
    /// Of all answers, after decompression.
    pub bytes: u64,
    pub items: u64,
    pub created: u64,
    pub updated: u64,
    pub removed: u64,
    /// Changes that were held for approval instead of becoming events.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub held: u64,
    /// What was odd, secrets taken out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// When the next poll was going to be; `None` if never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Timestamp>,
    pub next_because: NextReason,
}

/// Why the next poll is when it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NextReason {
    /// Its schedule says so.
    Schedule,
    /// It adapts to how often the source changes.
    Adaptive,
    /// Polls failed, so the next one waits longer.
    Backoff,
    /// The source asked not to be polled before.
    AskedToWait,
    /// There is more to read than one poll may.
    Behind,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}
