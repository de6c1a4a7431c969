//! Reads values out of tables. Whatever is wrong is reported where it stands, and reading goes on.

use std::time::Duration;

use super::keys::{Key, Keys, Kind, Words, nearest};
use super::report::Report;
use super::source::{Place, notation_span};
use super::tree::{Entry, Node, NodeValue, Table};
use crate::model::expression::Expression;
use crate::model::limits::{Rate, RateError};
use crate::model::quantity::{ByteSize, format_duration, parse_duration};

/// A table that is being read. All its keys are known once this exists, or were reported.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    pub report: &'a Report,
    pub table: &'a Table,
    /// Where the name of the table stands: there it is said what is missing from it.
    pub place: Place,
    pub keys: &'static Keys,
}

impl<'a> Fields<'a> {
    /// Begins to read a table: reports its unknown keys, those not built yet, and those that exclude each other.
    pub fn new(report: &'a Report, table: &'a Table, place: Place, keys: &'static Keys) -> Self {
        let fields = Self { report, table, place, keys };
        for entry in &table.entries {
            fields.check_key(entry);
        }
        for group in keys.exclusive {
            fields.check_exclusive(group);
        }
        fields
    }

    /// Begins to read an entry that must be a table.
    pub fn of_entry(report: &'a Report, entry: &'a Entry, keys: &'static Keys) -> Option<Self> {
        let table = table(report, &entry.node);
        if table.is_none() && keys.hold_secrets() {
            hide(report, &entry.node);
        }
        table.map(|table| Self::new(report, table, entry.key_place, keys))
    }

