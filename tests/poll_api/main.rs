//! Polling real servers on real sockets: what is asked of them, what is made of their answers, and what remains when
//! they fail.

#[expect(dead_code, reason = "the tests of faults use all of it")]
#[path = "../support/source.rs"]
mod source;
#[path = "../support/tls.rs"]
mod tls;
mod world;

mod auth;
mod bodies;
mod changes;
mod cursor;
mod detail;
mod elements;
mod failures;
mod formats;
mod histories;
mod hold;
mod increments;
mod looking;
mod manners;
mod model;
mod paging;
mod paging_styles;
mod passes;
mod safety;
mod schedule;
mod secure;
mod streaming;
mod unchanged;
