//! Pages that lead nowhere, in circles, or elsewhere.

use std::fmt::Write as _;

use crate::source::{Fault, Reply, Request, Source};
use crate::trial::{BEFORE, Respond, Trial};

const LINK: &str = "pagination.link.max_pages = 6";

/// The first page of two, and what both have in truth when the second one fails.
const FIRST: &str = r#"[{"id":1,"state":"open"},{"id":9,"state":"open"}]"#;
const BOTH: &str = r#"[{"id":1,"state":"open"},{"id":2,"state":"open"},{"id":9,"state":"open"}]"#;

pub async fn trials() -> Vec<Trial> {
    let mut trials = circles();
    trials.extend(broken_later());
    trials.extend(shifting());
    trials.extend(elsewhere().await);
    trials
}

fn circles() -> Vec<Trial> {
    let leads_to = |name, next: fn(usize) -> usize| {
        paged(name, move |number, _| Reply::json(item(number)).with("link", link(next(number)))).truth(MANY)
    };
    vec![
        leads_to("each page leads to itself", |number| number),
        leads_to("two pages lead to each other", |number| 3 - number),
        leads_to("the last page leads to the second", |number| if number == 4 { 2 } else { number + 1 }),
        leads_to("pages without end", |number| number + 1),
        paged("the same items at ever new addresses", |number, _| Reply::json(BEFORE).with("link", link(number + 1))),
        paged("empty pages without end", |number, _| Reply::json("[]").with("link", link(number + 1))),
        paged("ever longer addresses", |_, request| {
            Reply::json(BEFORE).with("link", format!("<{}x>; rel=next", request.target))
        }),
    ]
}

/// What a source of as many pages as are read has.
const MANY: &str = r#"[{"id":1,"state":"open"},{"id":2,"state":"open"},{"id":3,"state":"open"},{"id":4,"state":"open"},{"id":5,"state":"open"},{"id":6,"state":"open"}]"#;

fn broken_later() -> Vec<Trial> {
    let second = |name, reply: fn() -> Reply| {
        paged(name, move |number, _| match number {
            1 => Reply::json(FIRST).with("link", link(2)),
            _ => reply(),
        })
        .truth(BOTH)
    };
    vec![
        second("the second page is not found", || Reply::of(404, "")),
        second("the second page fails", || Reply::of(500, "")),
        second("the second page is closed without an answer", || Reply::fault(Fault::Close)),
        second("the second page breaks off", || Reply { fault: Fault::CutAfter(9), ..Reply::json(BEFORE) }),
        second("the second page is for people", || Reply::of(200, "<html>").with("content-type", "text/html")),
        second("the second page is null", || Reply::json("null")),
        second("the second page is empty", || Reply::json("")),
        second("the second page has an item without a key", || Reply::json(r#"[{"state":"open"}]"#)),
        second("the second page is too large", || Reply::json(format!("[{}]", " ".repeat(100_000))))
            .rules("request.max_body = \"64KiB\""),
        second("the second page is refused for two minutes", || Reply::of(429, "").with("retry-after", "120"))
            .standing_still(),
        paged("the first page fails, the second would not", |number, _| match number {
            1 => Reply::of(404, ""),
            _ => Reply::json(BEFORE),
        }),
    ]
}

fn shifting() -> Vec<Trial> {
    // One item a page; a request for page `number` is answered from a list that has moved on since the last request.
    let sliding = |name, page: fn(usize) -> &'static str, pages: usize| {
        paged(name, move |number, _| {
            let reply = Reply::json(page(number));
            if number < pages { reply.with("link", link(number + 1)) } else { reply }
        })
    };
    vec![
        sliding(
            "an item that is on two pages, because one came in before it",
            |number| match number {
                1 => r#"[{"id":1,"state":"open"}]"#,
                2 => r#"[{"id":1,"state":"open"}]"#,
                _ => r#"[{"id":2,"state":"open"}]"#,
            },
            3,
        ),
        sliding(
            "an item that is on no page, because one before it was removed",
            |number| if number == 1 { r#"[{"id":1,"state":"open"}]"# } else { "[]" },
            2,
        )
        .rules("changes.removed_after = 2"),
        sliding(
            "an empty page before the last one",
            |number| match number {
                1 => r#"[{"id":1,"state":"open"}]"#,
                2 => "[]",
                _ => r#"[{"id":2,"state":"open"}]"#,
            },
            3,
        ),
    ]
}

async fn elsewhere() -> Vec<Trial> {
    let other = Source::start(|_| Reply::json(r#"[{"id":2,"state":"open"}]"#)).await;
    let next_is = |name, next: &str| {
        let next = format!("<{next}>; rel=\"next\"");
        paged(name, move |number, _| match number {
            1 => Reply::json(FIRST).with("link", next.clone()),
            _ => panic!("there are no more pages"),
        })
        .truth(BOTH)
    };
    let malformed = |name, value: &'static str| paged(name, move |_, _| Reply::json(BEFORE).with("link", value));
    vec![
        next_is("the next page is on another origin", &other.url("/items?page=2")).keeping(other),
        next_is("the next page is a file", "file:///etc/passwd"),
        next_is("the next page is no address", "http://[::1"),
        next_is("the next page is a script", "javascript:alert(1)"),
        malformed("a link without an end", "</items?page=2; rel=\"next\""),
        malformed("a link without a target", "<>; rel=\"next\""),
        malformed("a link that is not about this page", "</items?page=2>; rel=\"next\"; anchor=\"/other\""),
        paged("a thousand links", |_, _| {
            let mut links = String::new();
            for number in 0..1000 {
                write!(links, "</items?page={number}>; rel=\"item\", ").expect("a string takes it");
            }
            Reply::json(BEFORE).with("link", links)
        }),
    ]
}

/// A source whose pages follow each other by Link headers. Well, it has one.
fn paged(name: &'static str, mut page: impl FnMut(usize, &Request) -> Reply + Send + 'static) -> Trial {
    let respond: Respond = Box::new(move |request| {
        let number = request.target.split_once("page=").map_or(1, |(_, number)| number.parse().unwrap_or(1));
        page(number, request)
    });
    Trial::new(name, respond).rules(LINK)
}

fn link(number: usize) -> String {
    format!("</items?page={number}>; rel=\"next\"")
}

fn item(number: usize) -> String {
    format!("[{{\"id\":{number},\"state\":\"open\"}}]")
}
