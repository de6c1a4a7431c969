//! The keys that a configuration can have: for each table, what they are called, what they hold, and what they mean.
//!
//! Everything that reads or checks a configuration goes by these tables, so that what is documented, what is
//! suggested and what is accepted cannot differ.

/// The keys of one table.
#[derive(Debug)]
pub(super) struct Keys {
    /// What the table is, for people: "a connector".
    pub what: &'static str,
    pub all: &'static [Key],
    /// Groups of keys of which a table has at most one.
    pub exclusive: &'static [&'static [&'static str]],
}

/// One key of a table.
#[derive(Debug)]
pub(super) struct Key {
    pub name: &'static str,
    /// What it means, in one sentence.
    pub doc: &'static str,
    pub kind: Kind,
    /// What it is when it is not written, as it would be written.
    pub default: Option<&'static str>,
}

/// What a key holds.
#[derive(Debug)]
pub(super) enum Kind {
    Text,
    /// A text, or a list of texts.
    Texts,
    /// A text with `{{ }}` in it.
    Template,
    /// A jq expression.
    Expression,
    /// A jq expression, or a list of them.
    Expressions,
    /// An amount of time with its least and its greatest value.
    Duration(&'static str, &'static str),
    /// A list of such.
    Durations(&'static str, &'static str),
    /// A number of bytes with its least and its greatest value.
    Size(&'static str, &'static str),
    /// A whole number with its least and its greatest value.
    Count(u64, u64),
    Boolean,
    /// One of these words.
    Choice(&'static Words),
    /// One of these words, or a list of them.
    Choices(&'static Words),
    /// A literal, `{ env = … }` or `{ file = … }`.
    Secret,
    /// An address, which is secret if it is `{ env = … }` or `{ file = … }`.
    Address,
    /// A secret, or a list of them.
    Secrets,
    /// What a template's param is given: a text, number, truth value, list of those, or a secret.
    Param,
    /// Any value, every text in it a template.
    Json,
    /// One of several forms, described in the key's documentation.
    Forms,
    /// A table with these keys.
    Table(&'static Keys),
    /// A table whose keys people choose.
    Map(&'static Kind),
    /// Documented, but not built yet.
    Later,
    /// The same, and it may hold a secret.
    LaterSecret,
}

/// Words to choose from.
#[derive(Debug)]
pub(super) struct Words {
    pub words: &'static [&'static str],
    /// Documented, but not built yet.
    pub later: &'static [&'static str],
}

impl Key {
    const fn new(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self { name, doc, kind, default: None }
    }

    const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    const fn later(name: &'static str, doc: &'static str) -> Self {
        Self::new(name, Kind::Later, doc)
    }

    const fn later_secret(name: &'static str, doc: &'static str) -> Self {
        Self::new(name, Kind::LaterSecret, doc)
    }
}

impl Kind {
    /// Returns what a key of a table of this kind holds.
    pub fn below(&self, name: &str) -> Option<&Kind> {
        match self {
            Self::Table(keys) => keys.get(name).map(|key| &key.kind),
            Self::Map(kind) => Some(kind),
            Self::Json => Some(self),
            _ => None,
        }
    }

    /// Tells whether a secret may be written there.
    pub fn holds_secrets(&self) -> bool {
        match self {
            Self::Secret | Self::Secrets | Self::LaterSecret => true,
            Self::Table(keys) => keys.hold_secrets(),
            Self::Map(kind) => kind.holds_secrets(),
            _ => false,
        }
    }

    /// Tells whether this is documented, but not built yet.
    pub fn is_later(&self) -> bool {
        matches!(self, Self::Later | Self::LaterSecret)
    }
}

impl Keys {
    /// Returns the key with this name.
    pub fn get(&self, name: &str) -> Option<&'static Key> {
        self.all.iter().find(|key| key.name == name)
    }

    /// Returns the keys that cannot stand beside this one.
    pub fn excluded_by(&self, name: &str) -> Vec<&'static str> {
        let group = self.exclusive.iter().find(|group| group.contains(&name));
        group.into_iter().flat_map(|group| group.iter().copied()).filter(|other| *other != name).collect()
    }

