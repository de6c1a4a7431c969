//! Where an item stands in what a look found, those included that its filter leaves out.

use serde::Serialize;
use serde_json::Value;

use super::decode::items_of;
use super::extract::key;
use super::look::Look;
use super::tape::Tape;
use crate::http::header::CONTENT_TYPE;
use crate::model::connector::Connector;
use crate::model::expression::Expression;
use crate::model::item::Item;

/// Where an item stands in what a look found.
#[derive(Debug, Clone)]
pub enum Sighting {
    /// It is in the source, on this page, in this place of the page; both are counted from 1.
    Listed { page: usize, position: usize, item: Item },
    /// It is on this page, and `item.filter` leaves it out.
    Filtered {
        page: usize,
        filter: String,
        /// What the paths that the filter begins with give of the item; secrets taken out.
        looked_at: Vec<LookedAt>,
        /// Set if the filter fails on the item.
        error: Option<String>,
    },
    /// It is on this page, of which nothing counts, because something is wrong with it.
    OnFailedPage { page: usize },
    /// No page that was read has it.
    NotListed,
}

/// A part of an item that an expression looks at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LookedAt {
    pub path: String,
    pub value: Value,
}

/// Finds an item by its key: among those that a look found, and in the answers that were recorded meanwhile. To be asked
/// before details are laid over items.
pub fn find(connector: &Connector, look: &Look, tape: &Tape, wanted: &str) -> Sighting {
    if let Some(index) = look.items.iter().position(|item| *item.key == *wanted) {
        let mut before = 0;
        for (number, page) in look.pages.iter().enumerate() {
            if index < before + page.items {
                return Sighting::Listed {
                    page: number + 1,
                    position: index - before + 1,
                    item: look.items[index].clone(),
                };
            }
            before += page.items;
        }
    }
    find_in_answers(connector, look, tape, wanted).unwrap_or(Sighting::NotListed)
}

fn find_in_answers(connector: &Connector, look: &Look, tape: &Tape, wanted: &str) -> Option<Sighting> {
    let mut page = 0;
    for answer in tape.answers() {
        // A repeated request for a page stands for the same page.
        page += look.pages[page.min(look.pages.len())..].iter().position(|one| one.url == answer.url).unwrap_or(0);
        let content_type = answer.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let url = answer.url.parse().ok();
        let Ok(values) = items_of(&connector.response, url.as_ref(), content_type, &answer.body) else { continue };
        let is_wanted = |value: &&Value| key(&connector.item.key, value).is_ok_and(|key| key == wanted);
        if let Some(value) = values.iter().find(is_wanted) {
            return Some(judge(connector, page + 1, value));
        }
    }
    None
}

fn judge(connector: &Connector, page: usize, value: &Value) -> Sighting {
    let Some(filter) = &connector.item.filter else { return Sighting::OnFailedPage { page } };
    let error = match filter.is_truthy(value) {
        Ok(true) => return Sighting::OnFailedPage { page },
        Ok(false) => None,
        Err(error) => Some(connector.redactor.redact(&error.message)),
    };
    let looked_at = paths_in(filter.source()).into_iter().filter_map(|path| {
        let mut found = Expression::parse(path).ok()?.first_output(value).ok()??;
        connector.redactor.redact_value(&mut found);
        Some(LookedAt { path: path.to_owned(), value: found })
    });
    Sighting::Filtered { page, filter: filter.source().to_owned(), looked_at: looked_at.collect(), error }
}

/// The most paths of a filter that are shown.
const MOST_PATHS: usize = 8;

/// Returns the plain paths, such as `.a.b`, that an expression takes from its input: those before the first pipe which
/// are in no argument of a function, whose input may be another.
fn paths_in(source: &str) -> Vec<&str> {
    let bytes = source.as_bytes();
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut paths = Vec::new();
    let (mut at, mut arguments) = (0, 0_usize);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
            }
            b'#' | b'|' => break,
            b'(' if arguments > 0 || at > 0 && is_word(bytes[at - 1]) && !ends_with_operator(&source[..at]) => {
                arguments += 1;
            }
            b')' => arguments = arguments.saturating_sub(1),
            b'.' if arguments == 0 && bytes.get(at + 1).is_some_and(|next| is_word(*next)) => {
                let end = at + bytes[at..].iter().take_while(|byte| is_word(**byte) || **byte == b'.').count();
                let path = source[at..end].trim_end_matches('.');
                let is_first = at == 0 || !matches!(bytes[at - 1], b']' | b')' | b'?' | b'"');
                if is_first && !paths.contains(&path) && paths.len() < MOST_PATHS {
                    paths.push(path);
                }
                at = end - 1;
            }
            _ => {}
        }
        at += 1;
    }
    paths
}

/// Tells whether a text ends with a word that is no function.
fn ends_with_operator(text: &str) -> bool {
    ["and", "or", "if", "then", "else", "elif"].iter().any(|word| text.trim_end().ends_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_that_a_filter_looks_at_are_found() {
        let check = |source: &str, expected: &[&str]| assert_eq!(paths_in(source), expected, "{source}");
        check(".status != \"draft\"", &[".status"]);
        check(".a.b > 1 and (.c == null or .a.b)", &[".a.b", ".c"]);
        check("and(.a)", &[".a"]);
        check("any(.tags[]; . == \"x\") and .open", &[".open"]);
        check(".tags | contains([\"x\"])", &[".tags"]);
        check(".list[0].name == \".fake\"", &[".list"]);
        check("(.total|tonumber) > .1 and .later", &[".total"]);
        check("true", &[]);
        check(".", &[]);
        check("\"unfinished", &[]);
    }
}
