//! Whether an answer lists everything that there is, or what is recent.
//!
//! Where that is in doubt it is taken for what is recent: then nothing is ever said to be removed that is still there.

use serde_json::Value;

use super::paging::{MOST_PAGES, Paging};
use super::path::{self, columns, plain};
use super::{About, Finding, Listing, Page, Setting, Sureness, shape};
use crate::model::format::ResponseFormat;

/// Parameters, in plain words, that ask for a part of a list.
const BOUNDS: [&str; 26] = [
    "since",
    "after",
    "before",
    "until",
    "from",
    "to",
    "start",
    "end",
    "startdate",
    "enddate",
    "startdatetime",
    "enddatetime",
    "datefrom",
    "dateto",
    "fromdate",
    "todate",
    "updatedafter",
    "updatedsince",
    "modifiedsince",
    "createdafter",
    "sinceid",
    "maxid",
    "days",
    "hours",
    "latest",
    "recent",
];

/// Parameters, in plain words, that say how many items are wanted.
const SIZES: [&str; 14] = [
    "limit",
    "perpage",
    "pagesize",
    "size",
    "rows",
    "count",
    "top",
    "num",
    "max",
    "maxresults",
    "take",
    "first",
    "last",
    "n",
];

/// Names, in plain words, of what tells of what has happened.
const STREAMS: [&str; 36] = [
    "activities",
    "activity",
    "alerts",
    "announcements",
    "articles",
    "audit",
    "auditlog",
    "builds",
    "changelog",
    "changes",
    "commits",
    "deployments",
    "entries",
    "events",
    "feed",
    "headlines",
    "history",
    "hot",
    "incidents",
    "latest",
    "log",
    "logs",
    "messages",
    "new",
    "newest",
    "news",
    "notifications",
    "posts",
    "recent",
    "recentchanges",
    "releases",
    "stories",
    "stream",
    "timeline",
    "top",
    "updates",
];

/// Fewer items than this show no order.
const FEWEST_ORDERED: usize = 3;

/// Returns whether the answer, with all the pages that a poll reads, lists everything; and tells the paging to stop where
/// nothing is new, where the newest come first. An API that is asked from a cursor lists what came since.
pub(super) fn find(page: &Page<'_>, listing: &Listing, paging: &mut Paging, has_cursor: bool) -> Finding {
    let newest_first = order(listing);
    if let Some(field) = &newest_first
        && paging.style.is_some()
        && paging.total.is_none_or(|total| total > listing.count as u64)
    {
        paging.stop_at_known(field);
    }
    let since = has_cursor.then(|| "it is asked for what came since".to_owned());
    match since.or_else(|| recent(page, listing, paging, newest_first.as_deref())) {
        Some(because) => {
            let found = "what is recent".to_owned();
            Finding { about: About::Lists, settings: Vec::new(), found, sureness: Sureness::Likely, because }
        }
        None => {
            let because = match (paging.style, paging.total) {
                (Some(_), _) => "a poll reads all its pages, and nothing bounds them",
                (None, Some(_)) => "it has as many items as it says that there are",
                (None, None) => "it is one page, and nothing bounds it",
            };
            Finding {
                about: About::Lists,
                settings: vec![Setting::new("changes.lists", "everything")],
                found: "everything".to_owned(),
                sureness: Sureness::Likely,
                because: because.to_owned(),
            }
        }
    }
}

/// Returns why only what is recent is listed, or may be; `None` if nothing speaks for that.
fn recent(page: &Page<'_>, listing: &Listing, paging: &Paging, newest_first: Option<&str>) -> Option<String> {
    if matches!(page.format, ResponseFormat::Feed) {
        return Some("it is a feed".to_owned());
    }
    let asked = page.answer.url.query_pairs().map(|(name, _)| name.into_owned());
    let bound = asked.into_iter().find(|name| {
        let name = plain(name);
        let is_size = SIZES.contains(&name.as_str());
        BOUNDS.contains(&name.as_str()) || is_size && paging.style.is_none() && paging.total.is_none()
    });
    if let Some(name) = bound {
        return Some(format!("`{name}` in the address asks for a part"));
    }
    if let Some(field) = newest_first {
        return Some(format!("the newest come first, by `{field}`"));
    }
    let segments = page.answer.url.path_segments().into_iter().flatten();
    let names = segments.chain(listing.expression.split(['.', '[', ' ']));
    if let Some(name) = names.map(without_extension).find(|name| STREAMS.contains(&plain(name).as_str())) {
        return Some(format!("it is called `{name}`, which tells what has happened"));
    }
    if let Some(field) = series(listing) {
        return Some(format!("its times follow one another at even steps and move on, by `{field}`"));
    }
    if matches!(page.format, ResponseFormat::Html(_)) {
        return Some("a page for people seldom shows all that there is".to_owned());
    }
    if !paging.reads_all {
        return Some("there may be more than a poll reads".to_owned());
    }
    if let Some(pages) = paging.pages_of(listing.count).filter(|pages| paging.style.is_some() && *pages > MOST_PAGES) {
        return Some(format!("it has {pages} pages, of which a poll reads {MOST_PAGES}"));
    }
    if listing.count == 0 {
        return Some("it has no items now".to_owned());
    }
    None
}

