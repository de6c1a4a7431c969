//! Addresses of the next page in an answer's body.

use serde_json::{Value, json};
use url::Url;

use super::headers::is_reached;
use super::signs::{Member, address, is_nothing, parameters, step};
use super::{LAST, Proposal, Signs, counts};
use crate::discover::Sureness::{self, Certain, Likely};
use crate::discover::path::plain;
use crate::poll::outline_of;

/// The plain names of members that hold nothing but the address of the next page.
const EXACT: [&str; 15] = [
    "nexturl",
    "nextlink",
    "nextpageurl",
    "nextpagelink",
    "nextpageuri",
    "nextpagehref",
    "nexthref",
    "nexturi",
    "nextpath",
    "nextrecordsurl",
    "nextresults",
    "odatanextlink",
    "hydranext",
    "moretopicsurl",
    "loadmoreurl",
];

/// The plain names of members that may hold that, or an object with it, or something else.
const LOOSE: [&str; 3] = ["next", "nextpage", "older"];

/// The plain names of what holds the address in an object that is about the next page.
const OF_OBJECT: [&str; 5] = ["href", "url", "uri", "link", "ref"];

/// The plain names of what is beside the address of the next page, but beside no other `next`.
const BESIDE: [&str; 14] = [
    "previous",
    "prev",
    "first",
    "last",
    "self",
    "count",
    "total",
    "nextpage",
    "previouspage",
    "prevpage",
    "currentpage",
    "perpage",
    "limit",
    "offset",
];

/// The plain names of objects about paging.
const PAGING: [&str; 8] = ["links", "paging", "pagination", "pager", "meta", "pageinfo", "pages", "hydraview"];

/// Returns the style of an address in the body.
pub(super) fn in_body(signs: &Signs<'_>) -> Option<Proposal> {
    let members = &signs.members.0;
    let exact = members.iter().filter(|member| EXACT.contains(&member.plain.as_str()));
    let of_object = members
        .iter()
        .filter(|member| OF_OBJECT.contains(&member.plain.as_str()) && LOOSE.contains(&member.parent.as_str()));
    let loose = members.iter().filter(|member| LOOSE.contains(&member.plain.as_str()));
    let found = exact.chain(of_object).chain(loose).find_map(|member| {
        let next = address(signs.url, member.value.as_str()?)?;
        is_page_of_list(signs, member, &next).then_some((member, next))
    });
    if let Some((member, next)) = found {
        return Some(proposal(signs, &member.path, &next));
    }
    let (path, list) = relations(signs).next()?;
    let (expression, next) = of_relations(signs, &path, list)?;
    Some(proposal(signs, &expression, &next))
}

/// Returns the style of a member that holds such an address where there is a next page, and nothing here.
pub(super) fn in_last_body(signs: &Signs<'_>) -> Option<Proposal> {
    let none = |path: &str, sureness: Sureness, why: String| {
        Proposal::new("next_url", format!("`{path}`, an address")).key("value", path).because(sureness, why)
    };
    let empty = |member: &&Member<'_>| is_nothing(member.value);
    if let Some(member) = signs.members.0.iter().filter(empty).find(|member| EXACT.contains(&member.plain.as_str())) {
        return Some(none(&member.path, Likely, format!("it holds nothing: {LAST}")));
    }
    let loose = signs.members.0.iter().filter(empty).find(|member| {
        let is_about_paging = PAGING.contains(&member.parent.as_str());
        member.plain == "next" && (is_about_paging || signs.members.has_beside(member, &BESIDE))
    });
    if let Some(member) = loose {
        return Some(none(&member.path, Likely, format!("it holds nothing: {LAST}")));
    }
    // Links to the pages around this one, but none after it.
    let links = signs.members.0.iter().find(|member| {
        member.plain == "links"
            && member.value.as_object().is_some_and(|links| links.contains_key("first") && links.contains_key("last"))
    })?;
    let first = links.value.get("first")?;
    let path = if first.is_object() { format!("{}.next.href", links.path) } else { format!("{}.next", links.path) };
    Some(none(&path, Likely, format!("the answer links to its first and last page, but to none after it: {LAST}")))
}

