//! The nouns of the house: pure values that cannot be wrong once they exist.
//!
//! Nothing here does I/O, reads a clock or imports another room.

pub mod auth;
pub mod change;
pub mod connector;
pub mod content;
pub mod cursor;
pub mod delivery;
pub mod egress;
pub mod event;
pub mod event_filter;
pub mod excerpt;
pub mod expression;
pub mod fingerprint;
pub mod format;
pub mod id;
pub mod item;
pub mod json;
pub mod lane;
pub mod limits;
pub mod pagination;
pub mod pattern;
pub mod poll_record;
pub mod quantity;
pub mod replay;
pub mod retry;
pub mod schedule;
pub mod secret;
pub mod selector;
pub mod shape;
pub mod signing;
pub mod subscription;
pub mod template;
pub mod time;
pub mod tls;
