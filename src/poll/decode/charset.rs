//! A page's bytes → text: by its byte order mark, by what its `Content-Type` says, by what it says itself.

use std::borrow::Cow;

use encoding_rs::{DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// How far into a document its own charset is looked for, in bytes.
const DECLARED_WITHIN: usize = 4096;

/// What is done about bytes that are no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Undecodable {
    /// The page is refused.
    Refuse,
    /// They become U+FFFD.
    Replace,
}

/// Returns a page's text in the charset of its byte order mark, its `Content-Type`, its own declaration, or else UTF-8.
pub(super) fn text<'b>(
    body: &'b [u8],
    content_type: Option<&str>,
    declared: Option<&str>,
    undecodable: Undecodable,
) -> Result<Cow<'b, str>, String> {
    if let Some(text) = of_byte_order_mark(body, undecodable) {
        return text;
    }
    let named = content_type.and_then(charset_of).and_then(of_label).or_else(|| declared.and_then(of_own_label));
    decoded(named.unwrap_or(UTF_8), body, undecodable)
}

/// Returns a page's text like [`text`], but in windows-1252 where nothing says otherwise and it is not UTF-8.
pub(super) fn text_of_any_age<'b>(body: &'b [u8], content_type: Option<&str>, declared: Option<&str>) -> Cow<'b, str> {
    let says = content_type.and_then(charset_of).and_then(of_label).or_else(|| declared.and_then(of_own_label));
    let declared = match says {
        None if std::str::from_utf8(body).is_err() => Some(WINDOWS_1252.name()),
        _ => declared,
    };
    text(body, content_type, declared, Undecodable::Replace).unwrap_or_default()
}

/// Returns the text of JSON, which is UTF-8 whatever is said, unless it cannot be.
pub(super) fn text_of_json<'b>(body: &'b [u8], content_type: Option<&str>) -> Result<Cow<'b, str>, String> {
    match std::str::from_utf8(super::without_byte_order_mark(body)) {
        Ok(text) => Ok(Cow::Borrowed(text)),
        Err(_) => text(body, content_type, None, Undecodable::Refuse),
    }
}

/// Returns the charset that an XML declaration names.
pub(super) fn declared_in_xml(body: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(&body[..body.len().min(DECLARED_WITHIN)]);
    let declaration = head.trim_start().strip_prefix("<?xml")?.split("?>").next()?;
    label_after(declaration, "encoding")
}

/// Returns the charset that an HTML document's `<meta>` names.
pub(super) fn declared_in_html(body: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(&body[..body.len().min(DECLARED_WITHIN)]).to_ascii_lowercase();
    head.split("<meta").skip(1).find_map(|meta| label_after(meta.split('>').next()?, "charset"))
}

fn label_after(text: &str, name: &str) -> Option<String> {
    let value = text.split_once(name)?.1.trim_start().strip_prefix('=')?.trim_start();
    let value = value.trim_start_matches(['"', '\'']);
    let end = value.find(|c: char| !c.is_ascii_alphanumeric() && !"-_:.".contains(c)).unwrap_or(value.len());
    Some(value[..end].to_owned()).filter(|label| !label.is_empty())
}

/// Returns the `charset` of a `Content-Type`.
fn charset_of(content_type: &str) -> Option<&str> {
    let parameters = content_type.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let mut charsets = parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
    charsets.next().map(|(_, label)| label.trim().trim_matches(['"', '\'']))
}

fn of_label(label: &str) -> Option<&'static Encoding> {
    Encoding::for_label_no_replacement(label.as_bytes())
}

/// Returns what a document's own label means: where it could be read as ASCII, it cannot be UTF-16.
fn of_own_label(label: &str) -> Option<&'static Encoding> {
    of_label(label).map(|encoding| if encoding == UTF_16LE || encoding == UTF_16BE { UTF_8 } else { encoding })
}

fn of_byte_order_mark(body: &[u8], undecodable: Undecodable) -> Option<Result<Cow<'_, str>, String>> {
    match body {
        [0xff, 0xfe, 0, 0, rest @ ..] => Some(of_utf32(rest, u32::from_le_bytes, undecodable)),
        [0, 0, 0xfe, 0xff, rest @ ..] => Some(of_utf32(rest, u32::from_be_bytes, undecodable)),
        _ => {
            let (encoding, length) = Encoding::for_bom(body)?;
            Some(decoded(encoding, &body[length..], undecodable))
        }
    }
}

