//! Paging that the headers of an answer tell of.

use serde_json::json;
use url::Url;

use super::signs::{address, whole};
use super::{LAST, Proposal, Signs};
use crate::discover::Sureness::{Certain, Doubtful, Likely};
use crate::poll::links;

/// The headers that hold the next page's address, number or token, and the parameter that takes the token, if that is
/// known.
const NEXT: [(&str, Option<&str>); 13] = [
    ("next-page", None),
    ("x-next-page", None),
    ("x-next-page-url", None),
    ("x-next-url", None),
    ("x-next-link", None),
    ("x-next", None),
    ("x-page-next", None),
    ("x-next-cursor", Some("cursor")),
    ("x-next-token", None),
    ("x-next-page-token", Some("page_token")),
    ("x-continuation-token", None),
    // Azure DevOps.
    ("x-ms-continuationtoken", Some("continuationToken")),
    ("x-cursor", Some("cursor")),
];

/// The relations of links between the pages of a list.
const AROUND: [&str; 4] = ["first", "last", "prev", "previous"];

/// Returns the style of a `Link` with `rel="next"`.
pub(super) fn link(signs: &Signs<'_>) -> Option<Proposal> {
    let next = links(signs.headers).into_iter().find(|link| link.is("next"))?;
    let next = address(signs.url, &next.target)?;
    let proposal = Proposal::new("link", "a `Link` header");
    if is_reached(signs.url, &next) {
        return Some(proposal.because(Certain, "it names the next page with `rel=\"next\"`"));
    }
    let origin = next.origin().ascii_serialization();
    let because = format!("it names the next page with `rel=\"next\"`, which is on {origin} and gets no credentials");
    Some(proposal.key("origins", json!([origin])).because(Likely, because))
}

/// Returns the same where there is no next page, but a first, a last or an earlier one.
pub(super) fn link_of_last(signs: &Signs<'_>) -> Option<Proposal> {
    let own = |target: &str| signs.url.join(target).is_ok_and(|target| target.path() == signs.url.path());
    let is_around = links(signs.headers).iter().any(|link| AROUND.iter().any(|rel| link.is(rel)) && own(&link.target));
    let proposal = Proposal::new("link", "a `Link` header");
    if is_around {
        return Some(
            proposal.because(Certain, format!("it names the pages around this one, but none after it: {LAST}")),
        );
    }
    let has_more_pages = whole(&signs.header("x-wp-totalpages")?.into())? > 1;
    let because = if has_more_pages { String::new() } else { format!(", and there is one page now: {LAST}") };
    Some(proposal.because(Likely, format!("WordPress names the next page there{because}")))
}

/// Returns the style of a header that holds the next page's address, number or token.
pub(super) fn next(signs: &Signs<'_>) -> Option<Proposal> {
    let (name, param, value) = NEXT.iter().find_map(|(name, param)| Some((*name, *param, signs.header(name)?)))?;
    let shown = shown(name);
    if let Some(next) = address(signs.url, value).filter(|_| !value.is_empty()) {
        let proposal = Proposal::new("next_url", format!("a `{shown}` header")).key("header", shown.as_str());
        if is_reached(signs.url, &next) {
            return Some(proposal.because(Certain, "it holds the address of the next page"));
        }
        let origin = next.origin().ascii_serialization();
        let because = format!("it holds the address of the next page, which is on {origin} and gets no credentials");
        return Some(proposal.key("origins", json!([origin])).because(Likely, because));
    }
    let is_number = value.is_empty() || whole(&value.into()).is_some();
    if name.ends_with("next-page") && is_number && name != "next-page" {
        let said = if value.is_empty() { format!("it is empty: {LAST}") } else { "it holds its number".to_owned() };
        let proposal = Proposal::new("cursor", format!("a `{shown}` header"));
        return Some(proposal.key("header", shown).key("param", "page").because(Likely, said));
    }
    if value.is_empty() {
        return None;
    }
    let proposal = |param: &str| {
        let found = format!("a `{shown}` header, for `{param}`");
        Proposal::new("cursor", found).key("header", shown.as_str()).key("param", param)
    };
    Some(match param {
        Some(param) if signs.asked(param).is_some() => {
            proposal(param).because(Certain, "it holds a token for a parameter that the address has")
        }
        Some(param) => proposal(param).because(Likely, "such a token usually goes there"),
        None => {
            let because = "it holds a token, and nothing in the answer says which parameter takes it";
            proposal("cursor").because(Doubtful, because)
        }
    })
}

/// Returns the number of the last page, if a link to it says so.
pub(super) fn last_page(signs: &Signs<'_>) -> Option<u64> {
    let last = links(signs.headers).into_iter().find(|link| link.is("last"))?;
    let last = signs.url.join(&last.target).ok()?;
    let mut pages = last.query_pairs().filter(|(name, _)| matches!(&**name, "page" | "_page" | "p" | "page[number]"));
    pages.find_map(|(_, value)| value.parse().ok())
}

/// Tells whether a pager goes on to an address without being allowed to.
pub(super) fn is_reached(page: &Url, next: &Url) -> bool {
    page.origin() == next.origin()
        || page.host() == next.host() && next.port().is_none() && next.scheme().starts_with("http")
}

/// Returns a header's name as people write it.
fn shown(name: &str) -> String {
    let words = name.split('-').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_uppercase() + rest
    });
    words.collect::<Vec<_>>().join("-")
}
