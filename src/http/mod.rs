//! Leaving the house: the one HTTP client that polls and deliveries share.

mod client;
mod retry_after;

pub use client::{BodyLimit, HttpClient, HttpError, HttpRequest, HttpResponse, Limits, reason};
pub use reqwest::Method;
pub use reqwest::header;
pub use retry_after::{LONGEST_RETRY_AFTER, retry_after};
