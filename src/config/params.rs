//! Params: what a template asks for, and what a connector gives it.

use std::collections::BTreeSet;

use serde_json::{Map, Number, Value};

use super::keys::{PARAM, nearest};
use super::reader::{Fields, enumeration, hide, wrong_type};
use super::report::Report;
use super::secret::Scope;
use super::source::Place;
use super::tree::{Entry, Node, NodeValue};
use crate::model::secret::{HIDDEN, Secret};

/// A param that a template declares.
#[derive(Clone)]
pub struct Param {
    pub name: String,
    pub description: Option<String>,
    /// A value that works.
    pub example: Option<Value>,
    /// The value when none is given; a param without one must be given.
    pub default: Option<Value>,
    /// Whether its value is never shown.
    pub secret: bool,
}

impl Param {
    /// Reads the declarations of a template.
    pub(super) fn read_all(report: &Report, entries: &[Entry]) -> Vec<Self> {
        entries.iter().filter_map(|entry| Self::read(report, entry)).collect()
    }

    fn read(report: &Report, entry: &Entry) -> Option<Self> {
        let fields = Fields::of_entry(report, entry, &PARAM)?;
        // A word that is misspelt may be the one that says that it is secret.
        let secret = fields.boolean("secret").unwrap_or(true) || fields.has_unknown_keys();
        if secret && let Some(default) = fields.entry("default") {
            hide(report, &default.node);
        }
        let value = |name: &str| fields.entry(name).and_then(|entry| plain_value(report, &entry.node));
        Some(Self {
            name: entry.key.clone(),
            description: fields.text("description").map(str::to_owned),
            example: value("example"),
            default: value("default"),
            secret,
        })
    }
}

impl std::fmt::Debug for Param {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Param").field("name", &self.name).field("secret", &self.secret).finish_non_exhaustive()
    }
}

/// The params of one connector and their values.
#[derive(Clone, Default)]
pub(super) struct ParamValues {
    values: Map<String, Value>,
    secret: BTreeSet<String>,
    /// Those that exist but whose value is not known, because it is wrong or missing.
    unknown: BTreeSet<String>,
}

impl ParamValues {
    /// Returns the values that a template can be checked with before anybody uses it.
    pub fn examples(declared: &[Param]) -> Self {
        let mut params = Self::default();
        for param in declared {
            params.set(&param.name, param.secret, param.example.clone().or_else(|| param.default.clone()));
        }
        params
    }

    /// Returns the values of a connector without a template: what is given is declared by that.
    pub fn of_inline(scope: Scope<'_>, given: &[Entry]) -> Self {
        let mut params = Self::default();
        for entry in given {
            params.give(scope, entry, false);
        }
        params
    }

    /// Returns the values of an instance of a template, and reports what is missing or too much. `place` is where
    /// params would be given.
    pub fn of_instance(scope: Scope<'_>, declared: &[Param], given: &[Entry], place: Place) -> Self {
        let mut params = Self::default();
        for entry in given {
            match declared.iter().find(|param| param.name == entry.key) {
                Some(param) => params.give(scope, entry, param.secret),
                None => report_undeclared(scope.report, declared, entry),
            }
        }
        for param in declared {
            if params.declares(&param.name) {
                continue;
            }
            if param.default.is_none() {
                let help = param.description.clone().unwrap_or_else(|| "the template needs it".to_owned());
                let message = format!("the param `{}` is missing", param.name);
                scope.report.error_with_help(place, message, help);
            }
            params.set(&param.name, param.secret, param.default.clone());
        }
        params
    }

    /// Tells whether there is a param of this name.
    pub fn declares(&self, name: &str) -> bool {
        self.values.contains_key(name) || self.unknown.contains(name)
    }

    /// Tells whether the value of this param is known.
    pub fn knows(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// Tells whether the values of all params are known.
    pub fn knows_all(&self) -> bool {
        self.unknown.is_empty()
    }

    /// Returns all names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().chain(&self.unknown).map(String::as_str)
    }

    /// Returns all known values.
    pub fn all(&self) -> Value {
        Value::Object(self.values.clone())
    }

