//! What can be said where an answer does not tell how other pages are found.

use super::tokens::more;
use super::{Signs, counts};
use crate::discover::{About, Finding, Sureness};
use crate::model::format::ResponseFormat;

/// How many items a page has where somebody has decided it.
const ROUND: [u64; 13] = [10, 15, 20, 24, 25, 30, 40, 50, 100, 200, 250, 500, 1000];

/// What addresses limit their items with.
const LIMITS: [&str; 10] =
    ["limit", "per_page", "perPage", "page_size", "pageSize", "_limit", "size", "rows", "count", "$limit"];

/// Returns what there is to say of paging: that there is one page, or that nobody knows.
pub(super) fn finding(signs: &Signs<'_>, format: &ResponseFormat) -> Finding {
    let count = signs.count;
    let doubt = |because: String| finding_of("unknown", Sureness::Doubtful, because);
    let one = |sureness: Sureness, because: String| finding_of("one page", sureness, because);
    if matches!(format, ResponseFormat::Feed) {
        return one(Sureness::Certain, "it is a feed, which lists what is newest".to_owned());
    }
    if matches!(format, ResponseFormat::Html(_)) {
        let none = "it links to no page after it that pollhook could ask for";
        if ROUND.contains(&count) {
            return doubt(format!("it has exactly {count} items, so there may be more pages, but {none}"));
        }
        return one(Sureness::Likely, none.to_owned());
    }
    if signs.members.named(&["scrollid"]).is_some() {
        return doubt("it has a `_scroll_id`, whose next pages are asked for at another address".to_owned());
    }
    let nothing_says = "nothing in the answer says how to get them";
    let more = more(&signs.members);
    if let Some((path, true)) = &more {
        return doubt(format!("`{path}` says that there are more pages, and {nothing_says}"));
    }
    if let Some((path, total)) = counts::total(signs) {
        let where_from = path.map_or_else(|| "a header".to_owned(), |path| format!("`{path}`"));
        if total > count {
            let because = format!("{where_from} tells of {total} items and {count} are here, and {nothing_says}");
            return doubt(because);
        }
        if total == count && count > 0 {
            return one(Sureness::Certain, format!("it has all {total} items that {where_from} tells of"));
        }
    }
    if let Some((path, false)) = more {
        return one(Sureness::Likely, format!("`{path}` says that this is all"));
    }
    let limit = LIMITS.iter().find_map(|name| Some((*name, signs.asked(name)?.parse::<u64>().ok()?)));
    if let Some((name, limit)) = limit.filter(|(_, limit)| *limit == count) {
        let because =
            format!("it has the {limit} items that `{name}` asks for, so there may be more, and {nothing_says}");
        return doubt(because);
    }
    if ROUND.contains(&count) && limit.is_none() {
        let because = format!("it has exactly {count} items, so there may be more pages, and {nothing_says}");
        return doubt(because);
    }
    one(Sureness::Likely, "nothing in the answer speaks of others".to_owned())
}

fn finding_of(found: &str, sureness: Sureness, because: String) -> Finding {
    Finding { about: About::Paging, settings: Vec::new(), found: found.to_owned(), sureness, because }
}