    /// Returns the entry of a key, if it is written.
    pub fn entry(&self, name: &str) -> Option<&'a Entry> {
        debug_assert!(self.keys.get(name).is_some(), "`{name}` is no key of {}", self.keys.what);
        self.table.get(name)
    }

    /// Returns the entry of a key that must be written.
    pub fn required(&self, name: &str) -> Option<&'a Entry> {
        let entry = self.entry(name);
        if entry.is_none() {
            self.missing(name);
        }
        entry
    }

    /// Reports that a key must be written, unless it was and is only misspelt.
    fn missing(&self, name: &str) {
        if self.is_meant(name) {
            return;
        }
        let doc = self.keys.get(name).map_or("", |key| key.doc);
        self.report.error_with_help(self.place, format!("`{name}` is missing in {}", self.keys.what), doc);
    }

    /// Begins to read the table of a key, if it is written.
    pub fn table(&self, name: &str) -> Option<Fields<'a>> {
        let (Kind::Table(keys) | Kind::TableOrFalse(keys)) = self.key(name).kind else {
            unreachable!("`{name}` holds no table")
        };
        self.entry(name).and_then(|entry| Self::of_entry(self.report, entry, keys))
    }

    /// Begins to read the table of a key; one that is not written has all its defaults.
    pub fn table_or_empty(&self, name: &str) -> Option<Fields<'a>> {
        static EMPTY: Table = Table { entries: Vec::new() };
        let (Kind::Table(keys) | Kind::TableOrFalse(keys)) = self.key(name).kind else {
            unreachable!("`{name}` holds no table")
        };
        match self.entry(name) {
            Some(entry) => Self::of_entry(self.report, entry, keys),
            None => Some(Fields { report: self.report, table: &EMPTY, place: self.place, keys }),
        }
    }

    /// Returns the entries of a table whose keys people choose.
    pub fn entries(&self, name: &str) -> &'a [Entry] {
        let table = self.entry(name).and_then(|entry| table(self.report, &entry.node));
        table.map_or(&[], |table| &table.entries)
    }

    /// Returns what a key is when it is not written, as it would be written.
    pub fn default(&self, name: &str) -> Option<&'static str> {
        self.key(name).default
    }

    /// Returns a text and its node; the default if it is not written.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        match self.entry(name) {
            Some(entry) => text(self.report, &entry.node),
            None => self.key(name).default,
        }
    }

    /// Returns an expression, or its default.
    pub fn expression(&self, name: &str) -> Option<Expression> {
        match self.entry(name) {
            Some(entry) => expression(self.report, &entry.node),
            None => self.key(name).default.map(|source| Expression::parse(source).expect("a default is valid")),
        }
    }

    /// Returns one expression or a list of them.
    pub fn expressions(&self, name: &str) -> Option<Vec<Expression>> {
        let nodes = one_or_list(&self.entry(name)?.node);
        Some(nodes.iter().filter_map(|node| expression(self.report, node)).collect())
    }

    /// Returns one text or a list of them, each with its node.
    pub fn texts(&self, name: &str) -> Vec<(&'a str, &'a Node)> {
        let nodes = self.entry(name).map_or(&[][..], |entry| one_or_list(&entry.node));
        nodes.iter().filter_map(|node| Some((text(self.report, node)?, node))).collect()
    }

    /// Returns an amount of time within the key's bounds, or its default.
    pub fn duration(&self, name: &str) -> Option<Duration> {
        let key = self.key(name);
        let Kind::Duration(least, most) = key.kind else { unreachable!("`{name}` holds no duration") };
        match self.entry(name) {
            Some(entry) => duration(self.report, &entry.node, least, most),
            None => key.default.map(known_duration),
        }
    }

    /// Returns how many in how long, if it is written.
    pub fn rate(&self, name: &str) -> Option<Rate> {
        debug_assert!(matches!(self.key(name).kind, Kind::Rate), "`{name}` holds no rate");
        let node = &self.entry(name)?.node;
        let NodeValue::Text(text) = &node.value else {
            wrong_type(self.report, node, "a rate such as \"10/s\"");
            return None;
        };
        text.parse().map_err(|error: RateError| self.report.error(node.place, error.to_string())).ok()
    }

    /// Returns a list of amounts of time within the key's bounds.
    pub fn durations(&self, name: &str) -> Option<Vec<Duration>> {
        let Kind::Durations(least, most) = self.key(name).kind else { unreachable!("`{name}` holds no durations") };
        let nodes = list(self.report, &self.entry(name)?.node)?;
        Some(nodes.iter().filter_map(|node| duration(self.report, node, least, most)).collect())
    }

    /// Returns a number of bytes within the key's bounds, or its default.
    pub fn size(&self, name: &str) -> Option<ByteSize> {
        let known = |text: &str| text.parse::<ByteSize>().expect("a default and a bound are valid");
        let key = self.key(name);
        let Kind::Size(least, most) = key.kind else { unreachable!("`{name}` holds no size") };
        let Some(entry) = self.entry(name) else { return key.default.map(known) };
        let NodeValue::Text(text) = &entry.node.value else {
            wrong_type(self.report, &entry.node, "a size such as \"32MiB\"");
            return None;
        };
        match text.parse::<ByteSize>() {
            Ok(size) if size < known(least) || size > known(most) => {
                self.report.error(entry.node.place, format!("must be from {least} to {most}"));
                None
            }
            Ok(size) => Some(size),
            Err(error) => {
                self.report.error(entry.node.place, error.to_string());
                None
            }
        }
    }

    /// Returns a whole number within the key's bounds, or its default.
    pub fn count(&self, name: &str) -> Option<u64> {
        let key = self.key(name);
        let Kind::Count(least, most) = key.kind else { unreachable!("`{name}` holds no count") };
        let Some(entry) = self.entry(name) else {
            return key.default.map(|text| text.parse().expect("a default is valid"));
        };
        let NodeValue::Integer(number) = entry.node.value else {
            wrong_type(self.report, &entry.node, "a whole number");
            return None;
        };
        let count = u64::try_from(number).ok().filter(|count| (least..=most).contains(count));
        if count.is_none() {
            self.report.error(entry.node.place, format!("must be from {least} to {most}"));
        }
        count
    }

    /// Returns a truth value, or its default.
    pub fn boolean(&self, name: &str) -> Option<bool> {
        match self.entry(name).map(|entry| &entry.node) {
            Some(Node { value: NodeValue::Boolean(value), .. }) => Some(*value),
            Some(node) => {
                wrong_type(self.report, node, "`true` or `false`");
                None
            }
            None => self.key(name).default.map(|default| default == "true"),
        }
    }

    /// Returns what stands for the word that is written, or for the default.
    pub fn choice<T: Copy>(&self, name: &str, values: &[T]) -> Option<T> {
        let key = self.key(name);
        let Kind::Choice(words) = key.kind else { unreachable!("`{name}` holds no choice") };
        debug_assert_eq!(words.words.len(), values.len(), "each word of `{name}` stands for something");
        let index = match self.entry(name) {
            Some(entry) => choice(self.report, &entry.node, words)?,
            None => words.words.iter().position(|word| key.default == Some(*word))?,
        };
        values.get(index).copied()
    }

    /// Returns what stands for each word of a list, each once.
    pub fn choices<T: Copy + PartialEq>(&self, name: &str, values: &[T]) -> Option<Vec<T>> {
        let Kind::Choices(words) = self.key(name).kind else { unreachable!("`{name}` holds no choices") };
        debug_assert_eq!(words.words.len(), values.len(), "each word of `{name}` stands for something");
        let mut chosen = Vec::new();
        for node in one_or_list(&self.entry(name)?.node) {
            let Some(value) = choice(self.report, node, words).and_then(|index| values.get(index).copied()) else {
                continue;
            };
            if !chosen.contains(&value) {
                chosen.push(value);
            }
        }
        Some(chosen)
    }

    fn key(&self, name: &str) -> &'static Key {
        self.keys.get(name).unwrap_or_else(|| unreachable!("`{name}` is no key of {}", self.keys.what))
    }

    /// Tells whether there are keys that do not exist.
    pub fn has_unknown_keys(&self) -> bool {
        self.table.entries.iter().any(|entry| self.keys.get(&entry.key).is_none())
    }

    /// Tells whether a key that does not exist was probably meant to be this one, given as a dotted path.
    pub fn is_meant(&self, path: &str) -> bool {
        let unknown = self.table.entries.iter().filter(|entry| self.keys.get(&entry.key).is_none());
        unknown.into_iter().any(|entry| self.keys.suggestion(&entry.key).is_some_and(|(meant, _)| meant == path))
    }

    fn check_key(&self, entry: &Entry) {
        if let Some(key) = self.keys.get(&entry.key) {
            if key.kind.is_later() {
                not_yet(self.report, entry.key_place, &entry.key);
                if key.kind.holds_secrets() {
                    hide(self.report, &entry.node);
                }
            }
            return;
        }
        let suggestion = self.keys.suggestion(&entry.key);
        if suggestion.as_ref().map_or(self.keys.hold_secrets(), |(_, kind)| kind.holds_secrets()) {
            hide(self.report, &entry.node);
        }
        let built = self.keys.all.iter().filter(|key| !key.kind.is_later()).map(|key| key.name);
        let help = suggestion.map_or_else(
            || format!("it can have {}", enumeration(built)),
            |(path, _)| format!("did you mean `{path}`?"),
        );
        let message = format!("unknown key `{}` in {}", entry.key, self.keys.what);
        self.report.error_with_help(entry.key_place, message, help);
    }

    fn check_exclusive(&self, group: &[&str]) {
        let is_built = |entry: &&Entry| self.keys.get(&entry.key).is_some_and(|key| !key.kind.is_later());
        let mut given = self.table.entries.iter().filter(|entry| group.contains(&entry.key.as_str())).filter(is_built);
        if let (Some(first), Some(second)) = (given.next(), given.next()) {
            let message = format!("`{}` and `{}` exclude each other", first.key, second.key);
            self.report.error_with_help(second.key_place, message, "leave one of them out");
        }
    }
}

