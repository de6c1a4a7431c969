//! Requests that leave the house, on real sockets: where they may go, by which way, and what is known of it afterwards.

mod connections;
mod guard;
mod http2;
mod oracle;
mod proxy;
mod secure;
#[path = "../support/tls.rs"]
mod tls;
mod traced;
mod world;
