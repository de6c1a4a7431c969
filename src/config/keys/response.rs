//! The keys of a connector that say how an answer is read.

use super::{Key, Keys, Kind, Words};

pub(super) static RESPONSE: Keys = Keys {
    what: "`response`",
    all: &[FORMAT, Key::new("items", Kind::Expression, "Yields the items.").or(".[]"), ERROR],
    exclusive: &[],
};

pub(super) const FORMAT: Key = Key::new(
    "format",
    Kind::Choice(&RESPONSE_FORMATS),
    "The format of the answer; without it, its `Content-Type` tells.",
);

pub(super) const ERROR: Key =
    Key::new("error", Kind::Expression, "Truthy means that this answer is a failure, whatever its status.");

static RESPONSE_FORMATS: Words = Words { words: &["json"], later: &["ndjson", "csv", "xml", "feed", "html"] };
