//! What changed between two values, as a JSON Patch (RFC 6902).

use serde_json::{Value, json};

/// Returns the operations that turn `previous` into `current`: `add`, `remove` and `replace` of members and elements.
/// Elements are compared place by place. Numbers differ if they are written differently.
pub(super) fn diff(previous: &Value, current: &Value) -> Value {
    let mut patch = Patch::default();
    patch.compare(previous, current);
    Value::Array(patch.operations)
}

#[derive(Default)]
struct Patch {
    operations: Vec<Value>,
    /// Where the comparison stands, as a JSON Pointer (RFC 6901).
    path: String,
}

impl Patch {
    fn compare(&mut self, previous: &Value, current: &Value) {
        match (previous, current) {
            (Value::Object(before), Value::Object(after)) => {
                for name in before.keys().filter(|name| !after.contains_key(*name)) {
                    self.at(name, |patch| patch.operations.push(json!({"op": "remove", "path": patch.path})));
                }
                for (name, value) in after {
                    self.at(name, |patch| match before.get(name) {
                        Some(previous) => patch.compare(previous, value),
                        None => patch.put("add", value),
                    });
                }
            }
            (Value::Array(before), Value::Array(after)) => {
                for (index, (previous, value)) in before.iter().zip(after).enumerate() {
                    self.at(&index.to_string(), |patch| patch.compare(previous, value));
                }
                // From the end, so that what is removed does not move what is still to be.
                for index in (after.len()..before.len()).rev() {
                    let index = index.to_string();
                    self.at(&index, |patch| patch.operations.push(json!({"op": "remove", "path": patch.path})));
                }
                for (index, value) in after.iter().enumerate().skip(before.len()) {
                    self.at(&index.to_string(), |patch| patch.put("add", value));
                }
            }
            _ if previous == current => {}
            _ => self.put("replace", current),
        }
    }

    fn put(&mut self, operation: &str, value: &Value) {
        self.operations.push(json!({"op": operation, "path": self.path, "value": value}));
    }

    fn at(&mut self, segment: &str, work: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path.push('/');
        self.path.push_str(&segment.replace('~', "~0").replace('/', "~1"));
        work(self);
        self.path.truncate(length);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Applies a patch as RFC 6902 says, for `add`, `remove` and `replace`.
    fn apply(patch: &Value, document: &mut Value) {
        for operation in patch.as_array().expect("a patch is an array") {
            let path = operation["path"].as_str().expect("a path");
            let value = || operation["value"].clone();
            let Some((parent, last)) = path.rsplit_once('/') else {
                *document = value();
                continue;
            };
            let last = last.replace("~1", "/").replace("~0", "~");
            match (operation["op"].as_str().expect("an operation"), document.pointer_mut(parent).expect("a parent")) {
                ("remove", Value::Object(members)) => drop(members.shift_remove(&last).expect("a member")),
                ("remove", Value::Array(elements)) => drop(elements.remove(last.parse().expect("an index"))),
                ("add", Value::Object(members)) => assert!(members.insert(last, value()).is_none()),
                ("add", Value::Array(elements)) => elements.insert(last.parse().expect("an index"), value()),
                ("replace", Value::Object(members)) => drop(members.insert(last, value()).expect("a member")),
                ("replace", Value::Array(elements)) => elements[last.parse::<usize>().expect("an index")] = value(),
                (operation, parent) => panic!("{operation} in {parent}"),
            }
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..3).prop_map(Value::from),
            Just(serde_json::from_str("1.0").expect("a number")),
            "[a~/]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::hash_map("[ab~/]{0,2}", inner, 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn applying_the_patch_to_the_previous_value_gives_the_current_one(previous in values(), current in values()) {
            let mut document = previous.clone();
            apply(&diff(&previous, &current), &mut document);
            prop_assert_eq!(&document, &current);
            prop_assert_eq!(diff(&current, &current), json!([]));
        }
    }

    #[test]
    fn only_what_differs_is_named() {
        let check = |previous: &str, current: &str, expected: &str| {
            let parse = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
            assert_eq!(diff(&parse(previous), &parse(current)).to_string(), expected);
        };
        check(r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#, "[]");
        check(r#"{"a":1}"#, r#"{"a":1.0}"#, r#"[{"op":"replace","path":"/a","value":1.0}]"#);
        check(r#"{"a/b":{"~":1}}"#, r#"{"a/b":{}}"#, r#"[{"op":"remove","path":"/a~1b/~0"}]"#);
        check("[1,2,3]", "[1]", r#"[{"op":"remove","path":"/2"},{"op":"remove","path":"/1"}]"#);
        check(r#"{"a":[]}"#, r#"{"a":[null]}"#, r#"[{"op":"add","path":"/a/0","value":null}]"#);
        check("1", "[]", r#"[{"op":"replace","path":"","value":[]}]"#);
    }
}