/// Reports that something documented is not built yet.
pub(super) fn not_yet(report: &Report, place: Place, what: &str) {
    report.error(place, format!("`{what}` is not supported yet by this version of pollhook"));
}

/// Reports that a value is not of the type that belongs there.
pub(super) fn wrong_type(report: &Report, node: &Node, expected: &str) {
    report.error(node.place, format!("expected {expected}, found {}", node.value.kind()));
}

/// Returns a text.
pub(super) fn text<'a>(report: &Report, node: &'a Node) -> Option<&'a str> {
    if let NodeValue::Text(text) = &node.value {
        return Some(text);
    }
    wrong_type(report, node, "a text");
    None
}

/// Returns a table.
pub(super) fn table<'a>(report: &Report, node: &'a Node) -> Option<&'a Table> {
    if let NodeValue::Table(table) = &node.value {
        return Some(table);
    }
    wrong_type(report, node, "a table");
    None
}

/// Returns the elements of a list.
pub(super) fn list<'a>(report: &Report, node: &'a Node) -> Option<&'a [Node]> {
    if let NodeValue::List(nodes) = &node.value {
        return Some(nodes);
    }
    wrong_type(report, node, "a list");
    None
}

/// Returns the elements of a list, or the node itself as the only one.
pub(super) fn one_or_list(node: &Node) -> &[Node] {
    match &node.value {
        NodeValue::List(nodes) => nodes,
        _ => std::slice::from_ref(node),
    }
}

