//! A page's bytes → a value. Each format has its own file.

mod json;
mod listing;

use serde_json::Value;
use serde_json::value::RawValue;

use super::error::{Excerpt, PageError};
use crate::model::format::ResponseFormat;
use crate::model::secret::Redactor;

/// Returns what a page says: in the configured format, or else in the one that its `Content-Type` or its first
/// character tells.
pub(super) fn decode(
    format: Option<&ResponseFormat>,
    content_type: Option<&str>,
    body: &[u8],
    redactor: &Redactor,
) -> Result<Value, PageError> {
    let start = first_byte(body).ok_or(PageError::Empty)?;
    match format.cloned().or_else(|| format_of(content_type, start)) {
        Some(ResponseFormat::Json) if start == b'<' => Err(PageError::Html { excerpt: Excerpt::of(redactor, body) }),
        Some(ResponseFormat::Json) => json::decode(body, redactor),
        Some(_) => Err(PageError::Format {
            content_type: content_type.unwrap_or_default().to_owned(),
            excerpt: Excerpt::of(redactor, body),
        }),
        None if start == b'<' && content_type.is_some_and(|text| text.contains("html")) => {
            Err(PageError::Html { excerpt: Excerpt::of(redactor, body) })
        }
        None => Err(PageError::Format {
            content_type: content_type.unwrap_or_default().to_owned(),
            excerpt: Excerpt::of(redactor, body),
        }),
    }
}

/// Returns the texts of the elements of the array that these names of members lead to, in a page that is JSON; `None` if
/// that cannot be done without parsing them, or if anything is odd: then [`decode`] says what. They are not checked.
pub(super) fn elements<'b>(
    format: Option<&ResponseFormat>,
    content_type: Option<&str>,
    body: &'b [u8],
    names: &[&str],
) -> Option<Vec<&'b RawValue>> {
    match format.cloned().or_else(|| format_of(content_type, first_byte(body)?)) {
        Some(ResponseFormat::Json) => listing::elements(without_byte_order_mark(body), names),
        _ => None,
    }
}

fn format_of(content_type: Option<&str>, start: u8) -> Option<ResponseFormat> {
    let Some(content_type) = content_type else { return Some(ResponseFormat::Json) };
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let says_json = media_type.ends_with("/json") || media_type.ends_with("+json");
    // Many servers call everything text; no other format begins like a JSON array or object.
    (says_json || matches!(start, b'{' | b'[')).then_some(ResponseFormat::Json)
}

fn first_byte(body: &[u8]) -> Option<u8> {
    without_byte_order_mark(body).iter().copied().find(|byte| !byte.is_ascii_whitespace())
}

fn without_byte_order_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_recognised_by_its_type_or_its_first_character() {
        let check = |content_type: Option<&str>, body: &str, expected: Option<&str>| {
            let decoded = decode(None, content_type, body.as_bytes(), &Redactor::default());
            let decoded = decoded.map(|value| value.to_string()).map_err(|error| error.to_string());
            assert_eq!(decoded.as_deref().ok(), expected, "{content_type:?} {body} {decoded:?}");
        };
        check(None, "7", Some("7"));
        check(Some("application/json"), "7", Some("7"));
        check(Some("Application/Problem+JSON; charset=utf-8"), "\"x\"", Some("\"x\""));
        check(Some("text/plain"), "\u{feff}\n [1.0]", Some("[1.0]"));
        check(Some("text/html"), "{\"a\":1}", Some("{\"a\":1}"));
        check(Some("text/plain"), "7", None);
        check(Some("text/csv"), "a,b", None);
        check(Some("application/json"), "<html>", None);
        check(Some("application/json"), "\u{feff}", None);
    }

    #[test]
    fn an_unknown_format_is_named_with_what_came() {
        let error = decode(None, Some("text/csv"), b"a,b\n1,2", &Redactor::default()).expect_err("not JSON");
        insta::assert_snapshot!(
            error,
            @r#"the answer's format "text/csv" is not known; if it is JSON, set `response.format = "json"`; it begins: a,b\n1,2"#
        );
        let error = decode(None, Some("text/html"), b"<p>", &Redactor::default()).expect_err("not JSON");
        insta::assert_snapshot!(error, @"the answer is HTML, not JSON; it begins: <p>");
    }
}
