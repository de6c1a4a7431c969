//! A JSON value a line, or after each record separator (RFC 7464) → an array of them.

use serde_json::Value;

use super::json::problem;
use super::{MOST_ITEMS, too_many};
use crate::model::json;

/// What begins a value of `application/json-seq`.
pub(super) const RECORD_SEPARATOR: char = '\u{1e}';

/// Returns all values. One that is broken fails the page; so does a last one that is cut off.
pub(super) fn decode(text: &str) -> Result<Value, String> {
    let mut values = Vec::new();
    let mut line_number = 1;
    let separator = if text.trim_start().starts_with(RECORD_SEPARATOR) { RECORD_SEPARATOR } else { '\n' };
    for part in text.split_inclusive(separator) {
        let written = part.trim_matches([RECORD_SEPARATOR, ' ', '\t', '\r', '\n']);
        if !written.is_empty() {
            if values.len() == MOST_ITEMS {
                return Err(too_many("values", MOST_ITEMS));
            }
            values.push(json::parse(written.as_bytes()).map_err(|error| problem(&error, line_number))?);
        }
        line_number += part.bytes().filter(|byte| *byte == b'\n').count();
    }
    Ok(Value::Array(values))
}

/// Tells whether a text that begins like JSON is a value a line: its first line is one, and another follows.
pub(super) fn is_likely(text: &str) -> bool {
    let Some((first, rest)) = text.trim_start().split_once('\n') else { return false };
    rest.trim_start().starts_with(['{', '[']) && json::parse(first.trim_end().as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_value() {
        let check = |text: &str, expected: Result<&str, &str>| {
            let decoded = decode(text).map(|value| value.to_string());
            assert_eq!(decoded.as_deref().map_err(String::as_str), expected, "{text:?}");
        };
        check("", Ok("[]"));
        check("{\"a\":1.0}\n\n{\"a\":1e5}\r\n", Ok("[{\"a\":1.0},{\"a\":1e5}]"));
        check("1\n2", Ok("[1,2]"));
        check("\u{1e}{\"a\":\n1}\n\u{1e}2\n", Ok("[{\"a\":1},2]"));
        check("1\n{\"a\"", Err("line 2: it is cut off (EOF while parsing an object, column 4)"));
        check("1\n\n{]\n3\n", Err("line 3: key must be a string (column 2)"));
        check("{\"a\":1}{\"a\":2}\n", Err("line 1: trailing characters (column 8)"));
        let deep = format!("1\n{}{}\n", "[".repeat(128), "]".repeat(128));
        check(&deep, Err("line 2: it is nested too deep (recursion limit exceeded, column 128)"));
    }

    #[test]
    fn two_lines_that_are_values_tell() {
        for (text, expected) in [
            ("{\"a\":1}\n{\"a\":2}\n", true),
            ("{\n\"a\":1}\n", false),
            ("{\"a\":1}\n", false),
            ("[1,\n[2]]", false),
            ("[1]\n[2]", true),
        ] {
            assert_eq!(is_likely(text), expected, "{text}");
        }
    }
}
