//! JSON as a tree whose nodes know their places, so that what came over the API is read like a TOML file, and each
//! mistake in it is told with a JSON pointer (RFC 6901).

use std::ops::Range;

use serde_json::{Map, Value};

use super::report::Report;
use super::source::Place;
use super::tree::{Entry, Node, NodeValue, Table};

/// A JSON object as it is read.
#[derive(Debug, Default)]
pub(super) struct Document {
    text: String,
    /// Where each value stands, with its key, and the pointer to it.
    values: Vec<(Range<usize>, String)>,
}

impl Document {
    /// Reads an object into a tree, as the only file of the report. What is `null` is not written.
    pub fn read(report: &Report, object: &Map<String, Value>) -> (Self, Table) {
        let mut document = Self::default();
        let table = document.table(report, object, "");
        let file = report.add_source("the request".to_owned(), document.text.clone());
        debug_assert_eq!(file, FILE, "a document is read by itself");
        (document, table)
    }

    /// Returns the pointer to the innermost value that a place lies in; the empty one for the whole object.
    pub fn pointer(&self, place: Place) -> &str {
        let around = self.values.iter().filter(|(span, _)| span.start <= place.start && place.end <= span.end);
        around.min_by_key(|(span, _)| span.len()).map_or("", |(_, pointer)| pointer)
    }

    fn table(&mut self, report: &Report, object: &Map<String, Value>, pointer: &str) -> Table {
        let mut entries = Vec::with_capacity(object.len());
        self.text.push('{');
        for (key, value) in object.iter().filter(|(_, value)| !value.is_null()) {
            let start = self.text.len();
            self.text.push_str(&Value::from(key.as_str()).to_string());
            let key_place = self.place_from(start);
            self.text.push(':');
            let pointer = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
            let node = self.node(report, value, &pointer);
            self.values.push((start..self.text.len(), pointer));
            self.text.push(',');
            entries.push(Entry { key: key.clone(), key_place, node });
        }
        self.text.push('}');
        Table { entries }
    }

    fn node(&mut self, report: &Report, value: &Value, pointer: &str) -> Node {
        let start = self.text.len();
        let value = match value {
            Value::Array(elements) => {
                self.text.push('[');
                let nodes = elements.iter().enumerate().map(|(index, element)| {
                    let (start, pointer) = (self.text.len(), format!("{pointer}/{index}"));
                    let node = self.node(report, element, &pointer);
                    self.values.push((start..self.text.len(), pointer));
                    self.text.push(',');
                    node
                });
                let nodes = nodes.collect();
                self.text.push(']');
                NodeValue::List(nodes)
            }
            Value::Object(object) => NodeValue::Table(self.table(report, object, pointer)),
            scalar => {
                self.text.push_str(&scalar.to_string());
                match scalar {
                    Value::Bool(value) => NodeValue::Boolean(*value),
                    Value::Number(number) => self.number(report, number, start),
                    Value::String(text) => NodeValue::Text(text.clone()),
                    // In a list nothing can be left out; an empty text is wrong wherever it counts.
                    _ => NodeValue::Text(String::new()),
                }
            }
        };
        Node { place: self.place_from(start), value }
    }

    fn number(&self, report: &Report, number: &serde_json::Number, start: usize) -> NodeValue {
        let text = number.to_string();
        if text.contains(['.', 'e', 'E']) {
            return NodeValue::Float(text);
        }
        let parsed = number.as_i64();
        if parsed.is_none() {
            report.error(self.place_from(start), "this number is too large");
        }
        NodeValue::Integer(parsed.unwrap_or_default())
    }

    fn place_from(&self, start: usize) -> Place {
        Place::new(FILE, start..self.text.len())
    }
}

/// The number of the only file.
const FILE: usize = 0;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: &Value) -> (Document, Table) {
        Document::read(&Report::default(), value.as_object().expect("an object"))
    }

    /// Follows keys and numbers through a tree, and checks which pointer is told for what is there.
    #[track_caller]
    fn check(value: &Value, keys: &[&str], expected: &str) {
        let (document, table) = read(value);
        let mut node = Node { place: Place::beginning_of(FILE), value: NodeValue::Table(table) };
        for key in keys {
            node = match node.value {
                NodeValue::Table(mut table) => table.take(key).expect("an entry").node,
                NodeValue::List(mut nodes) => nodes.remove(key.parse().expect("a number")),
                _ => panic!("{key} of nothing"),
            };
        }
        assert_eq!(document.pointer(node.place), expected);
    }

    #[test]
    fn what_stands_where_is_told_by_pointers() {
        let value = json!({"url": "a\"b", "a/b": {"c~d": [1, ["x", "y"]]}, "headers": {"X": "1"}});
        check(&value, &[], "");
        check(&value, &["url"], "/url");
        check(&value, &["a/b"], "/a~1b");
        check(&value, &["a/b", "c~d", "1", "1"], "/a~1b/c~0d/1/1");
        check(&value, &["headers", "X"], "/headers/X");
    }

    #[test]
    fn values_are_what_they_would_be_in_toml() {
        let value = serde_json::from_str(r#"{"i":-3,"f":1.50,"b":true,"n":null,"t":"é"}"#).expect("JSON");
        let (_, table) = read(&value);
        let written: Vec<String> = table.entries.iter().map(|entry| format!("{:?}", entry.node.value)).collect();
        assert_eq!(written, ["Integer(-3)", "Float(\"1.50\")", "Boolean(true)", "Text(\"é\")"]);
        let (report, huge) = (Report::default(), json!({"i": u64::MAX}));
        Document::read(&report, huge.as_object().expect("an object"));
        assert_eq!(report.errors(), 1);
    }
}
