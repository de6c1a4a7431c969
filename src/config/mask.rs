//! Files as they may be shown: without the secrets that are written in them.

use std::ops::Range;

use super::keys::{ROOT, SECRET};
use super::source::Source;
use crate::model::secret::HIDDEN;

/// A file in which `***` stands for each secret.
#[derive(Debug, Clone)]
pub(super) struct Masked {
    path: String,
    text: String,
    /// The parts of the original that were replaced, ascending and apart.
    hidden: Vec<Range<usize>>,
}

impl Masked {
    /// Returns the file without what is known to be secret, and without what looks like it: a file with syntax errors
    /// is shown although nobody could tell which of its texts are secrets.
    pub fn new(source: Source, known: Vec<Range<usize>>) -> Self {
        let Source { path, text: original, broken } = source;
        let mut hidden: Vec<Range<usize>> = known.into_iter().map(|span| inside_quotes(&original, span)).collect();
        hidden.extend(suspicious(&original));
        if broken {
            hidden.extend(all_but_harmless(&original));
        }
        let hidden = joined(hidden);
        let mut text = String::with_capacity(original.len());
        let mut shown_to = 0;
        for span in &hidden {
            text.push_str(&original[shown_to..span.start]);
            text.push_str(HIDDEN);
            shown_to = span.end;
        }
        text.push_str(&original[shown_to..]);
        Self { path, text, hidden }
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the part of the shown text that stands for a part of the original, within one line.
    pub fn shown_span(&self, original: Range<usize>) -> Range<usize> {
        let mut start = self.shown_offset(original.start, false).min(self.text.len());
        while !self.text.is_char_boundary(start) {
            start -= 1;
        }
        let mut end = self.shown_offset(original.end, true).clamp(start, self.text.len());
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |length| start + length);
        start..end.min(line_end)
    }

    /// Returns where an offset of the original is in the shown text; one inside a secret moves to an edge of it.
    fn shown_offset(&self, original: usize, to_end: bool) -> usize {
        let (mut removed, mut added) = (0, 0);
        for span in self.hidden.iter().take_while(|span| span.start < original) {
            if original < span.end {
                return span.start - removed + added + if to_end { HIDDEN.len() } else { 0 };
            }
            removed += span.len();
            added += HIDDEN.len();
        }
        original - removed + added
    }
}

/// Returns what is between the quotes of a TOML string.
fn inside_quotes(text: &str, span: Range<usize>) -> Range<usize> {
    let written = &text[span.clone()];
    let quotes = ["\"\"\"", "'''", "\"", "'"]
        .into_iter()
        .find(|quotes| written.len() >= 2 * quotes.len() && written.starts_with(quotes) && written.ends_with(quotes));
    let inset = quotes.map_or(0, str::len);
    span.start + inset..span.end - inset
}

fn joined(mut spans: Vec<Range<usize>>) -> Vec<Range<usize>> {
    spans.retain(|span| !span.is_empty());
    spans.sort_by_key(|span| (span.start, span.end));
    let mut joined: Vec<Range<usize>> = Vec::new();
    for span in spans {
        match joined.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => joined.push(span),
        }
    }
    joined
}

/// Words in a key's name whose value is not shown.
const SECRET_WORDS: [&str; 6] = ["token", "secret", "pass", "key", "credential", "bearer"];

/// Keys that have such a word in them and are no secrets.
const NOT_SECRET: [&str; 2] = ["token_url", "key"];

fn suspicious(text: &str) -> Vec<Range<usize>> {
    let mut spans = signing_secrets(text);
    spans.extend(passwords_in_addresses(text));
    let mut line_start = 0;
    for line in text.split_inclusive('\n') {
        for (equals, _) in line.match_indices('=') {
            if names_a_secret(&name_before(&line[..equals])) {
                spans.extend(texts_of_value(text, line_start + equals + 1));
            }
        }
        line_start += line.len();
    }
    spans
}

/// Returns the last word before an equals sign, in lower case.
fn name_before(equals: &str) -> String {
    let is_of_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let name_end = equals.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\''));
    name_end.rsplit(|c| !is_of_name(c)).next().unwrap_or_default().to_ascii_lowercase()
}

fn names_a_secret(name: &str) -> bool {
    SECRET_WORDS.iter().any(|word| name.contains(word)) && !NOT_SECRET.contains(&name)
}

/// Returns all that could be a secret in a file that is not TOML. Shown are the headers of tables, the names of keys, and
/// single values of keys that cannot hold a secret.
fn all_but_harmless(text: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let mut line_start = 0;
    for line in text.split_inclusive('\n') {
        let end = line_start + line.trim_end().len();
        let hidden_from = line.len() - line.trim_start().len() + shown_of_broken_line(line.trim());
        spans.push((line_start + hidden_from).min(end)..end);
        line_start += line.len();
    }
    spans
}

/// Returns how much of a line is shown.
fn shown_of_broken_line(line: &str) -> usize {
    let is_of_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ');
    if line.strip_prefix('[').is_some_and(|header| header.chars().all(|c| is_of_key(c) || matches!(c, '[' | ']'))) {
        return line.len();
    }
    let Some((key, value)) = line.split_once('=').filter(|(key, _)| key.chars().all(is_of_key)) else { return 0 };
    let is_single = !value.contains(['{', '=', '#']) && value.matches(['"', '\'']).count() <= 2;
    let shown_anyway = line.len() - value.trim_start().len();
    if is_single && is_harmless(&name_before(&key.replace('.', " "))) { line.len() } else { shown_anyway }
}

