//! Leaving the house: the one HTTP client that polls and deliveries share, and the budgets of the hosts that are polled.

mod body;
mod budget;
mod challenge;
mod client;
mod date;
mod error;
mod freshness;
mod guard;
mod handover;
mod rate_limit;
mod retry_after;
mod status;
mod tls;
mod trace;
mod within;

pub use budget::{Account, Budgets, PollPlace, Turn, USUAL_CONCURRENCY};
pub use challenge::{Challenge, challenges};
pub use client::{BodyLimit, HttpClient, HttpRequest, HttpResponse, Limits, reason};
pub use error::HttpError;
pub use freshness::{fresh_for, last_modified, server_time};
pub use guard::Lookup;
pub use rate_limit::{UNKNOWN_RESET, asked_to_wait};
pub use reqwest::Method;
pub use reqwest::header;
pub use retry_after::{LONGEST_RETRY_AFTER, retry_after};
pub use status::Status;
pub use trace::Trace;
pub use within::within;
