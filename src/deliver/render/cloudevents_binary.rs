//! The format `cloudevents-binary`: a CloudEvent whose attributes are headers and whose data, the item, is the body.
//!
//! `changes` and `previous` are left out: receivers take headers of some kilobytes only.

use std::fmt::Write as _;
use std::sync::Arc;

use super::cloudevents::{Attribute, attributes};
use super::{Rendered, recipe};
use crate::http::header::{HeaderMap, HeaderName, HeaderValue};
use crate::model::event::Event;

/// Returns the item, and the other attributes as headers.
pub(super) fn render(event: &Event) -> Rendered {
    let mut headers = HeaderMap::new();
    for (name, value) in attributes(event) {
        let name = HeaderName::try_from(format!("ce-{name}")).expect("attributes have plain names");
        let value = match value {
            Attribute::Text(text) => HeaderValue::try_from(encoded(&text)).expect("all that is not plain is encoded"),
            Attribute::Boolean(value) => HeaderValue::from_static(if value { "true" } else { "false" }),
        };
        headers.insert(name, value);
    }
    let body = event.data.get().as_bytes().to_vec();
    Rendered { headers: Arc::new(headers), ..recipe::json(body) }
}

/// Returns a text as the HTTP binding wants it in a header (1.0.2, section 3.1.3.2): spaces, quotes, percent signs and all
/// that is not printable ASCII are percent-encoded, byte by byte of their UTF-8.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'"' | b'%' => write!(encoded, "%{byte:02X}").expect("a string takes it"),
            b'!'..=b'~' => encoded.push(char::from(byte)),
            _ => write!(encoded, "%{byte:02X}").expect("a string takes it"),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_percent_encoded_as_the_http_binding_says() {
        // The first two are the examples of the specification.
        for (text, expected) in [
            ("Euro € 😀", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
            ("100%", "100%25"),
            ("a\"b\r\nc\tä~!", "a%22b%0D%0Ac%09%C3%A4~!"),
            ("https://example.com/a?b=c&d=e#f", "https://example.com/a?b=c&d=e#f"),
        ] {
            assert_eq!(encoded(text), expected);
        }
    }
}