/// Tells whether there are keys of this name and none of them holds a secret.
fn is_harmless(name: &str) -> bool {
    let mut kinds = ROOT.kinds_of(name).into_iter().chain(SECRET.kinds_of(name)).peekable();
    kinds.peek().is_some() && kinds.all(|kind| !kind.holds_secrets())
}

/// Tells whether what follows is where a secret is found, or until when it is used, not what it is.
fn names_a_place(before_value: &str) -> bool {
    let before_equals = before_value.trim_end().strip_suffix('=').map(str::trim_end);
    before_equals.is_some_and(|before| ["env", "file", "until"].iter().any(|name| before.ends_with(name)))
}

/// Returns the texts of a value that begins here: one, or all of a list.
fn texts_of_value(text: &str, start: usize) -> Vec<Range<usize>> {
    let begin = start + text[start..].len() - text[start..].trim_start_matches([' ', '\t']).len();
    let line_end = text[begin..].find('\n').map_or(text.len(), |length| begin + length);
    let list_end = match text[begin..].chars().next() {
        Some('[') => text[begin..].find(']').map_or(line_end, |length| begin + length),
        Some('"' | '\'') => begin + 1,
        // A table says where the secret is found, not what it is.
        Some('{') => return Vec::new(),
        _ => return std::iter::once(begin..line_end).collect(),
    };
    let mut spans = Vec::new();
    let mut at = begin;
    while let Some(quote) = text[at..].find(['"', '\'']).map(|length| at + length).filter(|quote| *quote < list_end) {
        let mark = &text[quote..=quote];
        let long = mark.repeat(3);
        let (inset, limit) = if text[quote..].starts_with(&long) { (3, text.len()) } else { (1, line_end) };
        let closing = &long[..inset];
        let from = quote + inset;
        let limit = limit.max(text[from..].find('\n').map_or(text.len(), |length| from + length));
        let end = text[from..limit].find(closing).map_or(limit, |length| from + length);
        if !names_a_place(&text[..quote]) {
            spans.push(from..end);
        }
        at = (end + inset).min(text.len());
    }
    spans
}

fn signing_secrets(text: &str) -> Vec<Range<usize>> {
    let of_prefix = |prefix: &'static str| {
        text.match_indices(prefix).map(move |(start, _)| {
            let from = start + prefix.len();
            let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '-' | '_');
            from..from + text[from..].find(|c| !is_base64(c)).unwrap_or(text.len() - from)
        })
    };
    of_prefix("whsec_").chain(of_prefix("whsk_")).collect()
}

fn passwords_in_addresses(text: &str) -> impl Iterator<Item = Range<usize>> {
    text.match_indices("://").filter_map(move |(scheme_end, _)| {
        let from = scheme_end + 3;
        let authority = text[from..].split(|c: char| c.is_whitespace() || "/?#\"'".contains(c)).next()?;
        authority.rfind('@').map(|length| from..from + length)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(original: &str, expected: &str) {
        let source = Source { path: "config.toml".to_owned(), text: original.to_owned(), broken: false };
        assert_eq!(Masked::new(source, Vec::new()).text(), expected);
    }

    #[test]
    fn what_looks_like_a_secret_is_hidden_even_where_the_syntax_is_broken() {
        check("token = \"hunter2\" # mine", "token = \"***\" # mine");
        check("token = \"hunter2\nurl = \"x\"", "token = \"***\nurl = \"x\"");
        check("api_key = hunter2\n", "api_key = ***\n");
        check("secret = [\"whsec_a\", 'b']\nx = 'c'", "secret = [\"***\", '***']\nx = 'c'");
        check("secret = [\n  \"a\",\n  \"b\"\n]", "secret = [\n  \"***\",\n  \"***\"\n]");
        check("{ password = \"a\", user = \"b\" }", "{ password = \"***\", user = \"b\" }");
        check("password = \"\"\"\nhunter2\n\"\"\"", "password = \"\"\"***\"\"\"");
        check("x = \"whsec_MfKQ9r8G\"", "x = \"whsec_***\"");
        check("url = \"https://me:hunter2@example.com/\"", "url = \"https://***@example.com/\"");
    }

    #[test]
    fn what_is_no_secret_is_shown() {
        for text in [
            "token = { env = \"TOKEN\" }",
            "key = \".id\"",
            "token_url = \"https://a/@b\"",
            "url = \"x\"",
            "secret = [{ env = \"A\" }, { file = \"b\" }]",
        ] {
            check(text, text);
        }
    }

    #[test]
    fn of_a_file_that_is_not_toml_only_what_is_known_to_be_harmless_is_shown() {
        let text = "url = \"https://x\nX-Auth = 'a'\nevery = 1m\nvalue = \"b\"\npasscod = c".to_owned();
        let masked = Masked::new(Source { path: String::new(), text, broken: true }, Vec::new());
        assert_eq!(masked.text(), "url = \"https://x\nX-Auth = ***\nevery = 1m\nvalue = ***\npasscod = ***");
    }

    #[test]
    fn places_behind_a_secret_move_with_it() {
        let text = "a = \"hunter2\", b = 1".to_owned();
        let masked = Masked::new(Source { path: String::new(), text, broken: false }, std::iter::once(4..13).collect());
        assert_eq!(masked.text(), "a = \"***\", b = 1");
        assert_eq!(&masked.text()[masked.shown_span(15..16)], "b");
        assert_eq!(&masked.text()[masked.shown_span(4..13)], "\"***\"");
        assert_eq!(&masked.text()[masked.shown_span(7..9)], "***");
    }
}
