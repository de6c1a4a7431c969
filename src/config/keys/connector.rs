//! The keys of a connector and of a template.

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
        Key::new(
            "every",
            Kind::Duration("1s", "366d"),
            "How long after a poll began the next one begins; instead of `schedule`.",
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
        Key::later("cursor", "The watermark that an incremental API is asked from."),
        Key::later("detail", "A second request for each new or changed item."),
        Key::later("each", "One poll over several values, such as a list of repositories."),
        Key::later("limits", "How often the API may be asked, and how long it may be silent."),
    ],
    exclusive: &[&["every", "schedule"]],
};

static REQUEST: Keys = Keys {
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

static AUTH: Keys = Keys {
    what: "`auth`",
    all: &[
        Key::new("bearer", Kind::Table(&BEARER), "A token in the header `Authorization: Bearer …`."),
        Key::new("basic", Kind::Table(&BASIC), "A user name and password in the header `Authorization: Basic …`."),
        Key::new("header", Kind::Table(&NAME_AND_VALUE), "A secret in a header of the API's own."),
        Key::new("query", Kind::Table(&NAME_AND_VALUE), "A secret in the address, after `?`."),
        Key::later_secret("oauth2", "A token that is fetched with a client's id and secret."),
    ],
    exclusive: &[&["bearer", "basic", "header", "query", "oauth2"]],
};

static BEARER: Keys = Keys {
    what: "`auth.bearer`",
    all: &[Key::new("token", Kind::Secret, "The token; an empty one means that nothing is sent.")],
    exclusive: &[],
};

static BASIC: Keys = Keys {
    what: "`auth.basic`",
    all: &[
        Key::new("username", Kind::Template, "The user name."),
        Key::new("password", Kind::Secret, "The password; may be empty."),
    ],
    exclusive: &[],
};

static NAME_AND_VALUE: Keys = Keys {
    what: "`auth.header` or `auth.query`",
    all: &[
        Key::new("name", Kind::Text, "The name of the header or query parameter."),
        Key::new("value", Kind::Secret, "Its value; an empty one means that nothing is sent."),
    ],
    exclusive: &[],
};

static PAGINATION: Keys = Keys {
    what: "`pagination`",
    all: &[
        Key::new("link", Kind::Table(&LINK), "The header `Link` with `rel=\"next\"` (RFC 8288) names the next page."),
        Key::later("next_url", "The answer holds the address of the next page."),
        Key::later("cursor", "The answer holds what the next page is asked with."),
        Key::later("page", "Pages are numbered."),
        Key::later("offset", "Pages are asked by how many items are before them."),
    ],
    exclusive: &[&["link", "next_url", "cursor", "page", "offset"]],
};

static LINK: Keys = Keys {
    what: "`pagination.link`",
    all: &[Key::new(
        "max_pages",
        Kind::Count(1, 10_000),
        "The most pages of one poll; a poll that is cut off by it is not complete.",
    )
    .or("50")],
    exclusive: &[],
};

static RESPONSE: Keys = Keys {
    what: "`response`",
    all: &[
        Key::new(
            "format",
            Kind::Choice(&RESPONSE_FORMATS),
            "The format of the answer; without it, its `Content-Type` tells.",
        ),
        Key::new("items", Kind::Expression, "Yields the items.").or(".[]"),
        Key::new("error", Kind::Expression, "Truthy means that this answer is a failure, whatever its status."),
    ],
    exclusive: &[],
};

static RESPONSE_FORMATS: Words = Words { words: &["json"], later: &["ndjson", "csv", "xml", "feed", "html"] };

static ITEM: Keys = Keys {
    what: "`item`",
    all: &[
        Key::new("key", Kind::Expressions, "What identifies an item; a list makes a composite key."),
        Key::new("watch", Kind::Expressions, "What counts as content; without it the whole item."),
        Key::new("ignore", Kind::Expressions, "What does not count as content, even if it is watched."),
        Key::new("filter", Kind::Expression, "Only items for which this is truthy are looked at."),
        Key::new("data", Kind::Expression, "What an event carries; without it the item."),
    ],
    exclusive: &[],
};

static CHANGES: Keys = Keys {
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
            "In how many complete polls in a row a removed item is missing.",
        )
        .or("1"),
        Key::new(
            "forget_after",
            Kind::Duration("1h", "3650d"),
            "How long after it was last seen an item is forgotten.",
        )
        .or("30d"),
        Key::new("previous", Kind::Boolean, "Whether items are kept, so that events say what was before.").or("false"),
        Key::later("hold_above", "How many changes at once are held for approval."),
    ],
    exclusive: &[],
};

static CHANGE_KINDS: Words = Words { words: &["created", "updated", "removed"], later: &[] };

static LISTS: Words = Words { words: &["recent", "everything"], later: &[] };

/// The words that `first_poll` can be.
pub(in crate::config) static FIRST_POLL: Words = Words { words: &["baseline", "send"], later: &[] };

/// `first_poll = { latest = 5 }`.
pub(in crate::config) static LATEST: Keys = Keys {
    what: "`first_poll`",
    all: &[Key::new("latest", Kind::Count(0, 1_000_000), "How many items of the first poll are sent.")],
    exclusive: &[],
};
