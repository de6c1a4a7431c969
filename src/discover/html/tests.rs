use super::*;
use crate::discover::{Draft, discover};
use crate::http::header::{HeaderMap, HeaderValue};

fn answer(body: &str) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    Answer {
        url: "https://site.example/news/".parse().expect("an address"),
        status: 200,
        headers,
        body: body.to_owned().into(),
    }
}

fn draft(body: &str) -> Draft {
    discover(&answer(body), None).unwrap_or_else(|error| panic!("{error}\n{body}"))
}

fn repeated(count: usize, of: &str) -> String {
    (1..=count).map(|number| of.replace('#', &number.to_string())).collect()
}

/// Wraps contents in a page like those that people read.
fn page(contents: &str) -> String {
    let menu = repeated(9, "<li class='menu-item'><a href='/section/#'>Section of the site number #</a></li>");
    let links = repeated(12, "<li><a href='/about/#'>Something about us, number #, that nobody reads</a></li>");
    format!(
        "<!doctype html><html><head><title>News</title><script>var x = 1;</script></head><body>\
         <header><ul>{menu}</ul></header><main>{contents}</main>\
         <div class='pagination'><a href='?page=1'>1</a><a href='?page=2'>2</a><a href='?page=3'>3</a></div>\
         <footer><ul>{links}</ul></footer></body></html>"
    )
}

/// Looks at a page: the selector of its items, how many there are, its fields, and the key.
#[track_caller]
fn check(body: &str, expected: &str) {
    let draft = draft(body);
    let text = |path: &str| match draft.setting(path) {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => "none".to_owned(),
    };
    let shown = format!(
        "{} ({}) {} key {}",
        text("response.html.items"),
        draft.items,
        text("response.html.fields"),
        text("item.key")
    );
    assert_eq!(shown, expected, "{body}");
    it_loads(&draft);
}

/// Writes a value as TOML has it on one line.
fn toml(value: &Value) -> String {
    let Value::Object(members) = value else { return value.to_string() };
    let members = members.iter().map(|(name, value)| format!("{name:?} = {}", toml(value)));
    format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
}

fn it_loads(draft: &Draft) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.toml");
    let mut text = "[connectors.x]\nrequest.url = \"https://site.example/news/\"\n".to_owned();
    for Setting { path, value } in draft.findings.iter().flat_map(|finding| &finding.settings) {
        text.extend([path.as_str(), " = ", &toml(value), "\n"]);
    }
    std::fs::write(&path, &text).expect("a file");
    if let Err(mistakes) = crate::config::load(&path, &crate::config::Environment::default()) {
        panic!("{text}\n{mistakes}");
    }
}

#[test]
fn articles_are_items() {
    let articles = repeated(
        8,
        "<article class='post-card'><h2><a href='/news/#'>What happened on day #</a></h2>\
        <time datetime='2026-11-0#T10:00:00Z'>day #</time><p>A longer text that says what happened on that day.</p>\
        <a class='tag' href='/tag/a'>a</a><a class='tag' href='/tag/b'>b</a></article>",
    );
    check(
        &page(&articles),
        r#"article.post-card (8) {"url":{"select":"h2 a","attribute":"href"},"title":"h2","date":{"select":"time","attribute":"datetime"},"text":"p"} key .url"#,
    );
}

