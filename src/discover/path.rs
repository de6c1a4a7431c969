//! Paths into a value, written as jq writes them, and what stands at them.

use std::fmt;

use serde_json::Value;

/// The most levels below an item that are looked at.
const MOST_LEVELS: usize = 3;

/// The most fields of an item that are looked at.
const MOST_COLUMNS: usize = 300;

/// How many items are asked which fields there are.
const ASKED_FOR_FIELDS: usize = 20;

/// The most elements of an item that is an array.
const MOST_ELEMENTS: usize = 20;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Member(String),
    Element(usize),
    /// All elements of an array.
    Each,
}

/// A path such as `.data.items[]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Path(pub Vec<Step>);

/// A field of items, and what each of them has there.
#[derive(Debug)]
pub(super) struct Column<'a> {
    pub path: Path,
    /// One for each item; `None` where there is nothing, or `null`.
    pub values: Vec<Option<&'a Value>>,
}

impl Path {
    /// Returns the path of these members.
    pub fn of<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        Self(names.into_iter().map(|name| Step::Member(name.to_owned())).collect())
    }

    /// Returns the path with one more step.
    pub fn then(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }

    /// Returns the one value that it leads to; `None` if that is nothing or `null`.
    pub fn value<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        let found = self.0.iter().try_fold(value, |value, step| match step {
            Step::Member(name) => value.get(name),
            Step::Element(index) => value.get(index),
            Step::Each => None,
        });
        found.filter(|value| !value.is_null())
    }

    /// Returns the names of its members.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.iter().filter_map(|step| match step {
            Step::Member(name) => Some(name.as_str()),
            Step::Element(_) | Step::Each => None,
        })
    }

    /// Returns the name of what it leads to, as [`plain`] has it; empty if that has none.
    pub fn plain_name(&self) -> String {
        self.names().next_back().map(plain).unwrap_or_default()
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !matches!(self.0.first(), Some(Step::Member(_))) {
            f.write_str(".")?;
        }
        for step in &self.0 {
            match step {
                Step::Member(name) if is_word(name) => write!(f, ".{name}")?,
                Step::Member(name) => write!(f, ".{}", Value::from(name.as_str()))?,
                Step::Element(index) => write!(f, "[{index}]")?,
                Step::Each => f.write_str("[]")?,
            }
        }
        Ok(())
    }
}

/// Returns a name in lower case and without what joins words, so that `lastModified` and `last_modified` are the same.
pub(super) fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Returns the fields of items that are scalars somewhere, in the order in which they are written; for an item that is a
/// scalar itself, that is `.`.
pub(super) fn columns<'a>(rows: &[&'a Value]) -> Vec<Column<'a>> {
    let mut paths = Vec::new();
    for row in rows.iter().take(ASKED_FOR_FIELDS) {
        note_fields(row, &mut Path::default(), &mut paths);
    }
    let column = |path: Path| Column { values: rows.iter().map(|row| path.value(row)).collect(), path };
    paths.into_iter().map(column).collect()
}

fn note_fields(value: &Value, path: &mut Path, paths: &mut Vec<Path>) {
    if paths.len() >= MOST_COLUMNS {
        return;
    }
    match value {
        Value::Object(members) => {
            if path.0.len() < MOST_LEVELS {
                for (name, member) in members {
                    path.0.push(Step::Member(name.clone()));
                    note_fields(member, path, paths);
                    path.0.pop();
                }
            }
        }
        Value::Array(elements) if path.0.is_empty() => {
            for (index, element) in elements.iter().take(MOST_ELEMENTS).enumerate() {
                path.0.push(Step::Element(index));
                note_fields(element, path, paths);
                path.0.pop();
            }
        }
        Value::Array(_) | Value::Null => {}
        _ if paths.contains(path) => {}
        _ => paths.push(path.clone()),
    }
}

/// Tells whether a name can be written without quotes.
fn is_word(name: &str) -> bool {
    /// What jq itself has a meaning for.
    const RESERVED: &[&str] = &[
        "and", "or", "not", "if", "then", "elif", "else", "end", "as", "def", "reduce", "foreach", "try", "catch",
        "label", "import", "include", "module", "__loc__",
    ];
    let mut letters = name.chars();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !RESERVED.contains(&name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::expression::Expression;

    #[test]
    fn paths_are_valid_jq_whatever_the_names_are() {
        for (names, expected) in [
            (&["data", "items"][..], ".data.items"),
            (&[], "."),
            (&["@odata.nextLink"], ".\"@odata.nextLink\""),
            (&["a b", "if", "1st"], ".\"a b\".\"if\".\"1st\""),
            (&["\\(1)\"é"], ".\"\\\\(1)\\\"é\""),
        ] {
            let path = Path::of(names.iter().copied());
            assert_eq!(path.to_string(), expected);
            let inner = names.iter().rev().fold(json!("there"), |value, name| json!({ *name: value }));
            let expression = Expression::parse(expected).expect("an expression");
            assert_eq!(expression.first_output(&inner).expect("an output").as_ref(), path.value(&inner));
        }
        assert_eq!(Path(vec![Step::Element(1), Step::Each]).to_string(), ".[1][]");
    }

    #[test]
    fn fields_are_those_of_any_of_the_first_items() {
        let rows = [json!({"id": 1, "a": {"b": {"c": {"d": 1}}, "e": null}}), json!({"a": {"e": "x"}, "tags": [1]})];
        let found: Vec<_> = columns(&rows.each_ref())
            .iter()
            .map(|column| (column.path.to_string(), column.values.iter().flatten().count()))
            .collect();
        assert_eq!(found, [(".id".to_owned(), 1), (".a.e".to_owned(), 1)]);
        assert_eq!(columns(&[&json!(7)])[0].path.to_string(), ".");
        assert_eq!(columns(&[&json!(["x", [1]])]).len(), 1);
    }

    #[test]
    fn names_are_compared_without_what_joins_their_words() {
        for name in ["last_modified", "lastModified", "Last-Modified", "@lastModified"] {
            assert_eq!(plain(name), "lastmodified");
        }
    }
}
