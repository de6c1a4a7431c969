//! `each`: one configured connector that is polled for several sets of params, each with a state of its own.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::keys::nearest;
use super::params::ParamValues;
use super::reader::{enumeration, hide, list, table};
use super::report::Report;
use super::source::Place;
use super::tree::Entry;
use crate::model::id::{ConnectorName, NameError};

/// One set of params.
pub(super) struct Element<'a> {
    pub place: Place,
    entries: &'a [Entry],
}

/// What an element is known by.
pub(super) struct Identity {
    /// What stands behind the connector's name.
    pub label: String,
    /// Its params that are not secret, by name.
    pub public: Value,
}

impl<'a> Element<'a> {
    /// Reads a list of elements.
    pub fn read_all(report: &Report, entry: &'a Entry) -> Vec<Self> {
        let Some(nodes) = list(report, &entry.node) else {
            hide(report, &entry.node);
            return Vec::new();
        };
        if nodes.is_empty() {
            let help = "write a table of params for each poll, such as [{ repo = \"a\" }, { repo = \"b\" }]";
            report.error_with_help(entry.node.place, "without elements, nothing is polled", help);
        }
        let element = |node| {
            let table = table(report, node);
            if table.is_none() {
                hide(report, node);
            }
            table.map(|table| Self { place: node.place, entries: &table.entries })
        };
        nodes.iter().filter_map(element).collect()
    }

    /// Returns the connector's params with this element's laid over them.
    pub fn over(&self, given: &[Entry]) -> Vec<Entry> {
        let kept = given.iter().filter(|given| self.entries.iter().all(|entry| entry.key != given.key));
        kept.chain(self.entries).cloned().collect()
    }

    /// Tells whether it gives a value to every param that some element gives one to.
    pub fn is_whole(&self, all: &[Self]) -> bool {
        all.iter().flat_map(Self::names).collect::<BTreeSet<_>>() == self.names().collect()
    }

    /// Reports what this element of a connector without a template has and the first does not, or the other way about.
    pub fn check_alike(&self, report: &Report, first: &Self, given: &[Entry]) {
        let is_given = |name: &str| given.iter().any(|entry| entry.key == name);
        let has = |element: &Self, name: &str| element.names().any(|known| known == name);
        let missing: Vec<&str> = first.names().filter(|name| !has(self, name) && !is_given(name)).collect();
        let extra: Vec<&Entry> =
            self.entries.iter().filter(|entry| !has(first, &entry.key) && !is_given(&entry.key)).collect();
        for entry in &extra {
            let help = match nearest(&entry.key, missing.iter().copied()) {
                Some(suggestion) => format!("did you mean `{suggestion}`?"),
                None => format!("all elements have the same params; the first has {}", enumeration(first.names())),
            };
            report.error_with_help(entry.key_place, format!("unknown param `{}`", entry.key), help);
        }
        if extra.is_empty() {
            for name in missing {
                let help = "all elements have the same params; what is the same for all can stand in `params`";
                report.error_with_help(self.place, format!("the param `{name}` is missing in this element"), help);
            }
        }
    }

    /// Returns what this element is known by; `None` if there is nothing that may be shown.
    pub fn identity(&self, params: &ParamValues) -> Option<Identity> {
        let mut names: Vec<&str> = self.names().collect();
        // However the element is written, its state is the same.
        names.sort_unstable();
        let public = params.not_secret_of(names.into_iter());
        if public.is_empty() {
            return None;
        }
        Some(Identity { label: label(&public), public: Value::Object(public) })
    }

    fn names(&self) -> impl Iterator<Item = &'a str> {
        self.entries.iter().map(|entry| entry.key.as_str())
    }
}

impl Identity {
    /// Returns the name of the element of this connector.
    pub fn name(&self, connector: &ConnectorName) -> Result<ConnectorName, NameError> {
        connector.element(&self.label)
    }
}

/// Returns the values if they are plain, or else a short hash of them.
fn label(public: &Map<String, Value>) -> String {
    let texts = public.values().map(|value| match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    });
    let texts: Vec<String> = texts.collect();
    let is_plain = |text: &String| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
    };
    let label = texts.join(",");
    // Paths such as `/v1/connectors/orders/..` mean something else.
    let is_path = texts.len() == 1 && matches!(label.as_str(), "." | "..");
    if texts.iter().all(is_plain) && !is_path && label.len() <= ConnectorName::LONGEST_LABEL {
        return label;
    }
    let whole = Value::Object(public.clone()).to_string();
    blake3::hash(whole.as_bytes()).to_hex()[..12].to_owned()
}
