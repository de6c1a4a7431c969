//! The files that a configuration is written in, and places in them.

use std::ops::Range;

/// A run of bytes in one of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The file's number in the order of reading.
    pub file: usize,
    pub start: usize,
    pub end: usize,
}

impl Place {
    /// Returns the place of this span in a file.
    pub fn new(file: usize, span: Range<usize>) -> Self {
        Self { file, start: span.start, end: span.end }
    }

    /// Returns the very beginning of a file: where something is missing from the whole of it.
    pub fn beginning_of(file: usize) -> Self {
        Self { file, start: 0, end: 0 }
    }
}

/// One file.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// The path as people gave it.
    pub path: String,
    pub text: String,
    /// Whether it is not TOML, so that nobody can tell what its texts mean.
    pub broken: bool,
}

/// Returns the bytes of a TOML string's notation, quotes included, that stand for these bytes of its value.
pub(super) fn notation_span(notation: &str, value: Range<usize>) -> Range<usize> {
    let Some(quote) = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| notation.starts_with(quote)) else {
        return 0..notation.len();
    };
    let escapes = quote.starts_with('"');
    let end_of_notation = notation.len().saturating_sub(quote.len());
    let mut at = quote.len();
    if quote.len() == 3 {
        // A newline right behind the opening quotes is not part of the value.
        at += notation[at..].len() - notation[at..].trim_start_matches('\r').len();
        at += usize::from(notation[at..].starts_with('\n'));
    }
    let mut decoded = 0;
    let mut start = None;
    while at < end_of_notation {
        let (written, meant) = unit(&notation[at..], escapes);
        if start.is_none() && meant > 0 && decoded >= value.start {
            start = Some(at);
        }
        if start.is_some() && decoded >= value.end {
            break;
        }
        at += written;
        decoded += meant;
    }
    let start = start.unwrap_or(end_of_notation);
    start..at.max(start + 1).min(notation.len())
}

/// Returns how many bytes the first character of a notation takes, and how many what it stands for.
fn unit(notation: &str, escapes: bool) -> (usize, usize) {
    let mut characters = notation.chars();
    match (characters.next(), characters.next()) {
        (Some('\\'), Some(kind)) if escapes => {
            let digits = match kind {
                'x' => 2,
                'u' => 4,
                'U' => 8,
                // A backslash at the end of a line joins it with what follows.
                _ if kind.is_whitespace() => return (notation.len() - notation[1..].trim_start().len(), 0),
                _ => return (1 + kind.len_utf8(), 1),
            };
            let meant = notation.get(2..2 + digits).and_then(|digits| u32::from_str_radix(digits, 16).ok());
            (2 + digits, meant.and_then(char::from_u32).map_or(1, char::len_utf8))
        }
        (Some(character), _) => (character.len_utf8(), character.len_utf8()),
        (None, _) => (1, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(notation: &str, value: Range<usize>, expected: &str) {
        assert_eq!(&notation[notation_span(notation, value)], expected);
    }

    #[test]
    fn a_part_of_a_string_is_found_in_its_notation() {
        check(r#"".status""#, 1..7, "status");
        check("'.a | b'", 5..6, "b");
        check(r#"".a == \"x\" | b""#, 6..9, r#"\"x\""#);
        check(r#"".é\u00e9 | b""#, 8..9, "b");
        check(r#"".é\u00e9 | b""#, 3..5, r"\u00e9");
    }

    #[test]
    fn a_part_of_a_string_over_several_lines_is_found_in_its_notation() {
        check("'''\n.a |\n.b'''", 5..7, ".b");
        check("\"\"\"\\\n   .a | \\\n  .b\"\"\"", 5..7, ".b");
        check("\"\"\"\n{\n  id,\n  \\\"x\\\"\n}\"\"\"", 10..13, "\\\"x\\\"");
    }

    #[test]
    fn the_end_of_a_string_is_its_closing_quote() {
        check(r#"".a[""#, 3..3, "\"");
        check("\"\"", 0..0, "\"");
        check("'''.a['''", 3..3, "'");
    }
}
