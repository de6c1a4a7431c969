//! A page's bytes → a value. Each format has its own file.

mod json;

use serde_json::Value;

use super::error::{Excerpt, PageError};
use crate::model::connector::ResponseFormat;
use crate::model::secret::Redactor;

/// Returns what a page says: in the configured format, or else in the one that its `Content-Type` or its first
/// character tells.
pub(super) fn decode(
    format: Option<ResponseFormat>,
    content_type: Option<&str>,
    body: &[u8],
    redactor: &Redactor,
) -> Result<Value, PageError> {
    let start = first_byte(body).ok_or(PageError::Empty)?;
    match format.or_else(|| format_of(content_type, start)) {
        Some(ResponseFormat::Json) if start == b'<' => Err(PageError::Html { excerpt: Excerpt::of(redactor, body) }),
        Some(ResponseFormat::Json) => json::decode(body, redactor),
        None if start == b'<' && content_type.is_some_and(|text| text.contains("html")) => {
            Err(PageError::Html { excerpt: Excerpt::of(redactor, body) })
        }
        None => Err(PageError::Format {
            content_type: content_type.unwrap_or_default().to_owned(),
            excerpt: Excerpt::of(redactor, body),
        }),
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
