//! Leaving the house: the one HTTP client that polls and deliveries share.

mod client;

pub use client::{BodyLimit, HttpClient, HttpError, HttpRequest, HttpResponse, Limits};
pub use reqwest::Method;
pub use reqwest::header;
