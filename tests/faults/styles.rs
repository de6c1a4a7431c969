//! Pages by token, address, number and offset that do not come as they should.

use crate::source::{Reply, Request};
use crate::trial::{Respond, Trial};

/// What the source has in truth, two on a page.
const TRUTH: &str = r#"[{"id":1,"state":"open"},{"id":2,"state":"open"},{"id":9,"state":"open"}]"#;

const TOKEN: &str = "pagination.cursor = { token = \".next\", param = \"at\", max_pages = 6 }";
const ADDRESS: &str = "pagination.next_url = { value = \".next\", max_pages = 6 }";
const NUMBER: &str = "pagination.page = { param = \"at\", size = 2, max_pages = 6 }";
const TOTAL: &str = "pagination.page = { param = \"at\", total_pages = \".pages\", max_pages = 6 }";
const MORE: &str = "pagination.page = { param = \"at\", more = \".next\", max_pages = 6 }";
const OFFSET: &str = "pagination.offset = { param = \"at\", size = 2, total = \".total\", max_pages = 6 }";

pub fn trials() -> Vec<Trial> {
    let mut trials = tokens();
    trials.extend(addresses());
    trials.extend(numbers());
    trials.extend(offsets());
    trials
}

fn tokens() -> Vec<Trial> {
    vec![
        ill(TOKEN, "a token that stays the same", |at| page(at, "\"a\"")),
        ill(TOKEN, "two tokens that lead to each other", |at| page(at, if at == "a" { "\"b\"" } else { "\"a\"" })),
        ill(TOKEN, "tokens without end, for the same items", |at| first(&format!("\"{at}x\""))),
        ill(TOKEN, "tokens without end, for nothing", |at| format!(r#"{{"items":[],"next":"{at}x"}}"#)),
        ill(TOKEN, "a token that is a list", |_| first("[1,2]")),
        ill(TOKEN, "a token that is true", |at| page(at, if at.is_empty() { "true" } else { "null" })),
        ill(TOKEN, "a token that is a number", |at| page(at, if at.is_empty() { "17.0" } else { "null" })),
        ill(TOKEN, "a token of 100 kB", |at| page(at, &format!("\"{}\"", "x".repeat(100_000)))),
        ill(TOKEN, "a token that is forgotten on the way", |at| match at {
            "" => first("\"a\""),
            _ => r#"{"error":"unknown token"}"#.to_owned(),
        }),
        ill(TOKEN, "a token where there is nothing more", |at| match at {
            "" => first("\"a\""),
            "a" => second("\"b\""),
            _ => r#"{"items":[]}"#.to_owned(),
        }),
    ]
}

fn addresses() -> Vec<Trial> {
    vec![
        ill(ADDRESS, "the address of this page", |at| page(at, "\"/items\"")),
        ill(ADDRESS, "an address with nothing but a query", |at| {
            page(at, if at.is_empty() { "\"?at=2\"" } else { "null" })
        }),
        ill(ADDRESS, "an address that is a number", |_| first("2")),
        ill(ADDRESS, "an address on another origin", |_| first("\"http://127.0.0.1:1/items\"")),
        ill(ADDRESS, "an address that is a file", |_| first("\"file:///etc/passwd\"")),
        ill(ADDRESS, "an address with a password", |_| first("\"http://me:s3cret@127.0.0.1:1/\"")),
    ]
}

fn numbers() -> Vec<Trial> {
    vec![
        ill(NUMBER, "the first page whatever the number", |_| first("null")),
        ill(NUMBER, "the last page for all numbers behind it", |at| if at == "1" { first("null") } else { last() }),
        ill(NUMBER, "fewer items on a page than promised", |at| match at {
            "1" => r#"{"items":[{"id":1,"state":"open"}]}"#.to_owned(),
            "2" => r#"{"items":[{"id":2,"state":"open"}]}"#.to_owned(),
            "3" => r#"{"items":[{"id":9,"state":"open"}]}"#.to_owned(),
            _ => r#"{"items":[]}"#.to_owned(),
        }),
        ill(NUMBER, "more items on a page than promised", |_| format!(r#"{{"items":{TRUTH}}}"#)),
        trial(NUMBER, "404 behind the last page", |at| match at {
            "1" => Reply::json(first("null")),
            "2" => Reply::json(r#"{"items":[{"id":9,"state":"open"},{"id":9,"state":"open"}]}"#),
            _ => Reply::of(404, "no such page"),
        }),
        ill(TOTAL, "a number of pages that is too small", |_| {
            first("null").replace("\"next\"", "\"pages\":1,\"next\"")
        }),
        ill(TOTAL, "a number of pages that is too large", |at| {
            let items = match at {
                "1" => first("null"),
                "2" => second("null"),
                _ => r#"{"items":[],"next":null}"#.to_owned(),
            };
            items.replace("\"next\"", "\"pages\":1000000,\"next\"")
        }),
        ill(TOTAL, "a number of pages that is missing", |_| first("null")),
        ill(TOTAL, "a number of pages that is text", |at| {
            page_of_number(at).replace("\"next\"", "\"pages\":\"2\",\"next\"")
        }),
        ill(TOTAL, "a number of pages that is negative", |_| {
            first("null").replace("\"next\"", "\"pages\":-1,\"next\"")
        }),
        ill(MORE, "more and more, of nothing", |at| {
            if at == "1" { first("true") } else { r#"{"items":[],"next":true}"#.to_owned() }
        }),
        ill(MORE, "nothing that says whether there is more", |_| {
            r#"{"items":[{"id":1,"state":"open"},{"id":2,"state":"open"}]}"#.to_owned()
        }),
    ]
}

fn offsets() -> Vec<Trial> {
    let at_offset = |at: &str, total: &str| {
        let items = match at {
            "0" => first("null"),
            "2" => second("null"),
            _ => r#"{"items":[],"next":null}"#.to_owned(),
        };
        items.replace("\"next\"", &format!("\"total\":{total},\"next\""))
    };
    vec![
        ill(OFFSET, "a total that is true", move |at| at_offset(at, "3")),
        ill(OFFSET, "a total that is too large", move |at| at_offset(at, "1000")),
        ill(OFFSET, "a total that is too small", move |at| at_offset(at, "2")),
        ill(OFFSET, "a total of none, with items", move |at| at_offset(at, "0")),
        ill(OFFSET, "a total that is null", move |at| at_offset(at, "null")),
        ill(OFFSET, "the first page whatever the offset", |_| {
            first("null").replace("\"next\"", "\"total\":9,\"next\"")
        }),
    ]
}

/// A source whose answer depends on where in the list it is asked to begin.
fn ill(style: &str, name: &'static str, answer: impl Fn(&str) -> String + Send + 'static) -> Trial {
    trial(style, name, move |at| Reply::json(answer(at)))
}

fn trial(style: &str, name: &'static str, answer: impl Fn(&str) -> Reply + Send + 'static) -> Trial {
    let rules = format!("{style}\nresponse.items = \".items[]\"\nresponse.error = \".error?\"");
    Trial::new(name, move |request| answer(at(request))).rules(&rules).truth(TRUTH).well(in_pages)
}

/// A source that has its items on pages of two, and says all that any style asks for.
fn in_pages(listing: &'static str) -> Respond {
    let items: Vec<serde_json::Value> = serde_json::from_str(listing).expect("a listing");
    let whole = serde_json::json!({ "items": items, "next": null, "pages": 1, "total": items.len() }).to_string();
    Box::new(move |request| match at(request) {
        "" | "0" | "1" => Reply::json(whole.clone()),
        _ => Reply::json(r#"{"items":[],"next":null,"pages":1,"total":2}"#),
    })
}

fn at(request: &Request) -> &str {
    request.target.split_once("at=").map_or("", |(_, at)| at)
}

/// The first page for whoever has no token yet, and then the second.
fn page(at: &str, next: &str) -> String {
    if at.is_empty() { first(next) } else { second(next) }
}

fn page_of_number(at: &str) -> String {
    if at == "1" { first("null") } else { second("null") }
}

fn first(next: &str) -> String {
    format!(r#"{{"items":[{{"id":1,"state":"open"}},{{"id":2,"state":"open"}}],"next":{next}}}"#)
}

fn second(next: &str) -> String {
    format!(r#"{{"items":[{{"id":9,"state":"open"}}],"next":{next}}}"#)
}

fn last() -> String {
    r#"{"items":[{"id":2,"state":"open"},{"id":9,"state":"open"}]}"#.to_owned()
}
