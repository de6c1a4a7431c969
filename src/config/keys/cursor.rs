//! The keys of a connector that say how an incremental API is asked.

use super::{Key, Keys, Kind};

pub(super) static CURSOR: Keys = Keys {
    what: "`cursor`",
    all: &[
        Key::new(
            "value",
            Kind::Expression,
            "Gives the cursor value of an item; the largest of all items of a poll becomes `{{ cursor }}`.",
        ),
        Key::new(
            "answer",
            Kind::Expression,
            "Gives `{{ cursor }}` for the next poll in an answer as a whole, such as a token; instead of `value`.",
        ),
        Key::new(
            "initial",
            Kind::Forms,
            "What the very first poll asks with: a time ago (\"-24h\"), or a literal; without it, what refers to the cursor is left out.",
        ),
        Key::new(
            "overlap",
            Kind::Forms,
            "How far before the cursor each poll begins: a time (\"5m\"), or a number where cursor values are numbers.",
        ),
        Key::new(
            "ascending",
            Kind::Boolean,
            "Whether the API lists the smallest cursor value first, so that what was read counts although later pages were not.",
        )
        .or("false"),
        Key::new(
            "too_old",
            Kind::Expression,
            "Truthy on a 4xx answer that refuses the cursor as too old: then everything is polled. A 410 always does.",
        ),
        Key::new(
            "reconcile",
            Kind::Duration("1m", "366d"),
            "How often to poll without the cursor, to find what was removed or missed.",
        ),
    ],
    exclusive: &[&["value", "answer"], &["initial", "reconcile"], &["answer", "overlap"]],
};
