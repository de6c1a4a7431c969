//! pollhook turns any HTTP API into a source of webhooks.
//!
//! The rooms below are in reading order. Data enters at [`poll`], crosses [`store`], and leaves by [`deliver`]:
//!
//! ```text
//! schedule ─► fetch pages ─► decode ─► extract items ─► detect changes ─► commit ─► lanes ─► render ─► sign ─► POST ─► settle
//!   poll/                                                                 store/    deliver/                         store/
//! ```
//!
//! `ARCHITECTURE.md` says what each room may know of the others, and what it must never do.

pub mod model;

pub mod clock;
pub mod telemetry;

pub mod config;
pub mod http;

pub mod auth;
pub mod deliver;
pub mod discover;
pub mod poll;
pub mod store;

pub mod server;
pub mod service;

pub mod cli;
