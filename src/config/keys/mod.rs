//! The keys that a configuration can have: for each table, what they are called, what they hold, and what they mean.
//!
//! Everything that reads or checks a configuration goes by these tables, so that what is documented, what is
//! suggested and what is accepted cannot differ.

mod auth;
mod changes;
mod connector;
mod cursor;
mod detail;
mod pagination;
mod response;
mod service;
mod signing;
mod subscription;

pub(super) use changes::{FIRST_POLL, LATEST};
pub(super) use connector::{ADAPTIVE, CONNECTOR, PARAM, SECRET};
pub(super) use response::HTML_FIELD;
pub(super) use service::{HOST, ROOT};
pub(super) use signing::SIGNING_SECRET;
pub(super) use subscription::SUBSCRIPTION;

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
    /// A text, which is a template in a connector only.
    FilledIn,
    /// A jq expression.
    Expression,
    /// A jq expression, or a list of them.
    Expressions,
    /// An amount of time with its least and its greatest value.
    Duration(&'static str, &'static str),
    /// A list of such.
    Durations(&'static str, &'static str),
    /// How many in how long, such as "10/s".
    Rate,
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
    /// A secret to sign with, or a list of them.
    SigningSecrets,
    /// What a template's param is given: a text, number, truth value, list of those, or a secret.
    Param,
    /// A list of tables of params.
    Elements,
    /// Any value, every text in it a template.
    Json,
    /// One of several forms, described in the key's documentation.
    Forms,
    /// A table with these keys.
    Table(&'static Keys),
    /// A table with these keys, or `false`.
    TableOrFalse(&'static Keys),
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
            Self::Table(keys) | Self::TableOrFalse(keys) => keys.get(name).map(|key| &key.kind),
            Self::Map(kind) => Some(kind),
            Self::Json => Some(self),
            _ => None,
        }
    }

    /// Returns the keys of the tables that this is, or that people name in it.
    pub fn table(&self) -> Option<&'static Keys> {
        match self {
            Self::Table(keys) | Self::TableOrFalse(keys) => Some(keys),
            Self::Map(kind) => kind.table(),
            _ => None,
        }
    }

    /// Tells whether a secret may be written there.
    pub fn holds_secrets(&self) -> bool {
        match self {
            Self::Secret | Self::SigningSecrets | Self::Param | Self::Elements | Self::LaterSecret => true,
            Self::Table(keys) | Self::TableOrFalse(keys) => keys.hold_secrets(),
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

    /// Returns what the keys of this name hold, in this table and all below.
    pub fn kinds_of(&self, name: &str) -> Vec<&'static Kind> {
        let of_key = |key: &'static Key| {
            let own = (key.name == name).then_some(&key.kind);
            let below = key.kind.table().map(|keys| keys.kinds_of(name)).unwrap_or_default();
            own.into_iter().chain(below)
        };
        self.all.iter().flat_map(of_key).collect()
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
pub(crate) fn nearest<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let allowed = (word.chars().count() / 3).max(1);
    words
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls a function for every key of every table, with the path of its table.
    fn for_each(keys: &'static Keys, path: &str, visit: &mut impl FnMut(&str, &'static Key)) {
        for key in keys.all {
            visit(path, key);
            if let Some(keys) = key.kind.table() {
                for_each(keys, &format!("{path}{}.", key.name), visit);
            }
        }
    }

    #[test]
    fn each_key_is_described_in_a_sentence() {
        for_each(&ROOT, "", &mut |path, key| {
            assert!(key.doc.ends_with('.') && key.doc.starts_with(char::is_uppercase), "{path}{}", key.name);
        });
    }

    #[test]
    fn keys_that_exclude_each_other_exist() {
        fn check(keys: &Keys) {
            for name in keys.exclusive.iter().copied().flatten() {
                assert!(keys.get(name).is_some(), "{name} in {}", keys.what);
            }
        }
        check(&ROOT);
        for_each(&ROOT, "", &mut |_, key| {
            if let Some(keys) = key.kind.table() {
                check(keys);
            }
        });
    }

    #[track_caller]
    fn check_suggestion(name: &str, expected: Option<&str>) {
        assert_eq!(CONNECTOR.suggestion(name).map(|(path, _)| path).as_deref(), expected);
    }

    #[test]
    fn what_was_meant_is_spelt_nearly_so_or_stands_in_a_table_below() {
        check_suggestion("schedul", Some("schedule"));
        check_suggestion("Every", Some("every"));
        check_suggestion("url", Some("request.url"));
        check_suggestion("max_pages", Some("pagination.link.max_pages"));
        check_suggestion("colour", None);
    }
}