    /// Returns the key that was probably meant by one that does not exist, as a dotted path: one spelt nearly so, or
    /// one of that name in a table below.
    pub fn suggestion(&self, name: &str) -> Option<(String, &'static Kind)> {
        let near = nearest(name, self.all.iter().map(|key| key.name)).and_then(|near| self.get(near));
        near.map(|key| (key.name.to_owned(), &key.kind)).or_else(|| self.path_below(name))
    }

    /// Tells whether one of the keys holds a secret, or a table with a secret.
    pub fn hold_secrets(&self) -> bool {
        self.all.iter().any(|key| key.kind.holds_secrets())
    }

    fn path_below(&self, name: &str) -> Option<(String, &'static Kind)> {
        self.all.iter().find_map(|key| {
            let Kind::Table(keys) = key.kind else { return None };
            let below = keys.get(name).map(|key| (name.to_owned(), &key.kind)).or_else(|| keys.path_below(name));
            below.map(|(path, kind)| (format!("{}.{path}", key.name), kind))
        })
    }
}

/// Returns the word that was probably meant by one that does not exist.
pub(super) fn nearest<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let allowed = (word.chars().count() / 3).max(1);
    words
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The whole of `config.toml`.
pub(super) static ROOT: Keys = Keys {
    what: "the configuration",
    all: &[
        Key::new("server", Kind::Table(&SERVER), "The admin API, the dashboard and the metrics."),
        Key::new("store", Kind::Table(&STORE), "Where is kept what must survive."),
        Key::new("catalog", Kind::Table(&CATALOG), "Where the connector templates are."),
        Key::new("retention", Kind::Table(&RETENTION), "How long events and their deliveries are kept."),
        Key::new("connectors", Kind::Map(&Kind::Table(&CONNECTOR)), "The sources, by name."),
        Key::new("subscriptions", Kind::Map(&Kind::Table(&SUBSCRIPTION)), "Who is told of what, by name."),
        Key::later("hosts", "Limits that all connectors of a host share."),
        Key::later("egress", "Which private addresses may be reached by subscriptions made over the API."),
    ],
    exclusive: &[],
};

static SERVER: Keys = Keys {
    what: "`server`",
    all: &[
        Key::new("listen", Kind::Text, "The address and port to listen on.").or("127.0.0.1:8787"),
        Key::new(
            "token",
            Kind::Secret,
            "What clients must prove to know; required unless `listen` is a loopback address.",
        ),
    ],
    exclusive: &[],
};

static STORE: Keys = Keys {
    what: "`store`",
    all: &[
        Key::new("sled", Kind::Table(&SLED), "An embedded store in a folder, for one instance."),
        Key::later_secret("postgres", "A PostgreSQL database that several instances share."),
        Key::later("redb", "An embedded store in one file."),
    ],
    exclusive: &[&["sled", "postgres", "redb"]],
};

static SLED: Keys = Keys {
    what: "`store.sled`",
    all: &[Key::new(
        "path",
        Kind::Text,
        "The store's folder, relative to the configuration file; made if it is missing.",
    )
    .or("data")],
    exclusive: &[],
};

static CATALOG: Keys = Keys {
    what: "`catalog`",
    all: &[Key::new(
        "path",
        Kind::Text,
        "The folder with the connector templates, relative to the configuration file.",
    )
    .or("connectors")],
    exclusive: &[],
};

static RETENTION: Keys = Keys {
    what: "`retention`",
    all: &[
        Key::new("delivered", Kind::Duration("1m", "3650d"), "How long delivered events and their attempts are kept.")
            .or("7d"),
        Key::new("dead", Kind::Duration("1m", "3650d"), "How long dead letters are kept.").or("30d"),
    ],
    exclusive: &[],
};

/// A template's `[params.NAME]`.
pub(super) static PARAM: Keys = Keys {
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
pub(super) static SECRET: Keys = Keys {
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
pub(super) static CONNECTOR: Keys = Keys {
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
            "When to poll: five fields of Unix cron, six with seconds first, or `@hourly` and the like; instead of `every`.",
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

pub(super) static METHODS: Words = Words { words: &["GET", "POST"], later: &[] };

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
        Key::new("format", Kind::Choice(&RESPONSE_FORMATS), "The format of the answer.").or("json"),
        Key::new("items", Kind::Expression, "Yields the items.").or(".[]"),
        Key::new("error", Kind::Expression, "Truthy means that this answer is a failure, whatever its status."),
    ],
    exclusive: &[],
};

pub(super) static RESPONSE_FORMATS: Words =
    Words { words: &["json"], later: &["ndjson", "csv", "xml", "feed", "html"] };

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
        Key::new("lists", Kind::Choice(&LISTS), "Whether a complete poll lists all items there are, so that a missing one is removed, or only recent ones.")
            .or("recent"),
        Key::new("first_poll", Kind::Forms, "What becomes of the items that the first poll finds: \"baseline\" takes them as seen, \"send\" sends them all, { latest = 5 } sends the first 5.")
            .or("baseline"),
        Key::new("removed_after", Kind::Count(1, 250), "In how many complete polls in a row an item must be missing to count as removed.")
            .or("1"),
        Key::new("forget_after", Kind::Duration("1h", "3650d"), "How long after an item was last seen in its source it is forgotten.")
            .or("30d"),
        Key::new("previous", Kind::Boolean, "Whether items are kept, so that an update says what changed and a removal what was there.")
            .or("false"),
        Key::later("hold_above", "How many changes at once are held for approval."),
    ],
    exclusive: &[],
};

