//! Tokens in an answer's body that the next page is asked for with.

use serde_json::Value;

use super::signs::{Member, Members, address, is_nothing, whole};
use super::{LAST, Proposal, Signs};
use crate::discover::Sureness::{self, Certain, Doubtful, Likely};

/// A member that holds a token, by its plain name.
struct Token {
    name: &'static str,
    param: Param,
    sureness: Sureness,
}

/// The parameter that a token goes into.
enum Param {
    /// These words, written as the token's own name is: `pageToken` or `page_token`.
    Words(&'static [&'static str]),
    Exact(&'static str),
    /// That of the token's own name.
    Same,
}

/// The likeliest first.
const TOKENS: [Token; 28] = [
    token("nextpagetoken", Param::Words(&["page", "token"]), Certain),
    token("nextcursor", Param::Exact("cursor"), Likely),
    token("endcursor", Param::Exact("after"), Likely),
    token("nexttoken", Param::Same, Likely),
    token("nextcontinuationtoken", Param::Words(&["continuation", "token"]), Likely),
    token("continuationtoken", Param::Same, Likely),
    token("nextmarker", Param::Words(&["marker"]), Likely),
    token("nextbookmark", Param::Exact("bookmark"), Likely),
    token("nextoffset", Param::Exact("offset"), Likely),
    token("nextpagestart", Param::Exact("start"), Likely),
    token("nextstart", Param::Exact("start"), Likely),
    token("nextskip", Param::Exact("skip"), Likely),
    token("nextmaxid", Param::Words(&["max", "id"]), Likely),
    token("nextpagenumber", Param::Words(&["page"]), Likely),
    token("nextpage", Param::Words(&["page"]), Likely),
    token("nextpagecursor", Param::Words(&["page", "cursor"]), Doubtful),
    token("nextsearchafter", Param::Words(&["search", "after"]), Doubtful),
    token("nextkey", Param::Same, Doubtful),
    token("nextid", Param::Same, Doubtful),
    token("nextscrollid", Param::Words(&["scroll", "id"]), Doubtful),
    token("continue", Param::Exact("continue"), Certain),
    token("aftercursor", Param::Exact("cursor"), Likely),
    token("after", Param::Exact("after"), Likely),
    token("bookmark", Param::Exact("bookmark"), Likely),
    token("marker", Param::Same, Doubtful),
    token("cursor", Param::Same, Likely),
    token("offset", Param::Same, Likely),
    token("next", Param::Same, Doubtful),
];

const fn token(name: &'static str, param: Param, sureness: Sureness) -> Token {
    Token { name, param, sureness }
}

/// The plain names of what says whether there are more pages.
const MORE: [&str; 9] = [
    "hasmore",
    "hasnextpage",
    "hasnext",
    "hasmoreitems",
    "hasmoreresults",
    "moreitemsincollection",
    "moreresults",
    "istruncated",
    "exceededtransferlimit",
];

/// The plain names of what says whether this is the last page.
const IS_LAST: [&str; 4] = ["islast", "islastpage", "last", "endofstream"];

/// Returns the style of a token in the body.
pub(super) fn in_body(signs: &Signs<'_>) -> Option<Proposal> {
    let there = |member: &Member<'_>| !is_nothing(member.value) && is_token(signs, member);
    let found = TOKENS.iter().find_map(|token| {
        let member = signs.members.0.iter().find(|member| member.plain == token.name && there(member))?;
        Some(of_token(signs, token, member, false))
    });
    found.or_else(|| changes_of_couchdb(signs)).or_else(|| last_of_list(signs))
}

/// Returns the style of a token of which there is none on this page.
pub(super) fn in_last_body(signs: &Signs<'_>) -> Option<Proposal> {
    TOKENS.iter().filter(|token| token.name.starts_with("next") || token.name == "endcursor").find_map(|token| {
        let is_its = |member: &&Member<'_>| member.plain == token.name && is_nothing(member.value);
        let member = signs.members.0.iter().find(is_its)?;
        let is_clear = token.sureness > Doubtful && !(token.name == "nextpage" && is_counted(&signs.members));
        is_clear.then(|| of_token(signs, token, member, true))
    })
}

