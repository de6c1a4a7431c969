//! The keys of a connector and of a template.

use super::auth::{AUTH, TLS};
use super::changes::CHANGES;
use super::cursor::CURSOR;
use super::detail::DETAIL;
use super::pagination::PAGINATION;
use super::response::RESPONSE;
use super::{Key, Keys, Kind, Words};

/// A template's `[params.NAME]`.
pub(in crate::config) static PARAM: Keys = Keys {
    what: "the declaration of a param",
    all: &[
        Key::new("description", Kind::Text, "What the param is for."),
        Key::new("example", Kind::Param, "A value that works; the template is checked with it."),
        Key::new("default", Kind::Param, "The value when none is given; a param without one must be given."),
        Key::new("secret", Kind::Boolean, "Whether the value is never shown.").or("false"),
    ],
    exclusive: &[],
};

/// The two places a secret can come from.
pub(in crate::config) static SECRET: Keys = Keys {
    what: "a secret",
    all: &[
        Key::new("env", Kind::Text, "The environment variable that holds it."),
        Key::new(
            "file",
            Kind::Text,
            "The file that holds it, relative to the configuration file; its last newline does not count.",
        ),
    ],
    exclusive: &[&["env", "file"]],
};

/// One connector, in `config.toml` or as a template in the catalogue.
pub(in crate::config) static CONNECTOR: Keys = Keys {
    what: "a connector",
    all: &[
        Key::new(
            "use",
            Kind::Text,
            "The template that this connector is an instance of; its other keys override the template's.",
        ),
        Key::new("params", Kind::Map(&Kind::Param), "The values of the template's params."),
        Key::new("title", Kind::Text, "What the connector is called, for people."),
        Key::new("homepage", Kind::Text, "Where the API is documented."),
        Key::new("topics", Kind::Texts, "What the catalogue lists a template under, such as \"code hosting\"."),
        Key::new(
            "matches",
            Kind::Texts,
            "Addresses that `pollhook new` takes a template for, with `{param}` where they have a param's value and `*` for any part. `{param:????-????}` is a value that looks like this: `?` is a letter or digit, `*` any part, slashes included.",
        ),
        Key::new(
            "checked",
            Kind::Text,
            "The published answer that a template was checked against; without it, `pollhook catalog` says that it was not.",
        ),
        Key::new(
            "every",
            Kind::Forms,
            "How long after a poll began the next one begins, or { min, max } to adapt to the source; instead of `schedule`.",
        ),
        Key::new(
            "schedule",
            Kind::Text,
            "When to poll: five fields of Unix cron, six with seconds first, or `@hourly`; instead of `every`.",
        ),
        Key::new("timezone", Kind::Text, "The time zone of `schedule`, such as \"Europe/Rome\".").or("UTC"),
        Key::new("jitter", Kind::Duration("0s", "1d"), "Each poll is put off by a random part of this.").or("0s"),
        Key::new("request", Kind::Table(&REQUEST), "The request that a poll begins with."),
        Key::new("auth", Kind::Table(&AUTH), "How requests prove who they are from."),
        Key::new(
            "pagination",
            Kind::Table(&PAGINATION),
            "How the pages after the first are found; without it there is one page.",
        ),
        Key::new("response", Kind::Table(&RESPONSE), "How an answer is read."),
        Key::new("item", Kind::Table(&ITEM), "What identifies an item and what of it counts."),
        Key::new("changes", Kind::Table(&CHANGES), "Which changes become events, and how they are recognised."),
        Key::new("tls", Kind::Table(&TLS), "Certificates of your own."),
        Key::new(
            "cursor",
            Kind::Table(&CURSOR),
            "The watermark that an incremental API is asked from: `{{ cursor }}`.",
        ),
        Key::new("detail", Kind::Table(&DETAIL), "A second request for each new or changed item."),
        Key::new(
            "each",
            Kind::Elements,
            "Sets of params, such as a list of repositories: each is polled by itself, with a state of its own.",
        ),
        Key::new("limits", Kind::Table(&LIMITS), "How often the API may be asked, and how long it may be silent."),
    ],
    exclusive: &[&["every", "schedule"]],
};

/// `every = { min = "30s", max = "1h" }`.
pub(in crate::config) static ADAPTIVE: Keys = Keys {
    what: "`every`",
    all: &[
        Key::new("min", Kind::Duration("1s", "366d"), "The interval of a source that changes all the time."),
        Key::new("max", Kind::Duration("1s", "366d"), "The interval of a source that hardly changes."),
    ],
    exclusive: &[],
};

static LIMITS: Keys = Keys {
    what: "`limits`",
    all: &[
        Key::new(
            "rate",
            Kind::Rate,
            "How many requests this connector sends in a time at most; `[hosts]` limits all connectors of a host together.",
        ),
        Key::new(
            "silence",
            Kind::Duration("1m", "366d"),
            "After how long without a change an event tells of it; without this key never.",
        ),
    ],
    exclusive: &[],
};

pub(super) static REQUEST: Keys = Keys {
    what: "`request`",
    all: &[
        Key::new("url", Kind::Template, "The address, with http or https."),
        Key::new("method", Kind::Choice(&METHODS), "The method.").or("GET"),
        Key::new(
            "query",
            Kind::Map(&Kind::Template),
            "What is added to the address after `?`; a list repeats the name.",
        ),
        Key::new("headers", Kind::Map(&Kind::Template), "Headers beside those that pollhook sends itself."),
        Key::new("body", Kind::Json, "What a POST carries: a text as it is, anything else as JSON."),
        Key::new("form", Kind::Map(&Kind::Template), "What a POST carries, as an HTML form would send it."),
        Key::new(
            "timeout",
            Kind::Duration("100ms", "10m"),
            "How long one request may take, to the last byte of the answer.",
        )
        .or("30s"),
        Key::new("max_body", Kind::Size("1KiB", "1GiB"), "The most bytes of one page, after decompression.")
            .or("32MiB"),
    ],
    exclusive: &[&["body", "form"]],
};

static METHODS: Words = Words { words: &["GET", "POST"], later: &[] };

static ITEM: Keys = Keys {
    what: "`item`",
    all: &[
        Key::new(
            "key",
            Kind::Expressions,
            "What identifies an item; a list makes a composite key. With format = \"feed\" it is `.id` when nothing is written.",
        ),
        Key::new("watch", Kind::Expressions, "What counts as content; without it the whole item."),
        Key::new("ignore", Kind::Expressions, "What does not count as content, even if it is watched."),
        Key::new("filter", Kind::Expression, "Only items for which this is truthy are looked at."),
        Key::new("data", Kind::Expression, "What an event carries; without it the item."),
    ],
    exclusive: &[],
};
