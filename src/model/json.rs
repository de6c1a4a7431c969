//! JSON whose numbers keep their text.

use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

/// Parses JSON, nested at most 128 deep, so that each number is written again exactly as it was read.
///
/// `serde_json` alone keeps all digits but writes `1E5` and `1e5` as `1e+5`; use this for whatever came from outside and is
/// passed on. A text without exponents costs no more than with `serde_json`.
pub fn parse(text: &[u8]) -> Result<Value, serde_json::Error> {
    let value = serde_json::from_slice(text)?;
    if !has_exponent(text) {
        return Ok(value);
    }
    // The text is valid JSON of bounded depth by now.
    serde_json::from_slice::<&RawValue>(text).and_then(exact)
}

/// Returns a number that is written as this text, or `None` if the text is no JSON number.
pub fn number(text: &str) -> Option<Number> {
    text.parse::<Number>().is_ok().then(|| Number::from_string_unchecked(text.to_owned()))
}

/// Returns about how many bytes a value takes in memory.
pub fn bytes(value: &Value) -> usize {
    let below = match value {
        Value::Null | Value::Bool(_) => 0,
        Value::Number(number) => number.as_str().len(),
        Value::String(text) => text.len(),
        Value::Array(elements) => elements.iter().map(bytes).sum(),
        // Each member has a place in a table as well.
        Value::Object(members) => members.iter().map(|(name, member)| 64 + name.len() + bytes(member)).sum(),
    };
    size_of::<Value>() + below
}

/// Tells whether a number in this JSON has an exponent. What is in strings, such as `"2e7"`, does not count.
fn has_exponent(json: &[u8]) -> bool {
    let mut left = json;
    loop {
        let outside = memchr::memchr(b'"', left).unwrap_or(left.len());
        // The other letters outside of strings are those of `true`, `false` and `null`, which follow no digit.
        if left[..outside].windows(2).any(|pair| pair[0].is_ascii_digit() && matches!(pair[1], b'e' | b'E')) {
            return true;
        }
        let Some(string) = left.get(outside + 1..) else { return false };
        left = after_string(string);
    }
}

/// Returns what follows a string of which the opening quote has been passed.
fn after_string(mut left: &[u8]) -> &[u8] {
    while let Some(at) = memchr::memchr2(b'"', b'\\', left) {
        if left[at] == b'"' {
            return &left[at + 1..];
        }
        left = left.get(at + 2..).unwrap_or_default();
    }
    &[]
}

fn exact(raw: &RawValue) -> Result<Value, serde_json::Error> {
    let text = raw.get();
    if !has_exponent(text.as_bytes()) {
        return serde_json::from_str(text);
    }
    match text.as_bytes()[0] {
        b'{' => {
            let members: indexmap::IndexMap<String, &RawValue> = serde_json::from_str(text)?;
            let members = members.into_iter().map(|(key, raw)| Ok((key, exact(raw)?)));
            members.collect::<Result<Map<_, _>, _>>().map(Value::Object)
        }
        b'[' => {
            let elements: Vec<&RawValue> = serde_json::from_str(text)?;
            elements.into_iter().map(exact).collect::<Result<_, _>>().map(Value::Array)
        }
        b'"' => serde_json::from_str(text),
        _ => Ok(Value::Number(Number::from_string_unchecked(text.to_owned()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_they_were_read() {
        for text in [
            "9007199254740993",
            "1.0",
            "1e400",
            "0.1000",
            "-0",
            "1E5",
            "1e+5",
            "1E-05",
            "-0.0e0",
            "123456789012345678901234567890",
            r#"{"b":1e5,"a":[1E5,{"c":"1e5"},2.50],"t":"2e7"}"#,
        ] {
            assert_eq!(parse(text.as_bytes()).expect("JSON").to_string(), text);
        }
        assert_eq!(number("1E5").map(|number| number.to_string()).as_deref(), Some("1E5"));
        assert_eq!(number("01"), None);
    }

    #[test]
    fn exponents_are_looked_for_in_numbers_only() {
        let check = |text: &str, expected| assert_eq!(has_exponent(text.as_bytes()), expected, "{text}");
        check(r#"{"a2eeef":"7e5 \\\" 1e5 \\\\"}"#, false);
        check(r#"{"a":"\\\\","b":1e5}"#, true);
        check("[true,1.5E3]", true);
        check("[true,false,15]", false);
        check(r#""1e5"#, false);
    }

    #[test]
    fn only_numbers_outside_of_strings_have_exponents() {
        for (text, expected) in [
            (r#"{"a":1e5}"#, true),
            (r#"["2e7",1E5]"#, true),
            (r#"["\\",1e5]"#, true),
            (r#"{"sha":"2e7","b":["1e5\"1e5"],"c":false}"#, false),
            (r#"["never closed 1e5"#, false),
            (r#"["\"#, false),
        ] {
            assert_eq!(has_exponent(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_json_or_too_deep_is_refused() {
        for text in ["", "1e", "[1e5", r#"{"a":1e5,}"#, "01e5"] {
            parse(text.as_bytes()).expect_err("not JSON");
        }
        parse(format!("{}1e5{}", "[".repeat(200), "]".repeat(200)).as_bytes()).expect_err("too deep");
    }
}