/// Returns the field by whose dates the newest items come first, if there is one.
fn order(listing: &Listing) -> Option<String> {
    let rows: Vec<&Value> = listing.rows.iter().collect();
    let columns = columns(&rows);
    let mut ordered = columns.iter().filter(|column| {
        let dates = column.values.iter().map(|value| {
            value.and_then(|value| shape::date(value).or_else(|| epoch(&column.path.plain_name(), value)))
        });
        let Some(dates) = dates.collect::<Option<Vec<_>>>() else { return false };
        dates.len() >= FEWEST_ORDERED && dates.is_sorted_by(|one, other| one >= other) && dates.first() > dates.last()
    });
    ordered.next().map(|column| column.path.to_string())
}

/// Returns the field whose times follow one another at even steps, if there is one.
fn series(listing: &Listing) -> Option<String> {
    let rows: Vec<&Value> = listing.rows.iter().collect();
    let is_series = |column: &path::Column<'_>| {
        let values = column.values.iter().copied().collect::<Option<Vec<_>>>();
        values.is_some_and(|values| shape::is_series(&column.path.plain_name(), &values))
    };
    columns(&rows).iter().find(|column| is_series(column)).map(|column| column.path.to_string())
}

/// Returns the time that a number stands for, where its name says that it is one.
fn epoch(name: &str, value: &Value) -> Option<crate::model::time::Timestamp> {
    let says_time = ["time", "date", "created", "updated", "published", "modified", "timestamp"];
    says_time.iter().any(|part| name.contains(part)).then(|| shape::epoch(value))?
}

fn without_extension(segment: &str) -> &str {
    segment.split('.').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::discover::paging;
    use crate::discover::testing::answer;

    #[track_caller]
    fn check(url: &str, items: &str, body: Value, expected: &str) -> Paging {
        let mut answer = answer(&body);
        answer.url = url.parse().expect("an address");
        let format = if body.get("feed").is_some() { ResponseFormat::Feed } else { ResponseFormat::Json };
        let page = Page { answer: &answer, format, value: body };
        let listing = Listing::of(&page, items).expect("items");
        let mut paging = paging::find(&page, &listing);
        let finding = find(&page, &listing, &mut paging, false);
        let is_set = finding.settings == [Setting::new("changes.lists", "everything")];
        assert_eq!(is_set, finding.found == "everything", "{finding:?}");
        assert_eq!(format!("{}: {}", finding.found, finding.because), expected, "{url}");
        paging
    }

    fn rows(count: u64) -> Value {
        (1..=count).map(|id| json!({"id": id, "since": format!("2026-11-{:02}", 1 + id * 7 % 28)})).collect()
    }

    #[test]
    fn what_nothing_bounds_is_everything() {
        check("https://a.example/countries", ".[]", rows(7), "everything: it is one page, and nothing bounds it");
        let all = json!({"items": rows(7), "total": 7});
        check(
            "https://a.example/x?limit=100",
            ".items[]",
            all,
            "everything: it has as many items as it says that there are",
        );
        let pages = json!({"items": rows(10), "page": 1, "total_pages": 4});
        check(
            "https://a.example/x?page=1",
            ".items[]",
            pages,
            "everything: a poll reads all its pages, and nothing bounds them",
        );
    }

    #[test]
    fn whatever_speaks_against_that_makes_it_recent() {
        let check = |url: &str, items: &str, body: Value, because: &str| {
            check(url, items, body, &format!("what is recent: {because}"));
        };
        check(
            "https://a.example/x?updated_after=2026-11-01",
            ".[]",
            rows(7),
            "`updated_after` in the address asks for a part",
        );
        check("https://a.example/x?limit=100", ".[]", rows(7), "`limit` in the address asks for a part");
        check("https://a.example/events.json", ".[]", rows(7), "it is called `events`, which tells what has happened");
        check(
            "https://a.example/x",
            ".data.logs[]",
            json!({"data": {"logs": rows(7)}}),
            "it is called `logs`, which tells what has happened",
        );
        check("https://a.example/x", ".[]", rows(30), "there may be more than a poll reads");
        let many = json!({"items": rows(10), "page": 1, "total_pages": 400});
        check("https://a.example/x", ".items[]", many, "it has 400 pages, of which a poll reads 50");
        check("https://a.example/x", ".items[]", json!({"feed": {}, "items": rows(7)}), "it is a feed");
        check("https://a.example/x", ".[]", json!([]), "it has no items now");
        let hours: Value = (1..=9).map(|hour| json!({"time": 1_795_176_000 + hour * 3600, "rain": 0})).collect();
        check(
            "https://a.example/x",
            ".[]",
            hours,
            "its times follow one another at even steps and move on, by `.time`",
        );
    }

    #[test]
    fn the_newest_first_stop_the_reading_of_pages() {
        let dated = |first: u64| -> Value {
            (0..10).map(|index| json!({"id": index, "at": {"day": format!("2026-11-{:02}", first - index)}})).collect()
        };
        let expected = "what is recent: the newest come first, by `.at.day`";
        check("https://a.example/x", ".[]", dated(20), expected);
        let paging =
            check("https://a.example/x", ".items[]", json!({"items": dated(20), "next_url": "?p=2"}), expected);
        assert_eq!(paging.finding.settings.last(), Some(&Setting::new("pagination.next_url.stop", "known")));
        let epochs: Value =
            (0..10).map(|index| json!({"id": 90 - index, "created_utc": 1_795_176_000 - index})).collect();
        check("https://a.example/x", ".[]", epochs, "what is recent: the newest come first, by `.created_utc`");
    }
}
