//! `link`: the header `Link` with `rel="next"` (RFC 8288) names the next page.

use crate::http::header::{HeaderMap, LINK};

/// A link of an answer to another page (RFC 8288).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageLink {
    /// As it is written.
    pub target: String,
    /// What the other page is to this one, in small letters: `next`, `last`.
    pub relations: Vec<String>,
}

impl PageLink {
    /// Tells whether the other page has this relation to this one.
    pub fn is(&self, relation: &str) -> bool {
        self.relations.iter().any(|known| known == relation)
    }
}

/// Returns the links of the `Link` headers that are about the answer itself, in their order.
pub fn links(headers: &HeaderMap) -> Vec<PageLink> {
    let mut links = Vec::new();
    for line in headers.get_all(LINK) {
        let text = String::from_utf8_lossy(line.as_bytes());
        let mut rest = &*text;
        while let Some((link, after)) = Link::parse(rest) {
            links.extend(link.page_link());
            rest = after;
        }
    }
    links
}

/// Returns the target of the first link with the relation `next`.
pub(super) fn next_link(headers: &HeaderMap) -> Option<String> {
    links(headers).into_iter().find(|link| link.is("next")).map(|link| link.target)
}

struct Link<'a> {
    target: &'a str,
    params: Vec<(&'a str, String)>,
}

impl<'a> Link<'a> {
    /// Takes one link off the beginning of a header's value. What is malformed ends the list.
    fn parse(text: &'a str) -> Option<(Self, &'a str)> {
        let text = text.trim_start_matches([' ', '\t', ',']);
        let (target, mut rest) = text.strip_prefix('<')?.split_once('>')?;
        let mut params = Vec::new();
        loop {
            rest = rest.trim_start();
            let Some(after) = rest.strip_prefix(';') else { break };
            let name_end = after.find(['=', ';', ',']).unwrap_or(after.len());
            let name = after[..name_end].trim();
            rest = &after[name_end..];
            let value = match rest.strip_prefix('=') {
                Some(after) => param_value(after.trim_start(), &mut rest),
                None => String::new(),
            };
            if !name.is_empty() {
                params.push((name, value));
            }
        }
        // A list goes on after a comma; anything else there is malformed.
        let rest = if rest.starts_with(',') { rest } else { "" };
        Some((Self { target: target.trim(), params }, rest))
    }

    fn param(&self, wanted: &str) -> Option<&str> {
        self.params.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.as_str())
    }

    /// Returns the link if it is one of this page: one with an anchor is about another resource, and one whose `results`
    /// are `false`, as Sentry has it, leads to an empty page.
    fn page_link(self) -> Option<PageLink> {
        if self.param("anchor").is_some() || self.param("results") == Some("false") {
            return None;
        }
        let relations = self.param("rel")?.split_ascii_whitespace().map(str::to_ascii_lowercase).collect();
        Some(PageLink { target: self.target.to_owned(), relations })
    }
}

/// Reads a token or quoted text, and leaves what follows it in `rest`.
fn param_value<'a>(text: &'a str, rest: &mut &'a str) -> String {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',']).unwrap_or(text.len());
        *rest = &text[end..];
        return text[..end].trim_end().to_owned();
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((index, c)) = chars.next() {
        match c {
            '"' => {
                *rest = &quoted[index + 1..];
                return value;
            }
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            c => value.push(c),
        }
    }
    *rest = "";
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_link_is_found_in_any_notation_of_rfc_8288() {
        let check = |lines: &[&str], expected: Option<&str>| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(LINK, line.parse().expect("a header value"));
            }
            assert_eq!(next_link(&headers).as_deref(), expected, "{lines:?}");
        };
        check(&[], None);
        check(&[r#"<https://a/?p=2>; rel="next""#], Some("https://a/?p=2"));
        check(&["</p/2>;rel=next"], Some("/p/2"));
        check(&[r#"<?p=1>; rel="prev", <?p=3>; rel="next", <?p=9>; rel="last""#], Some("?p=3"));
        check(&[r#"<?p=1>; rel="prev""#, r#"<?p=3>; rel="next""#], Some("?p=3"));
        check(&[r#"<a>; title="one; two, <b>; rel=\"next\""; rel="prev", <c>; REL="last Next""#], Some("c"));
        check(&[r#"<a,b;c>; rel = "next""#], Some("a,b;c"));
        check(&[r#"<a>; rel="prev"; rel="next""#], None);
        check(&[r##"<a>; rel="next"; anchor="#other""##], None);
        check(&[r#"<a>; rel="nextish""#, "<b>", "b; rel=next", "<c; rel=next", r#"<d>; rel="next"#], Some("d"));
        check(&["<a>; rel=prev; crossorigin, <b>; rel=next;"], Some("b"));
        check(&[", ,<b>; rel=next"], Some("b"));
        check(&[r#"<a>; rel="next"; results="false", <b>; rel="next"; results="true""#], Some("b"));
        check(&[r#"<a>; rel="next"; results="false""#], None);
        check(&[r#"<>; rel="next""#], Some(""));
    }

    proptest::proptest! {
        #[test]
        fn any_header_is_read_to_its_end(line in "[ -~]{0,40}", junk in "[<>;,=\"\\\\ relnxt]{0,40}") {
            for text in [line, junk] {
                let mut rest = text.as_str();
                while let Some((_, after)) = Link::parse(rest) {
                    proptest::prop_assert!(after.len() < rest.len());
                    rest = after;
                }
            }
        }
    }
}
