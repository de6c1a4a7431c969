use std::collections::BTreeSet;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::clock::SystemClock;
use crate::config::{Environment, load};
use crate::http::header::{HeaderName, LINK};
use crate::poll::extract::extract;
use crate::poll::memo::Memo;

const HOME: &str = "https://api.example/items";

fn connector(rules: &str) -> Arc<Connector> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.toml");
    let usual = [
        "every = \"1m\"",
        "request.url = \"https://api.example/items\"",
        "response.items = \".items[]\"",
        "item.key = \".id\"",
    ];
    let mut text = "[connectors.orders]\n".to_owned();
    for line in usual.iter().filter(|line| !rules.contains(line.split('=').next().expect("a key"))) {
        text.push_str(line);
        text.push('\n');
    }
    std::fs::write(&path, text + rules).expect("a file");
    let configuration = load(&path, &Environment::from([("TOKEN", "s3cret-token")]));
    let configuration = configuration.unwrap_or_else(|mistakes| panic!("{mistakes}"));
    Arc::clone(&configuration.connectors[0])
}

/// An answer: JSON, and headers.
struct Answer(Value, Vec<(&'static str, String)>);

impl From<Value> for Answer {
    fn from(value: Value) -> Self {
        Self(value, Vec::new())
    }
}

/// What a walk came to.
#[derive(Debug)]
struct Walk {
    keys: Vec<String>,
    /// The requests: what follows the home address, and the body.
    asked: Vec<String>,
    end: Result<Advance, String>,
    position: Option<PagePosition>,
}

/// Walks all pages, from the first or from another.
fn walk_from(
    connector: &Arc<Connector>,
    from: Option<&PagePosition>,
    mut serve: impl FnMut(&PageRequest) -> Answer,
) -> Walk {
    let mut walk = Walk { keys: Vec::new(), asked: Vec::new(), end: Ok(Advance::Next), position: None };
    let mut pager = Pager::new(connector, None, Timestamp::EPOCH, from).expect("a request");
    while walk.end == Ok(Advance::Next) {
        let request = pager.request().clone();
        let url = request.url.as_str();
        walk.asked.push(format!("{}{}", url.strip_prefix(HOME).unwrap_or(url), String::from_utf8_lossy(&request.body)));
        assert!(walk.asked.len() <= max_pages(connector), "a walk ends: {:?}", walk.asked);
        let Answer(value, named) = serve(&request);
        let mut headers = HeaderMap::new();
        for (name, text) in named {
            headers.append(name.parse::<HeaderName>().expect("a name"), text.parse().expect("a header value"));
        }
        let body = Bytes::from(value.to_string());
        walk.end =
            extract(connector, walk.asked.len(), &request.url, None, &body, &Memo::default(), &*SystemClock::shared())
                .and_then(|extraction| {
                    walk.keys.extend(extraction.items.iter().map(|item| item.key.to_string()));
                    let body = BodyHash::of(&body);
                    let (rows, clues) = (&extraction.rows, extraction.clues);
                    pager.advance(&PageRead { url: &request.url, headers: &headers, clues, rows, body })
                })
                .map_err(|error| error.to_string());
    }
    walk.position = pager.position();
    walk
}

fn walk(rules: &str, serve: impl FnMut(&PageRequest) -> Answer) -> Walk {
    walk_from(&connector(rules), None, serve)
}

/// Returns a number in the request's query.
fn asked_number(request: &PageRequest, name: &str) -> Option<usize> {
    let (_, text) = request.url.query_pairs().find(|(known, _)| known == name)?;
    Some(text.parse().expect("a number"))
}

fn rows(range: std::ops::Range<usize>) -> Vec<Value> {
    range.map(|id| json!({ "id": id })).collect()
}

/// Returns the rows of one page of a source with `count` rows.
fn page_of(count: usize, start: usize, size: usize) -> Vec<Value> {
    rows(start.min(count)..start.saturating_add(size).min(count))
}

fn stopped(truncation: Truncation) -> Advance {
    Advance::Stop(truncation)
}

/// Walks numbered pages of two rows out of `count`, and says what was asked and how it ended.
#[track_caller]
fn check_numbers(rules: &str, count: usize, expected: &[&str], end: &Result<Advance, String>) {
    let walk = walk(&format!("pagination.page = {{ param = \"page\", {rules} }}"), |request| {
        let page = asked_number(request, "page").expect("a page");
        let start = if rules.contains("start = 0") { page * 2 } else { (page - 1) * 2 };
        json!({ "items": page_of(count, start, 2), "total": count, "pages": count.div_ceil(2).to_string(),
                "more": start + 2 < count })
        .into()
    });
    assert_eq!(walk.asked, expected, "{rules}");
    assert_eq!(&walk.end, end, "{rules}");
}

#[test]
fn numbered_pages_end_where_nothing_is_left() {
    let last = Ok(Advance::Last);
    // Without more to go by, with an empty page.
    check_numbers("", 0, &["?page=1"], &last);
    check_numbers("", 3, &["?page=1", "?page=2", "?page=3"], &last);
    check_numbers("start = 0", 3, &["?page=0", "?page=1", "?page=2"], &last);
    // With a short page, if full ones were seen.
    check_numbers("size = 2", 3, &["?page=1", "?page=2"], &last);
    check_numbers("size = 2, size_param = \"n\"", 4, &["?n=2&page=1", "?n=2&page=2", "?n=2&page=3"], &last);
    // A source that gives fewer than asked for has not ended.
    check_numbers("size = 50", 3, &["?page=1", "?page=2", "?page=3"], &last);
    for more in ["total = \".total\"", "total_pages = \".pages\"", "more = \".more\"", "size = 9, total = \".total\""] {
        check_numbers(more, 3, &["?page=1", "?page=2"], &last);
        check_numbers(more, 4, &["?page=1", "?page=2"], &last);
        check_numbers(more, 0, &["?page=1"], &last);
    }
    check_numbers("start = 0, total_pages = \".pages\"", 3, &["?page=0", "?page=1"], &last);
    check_numbers("max_pages = 2", 9, &["?page=1", "?page=2"], &Ok(stopped(Truncation::MaxPages { most: 2 })));
}

#[test]
fn a_source_that_has_more_than_it_shows_is_not_read_to_its_end() {
    let fewer = walk("pagination.page = { param = \"page\", total = \".total\" }", |request| {
        json!({ "items": page_of(4, 2 * (asked_number(request, "page").expect("a page") - 1), 2), "total": 9 }).into()
    });
    assert_eq!(fewer.end, Ok(stopped(Truncation::FewerThanTotal { rows: 4, total: 9 })));
    let nowhere = walk("pagination.cursor = { token = \".next\", param = \"c\", more = \".more\" }", |_| {
        json!({ "items": rows(0..2), "more": true }).into()
    });
    assert_eq!(nowhere.end, Ok(stopped(Truncation::LeadsNowhere { page: 1 })));
    let nowhere = walk("pagination.offset = { param = \"o\", size = 2, more = \".more\" }", |request| {
        json!({ "items": page_of(2, asked_number(request, "o").expect("an offset"), 2), "more": true }).into()
    });
    assert_eq!(nowhere.end, Ok(stopped(Truncation::LeadsNowhere { page: 2 })));
}

#[test]
fn a_source_that_tells_less_than_it_shows_is_read_to_its_end() {
    for pagination in [
        "pagination.page = { param = \"at\", start = 0, total = \".total\" }",
        "pagination.offset = { param = \"at\", size = 2, total = \".total\" }",
    ] {
        let by_page = if pagination.contains("page = ") { 2 } else { 1 };
        let walk = walk(pagination, |request| {
            let from = by_page * asked_number(request, "at").expect("a page");
            json!({ "items": page_of(4, from, 2), "total": 1 }).into()
        });
        assert_eq!((walk.end, walk.asked.len()), (Ok(Advance::Last), 3), "{pagination}");
    }
}

#[test]
fn numbers_that_make_no_sense_are_told() {
    let check = |total: Value, expected: Option<&str>| {
        let walk = walk("pagination.page = { param = \"page\", total = \".total\" }", |_| {
            json!({ "items": rows(0..2), "total": total }).into()
        });
        assert_eq!(walk.end.err().as_deref(), expected);
    };
    for good in [json!(2), json!("2"), json!(2.0), json!(0)] {
        check(good, None);
    }
    check(
        json!([1]),
        Some(
            "`pagination.page.total` (.total) failed on the answer: it gives [1], where a whole number is needed; it begins: \
             {\"items\":[{\"id\":0},{\"id\":1}],\"total\":[1]}",
        ),
    );
}

#[test]
fn a_source_that_ignores_what_page_is_asked_for_is_noticed() {
    for rules in [
        "pagination.page.param = \"p\"",
        "pagination.offset = { param = \"o\", size = 2 }",
        "pagination.cursor = { token = \".token\", param = \"t\" }",
    ] {
        let mut time = 0;
        let walk = walk(rules, |_| {
            time += 1;
            json!({ "items": rows(0..2), "token": time, "time": time }).into()
        });
        assert_eq!(walk.end, Ok(stopped(Truncation::SameContent { page: 2, earlier: 1 })), "{rules}");
    }
}

#[test]
fn tokens_are_followed_to_the_end() {
    let check = |rules: &str, tokens: &[Value], expected: &[&str], end: Result<Advance, String>| {
        let rules = format!("pagination.cursor = {{ token = \".next\", param = \"c\"{rules} }}");
        let mut page = 0;
        let walk = walk(&rules, |_| {
            page += 1;
            json!({ "items": rows(page..page + 1), "next": tokens[page - 1], "more": page < tokens.len() }).into()
        });
        assert_eq!(walk.asked, expected);
        assert_eq!(walk.end, end);
    };
    let last = || Ok(Advance::Last);
    for nothing in [json!(null), json!(""), json!(false), json!({}), json!([])] {
        check("", &[json!("a b"), json!(7), nothing], &["", "?c=a+b", "?c=7"], last());
    }
    check(", more = \".more\"", &[json!("a"), json!("b"), json!("c")], &["", "?c=a", "?c=b"], last());
    check("", &[json!("a"), json!("a")], &["", "?c=a"], Ok(stopped(Truncation::Circle { page: 2, earlier: 2 })));
    let circle = [json!("a"), json!("b"), json!("a")];
    check("", &circle, &["", "?c=a", "?c=b"], Ok(stopped(Truncation::Circle { page: 3, earlier: 2 })));
    // As MediaWiki has it.
    let several = [json!({"rccontinue": "2026|7", "continue": "-||"}), json!(null)];
    check("", &several, &["", "?rccontinue=2026%7C7&continue=-%7C%7C"], last());
}

#[test]
fn a_token_to_ask_with_later_ends_the_poll_with_an_empty_page() {
    let walk = walk("pagination.cursor = { header = \"Next-Page\", param = \"since\" }", |request| {
        let since = asked_number(request, "since").unwrap_or(0);
        let items = page_of(3, since, 2);
        let next = since + items.len();
        Answer(json!({ "items": items }), vec![("next-page", next.to_string())])
    });
    assert_eq!(walk.asked, ["", "?since=2", "?since=3"]);
    assert_eq!(walk.end, Ok(Advance::Last));
}

#[test]
fn pages_are_asked_for_in_bodies_and_templates() {
    let post = "request.method = \"POST\"\n";
    let check = |rules: &str, expected: &[&str]| {
        let mut page = 0;
        let walk = walk(rules, |_| {
            page += 1;
            json!({ "items": rows(page..page + 1), "next": if page < 2 { json!(12) } else { Value::Null } }).into()
        });
        assert_eq!(walk.asked, expected);
        assert_eq!(walk.end, Ok(Advance::Last));
    };
    let cursor = "pagination.cursor = { token = \".next\"";
    check(
        &format!(
            "{post}request.body = {{ query = \"q\", variables = {{ n = 2 }} }}\n{cursor}, in = \"body\", param = \"variables.after\" }}"
        ),
        &[r#"{"query":"q","variables":{"n":2}}"#, r#"{"query":"q","variables":{"n":2,"after":12}}"#],
    );
    check(
        &format!("{post}request.form = {{ a = \"b\" }}\n{cursor}, in = \"body\", param = \"c\" }}"),
        &["a=b", "a=b&c=12"],
    );
    check(
        &format!("{post}request.body = {{ after = \"{{{{ page }}}}\", text = \"<{{{{ page }}}}>\" }}\n{cursor} }}"),
        &["{}", r#"{"after":12,"text":"<12>"}"#],
    );
    check(&format!("request.query = {{ c = \"{{{{ page }}}}\", n = \"1\" }}\n{cursor} }}"), &["?n=1", "?c=12&n=1"]);
    check(
        "request.url = \"https://api.example/items/{{ page }}\"\npagination.page = { more = \".next\" }",
        &["/1", "/2"],
    );
}

#[test]
fn another_origin_is_asked_only_if_it_is_allowed() {
    let check = |rules: &str, next: &str, expected: Option<&str>| {
        for rules in [
            format!("pagination.next_url = {{ value = \".next\", {rules} }}"),
            format!("pagination.link = {{ {rules} }}"),
        ] {
            let mut page = 0;
            let walk = walk(&rules, |_| {
                page += 1;
                let next = if page < 2 { next } else { "" };
                let link = (page < 2).then(|| (LINK.as_str(), format!("<{next}>; rel=next")));
                Answer(json!({ "items": rows(page..page + 1), "next": next }), link.into_iter().collect())
            });
            let refusal = walk.end.err().map(|error| error.replace(".next_url.", ".link."));
            assert_eq!(refusal.as_deref(), expected, "{rules} {next}");
            assert_eq!(walk.asked.len(), if expected.is_some() { 1 } else { 2 });
        }
    };
    check("", "?page=2", None);
    check("", "https://api.example/more", None);
    check("", "http://api.example/more", None);
    check("origins = [\"https://b.example\"]", "https://b.example/more", None);
    let refusal = "the next page is on https://b.example, which is not where the first one is (https://api.example), and is \
                   not asked for; if that is right, allow it with `pagination.link.origins = [\"https://b.example\"]`: it \
                   gets no credentials";
    check("", "https://b.example/more", Some(refusal));
    check("origins = [\"https://c.example\"]", "//b.example/more", Some(refusal));
    check("", "ftp://a", Some("what the source names as its next page is no address; it begins: ftp://a"));
}

#[test]
fn positions_bring_back_their_pages_and_hold_no_secrets() {
    let check = |rules: &str, next: Value, expected: Option<PagePosition>| {
        let connector = connector(&format!("auth.bearer.token = {{ env = \"TOKEN\" }}\n{rules}"));
        let mut page = 0;
        let first = walk_from(&connector, None, |_| {
            page += 1;
            json!({ "items": rows(page..page + 1), "next": next }).into()
        });
        assert_eq!(first.end, Ok(stopped(Truncation::MaxPages { most: 1 })));
        assert_eq!(first.position, expected);
        let Some(position) = expected else { return };
        let kept = serde_json::to_string(&position).expect("it can be kept");
        let position: PagePosition = serde_json::from_str(&kept).expect("and read");
        let mut pager = Pager::new(&connector, None, Timestamp::EPOCH, Some(&position)).expect("a request");
        assert_eq!(pager.position(), Some(position.clone()));
        assert_eq!(pager.request().url, pager.request_at(&position).expect("a request").url);
        assert_ne!(pager.request().url, *pager.home());
        let read = PageRead {
            url: &HOME.parse().expect("an address"),
            headers: &HeaderMap::new(),
            clues: Clues::default(),
            rows: &[],
            body: BodyHash::of(b""),
        };
        assert_eq!(pager.advance(&read).expect("an end"), Advance::Last, "an empty page ends it");
    };
    let token = "pagination.cursor = { token = \".next\", param = \"c\", max_pages = 1 }";
    check(token, json!("a"), Some(PagePosition::Token("\"a\"".to_owned())));
    check(token, json!(9_007_199_254_740_993_u64), Some(PagePosition::Token("9007199254740993".to_owned())));
    check(token, json!("x-s3cret-token"), None);
    let url = "pagination.next_url = { value = \".next\", max_pages = 1 }";
    check(url, json!("?page=2"), Some(PagePosition::Url(format!("{HOME}?page=2"))));
    check(url, json!("?key=s3cret-token"), None);
    check("pagination.page = { param = \"p\", start = 0, max_pages = 1 }", json!(null), Some(PagePosition::Number(1)));
    check("pagination.offset = { param = \"p\", size = 5, max_pages = 1 }", json!(null), Some(PagePosition::Offset(1)));
}

/// Walks offsets over ten rows that are edited before the second page is asked for.
fn walk_moving(overlap: usize, edit: &dyn Fn(&mut Vec<usize>)) -> Walk {
    let mut source: Vec<usize> = (0..10).collect();
    let rules = format!("pagination.offset = {{ param = \"o\", size = 4, overlap = {overlap} }}");
    let mut request_number = 0;
    walk(&rules, |request| {
        request_number += 1;
        if request_number == 2 {
            edit(&mut source);
        }
        let start = asked_number(request, "o").expect("an offset").min(source.len());
        let page: Vec<Value> = source[start..].iter().take(4).map(|id| json!({ "id": id })).collect();
        json!({ "items": page }).into()
    })
}

#[test]
fn rows_that_move_forward_are_noticed_where_pages_overlap() {
    let remove = |count: usize| move |source: &mut Vec<usize>| drop(source.drain(..count));
    let insert = |source: &mut Vec<usize>| source.insert(0, 100);
    let check = |overlap, edit: &dyn Fn(&mut Vec<usize>), expected: Result<Advance, String>| {
        let walk = walk_moving(overlap, edit);
        assert_eq!(walk.end, expected, "{:?}", walk.keys);
        let found: BTreeSet<&str> = walk.keys.iter().map(String::as_str).collect();
        assert!(expected != Ok(Advance::Last) || found.contains("4"), "nothing is missed: {found:?}");
    };
    let moved = || Ok(stopped(Truncation::RowsMoved { page: 2 }));
    check(1, &remove(1), moved());
    check(2, &remove(1), Ok(Advance::Last));
    check(2, &remove(2), moved());
    check(1, &remove(10), moved());
    check(1, &insert, Ok(Advance::Last));
    check(1, &|_| {}, Ok(Advance::Last));
    // The row that is expected again is gone itself.
    check(1, &|source| source.retain(|id| *id != 3), moved());
    check(2, &|source| source.retain(|id| *id != 3), Ok(Advance::Last));
    // Paging goes on, so that new items are found all the same.
    assert!(walk_moving(1, &remove(1)).keys.contains(&"9".to_owned()));
}

#[test]
fn a_total_that_shrinks_tells_that_rows_moved() {
    let mut totals = [5, 4, 4].into_iter();
    let walk = walk("pagination.page = { param = \"page\", total = \".total\" }", |request| {
        let total = totals.next().expect("a page");
        json!({ "items": page_of(total, 2 * (asked_number(request, "page").expect("a page") - 1), 2), "total": total })
            .into()
    });
    assert_eq!(walk.end, Ok(stopped(Truncation::RowsMoved { page: 2 })));
}

/// How a source tells of the next page, and what it does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// From this page on, it answers with the first page.
    BackToFirst(usize),
    /// It ignores what page is asked for.
    Deaf,
    /// After this page, it always answers with nothing and says that there is more.
    NeverEnds(usize),
}

fn faults() -> impl Strategy<Value = Fault> {
    prop_oneof![
        4 => Just(Fault::None),
        1 => (1_usize..6).prop_map(Fault::BackToFirst),
        1 => Just(Fault::Deaf),
        1 => (1_usize..6).prop_map(Fault::NeverEnds),
    ]
}

const STYLES: [&str; 9] = [
    "pagination.next_url = { value = \".next_url\", max_pages = 60 }",
    "pagination.link = { max_pages = 60 }",
    "pagination.cursor = { token = \".token\", param = \"token\", max_pages = 60 }",
    "pagination.page = { param = \"page\", max_pages = 60 }",
    "pagination.page = { param = \"page\", max_pages = 60, size = SIZE, size_param = \"size\" }",
    "pagination.page = { param = \"page\", max_pages = 60, total = \".total\" }",
    "pagination.offset = { param = \"offset\", max_pages = 60, size = SIZE, size_param = \"size\" }",
    "pagination.offset = { param = \"offset\", max_pages = 60, size = SIZE, size_param = \"size\", overlap = 1 }",
    "pagination.offset = { param = \"offset\", max_pages = 60, size = SIZE, size_param = \"size\", more = \".more\" }",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever a source does, a walk ends; and if the source does nothing wrong, it finds all rows.
    #[test]
    fn any_source_is_walked_to_its_end(
        style in 0..STYLES.len(),
        count in 0_usize..40,
        size in 2_usize..12,
        cap in 2_usize..12,
        fault in faults(),
    ) {
        let connector = connector(&STYLES[style].replace("SIZE", &size.to_string()));
        let mut answers = 0;
        let walk = walk_from(&connector, None, |request| {
            answers += 1;
            let given = asked_number(request, "size").unwrap_or(cap).min(cap);
            let asked = asked_number(request, "offset")
                .or_else(|| asked_number(request, "token"))
                .or_else(|| asked_number(request, "page").map(|page| (page - 1) * given))
                .unwrap_or(0);
            let start = match fault {
                Fault::BackToFirst(page) if answers >= page => 0,
                Fault::Deaf => 0,
                Fault::NeverEnds(page) if answers > page => count,
                _ => asked,
            };
            let items = page_of(count, start, given);
            let end = asked + items.len();
            let has_more = end < count || matches!(fault, Fault::NeverEnds(_));
            let next = if items.is_empty() { end + 1 } else { end };
            let token = if has_more { json!(next) } else { Value::Null };
            let next_url = has_more.then(|| format!("?token={next}"));
            let link = next_url.iter().map(|url| (LINK.as_str(), format!("<{url}>; rel=next"))).collect();
            Answer(json!({ "items": items, "total": count, "more": has_more, "token": token, "next_url": next_url }), link)
        });
        let found: BTreeSet<&String> = walk.keys.iter().collect();
        if fault == Fault::None {
            prop_assert_eq!(&walk.end, &Ok(Advance::Last));
        }
        // Only a source that lies about there being nothing can be believed wrongly.
        if walk.end == Ok(Advance::Last) && !matches!(fault, Fault::NeverEnds(_)) {
            prop_assert_eq!(found.len(), count, "{:?}", walk);
        }
    }
}
