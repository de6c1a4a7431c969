//! Receivers that do not work keep nothing from those that do: not while they are many beside a few, and not with a
//! backlog that is larger than memory may become.

#[path = "../support/events.rs"]
mod events;
#[path = "../support/memory.rs"]
mod memory;
#[path = "../support/process.rs"]
mod process;
#[expect(dead_code, reason = "the tests of lanes use all of it")]
#[path = "../support/receiver.rs"]
mod receiver;
#[expect(dead_code, reason = "nothing is stopped here but by force")]
#[path = "../support/service.rs"]
mod service;
#[expect(dead_code, reason = "the tests of faults use all of it")]
#[path = "../support/source.rs"]
mod source;
#[path = "../support/wait.rs"]
mod wait;
#[path = "../support/web.rs"]
mod web;

mod backlog;
mod beside;
