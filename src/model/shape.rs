//! What a value looks like, in a few words for people who expected something else.

use std::fmt;

use serde_json::{Map, Value};

/// A value's shape: `an object with `id` (number), `lines` (array of 3) and 12 more`. Bounded, however large the value.
#[derive(Debug, Clone, Copy)]
pub struct Shape<'a>(pub &'a Value);

/// The most members that are named.
const MOST_MEMBERS: usize = 8;

/// The most characters of a name or of a text that are shown.
const MOST_CHARACTERS: usize = 40;

impl fmt::Display for Shape<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Null => f.write_str("null"),
            Value::Bool(truth) => write!(f, "{truth}"),
            Value::Number(number) => write!(f, "the number {}", shortened(number.as_str())),
            Value::String(text) if text.is_empty() => f.write_str("an empty text"),
            Value::String(text) => write!(f, "the text \"{}\"", shortened(text)),
            Value::Array(elements) => array(elements, f),
            Value::Object(members) => {
                f.write_str(if members.is_empty() { "an empty object" } else { "an object with " })?;
                list(members, f)
            }
        }
    }
}

fn array(elements: &[Value], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Some(first) = elements.first() else { return f.write_str("an empty array") };
    let count = elements.len();
    let plural = if count == 1 { "" } else { "s" };
    let alike = |is: fn(&Value) -> bool| elements.iter().all(is);
    match first {
        Value::Object(members) if alike(Value::is_object) && !members.is_empty() => {
            write!(f, "an array of {count} object{plural} with ")?;
            list(members, f)
        }
        Value::String(_) if alike(Value::is_string) => write!(f, "an array of {count} text{plural}"),
        Value::Number(_) if alike(Value::is_number) => write!(f, "an array of {count} number{plural}"),
        _ => write!(f, "an array of {count} value{plural}, the first one {}", kind(first)),
    }
}

/// Names the members with what each is.
fn list(members: &Map<String, Value>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    // One that is left over takes as much room as saying so.
    let shown = if members.len() == MOST_MEMBERS + 1 { MOST_MEMBERS + 1 } else { MOST_MEMBERS };
    for (index, (name, member)) in members.iter().take(shown).enumerate() {
        let before = match index {
            0 => "",
            _ if index + 1 == members.len() => " and ",
            _ => ", ",
        };
        write!(f, "{before}`{}` ({})", shortened(name), kind(member))?;
    }
    match members.len().saturating_sub(shown) {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
}

/// Returns what kind of value it is, without an article.
fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "boolean".to_owned(),
        Value::Number(_) => "number".to_owned(),
        Value::String(_) => "text".to_owned(),
        Value::Array(elements) if elements.is_empty() => "empty array".to_owned(),
        Value::Array(elements) => format!("array of {}", elements.len()),
        Value::Object(members) if members.is_empty() => "empty object".to_owned(),
        Value::Object(members) => format!("object of {}", members.len()),
    }
}

/// Returns the beginning of a text, on one line.
fn shortened(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars().take(MOST_CHARACTERS) {
        match character {
            c if c.is_control() => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    if text.chars().nth(MOST_CHARACTERS).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn shapes_are_short_and_tell_what_is_there() {
        let check = |value: Value, expected: &str| assert_eq!(Shape(&value).to_string(), expected);
        check(json!(null), "null");
        check(json!(true), "true");
        check(json!(1.5), "the number 1.5");
        check(json!(""), "an empty text");
        check(json!("a\nb"), "the text \"a\\nb\"");
        check(json!("x".repeat(50)), &format!("the text \"{}…\"", "x".repeat(40)));
        check(json!([]), "an empty array");
        check(json!([1, 2]), "an array of 2 numbers");
        check(json!(["a"]), "an array of 1 text");
        check(json!([null, 1]), "an array of 2 values, the first one null");
        check(json!([{"id": 1}, {"id": 2}]), "an array of 2 objects with `id` (number)");
        check(json!({}), "an empty object");
        check(
            json!({"id": 1, "name": "x", "tags": [1, 2], "more": {"a": 1}, "no": [], "not": {}, "yes": true}),
            "an object with `id` (number), `name` (text), `tags` (array of 2), `more` (object of 1), `no` (empty array), \
             `not` (empty object) and `yes` (boolean)",
        );
    }

    #[test]
    fn shapes_are_bounded_however_wide_and_deep_a_value_is() {
        let wide: Map<String, Value> = (0..20).map(|number| (format!("n{number:02}"), json!(null))).collect();
        let shape = Shape(&Value::Object(wide)).to_string();
        assert!(shape.contains("`n07` (null) and 12 more") && !shape.contains("n08"), "{shape}");
        let nine: Map<String, Value> = (0..9).map(|number| (format!("n{number}"), json!(null))).collect();
        assert!(Shape(&Value::Object(nine)).to_string().ends_with(" and `n8` (null)"));
        let deep = (0..1000).fold(json!(1), |inner, _| json!({ "inner": inner }));
        assert_eq!(Shape(&deep).to_string(), "an object with `inner` (object of 1)");
    }
}
