//! What was written: a TOML file as a tree whose nodes know their places. Templates and overrides are merged here,
//! so that a mistake is shown where it was written.

use std::collections::BTreeSet;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::keys::Kind;
use super::report::Report;
use super::source::Place;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub place: Place,
    pub value: NodeValue,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub(super) enum NodeValue {
    Text(String),
    Integer(i64),
    /// A number with a fraction, as it was written.
    Float(String),
    Boolean(bool),
    /// A date or time, as it was written.
    Date(String),
    List(Vec<Node>),
    Table(Table),
}

impl NodeValue {
    /// Returns what this is, for people.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number with a fraction",
            Self::Boolean(_) => "a truth value",
            Self::Date(_) => "a date",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// The entries of a table, in the order they were written.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    pub entries: Vec<Entry>,
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub key: String,
    pub key_place: Place,
    pub node: Node,
}

impl Table {
    /// Returns the entry with this key.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Takes the entry with this key out of the table.
    pub fn take(&mut self, key: &str) -> Option<Entry> {
        let index = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.remove(index))
    }

    /// Returns this table, which is of the given kind, with everything that `overrides` says on top: tables merge, all
    /// else is replaced. Of keys that exclude each other, the one in `overrides` replaces the other.
    pub fn merged(mut self, overrides: Self, kind: &Kind) -> Self {
        for over in overrides.entries {
            if let Kind::Table(keys) = kind {
                for excluded in keys.excluded_by(&over.key) {
                    self.take(excluded);
                }
            }
            match self.entries.iter_mut().find(|entry| entry.key == over.key) {
                Some(base) => base.override_with(over, kind.below(&base.key)),
                None => self.entries.push(over),
            }
        }
        self
    }
}

impl Entry {
    fn override_with(&mut self, over: Self, kind: Option<&Kind>) {
        let base = std::mem::replace(self, over);
        let (NodeValue::Table(base), NodeValue::Table(over)) = (base.node.value, &mut self.node.value) else { return };
        if let Some(kind @ (Kind::Table(_) | Kind::Map(_) | Kind::Json)) = kind {
            *over = base.merged(std::mem::take(over), kind);
        }
    }
}

/// Parses a TOML file and reports all its syntax errors. `None` means that there are some.
pub(super) fn parse(report: &Report, file: usize) -> Option<Table> {
    let text = report.text(file);
    let (document, errors) = DeTable::parse_recoverable(&text);
    let mut lines = BTreeSet::new();
    for error in &errors {
        let span = error.span().unwrap_or(text.len()..text.len());
        // What else is wrong with a line follows from the first mistake in it.
        let line = text.bytes().take(span.start).filter(|byte| *byte == b'\n').count();
        if !lines.insert(line) {
            continue;
        }
        report.error(Place::new(file, span), format!("this is not TOML: {}", error.message()));
    }
    if !errors.is_empty() {
        report.mark_broken(file);
        return None;
    }
    let mistakes_before = report.errors();
    let table = convert_table(report, file, document.into_inner());
    (report.errors() == mistakes_before).then_some(table)
}

fn convert_table(report: &Report, file: usize, table: DeTable<'_>) -> Table {
    let mut entries: Vec<Entry> = table
        .into_iter()
        .map(|(key, value): (Spanned<DeString<'_>>, Spanned<DeValue<'_>>)| Entry {
            key_place: Place::new(file, key.span()),
            key: key.into_inner().into_owned(),
            node: convert(report, file, value),
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_place);
    Table { entries }
}

fn convert(report: &Report, file: usize, value: Spanned<DeValue<'_>>) -> Node {
    let place = Place::new(file, value.span());
    let value = match value.into_inner() {
        DeValue::String(text) => NodeValue::Text(text.into_owned()),
        DeValue::Integer(number) => {
            let parsed = i64::from_str_radix(number.as_str(), number.radix());
            if parsed.is_err() {
                report.error(place, "this number is too large");
            }
            NodeValue::Integer(parsed.unwrap_or_default())
        }
        DeValue::Float(number) => NodeValue::Float(number.as_str().to_owned()),
        DeValue::Boolean(value) => NodeValue::Boolean(value),
        DeValue::Datetime(date) => NodeValue::Date(date.to_string()),
        DeValue::Array(elements) => {
            NodeValue::List(elements.into_iter().map(|element| convert(report, file, element)).collect())
        }
        DeValue::Table(table) => NodeValue::Table(convert_table(report, file, table)),
    };
    Node { place, value }
}