/// Returns the style of a feed that names its next page.
pub(super) fn of_feed(signs: &Signs<'_>) -> Option<Proposal> {
    let next = signs.body.pointer("/feed/next")?.as_str()?;
    let next = address(signs.url, next).filter(|next| is_reached(signs.url, next))?;
    let found = format!("`.feed.next`, {}", next.path());
    let because = "the feed names its next page, and a poll stops at the first one of which nothing is new";
    Some(Proposal::new("next_url", found).key("value", ".feed.next").key("stop", "known").because(Likely, because))
}

/// Returns the style of a page for people that links to the page after it by a number.
pub(super) fn of_html(signs: &Signs<'_>, content: &[u8]) -> Option<Proposal> {
    let outline = outline_of(Some(signs.url), None, content).ok()?;
    let base = outline.base.as_ref().unwrap_or(signs.url);
    let targets = outline.elements.iter().filter(|element| matches!(element.name.as_str(), "a" | "link"));
    let mut targets = targets.filter_map(|element| base.join(element.attribute("href")?.trim()).ok());
    let param = targets.find_map(|target| {
        let is_same_list = target.path() == signs.url.path() && target.origin() == signs.url.origin();
        let numbers = counts::PAGE_PARAMS.into_iter().filter(|param| {
            let next = signs.asked(param).map_or(Some(2), |number| number.parse::<u64>().ok().map(|number| number + 1));
            next.is_some_and(|next| parameters(&target).contains(&((*param).to_owned(), next.to_string())))
        });
        if is_same_list { numbers.into_iter().next() } else { None }
    })?;
    let because = "it links to the page after it, and a poll stops at the first one of which nothing is new";
    let proposal = Proposal::new("page", format!("pages numbered by `{param}`"));
    Some(proposal.key("param", param).key("stop", "known").because(Likely, because))
}

fn proposal(signs: &Signs<'_>, path: &str, next: &Url) -> Proposal {
    let path = with_extension(signs, path, next);
    let proposal = Proposal::new("next_url", format!("`{path}`, an address")).key("value", path.as_str());
    if is_reached(signs.url, next) {
        return proposal.because(Certain, "it leads to the next page");
    }
    let origin = next.origin().ascii_serialization();
    let because = format!("it leads to the next page, which is on {origin} and gets no credentials");
    proposal.key("origins", json!([origin])).because(Likely, because)
}

/// Returns an expression whose address has the `.json` that the given page was asked for with. Some, such as Discourse,
/// name the page for people.
fn with_extension(signs: &Signs<'_>, path: &str, next: &Url) -> String {
    let is_lost = signs.url.path().strip_suffix(".json").is_some_and(|path| path == next.path());
    if is_lost && next.query().is_some() {
        format!("{path} | values | sub(\"[?]\"; \".json?\")")
    } else {
        path.to_owned()
    }
}

/// Tells whether an address that a member holds is that of another page of the same list.
fn is_page_of_list(signs: &Signs<'_>, member: &Member<'_>, next: &Url) -> bool {
    let is_same_path = next.path().trim_end_matches('/') == signs.url.path().trim_end_matches('/');
    let is_about_paging = PAGING.contains(&member.parent.as_str())
        || OF_OBJECT.contains(&member.plain.as_str())
        || signs.members.has_beside(member, &BESIDE);
    is_same_path
        || EXACT.contains(&member.plain.as_str())
        || is_about_paging && next.query().is_some()
        || PAGING.contains(&member.parent.as_str())
}

/// Returns the lists of links in the body, such as those of FHIR and of OGC's APIs, with what leads to them.
fn relations<'s>(signs: &'s Signs<'_>) -> impl Iterator<Item = (String, &'s Vec<Value>)> {
    let named = signs.members.0.iter().filter(|member| matches!(member.plain.as_str(), "link" | "links"));
    named.filter_map(|member| {
        let list = member.value.as_array().filter(|list| list.len() <= 50)?;
        (!signs.items.starts_with(&format!("{}[]", member.path))).then(|| (member.path.clone(), list))
    })
}

fn of_relations(signs: &Signs<'_>, path: &str, list: &[Value]) -> Option<(String, Url)> {
    list.iter().find_map(|link| {
        let link = link.as_object()?;
        let rel = ["rel", "relation"].into_iter().find(|rel| link.get(*rel).is_some_and(|value| value == "next"))?;
        let (name, target) = link.iter().find(|(name, _)| OF_OBJECT.contains(&plain(name).as_str()))?;
        let next = address(signs.url, target.as_str()?)?;
        Some((format!("{path}[]? | select(.{rel} == \"next\") | {}", step(name)), next))
    })
}
