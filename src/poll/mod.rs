//! An API → changes: fetch pages, decode them, extract items, detect changes, commit.
//!
//! [`driver`] polls a connector on its schedule, [`poller`] makes one poll, and [`mod@look`] makes one without state.

pub mod detect;
pub mod driver;
pub mod error;
pub mod events;
pub mod look;
pub mod poller;
pub mod report;

mod aside;
mod auth;
mod changes;
mod compare;
mod content;
mod context;
mod cursor;
mod decide;
mod decode;
mod detail;
mod diagnose;
mod extract;
mod fetch;
mod find;
mod hold;
mod memo;
mod pace;
mod paginate;
mod patch;
mod plan;
mod polling;
mod request;
mod settle;
mod tape;
mod walk;
mod warnings;

pub use content::{Difference, differences, plain_differences};
pub use context::{FetchContext, PollContext};
pub use cursor::date_of;
pub use decode::{Outline, OutlineElement, is_html, items_of, outline_of, value_of};
pub use error::{PageError, PollFailure};
pub use events::{created_event, updated_event};
pub use find::{LookedAt, Sighting, find};
pub use look::{Look, Problem, look};
pub use paginate::{PageLink, links};
pub use poller::Poller;
pub use polling::MOST_PENDING_BYTES;
pub use report::{ChangeCounts, PollOutcome, PollReport};
pub use tape::{Recorded, Tape, TapeError};
pub use walk::Visit;