/// Returns what says whether there is another page: an expression, and what it gives here.
pub(super) fn more(members: &Members<'_>) -> Option<(String, bool)> {
    let flag = |names: &[&str]| {
        let flags = members.0.iter().filter_map(|member| Some((member, member.value.as_bool()?)));
        let mut flags = flags.filter(|(member, _)| names.contains(&member.plain.as_str()));
        flags.next().map(|(member, value)| (member.path.clone(), value))
    };
    flag(&MORE).or_else(|| flag(&IS_LAST).map(|(path, is_last)| (format!("{path} | not"), !is_last)))
}

fn of_token(signs: &Signs<'_>, token: &Token, member: &Member<'_>, is_last: bool) -> Proposal {
    let (param, sureness, why) = param(signs, token, member);
    let path = member.path.as_str();
    let mut proposal =
        Proposal::new("cursor", format!("`{path}`, for `{param}`")).key("token", path).key("param", param);
    // A token that is there on the last page as well needs somebody else to say so.
    let needs_more = !token.name.starts_with("next") && token.name != "continue";
    if let Some((more, _)) = more(&signs.members).filter(|_| needs_more) {
        proposal = proposal.key("more", more);
    }
    let why = if is_last { format!("it holds nothing: {LAST}; {why}") } else { why };
    proposal.because(if is_last { sureness.min(Likely) } else { sureness }, why)
}

/// Returns the parameter that a token goes into.
fn param(signs: &Signs<'_>, token: &Token, member: &Member<'_>) -> (String, Sureness, String) {
    let text =
        member.value.as_str().map(str::to_owned).or_else(|| whole(member.value).map(|number| number.to_string()));
    let told = signs.told.iter().find(|(_, value)| text.as_ref().is_some_and(|text| text == value && !text.is_empty()));
    if let Some((name, _)) = told {
        return (name.clone(), Certain, format!("an address in the answer has it in `{name}`"));
    }
    let usual = usual_param(signs, token, member);
    if signs.asked(&usual).is_some() {
        return (usual, Certain, "the address has that parameter".to_owned());
    }
    match token.sureness {
        Doubtful => {
            let why = "it looks like a token, and nothing in the answer says which parameter takes it";
            (usual, Doubtful, why.to_owned())
        }
        sureness => (usual, sureness, "such a token usually goes there".to_owned()),
    }
}

fn usual_param(signs: &Signs<'_>, token: &Token, member: &Member<'_>) -> String {
    let members = &signs.members;
    match (token.name, member.parent.as_str()) {
        // Notion.
        ("nextcursor", "") if members.has_at_top("object") && members.has_at_top("hasmore") => "start_cursor".into(),
        // X.
        ("nexttoken", "meta") if members.has_beside(member, &["resultcount"]) => "pagination_token".into(),
        // Twitch.
        ("cursor", "pagination") => "after".into(),
        // The Cosmos SDK.
        ("nextkey", "pagination") => "pagination.key".into(),
        _ => match token.param {
            Param::Words(words) => written_like(member.name, words),
            Param::Exact(param) => param.to_owned(),
            Param::Same => member.name.to_owned(),
        },
    }
}