#[test]
fn a_list_without_classes_is_found_by_what_it_is_in() {
    let list = format!(
        "<ul id='releases'>{}</ul>",
        repeated(12, "<li><a href='/release/1.#'>Release 1.# of the product</a> on a good day</li>")
    );
    check(&page(&list), r#"#releases > li (12) {"url":{"select":"a","attribute":"href"},"title":"a"} key .url"#);
}

#[test]
fn rows_with_a_class_are_told_from_those_between_them() {
    let rows = repeated(
        30,
        "<tr class='athing submission' id='4200#'><td><span class='rank'>#.</span></td><td class='votelinks'><a id='up_#' href='vote?id=#'><div class='votearrow'></div></a></td><td class='title'>\
        <span class='titleline'><a href='https://example.com/story/#'>A story that everybody reads, number #</a> \
        <span class='sitebit'>(<a href='from?site=example.com'>example.com</a>)</span></span></td></tr>\
        <tr><td colspan='2'></td><td class='subtext'># points by <a class='hnuser' href='user?id=u#'>u#</a></td></tr>\
        <tr class='spacer'></tr>",
    );
    check(
        &page(&format!("<table>{rows}</table>")),
        r#"tr.athing (30) {"url":{"select":".titleline > a","attribute":"href"},"title":".titleline > a"} key .url"#,
    );
}

#[test]
fn cards_that_are_links_are_items() {
    let cards = repeated(
        6,
        "<a class='card px-4' href='/jobs/#'><h3>Engineer number #</h3><span class='location'>Rome</span>\
        <span class='posted-date'>2026-11-0#</span></a>",
    );
    check(
        &page(&format!("<div class='grid'>{cards}</div>")),
        r#"a.card (6) {"url":{"attribute":"href"},"title":"h3","date":".posted-date"} key .url"#,
    );
}

#[test]
fn tables_have_the_names_of_their_columns() {
    let rows = repeated(5, "<tr><td>Product #</td><td><a href='/p/#'>1.#</a></td><td>2026-11-0#</td></tr>");
    let with_head = format!(
        "<table id='versions'><thead><tr><th>Name</th><th>Latest Version</th><th>Date</th></tr></thead><tbody>{rows}</tbody></table>"
    );
    let fields = r#"{"name":":scope > :nth-child(1)","latest_version":":scope > :nth-child(2)","date":":scope > :nth-child(3)","url":{"select":":scope > :nth-child(2) a","attribute":"href"}}"#;
    check(&page(&with_head), &format!("table#versions tbody tr (5) {fields} key .url"));
    let without =
        format!("<table class='list'><tr><th>Name</th><th>Latest Version</th><th>Date</th></tr>{rows}</table>");
    check(&page(&without), &format!("table.list tr:not(:first-child) (5) {fields} key .url"));
}

#[test]
fn items_without_links_have_an_id_or_their_title() {
    let incidents = repeated(
        4,
        "<div class='incident' data-id='x#'><h4>Incident #</h4><p>It was solved on day # of this month.</p></div>",
    );
    check(&page(&incidents), r#"div.incident (4) {"id":{"attribute":"data-id"},"title":"h4","text":"p"} key .id"#);
}

#[test]
fn a_link_to_the_second_page_tells_how_pages_are_numbered() {
    let list = |count| {
        format!("<ul id='releases'>{}</ul>", repeated(count, "<li><a href='/release/1.#'>Release 1.# of it</a></li>"))
    };
    let paging = |body: &str| {
        let draft = draft(body);
        it_loads(&draft);
        let finding = draft.about(About::Paging).expect("it is told").clone();
        let settings = finding.settings.iter().map(|setting| format!("{}={}", setting.path, setting.value));
        (settings.collect::<Vec<_>>().join(" "), finding.sureness)
    };
    let numbered = "pagination.page.param=\"page\" pagination.page.stop=\"known\"".to_owned();
    assert_eq!(paging(&page(&list(10))), (numbered, Sureness::Likely));
    let without = |count| page(&list(count)).replace("?page=", "/elsewhere?page=");
    assert_eq!(paging(&without(10)), (String::new(), Sureness::Doubtful), "ten of them may not be all");
    assert_eq!(paging(&without(9)), (String::new(), Sureness::Likely));
}

#[test]
fn a_page_without_a_list_says_so() {
    let error = |body: &str| discover(&answer(body), None).expect_err("no list").to_string();
    let rendered = "<!doctype html><html><body><div id='root'></div><script src='/app.js'></script></body></html>";
    assert!(error(rendered).contains("scripts fetch in the browser"), "{}", error(rendered));
    let prose = format!(
        "<!doctype html><html><body><h1>About</h1>{}</body></html>",
        "<p>A long text about the company.</p>".repeat(30)
    );
    assert!(error(&prose).contains("without elements that repeat"), "{}", error(&prose));
    let sign_in =
        "<!doctype html><form><input name='user'><input type='Password' name='secret'></form><script></script>";
    assert!(error(sign_in).contains("a page to sign in at"), "{}", error(sign_in));
    assert!(error("<!doctype html>").contains("without elements that repeat"));
}

#[test]
fn advertised_feeds_are_found_with_their_titles() {
    let body = "<!doctype html><head><base href='https://cdn.example/'>\
        <link rel='alternate' type='application/rss+xml' title=' My\n Blog ' href='/feed.xml'>\
        <link rel='ALTERNATE home' type='application/atom+xml; charset=utf-8' href='https://b.example/atom'>\
        <link rel='alternate' type='application/feed+json' href='feed.json'><link rel=alternate hreflang=fr href=/fr>\
        <link rel='stylesheet' type='application/rss+xml' href='/x'><link rel='alternate' type='application/json' href='/wp-json/1'>\
        <link rel='alternate' type='application/rss+xml' href='/feed.xml'><link rel='alternate' type='application/rss+xml' href='javascript:x'>";
    let url: Url = "https://blog.example/".parse().expect("an address");
    let feeds = advertised_feeds(&url, body.as_bytes());
    let shown: Vec<(&str, &str)> = feeds.iter().map(|(url, title)| (url.as_str(), title.as_str())).collect();
    assert_eq!(
        shown,
        [
            ("https://cdn.example/feed.xml", "My Blog"),
            ("https://b.example/atom", ""),
            ("https://cdn.example/feed.json", "")
        ]
    );
    assert_eq!(advertised_feeds(&url, b"{}"), []);
}

proptest::proptest! {
    #[test]
    fn odd_pages_do_no_harm(parts in proptest::collection::vec("(<(div|tr|td|li|a|table|th|h2|time)( class='[a-z: ]{0,6}')?( href='[a-z#?]{0,4}')?>|</(div|tr|li|a|table)>|[a-z ]{0,30})", 0..60)) {
        let body = format!("<!doctype html>{}", parts.concat());
        drop(discover(&answer(&body), None));
        advertised_feeds(&answer("").url, body.as_bytes());
    }
}
