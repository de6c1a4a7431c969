//! `pollhook new` and the first ten minutes, through the real binary: whole paths, files, and all that a terminal shows.
//!
//! `UPDATE_FIXTURES=1 cargo test --test new` writes down what is said now.

#[path = "../support/process.rs"]
#[expect(dead_code, reason = "the tests of kills use all of it")]
mod process;
#[path = "../support/receiver.rs"]
#[expect(dead_code, reason = "the tests of lanes use all of it")]
mod receiver;
#[path = "../support/servers.rs"]
#[expect(dead_code, reason = "the tests on other people's software use all of it")]
mod servers;
#[path = "../support/source.rs"]
#[expect(dead_code, reason = "the tests of faults use all of it")]
mod source;
#[path = "../support/wait.rs"]
mod wait;
#[path = "../support/web.rs"]
mod web;

mod desk;
mod files;
mod findings;
mod first_minutes;
mod known;
mod secrets;
mod whole_path;