/// Returns the number of the word that is written.
pub(super) fn choice(report: &Report, node: &Node, words: &Words) -> Option<usize> {
    let word = text(report, node)?;
    let index = words.words.iter().position(|known| *known == word);
    if index.is_none() {
        if words.later.contains(&word) {
            not_yet(report, node.place, word);
        } else {
            let quoted = || words.words.iter().map(|word| format!("\"{word}\""));
            let help = match nearest(word, words.words.iter().copied()) {
                Some(suggestion) => format!("did you mean \"{suggestion}\"?"),
                None => format!("it can be {}", quoted().collect::<Vec<_>>().join(" or ")),
            };
            report.error_with_help(node.place, format!("unknown word \"{word}\""), help);
        }
    }
    index
}

/// Returns an amount of time within bounds.
pub(super) fn duration(report: &Report, node: &Node, least: &str, most: &str) -> Option<Duration> {
    let NodeValue::Text(text) = &node.value else {
        wrong_type(report, node, "an amount of time such as \"30s\"");
        return None;
    };
    match parse_duration(text) {
        Ok(duration) if duration < known_duration(least) => {
            report.error(node.place, format!("must be at least {least}, not {}", format_duration(duration)));
            None
        }
        Ok(duration) if duration > known_duration(most) => {
            report.error(node.place, format!("must be at most {most}, not {}", format_duration(duration)));
            None
        }
        Ok(duration) => Some(duration),
        Err(error) => {
            report.error(node.place, error.to_string());
            None
        }
    }
}

/// Returns a jq expression.
fn expression(report: &Report, node: &Node) -> Option<Expression> {
    match Expression::parse(text(report, node)?) {
        Ok(expression) => Some(expression),
        Err(error) => {
            let message = format!("this is not a jq expression: {}", error.message);
            report.error(part_of_text(report, node, error.span), message);
            None
        }
    }
}

/// Returns where a part of a text stands; the whole text if the part is not known.
pub(super) fn part_of_text(report: &Report, node: &Node, part: Option<std::ops::Range<usize>>) -> Place {
    let Some(part) = part else { return node.place };
    let span = notation_span(&report.written(node.place), part);
    Place { file: node.place.file, start: node.place.start + span.start, end: node.place.start + span.end }
}

/// Hides all texts of a node: nobody knows what they are, and they may be secret.
pub(super) fn hide(report: &Report, node: &Node) {
    match &node.value {
        NodeValue::List(nodes) => nodes.iter().for_each(|node| hide(report, node)),
        NodeValue::Table(table) => {
            // Where a secret is found is not secret.
            let entries = table.entries.iter().filter(|entry| !matches!(entry.key.as_str(), "env" | "file"));
            entries.for_each(|entry| hide(report, &entry.node));
        }
        NodeValue::Boolean(_) => {}
        NodeValue::Text(_) | NodeValue::Integer(_) | NodeValue::Float(_) | NodeValue::Date(_) => {
            report.hide(node.place);
        }
    }
}

/// Returns words in backticks, with commas.
pub(super) fn enumeration<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn known_duration(text: &str) -> Duration {
    parse_duration(text).expect("a default and a bound are valid")
}
