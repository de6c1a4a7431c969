//! How much a name says that its field identifies the item it is in.

use serde_json::Value;

use crate::discover::path::{Path, plain};
use crate::discover::shape;

/// Names, as [`plain`] has them, and what they are worth.
const NAMES: &[(&str, i64)] = &[
    ("id", 100),
    ("uuid", 99),
    ("guid", 98),
    ("doi", 96),
    ("uid", 94),
    ("rcid", 94),
    ("pk", 94),
    ("cveid", 94),
    ("ghsaid", 94),
    ("sha", 92),
    ("identifier", 90),
    ("urn", 90),
    ("objectid", 90),
    ("ident", 88),
    ("key", 88),
    ("accession", 86),
    ("accessionnumber", 86),
    ("rowid", 86),
    ("uri", 80),
    ("digest", 78),
    ("tagname", 76),
    ("isbn", 76),
    ("sku", 76),
    ("slug", 74),
    ("number", 74),
    ("version", 70),
    ("symbol", 68),
    ("ticker", 68),
    ("code", 64),
    ("hash", 64),
    ("permalink", 64),
    ("url", 63),
    ("ref", 62),
    ("href", 61),
    ("htmlurl", 60),
    ("link", 60),
    ("path", 58),
    ("filename", 58),
    ("name", 58),
    ("nodeid", 56),
    ("login", 56),
    ("username", 56),
    ("email", 54),
    ("domain", 54),
    ("hostname", 54),
    ("ts", 54),
    ("date", 40),
    ("timestamp", 38),
    ("time", 38),
    ("event", 30),
    ("title", 30),
];

/// Names of members that an item is packed into.
const WRAPPERS: &[&str] = &[
    "id",
    "data",
    "properties",
    "attributes",
    "node",
    "item",
    "resource",
    "value",
    "cve",
    "sys",
    "key",
    "fields",
    "metadata",
    "meta",
    "system",
    "identifiers",
    "record",
    "entry",
    "document",
];

/// Names of members that are about something else than the item.
const FOREIGN: &[&str] = &[
    "user",
    "owner",
    "author",
    "actor",
    "parent",
    "account",
    "creator",
    "group",
    "project",
    "category",
    "repository",
    "commit",
    "object",
];

/// Returns what the name of a field, and those of what it is in, are worth; more if they say that it identifies one of
/// what the list is called after. Items with few fields are `thin`: what they are about is in one of these.
pub(super) fn score(path: &Path, list: &str, thin: bool) -> i64 {
    if path.to_string() == "._links.self.href" {
        return 62;
    }
    let mut names = path.names();
    let Some(last) = names.next_back() else { return if path.0.is_empty() { 100 } else { 20 } };
    let above: i64 = names
        .map(|name| match plain(name) {
            name if WRAPPERS.contains(&&*name) => -4,
            name if name == list => -4,
            name if thin && !FOREIGN.contains(&&*name) => -12,
            _ => -45,
        })
        .sum();
    of_name(last, list) + above
}

fn of_name(name: &str, list: &str) -> i64 {
    let plain = plain(name);
    if let Some((_, worth)) = NAMES.iter().find(|(known, _)| *known == plain) {
        return *worth;
    }
    if !shape::says_id(name) {
        let tail = |end: &str| plain.strip_suffix(end).is_some_and(|owner| owner == list);
        let is_named = ["name", "number", "code"].iter().any(|end| plain.ends_with(end));
        let rest = if is_named { 40 } else { 15 };
        return if tail("number") || tail("code") || tail("key") { 74 } else { rest };
    }
    match plain.strip_suffix("id").unwrap_or_default() {
        owner if !list.is_empty() && (owner == list || list.ends_with(owner)) => 92,
        "page" | "rc" | "rev" | "event" | "item" | "post" | "record" | "entry" | "message" | "object" => 86,
        owner if FOREIGN.contains(&owner) => 25,
        _ => OTHER_ID,
    }
}

/// Tells whether a name is that of an id, but does not say that it is the item's own: it may be that of what the item
/// belongs to.
pub(super) fn may_be_of_another(path: &Path, list: &str) -> bool {
    let is_in_id = path.names().any(|name| plain(name) == "id");
    let says_other = |name: &str| shape::says_id(name) && of_name(name, list) <= OTHER_ID;
    !is_in_id && path.names().next_back().is_some_and(says_other)
}

/// What the name of an id is worth that says neither that it is the item's nor that it is another thing's.
const OTHER_ID: i64 = 60;

/// Returns what a field is worth as one of two that identify an item together.
pub(super) fn score_of_part(path: &Path, score: i64) -> i64 {
    let name = path.plain_name();
    let deep = if path.0.len() > 1 { 20 } else { 0 };
    let part = if is_kind(&name) {
        80
    } else if is_date(&name) {
        60
    } else {
        score
    };
    part - deep
}

/// Tells whether a name says of which kind something is, which makes an id unique.
pub(super) fn is_kind(name: &str) -> bool {
    ["type", "kind", "class", "namespace", "ns", "source", "collection", "group", "category"].contains(&name)
}

/// Tells whether a name is that of a date.
pub(super) fn is_date(name: &str) -> bool {
    ["date", "time", "timestamp", "ts", "created", "updated", "modified", "published", "year", "month", "day", "period"]
        .contains(&name)
        || ["date", "time", "timestamp", "utc"].iter().any(|end| name.ends_with(end))
        || name.ends_with("at")
            && ["created", "updated", "modified", "published", "pushed", "closed"]
                .iter()
                .any(|start| name.starts_with(start))
}

/// Tells whether values identify messages as Slack's do: by a text that is a point in time in seconds with six more digits,
/// of which the last ones only make it unique. Its name says that it is one, or that it identifies something.
pub(super) fn is_stamp(name: &str, values: &[&Value]) -> bool {
    let are_digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_one = |value: &&Value| {
        let parts = value.as_str().and_then(|text| text.split_once('.'));
        parts.is_some_and(|(seconds, more)| are_digits(seconds, 10) && are_digits(more, 6))
    };
    (name.ends_with("ts") || name == "timestamp" || shape::says_own_id(name)) && values.iter().all(is_one)
}

/// Tells whether a name says at which place something is, rather than what it is.
pub(super) fn is_position(name: &str) -> bool {
    ["position", "rank", "index", "order", "row", "rownumber", "rownum", "no", "sequence", "seq", "place", "idx"]
        .contains(&name)
}