/// Tells whether a member of such a name is a token, and not something else.
fn is_token(signs: &Signs<'_>, member: &Member<'_>) -> bool {
    let is_text = member.value.as_str().is_some_and(|text| {
        !text.contains(char::is_whitespace) && address(signs.url, text).is_none() && !text.starts_with("http")
    });
    let is_number = whole(member.value).is_some();
    let in_paging = ["paging", "pagination", "cursors", "meta", "page", "pageinfo", "next", "responsemetadata"];
    let is_in_paging = in_paging.contains(&member.parent.as_str());
    match member.plain.as_str() {
        "continue" => {
            member.value.is_object() && signs.members.has_at_top("continue") || is_text && member.parent == "metadata"
        }
        "after" => {
            (is_text || is_number) && (is_in_paging || signs.members.has_beside(member, &["before", "dist", "hasmore"]))
        }
        "cursor" | "bookmark" | "marker" => is_text && (member.parent.is_empty() || is_in_paging),
        // Numbers are where this page is.
        "offset" => is_text && !is_number && member.parent.is_empty(),
        "next" => {
            let is_date = member.value.as_str().is_some_and(is_date);
            (is_text || is_number) && !is_date && (is_in_paging || more(&signs.members).is_some())
        }
        "endcursor" => is_text && more(&signs.members).is_some_and(|(_, more)| more),
        "nextpage" | "nextpagenumber" => is_number || is_text,
        _ => is_text || is_number,
    }
}

/// Tells whether a text begins with a date.
fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 10 && bytes[..4].iter().all(u8::is_ascii_digit) && bytes[4] == b'-' && bytes[7] == b'-'
}

/// Tells whether an answer counts its pages, so that numbers lead through all of them.
fn is_counted(members: &Members<'_>) -> bool {
    members.number(&["totalpages", "lastpage", "pagecount", "nbpages", "numpages"]).is_some()
}

/// Returns words as a name is written: `page_token` beside `next_page_token`, `pageToken` beside `nextPageToken`.
fn written_like(name: &str, words: &[&str]) -> String {
    if let Some(separator) = ['_', '-'].into_iter().find(|separator| name.contains(*separator)) {
        return words.join(&separator.to_string());
    }
    let starts_large = name.starts_with(char::is_uppercase);
    let word = |(index, word): (usize, &&str)| {
        let (first, rest) = word.split_at(1);
        if index > 0 || starts_large { first.to_uppercase() + rest } else { (*word).to_owned() }
    };
    words.iter().enumerate().map(word).collect()
}

/// Returns the style of CouchDB's `_changes`, which go on after `last_seq`.
fn changes_of_couchdb(signs: &Signs<'_>) -> Option<Proposal> {
    let last = signs.members.named(&["lastseq"])?;
    let pending = signs.members.named(&["pending"]).and_then(|member| whole(member.value))?;
    let because = match pending {
        0 => format!("changes go on after it, and no more of them are pending: {LAST}"),
        pending => format!("changes go on after it, and {pending} more are pending"),
    };
    let proposal = Proposal::new("cursor", format!("`{}`, for `since`", last.path));
    let proposal = proposal.key("token", last.path.as_str()).key("param", "since").key("more", ".pending > 0");
    Some(proposal.because(Certain, because))
}

/// Returns the style of a list that goes on after the last of its items, which only the answer's `has_more` tells.
fn last_of_list(signs: &Signs<'_>) -> Option<Proposal> {
    let more_member = signs.members.named(&["hasmore"]).filter(|member| member.value.is_boolean())?;
    let is_list = signs.members.named(&["object"]).is_some_and(|member| member.value == "list");
    let said = if more_member.value == &Value::Bool(true) {
        "and there are more".to_owned()
    } else {
        format!("and there are no more: {LAST}")
    };
    let proposal = |token: &str, param: &str, because: &str| {
        let proposal = Proposal::new("cursor", format!("`{token}`, for `{param}`"));
        let proposal = proposal.key("token", token).key("param", param).key("more", more_member.path.as_str());
        proposal.because(Likely, format!("{because}, {said}"))
    };
    if let Some(last) = signs.members.named(&["lastid"]) {
        let param = if is_list { "after" } else { "after_id" };
        return Some(proposal(&last.path, param, "such lists go on after their last item"));
    }
    let has_ids = !signs.rows.is_empty() && signs.rows.iter().all(|row| row.get("id").is_some_and(Value::is_string));
    let items = signs.items.strip_suffix("[]").filter(|_| is_list && has_ids)?;
    Some(proposal(&format!("{items}[-1].id"), "starting_after", "lists such as Stripe's go on after their last item"))
}
