//! The keys of a connector that say which changes become events.

use super::{Key, Keys, Kind, Words};

pub(super) static CHANGES: Keys = Keys {
    what: "`changes`",
    all: &[
        Key::new("events", Kind::Choices(&CHANGE_KINDS), "The kinds of change that become events.")
            .or("[\"created\", \"updated\"]"),
        Key::new(
            "lists",
            Kind::Choice(&LISTS),
            "Whether a poll lists all items there are, so that a missing one is gone.",
        )
        .or("recent"),
        Key::new(
            "first_poll",
            Kind::Forms,
            "What the first poll sends: nothing (\"baseline\"), all (\"send\"), or { latest = 5 }.",
        )
        .or("baseline"),
        Key::new(
            "removed_after",
            Kind::Count(1, 250),
            "In how many complete polls in a row a removed item is missing; at least 2 where a poll reads several pages.",
        )
        .or("1"),
        Key::new(
            "forget_after",
            Kind::Duration("1h", "3650d"),
            "How long after it was last seen an item is forgotten.",
        )
        .or("30d"),
        Key::new("previous", Kind::Boolean, "Whether items are kept, so that events say what was before.").or("false"),
        Key::new(
            "hold_above",
            Kind::Table(&HOLD_ABOVE),
            "How many changes of one poll are too many to be sent before somebody has approved them.",
        ),
        Key::new(
            "empty",
            Kind::Choice(&EMPTY),
            "Whether a poll without any items is believed where there were some; suspicious ones are, if there are three in a row.",
        )
        .or("suspicious"),
    ],
    exclusive: &[],
};

static CHANGE_KINDS: Words = Words { words: &["created", "updated", "removed"], later: &[] };

static LISTS: Words = Words { words: &["recent", "everything"], later: &[] };

static EMPTY: Words = Words { words: &["ok", "suspicious"], later: &[] };

static HOLD_ABOVE: Keys = Keys {
    what: "`hold_above`",
    all: &[
        Key::new(
            "created",
            Kind::Count(0, 1_000_000_000),
            "The most items that one poll may create; without it any number.",
        ),
        Key::new(
            "removed",
            Kind::Forms,
            "The most items that one poll may remove, as a number or as a part of those that were there, such as \"20%\".",
        ),
    ],
    exclusive: &[],
};

/// The words that `first_poll` can be.
pub(in crate::config) static FIRST_POLL: Words = Words { words: &["baseline", "send"], later: &[] };

/// `first_poll = { latest = 5 }`.
pub(in crate::config) static LATEST: Keys = Keys {
    what: "`first_poll`",
    all: &[Key::new("latest", Kind::Count(0, 1_000_000), "How many items of the first poll are sent.")],
    exclusive: &[],
};
