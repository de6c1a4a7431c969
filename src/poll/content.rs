//! What of an item counts as its content, and in which parts of it two versions differ.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

use crate::model::connector::{Connector, ItemRules};
use crate::model::expression::{Expression, ExpressionError};

/// A part in which two versions of an item differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Where it is: a path such as `.total` or `.lines[2].price`, or the expression of `item.watch` that gives it.
    pub path: String,
    /// What was there; absent if nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub then: Option<Value>,
    /// What is there; absent if nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<Value>,
}

/// Returns in which parts two versions of an item differ, as far as these count: none if their fingerprints are the same.
pub fn differences(connector: &Connector, then: &Value, now: &Value) -> Result<Vec<Difference>, ExpressionError> {
    let mut found = Vec::new();
    let counting = |value| without_ignored(&connector.item, value).map_err(|(_, error)| error);
    let (then, now) = (counting(then)?, counting(now)?);
    let Some(watched) = &connector.item.watch else {
        compare(String::new(), Some(&then), Some(&now), &mut found);
        return Ok(found);
    };
    for expression in watched {
        let (before, after) = (expression.outputs(&then)?, expression.outputs(&now)?);
        for index in 0..before.len().max(after.len()) {
            let several = before.len().max(after.len()) > 1;
            let place = if several { format!(" ({})", index + 1) } else { String::new() };
            let path = format!("{}{place}", expression.source());
            let (then, now) = (before.get(index).map(AsRef::as_ref), after.get(index).map(AsRef::as_ref));
            compare(path, then, now, &mut found);
        }
    }
    Ok(found)
}

/// Returns in which parts two values differ.
pub fn plain_differences(then: &Value, now: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(String::new(), Some(then), Some(now), &mut found);
    found
}

/// Returns an item without what does not count of it. With an error comes the expression that failed.
pub(super) fn without_ignored<'v, 'r>(
    rules: &'r ItemRules,
    value: &'v Value,
) -> Result<Cow<'v, Value>, (&'r Expression, ExpressionError)> {
    let mut counting = Cow::Borrowed(value);
    for ignored in &rules.ignore {
        ignored.delete_from(counting.to_mut()).map_err(|error| (ignored, error))?;
    }
    Ok(counting)
}

/// Appends the differences between what stands in the same place, going down as far as both are of the same kind.
fn compare(path: String, then: Option<&Value>, now: Option<&Value>, found: &mut Vec<Difference>) {
    match (then, now) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            for (name, value) in before {
                compare(member(&path, name), Some(value), after.get(name), found);
            }
            for (name, value) in after.iter().filter(|(name, _)| !before.contains_key(*name)) {
                compare(member(&path, name), None, Some(value), found);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => {
            for index in 0..before.len().max(after.len()) {
                compare(format!("{path}[{index}]"), before.get(index), after.get(index), found);
            }
        }
        // Numbers count as they are written.
        (then, now) if then == now => {}
        (then, now) => {
            let path = if path.is_empty() { ".".to_owned() } else { path };
            found.push(Difference { path, then: then.cloned(), now: now.cloned() });
        }
    }
}

fn member(path: &str, name: &str) -> String {
    let is_plain = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_');
    if is_plain { format!("{path}.{name}") } else { format!("{path}[{}]", Value::from(name)) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::config::{Environment, load};
    use crate::poll::extract::fingerprint_of;

    fn connector(rules: &str) -> Arc<Connector> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.toml");
        let text =
            format!("[connectors.orders]\nrequest.url = \"http://x/\"\nevery = \"1m\"\nitem.key = \".id\"\n{rules}");
        std::fs::write(&path, text).expect("a file");
        let configuration = load(&path, &Environment::from([])).expect("a right configuration");
        Arc::clone(&configuration.connectors[0])
    }

    #[test]
    fn differences_are_named_by_their_paths() {
        let check = |rules: &str, then: Value, now: Value, expected: Value| {
            let found = differences(&connector(rules), &then, &now).expect("expressions that work");
            assert_eq!(serde_json::to_value(found).expect("JSON"), expected);
        };
        let then = json!({"id": 1, "total": 5, "lines": [{"a b": 1}], "gone": null, "seen_at": 1});
        let now = json!({"id": 1, "total": 7, "lines": [{"a b": 2}, 3], "new": {}, "seen_at": 2});
        check(
            "item.ignore = [\".seen_at\"]",
            then.clone(),
            now.clone(),
            json!([
                {"path": ".total", "then": 5, "now": 7},
                {"path": ".lines[0][\"a b\"]", "then": 1, "now": 2},
                {"path": ".lines[1]", "now": 3},
                {"path": ".gone", "then": null},
                {"path": ".new", "now": {}},
            ]),
        );
        check(
            "item.watch = [\".total\", \".id\"]",
            then.clone(),
            now.clone(),
            json!([{"path": ".total", "then": 5, "now": 7}]),
        );
        check(
            "item.watch = [\".lines[]\"]",
            then,
            now,
            json!([{"path": ".lines[] (1)[\"a b\"]", "then": 1, "now": 2}, {"path": ".lines[] (2)", "now": 3}]),
        );
        check("", json!(1), json!([1]), json!([{"path": ".", "then": 1, "now": [1]}]));
        check("", json!({"a": {"x": 1, "y": 2}}), json!({"a": {"y": 2, "x": 1}}), json!([]));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            (0..3_u8).prop_map(|number| json!(number)),
            Just(json!("x")),
            Just(json!({})),
            Just(json!([]))
        ];
        leaf.prop_recursive(2, 8, 3, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
                proptest::collection::btree_map("[abc]", inner, 0..3)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn there_are_differences_exactly_if_fingerprints_differ(
            then in value(), now in value(), rules in 0..3_usize,
        ) {
            let rules = ["", "item.ignore = [\".a?\"]", "item.watch = [\".a?\", \".b[]?\"]"][rules];
            let connector = connector(rules);
            let (one, other) = (fingerprint_of(&connector, &then), fingerprint_of(&connector, &now));
            if let (Ok(one), Ok(other), Ok(found)) = (one, other, differences(&connector, &then, &now)) {
                prop_assert_eq!(one == other, found.is_empty(), "{:?}", found);
            }
        }
    }
}