pub(super) static CHANGE_KINDS: Words = Words { words: &["created", "updated", "removed"], later: &[] };

pub(super) static LISTS: Words = Words { words: &["recent", "everything"], later: &[] };

/// The words that `first_poll` can be.
pub(super) static FIRST_POLL: Words = Words { words: &["baseline", "send"], later: &[] };

/// `first_poll = { latest = 5 }`.
pub(super) static LATEST: Keys = Keys {
    what: "`first_poll`",
    all: &[Key::new("latest", Kind::Count(0, 1_000_000), "How many items of the first poll are sent.")],
    exclusive: &[],
};

/// One subscription.
pub(super) static SUBSCRIPTION: Keys = Keys {
    what: "a subscription",
    all: &[
        Key::new("url", Kind::Address, "Where events are POSTed, with http or https."),
        Key::new(
            "connectors",
            Kind::Texts,
            "The connectors it listens to, with `*` for any run of characters; without it all.",
        ),
        Key::new("events", Kind::Texts, "The events it wants, such as \"created\" or \"orders.*\"; without it all."),
        Key::new("filter", Kind::Expression, "Only events for which this is truthy are sent."),
        Key::new(
            "secret",
            Kind::Secrets,
            "What deliveries are signed with: `whsec_…` (HMAC-SHA256) or `whsk_…` (ed25519); a list signs with each.",
        ),
        Key::new("format", Kind::Choice(&DELIVERY_FORMATS), "How events are rendered.").or("standard"),
        Key::new("headers", Kind::Map(&Kind::Secret), "Headers beside those of the format."),
        Key::new("timeout", Kind::Duration("100ms", "5m"), "How long an attempt may take, to the end of the answer.")
            .or("15s"),
        Key::new("concurrency", Kind::Count(1, 1000), "The most attempts under way at once.").or("8"),
        Key::new(
            "retry",
            Kind::Durations("10ms", "30d"),
            "The waits between attempts; an empty list means a single attempt.",
        )
        .or("[\"5s\", \"5m\", \"30m\", \"2h\", \"5h\", \"10h\", \"14h\", \"20h\", \"24h\"]"),
        Key::later("body", "JSON of your own instead of the format's, as a jq expression on the event."),
        Key::later("rate", "How many deliveries are sent in a time at most."),
        Key::later("order", "Whether changes of an item, or all, are sent strictly one after the other."),
        Key::later("batch", "Several events in one delivery."),
        Key::later_secret("auth", "How deliveries prove who they are from, beside their signature."),
        Key::later_secret("tls", "Certificates of your own."),
    ],
    exclusive: &[],
};

pub(super) static DELIVERY_FORMATS: Words =
    Words { words: &["standard"], later: &["cloudevents", "cloudevents-binary", "cloudevents-batch"] };
