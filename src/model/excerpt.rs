//! The beginnings of what came from outside, fit to be shown.

use std::fmt;

use super::secret::Redactor;

/// The beginning of what came, fit to be shown: secrets taken out, control characters escaped. Shown behind a
/// message as `; it begins: …`, or not at all if nothing came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Excerpt(String);

/// What stands before an excerpt in a message.
pub const EXCERPT_BEGINS: &str = "; it begins: ";

/// The most characters of an answer that a message shows.
pub const EXCERPT_CHARS: usize = 200;

impl Excerpt {
    /// Returns the beginning of a body, at most [`EXCERPT_CHARS`] characters of it.
    pub fn of(redactor: &Redactor, body: &[u8]) -> Self {
        Self(beginning(redactor, body, EXCERPT_CHARS))
    }

    /// Returns the beginning of a value's JSON text.
    pub fn of_value(redactor: &Redactor, value: &serde_json::Value) -> Self {
        let mut start = Beginning { bytes: Vec::new(), room: window(EXCERPT_CHARS) };
        // Writing stops with an error when there is no more room: what fits is all that is wanted.
        let _ = serde_json::to_writer(&mut start, value);
        Self::of(redactor, &start.bytes)
    }

    /// Returns the shown text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "{EXCERPT_BEGINS}{}", self.0) }
    }
}

/// Returns the first characters of a body, secrets taken out and control characters escaped.
pub fn beginning(redactor: &Redactor, body: &[u8], most: usize) -> String {
    let head = String::from_utf8_lossy(&body[..body.len().min(window(most))]);
    let redacted = redactor.redact(head.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']));
    let mut shown = String::new();
    for c in redacted.chars().take(most) {
        match c {
            '\n' | '\r' | '\t' => shown.extend(c.escape_default()),
            c if c.is_control() => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    if body.len() > shown.len() && redacted.chars().nth(most).is_some() {
        shown.push('…');
    }
    shown
}

/// Returns how many bytes to look at for so many characters: enough that a secret which is cut off is not shown.
fn window(chars: usize) -> usize {
    4 * chars + 4096
}

struct Beginning {
    bytes: Vec<u8>,
    room: usize,
}

impl std::io::Write for Beginning {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let taken = bytes.len().min(self.room - self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::secret::Secret;

    #[test]
    fn excerpts_are_short_readable_and_free_of_secrets() {
        let redactor = Redactor::new([Secret::new("hunter22".to_owned())]);
        let check = |body: &[u8], expected: &str| assert_eq!(Excerpt::of(&redactor, body).as_str(), expected);
        check(b"\xef\xbb\xbf  <p>\n\thunter22\0</p>", "<p>\\n\\t***\\u{0}</p>");
        check(b"", "");
        check(&[0xff], "\u{fffd}");
        let long = Excerpt::of(&redactor, "ä".repeat(10_000).as_bytes());
        assert_eq!(long.as_str().chars().count(), EXCERPT_CHARS + 1);
        let edge = format!("{}hunter22", "x".repeat(EXCERPT_CHARS - 4));
        assert!(!Excerpt::of(&redactor, edge.as_bytes()).as_str().contains("hunt"));
    }
}
