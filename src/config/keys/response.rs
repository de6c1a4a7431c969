//! The keys of a connector that say how an answer is read.

use super::{Key, Keys, Kind, Words};

pub(super) static RESPONSE: Keys = Keys {
    what: "`response`",
    all: &[
        FORMAT,
        Key::new("items", Kind::Expression, "Yields the items; of a feed, it is `.items[]` when nothing is written.")
            .or(".[]"),
        ERROR,
        CSV_RULES,
        XML_RULES,
        HTML_RULES,
    ],
    exclusive: RULES,
};

pub(super) const FORMAT: Key = Key::new(
    "format",
    Kind::Choice(&RESPONSE_FORMATS),
    "The format of the answer; without it, its `Content-Type` or its beginning tells.",
);

pub(super) const ERROR: Key =
    Key::new("error", Kind::Expression, "Truthy means that this answer is a failure, whatever its status.");

pub(super) const CSV_RULES: Key = Key::new("csv", Kind::Table(&CSV), "How comma-separated values are read.");

pub(super) const XML_RULES: Key = Key::new("xml", Kind::Table(&XML), "How XML is read.");

pub(super) const HTML_RULES: Key =
    Key::new("html", Kind::Table(&HTML), "What is taken out of an HTML page, which is an array of objects then.");

/// An answer has one format.
pub(super) const RULES: &[&[&str]] = &[&["csv", "xml", "html"]];

static RESPONSE_FORMATS: Words = Words { words: &["json", "ndjson", "csv", "xml", "feed", "html"], later: &[] };

static CSV: Keys = Keys {
    what: "`csv`",
    all: &[
        Key::new(
            "delimiter",
            Kind::Text,
            "What stands between values; without it, the one of `,`, `;`, tab and `|` that the first line has most of.",
        ),
        Key::new("columns", Kind::Texts, "The names of the columns, if the first line is not that of their names."),
    ],
    exclusive: &[],
};

static XML: Keys = Keys {
    what: "`xml`",
    all: &[Key::new(
        "lists",
        Kind::Texts,
        "The elements that are always a list, even one alone; what `items` leads to is one anyway.",
    )],
    exclusive: &[],
};

static HTML: Keys = Keys {
    what: "`html`",
    all: &[
        Key::new("items", Kind::Text, "The CSS selector of an item."),
        Key::new(
            "fields",
            Kind::Map(&Kind::Forms),
            "What an item has: for each name the selector of its text, or `{ select, attribute, all }`.",
        ),
    ],
    exclusive: &[],
};

/// A field of an HTML item that is more than a text.
pub(in crate::config) static HTML_FIELD: Keys = Keys {
    what: "a field of HTML items",
    all: &[
        Key::new("select", Kind::Text, "The CSS selector within the item; without it, the item itself."),
        Key::new("attribute", Kind::Text, "The attribute that holds the value; without it, the text does."),
        Key::new("all", Kind::Boolean, "Whether all that is selected counts, as a list.").or("false"),
    ],
    exclusive: &[],
};
