//! Pages that are asked for by address, token, number and offset, in queries and bodies.

use pollhook::model::item::Completeness;
use pollhook::poll::PollOutcome;

use crate::source::{Reply, Request, Source};
use crate::world::World;

const SEND: &str = "changes.first_poll = \"send\"\nresponse.items = \".items[]\"\n";

/// Returns what a request's query says under this name.
fn asked(request: &Request, name: &str) -> Option<String> {
    let query = request.target.split_once('?')?.1;
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

fn number(request: &Request, name: &str) -> usize {
    asked(request, name).map_or(0, |text| text.parse().expect("a number"))
}

/// Returns so many of the items 1 to 5, from a place on.
fn items(start: usize, size: usize) -> String {
    let items: Vec<String> = (1..=5).skip(start).take(size).map(|id| format!(r#"{{"id":{id}}}"#)).collect();
    format!("[{}]", items.join(","))
}

/// Polls a source of five items and says what was asked.
async fn check(rules: &str, respond: impl FnMut(&Request) -> Reply + Send + 'static, expected: &[&str]) {
    let world = World::new(&format!("{SEND}{rules}\n"), respond).await;
    let report = world.poll().await;
    assert_eq!(report.outcome, PollOutcome::Compared(Completeness::Complete), "{:?}", report.notes);
    assert_eq!(report.changes.created, 5);
    let requests = world.source.take_requests();
    let shown: Vec<String> = requests.iter().map(|request| format!("{}{}", request.target, request.body)).collect();
    assert_eq!(shown, expected);
    // The same pages again are known to be the same.
    let report = world.poll().await;
    assert_eq!(report.outcome, PollOutcome::Unchanged);
    assert_eq!(world.source.take_requests().len(), expected.len());
}

#[tokio::test]
async fn every_style_finds_all_items() {
    check(
        "pagination.next_url.value = \".next\"",
        |request| {
            let start = number(request, "from");
            let next = if start < 4 { format!(r#""items?from={}""#, start + 2) } else { "null".to_owned() };
            Reply::json(format!(r#"{{"items":{},"next":{next}}}"#, items(start, 2)))
        },
        &["/items", "/items?from=2", "/items?from=4"],
    )
    .await;
    check(
        "pagination.next_url.header = \"Next-Page\"",
        |request| {
            let start = number(request, "from");
            let reply = Reply::json(format!(r#"{{"items":{}}}"#, items(start, 2)));
            if start < 4 { reply.with("next-page", format!("/items?from={}", start + 2)) } else { reply }
        },
        &["/items", "/items?from=2", "/items?from=4"],
    )
    .await;
    check(
        "pagination.cursor = { header = \"Next-Page\", param = \"token\" }",
        |request| {
            let start = number(request, "token");
            let reply = Reply::json(format!(r#"{{"items":{}}}"#, items(start, 2)));
            if start < 4 { reply.with("next-page", (start + 2).to_string()) } else { reply }
        },
        &["/items", "/items?token=2", "/items?token=4"],
    )
    .await;
    check(
        "request.query = { page = 0, sort = \"id\" }\npagination.page = { param = \"page\", size = 2, size_param = \"n\" }",
        |request| Reply::json(format!(r#"{{"items":{}}}"#, items(2 * (number(request, "page") - 1), 2))),
        &["/items?sort=id&n=2&page=1", "/items?sort=id&n=2&page=2", "/items?sort=id&n=2&page=3"],
    )
    .await;
    check(
        "pagination.offset = { param = \"skip\", size = 3, overlap = 1, total = \".total\" }",
        |request| Reply::json(format!(r#"{{"items":{},"total":"5"}}"#, items(number(request, "skip"), 3))),
        &["/items?skip=0", "/items?skip=2"],
    )
    .await;
}

#[tokio::test]
async fn graphql_is_walked_through_its_variables() {
    let rules = r#"
        request.method = "POST"
        request.body = { query = "{ orders }", variables = { first = 3 } }
        pagination.cursor = { token = ".page.end", more = ".page.more", in = "body", param = "variables.after" }
    "#;
    let respond = |request: &Request| {
        let start = if request.body.contains("after") { 3 } else { 0 };
        let more = start == 0;
        Reply::json(format!(r#"{{"items":{},"page":{{"end":{},"more":{more}}}}}"#, items(start, 3), start + 3))
    };
    let expected = [
        r#"/items{"query":"{ orders }","variables":{"first":3}}"#,
        r#"/items{"query":"{ orders }","variables":{"first":3,"after":3}}"#,
    ];
    check(rules, respond, &expected).await;
}

#[tokio::test]
async fn a_continuation_of_several_parameters_is_followed() {
    let rules = "request.query.action = \"query\"\npagination.cursor = { token = \".continue\", param = \"continue\" }";
    let respond = |request: &Request| {
        let start = number(request, "rcstart");
        let next = if start < 4 {
            format!(r#","continue":{{"rcstart":{},"continue":"-||"}}"#, start + 4)
        } else {
            String::new()
        };
        Reply::json(format!(r#"{{"items":{}{next}}}"#, items(start, 4)))
    };
    check(rules, respond, &["/items?action=query", "/items?action=query&rcstart=4&continue=-%7C%7C"]).await;
}

#[tokio::test]
async fn another_origin_is_refused_unless_it_is_allowed_and_gets_no_credentials() {
    let elsewhere = Source::start(|_| Reply::json(r#"{"items":[{"id":2}]}"#)).await;
    let next = elsewhere.url("/more");
    let auth =
        "auth.bearer.token = { env = \"TOKEN\" }\nrequest.headers = { X-Key = \"s3cret-token\", X-Plain = \"x\" }\n";
    let rules = format!("{SEND}{auth}pagination.next_url = {{ value = \".next\" }}");
    let mut world =
        World::new(&rules, move |_| Reply::json(format!(r#"{{"items":[{{"id":1}}],"next":"{next}"}}"#))).await;
    let failure = world.failure().await.replace(&elsewhere.url(""), "ELSEWHERE");
    insta::assert_snapshot!(failure, @"connector orders: SOURCE/items: the next page is on ELSEWHERE, which is not where the first one is (SOURCE), and is not asked for; if that is right, allow it with `pagination.next_url.origins = [\"ELSEWHERE\"]`: it gets no credentials");
    assert_eq!(elsewhere.take_requests().len(), 0);

    world.edit(&rules.replace("\".next\"", &format!("\".next\", origins = [\"{}\"]", elsewhere.url(""))));
    assert_eq!(world.changes().await, ["created 1", "created 2"]);
    let asked = elsewhere.take_requests();
    assert_eq!(asked[0].header("x-plain"), Some("x"));
    assert!(!format!("{asked:?}").contains("s3cret"), "{asked:?}");
}

#[tokio::test]
async fn rows_that_move_while_they_are_read_remove_nothing() {
    let rules = "changes.lists = \"everything\"\nchanges.events = [\"created\", \"removed\"]\nresponse.items = \".items[]\"\n\
                 pagination.offset = { param = \"o\", size = 2, overlap = 1 }\n";
    let all = |request: &Request| Reply::json(format!(r#"{{"items":{}}}"#, items(number(request, "o"), 2)));
    let world = World::new(rules, all).await;
    assert_eq!(world.changes().await, [""; 0]);
    // While pages are read, 1 goes, so that 3 comes to stand where nobody looks for it.
    world.source.respond(move |request| match number(request, "o") {
        0 => Reply::json(r#"{"items":[{"id":1},{"id":2}],"at":1}"#),
        offset => Reply::json(format!(r#"{{"items":{},"at":{offset}}}"#, items(offset + 2, 2))),
    });
    let report = world.poll().await;
    assert_eq!(report.outcome, PollOutcome::Compared(Completeness::Truncated));
    assert_eq!(report.notes[0], "paging stopped: rows moved before page 2 was read, so that some may have been missed");
    assert_eq!(report.changes.removed, 0);
    world.source.respond(|request| Reply::json(format!(r#"{{"items":{}}}"#, items(number(request, "o") + 1, 2))));
    assert_eq!(world.changes().await, [""; 0], "one poll of several pages proves no removal");
    assert_eq!(world.changes().await, ["removed 1"]);
}
