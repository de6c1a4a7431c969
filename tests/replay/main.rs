//! Replays carried out: their pace, their ends, and what the API says of them.

mod api;
mod carried_out;

#[path = "../support"]
mod support {
    pub mod process;
    #[expect(dead_code, reason = "other tests use all of it")]
    pub mod service;
    #[expect(dead_code, reason = "the tests of faults use all of it")]
    pub mod source;
    pub mod wait;
    pub mod web;
}
