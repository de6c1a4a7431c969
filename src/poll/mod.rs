//! An API → changes: fetch pages, decode them, extract items, detect changes, commit.

pub mod detect;