    /// Returns all known values with `***` for those that are secret.
    pub fn public(&self) -> Value {
        self.public_of(self.values.keys().map(String::as_str))
    }

    /// Returns the known values of these names with `***` for those that are secret.
    pub fn public_of<'a>(&self, names: impl Iterator<Item = &'a str>) -> Value {
        let shown = |name: &str| {
            let value = self.values.get(name)?;
            let shown = if self.secret.contains(name) { Value::from(HIDDEN) } else { value.clone() };
            Some((name.to_owned(), shown))
        };
        Value::Object(names.filter_map(shown).collect())
    }

    /// Returns the known values of these names that are not secret.
    pub fn not_secret_of<'a>(&self, names: impl Iterator<Item = &'a str>) -> Map<String, Value> {
        let public = names.filter(|name| !self.secret.contains(*name));
        public.filter_map(|name| Some((name.to_owned(), self.values.get(name)?.clone()))).collect()
    }

    /// Returns the values that are secret.
    pub fn secrets(&self) -> impl Iterator<Item = Secret> {
        let of_name = |name: &String| match self.values.get(name) {
            Some(Value::String(text)) => Some(Secret::new(text.clone())),
            Some(other) => Some(Secret::new(other.to_string())),
            None => None,
        };
        self.secret.iter().filter_map(of_name)
    }

    fn give(&mut self, scope: Scope<'_>, entry: &Entry, secret: bool) {
        let is_secret = secret || matches!(entry.node.value, NodeValue::Table(_));
        let value = if is_secret && !matches!(entry.node.value, NodeValue::Integer(_)) {
            scope.secret(&entry.node).map(|found| Value::String(found.text))
        } else {
            if is_secret {
                hide(scope.report, &entry.node);
            }
            plain_value(scope.report, &entry.node)
        };
        self.set(&entry.key, is_secret, value);
    }

    fn set(&mut self, name: &str, secret: bool, value: Option<Value>) {
        if secret {
            self.secret.insert(name.to_owned());
        }
        match value {
            Some(value) => {
                self.values.insert(name.to_owned(), value);
            }
            None => {
                self.unknown.insert(name.to_owned());
            }
        }
    }
}

fn report_undeclared(report: &Report, declared: &[Param], entry: &Entry) {
    let names = || declared.iter().map(|param| param.name.as_str());
    let suggestion = nearest(&entry.key, names());
    let is_meant = |param: &&Param| suggestion == Some(param.name.as_str());
    if declared.iter().find(is_meant).is_none_or(|param| param.secret) {
        hide(report, &entry.node);
    }
    let help = match suggestion {
        Some(suggestion) => format!("did you mean `{suggestion}`?"),
        None if declared.is_empty() => "the template has no params".to_owned(),
        None => format!("the template has {}", enumeration(names())),
    };
    report.error_with_help(entry.key_place, format!("unknown param `{}`", entry.key), help);
}

/// Returns a text, number, truth value or a list of those.
fn plain_value(report: &Report, node: &Node) -> Option<Value> {
    match &node.value {
        NodeValue::List(nodes) => nodes.iter().map(|node| plain_value(report, node)).collect(),
        NodeValue::Table(_) => {
            wrong_type(report, node, "a text, a number, a truth value or a list of these");
            None
        }
        _ => scalar(report, node),
    }
}

/// Returns a single value as JSON; a date as the text that was written.
pub(super) fn scalar(report: &Report, node: &Node) -> Option<Value> {
    match &node.value {
        NodeValue::Text(text) | NodeValue::Date(text) => Some(Value::from(text.as_str())),
        NodeValue::Integer(number) => Some(Value::from(*number)),
        NodeValue::Boolean(value) => Some(Value::from(*value)),
        NodeValue::Float(written) => {
            let number = written.replace('_', "").trim_start_matches('+').parse::<Number>();
            if number.is_err() {
                report.error(node.place, "JSON has no such number");
            }
            number.ok().map(Value::Number)
        }
        NodeValue::List(_) | NodeValue::Table(_) => {
            wrong_type(report, node, "a text, a number or a truth value");
            None
        }
    }
}