fn of_utf32(body: &[u8], number: fn([u8; 4]) -> u32, undecodable: Undecodable) -> Result<Cow<'_, str>, String> {
    let mut text = String::with_capacity(body.len() / 4);
    for (index, bytes) in body.chunks(4).enumerate() {
        let c = <[u8; 4]>::try_from(bytes).ok().and_then(|bytes| char::from_u32(number(bytes)));
        match (c, undecodable) {
            (Some(c), _) => text.push(c),
            (None, Undecodable::Replace) => text.push(char::REPLACEMENT_CHARACTER),
            (None, Undecodable::Refuse) => return Err(no_text("UTF-32", 4 * index)),
        }
    }
    Ok(Cow::Owned(text))
}

fn decoded<'b>(encoding: &'static Encoding, body: &'b [u8], undecodable: Undecodable) -> Result<Cow<'b, str>, String> {
    if undecodable == Undecodable::Replace {
        return Ok(encoding.decode_without_bom_handling(body).0);
    }
    if encoding == UTF_8 {
        return match std::str::from_utf8(body) {
            Ok(text) => Ok(Cow::Borrowed(text)),
            Err(error) => Err(no_text("UTF-8", error.valid_up_to())),
        };
    }
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let longest = decoder.max_utf8_buffer_length_without_replacement(body.len()).unwrap_or_default();
    let mut text = String::with_capacity(longest);
    match decoder.decode_to_string_without_replacement(body, &mut text, true) {
        (DecoderResult::InputEmpty, _) => Ok(Cow::Owned(text)),
        (_, read) => Err(no_text(encoding.name(), read.saturating_sub(1))),
    }
}

fn no_text(charset: &str, at: usize) -> String {
    format!("the bytes at {at} are no text in {charset}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_charset_is_told_by_mark_then_header_then_document() {
        let check = |body: &[u8], content_type: Option<&str>, declared: Option<&str>, expected: Result<&str, &str>| {
            let found = text(body, content_type, declared, Undecodable::Refuse);
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{body:x?} {content_type:?} {declared:?}");
        };
        check(b"\xef\xbb\xbfa\xc3\xa9", Some("text/xml; charset=windows-1252"), None, Ok("aé"));
        check(b"\xff\xfea\0", Some("text/xml; charset=utf-8"), None, Ok("a"));
        check(b"\xfe\xff\0a", None, None, Ok("a"));
        check(b"\xff\xfe\0\0a\0\0\0", None, None, Ok("a"));
        check(b"\0\0\xfe\xff\0\0\0a", None, None, Ok("a"));
        check(b"\xe9", Some("text/xml; Charset=\"ISO-8859-1\""), Some("utf-8"), Ok("é"));
        check(b"\xe9", Some("text/xml"), Some("iso-8859-1"), Ok("é"));
        check(b"\x82\xa0", None, Some("Shift_JIS"), Ok("あ"));
        check(b"a", None, Some("utf-16"), Ok("a"));
        check(b"\xc3\xa9", Some("text/xml; charset=nonsense"), None, Ok("é"));
        check(b"ab\xe9", None, None, Err("the bytes at 2 are no text in UTF-8"));
        check(b"\0\0\xfe\xff\0\0\0", None, None, Err("the bytes at 0 are no text in UTF-32"));
    }

    #[test]
    fn text_of_any_age_is_never_refused() {
        let check = |body: &[u8], content_type: Option<&str>, declared: Option<&str>, expected: &str| {
            assert_eq!(text_of_any_age(body, content_type, declared), expected, "{body:x?}");
        };
        check(b"\xc3\xa9", None, None, "é");
        check(b"\xe9\x80", None, None, "é€");
        check(b"\xe9", Some("text/csv; charset=utf-8"), None, "\u{fffd}");
        check(b"\xe9", None, Some("utf-8"), "\u{fffd}");
    }

    #[test]
    fn documents_name_their_charset() {
        let xml = |text: &str| declared_in_xml(text.as_bytes());
        assert_eq!(xml("\n<?xml version='1.0' encoding = 'koi8-r'?><a/>").as_deref(), Some("koi8-r"));
        assert_eq!(xml("<a encoding='x'/>"), None);
        let html = |text: &str| declared_in_html(text.as_bytes());
        assert_eq!(html("<META CHARSET=utf-8>").as_deref(), Some("utf-8"));
        let equiv = "<meta http-equiv=\"Content-Type\" content=\"text/html; charset=ISO-8859-1\">";
        assert_eq!(html(equiv).as_deref(), Some("iso-8859-1"));
        assert_eq!(html("<p>charset=x"), None);
    }
}
