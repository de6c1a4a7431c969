//! Following links from page to page, and redirects from place to place.

use pollhook::model::item::Completeness;
use pollhook::poll::PollOutcome;

use crate::source::{Reply, Request, Source};
use crate::world::World;

const LINK: &str = "pagination.link = { max_pages = 4 }\nchanges.first_poll = \"send\"\n";

/// Page `n` has item `n` and leads where `next` says.
fn pages(next: impl Fn(u32) -> Option<String> + Send + 'static) -> impl FnMut(&Request) -> Reply + Send + 'static {
    move |request| {
        let number = request.target.split_once("page=").map_or(1, |(_, number)| number.parse().expect("a number"));
        let reply = Reply::json(format!(r#"[{{"id":{number}}}]"#));
        match next(number) {
            Some(next) => reply.with("Link", "</first>; rel=\"first\"").with("Link", format!("<{next}>; rel=\"next\"")),
            None => reply,
        }
    }
}

#[tokio::test]
async fn links_are_followed_to_the_last_page() {
    let world = World::new(LINK, pages(|number| (number < 3).then(|| format!("?page={}#x", number + 1)))).await;
    let report = world.poll().await;
    assert_eq!((report.outcome, report.pages, report.items), (PollOutcome::Compared(Completeness::Complete), 3, 3));
    assert_eq!(world.asked(), ["/items", "/items?page=2", "/items?page=3"]);
}

#[tokio::test]
async fn paging_stops_at_max_pages_and_says_so() {
    let world = World::new(LINK, pages(|number| Some(format!("?page={}", number + 1)))).await;
    let report = world.poll().await;
    assert_eq!((report.outcome, report.pages), (PollOutcome::Compared(Completeness::Truncated), 4));
    let warning =
        "paging stopped: there are more than 4 pages (max_pages); what follows is not read, unless you raise it";
    assert_eq!(report.notes, [warning]);
    assert_eq!(world.state().await.expect("it was polled").warnings, [warning]);
}

#[tokio::test]
async fn pages_that_go_in_a_circle_are_left_and_told() {
    let check = async |next: fn(u32) -> Option<String>, expected: &str, asked: usize| {
        let world = World::new(LINK, pages(next)).await;
        let report = world.poll().await;
        assert_eq!(report.outcome, PollOutcome::Compared(Completeness::Truncated));
        assert_eq!(report.notes[0], expected);
        assert_eq!(world.asked().len(), asked);
    };
    check(|_| Some("/items".to_owned()), "paging stopped: page 1 leads back to page 1", 1).await;
    check(|_| Some("?page=2".to_owned()), "paging stopped: page 2 leads back to page 2", 2).await;
    check(|number| Some(format!("?page={}", 5 - number)), "paging stopped: page 3 shows the same as page 1", 3).await;
}

#[tokio::test]
async fn a_page_that_fails_ends_the_poll_but_not_what_came_before() {
    let rules = "pagination.link = {}\nchanges.lists = \"everything\"\nchanges.events = [\"created\", \"removed\"]\n";
    let world = World::new(rules, pages(|number| (number < 2).then(|| "?page=2".to_owned()))).await;
    let broken = |items: &'static str| {
        move |request: &Request| match request.target.as_str() {
            "/items" => Reply::json(items).with("link", "<?page=2>; rel=next"),
            _ => Reply::of(404, "gone"),
        }
    };
    world.source.respond(broken(r#"[{"id":1}]"#));
    let report = world.poll().await;
    assert!(matches!(report.outcome, PollOutcome::Partial(_)), "{report:?}");
    assert_eq!(world.memory().await.matches("key_hash").count(), 0, "nothing is recorded before there is a baseline");

    world.source.respond(pages(|number| (number < 2).then(|| "?page=2".to_owned())));
    assert_eq!(world.changes().await, [""; 0]);
    world.source.respond(broken(r#"[{"id":3}]"#));
    let report = world.poll().await;
    insta::assert_snapshot!(world.failure_of(&report), @"connector orders: SOURCE/items?page=2: the source answered 404 Not Found (check the connector's `request.url` and params); it begins: gone");
    assert_eq!(report.changes.created, 1, "3 is new, whatever else there is");
    assert_eq!(report.changes.removed, 0, "1 and 2 may be on the page that failed");
    assert_eq!(world.state().await.expect("it was polled").failures, 1);

    // The first page is again as it was at the last complete poll, but what is remembered of items is newer.
    world.source.respond(pages(|number| (number < 2).then(|| "?page=2".to_owned())));
    assert_eq!(world.changes().await, [""; 0], "rows may have moved from page to page");
    assert_eq!(world.changes().await, ["removed 3"]);
}

#[tokio::test]
async fn redirects_are_followed_a_few_times() {
    let world = World::new("changes.first_poll = \"send\"", |request| match request.target.as_str() {
        "/items" => Reply::of(302, "").with("location", "/a"),
        "/a" => Reply::of(308, "").with("location", "b?x=1"),
        _ => Reply::json(r#"[{"id":1}]"#),
    })
    .await;
    assert_eq!(world.changes().await, ["created 1"]);
    assert_eq!(world.asked(), ["/items", "/a", "/b?x=1"]);
    world.source.respond(|_| Reply::of(301, "").with("location", "/items"));
    insta::assert_snapshot!(world.failure().await, @"connector orders: SOURCE/items: the redirect goes in a circle: it leads back to SOURCE/items");
    world.source.respond(|request| Reply::of(301, "").with("location", format!("{}x", request.target)));
    insta::assert_snapshot!(world.failure().await, @"connector orders: SOURCE/items: the redirect is one of more than 5 in a row");
    world.source.respond(|_| Reply::of(301, "").with("location", "ftp://example.com/"));
    insta::assert_snapshot!(world.failure().await, @"connector orders: SOURCE/items: the redirect (301) leads to no web address");
}

#[tokio::test]
async fn secrets_do_not_go_to_another_origin() {
    let check = async |auth: &str, kept: fn(&Request) -> bool| {
        let elsewhere = Source::start(|_| Reply::json(r#"[{"id":1}]"#)).await;
        let target = elsewhere.url("/elsewhere");
        let rules = format!("changes.first_poll = \"send\"\nrequest.headers = {{ X-Plain = \"x\" }}\n{auth}");
        let world = World::new(&rules, move |request| match request.target.split('?').next() {
            Some("/items") => Reply::of(307, "").with("location", "/here"),
            _ => Reply::of(307, "").with("location", target.clone()),
        })
        .await;
        assert_eq!(world.changes().await, ["created 1"]);
        let at_home = world.source.take_requests();
        assert_eq!(at_home.len(), 2);
        assert!(at_home.iter().all(kept), "{at_home:?}");
        let gone = elsewhere.take_requests();
        assert_eq!(gone[0].header("x-plain"), Some("x"));
        assert!(!format!("{gone:?}").contains("s3cret"), "{gone:?}");
        assert!(!format!("{gone:?}").contains("bWU6"), "{gone:?}");
    };
    let authorized = |request: &Request| request.header("authorization").is_some();
    check("auth.bearer.token = { env = \"TOKEN\" }", authorized).await;
    check("auth.basic = { username = \"me\", password = { env = \"TOKEN\" } }", authorized).await;
    check("auth.header = { name = \"X-Key\", value = { env = \"TOKEN\" } }", |request| {
        request.header("x-key") == Some("s3cret-token")
    })
    .await;
    check("auth.query = { name = \"key\", value = { env = \"TOKEN\" } }", |request| {
        request.target.ends_with("?key=s3cret-token")
    })
    .await;
}

#[tokio::test]
async fn a_secret_in_the_address_is_added_once_and_never_stored_or_shown() {
    let rules = format!(
        "{LINK}auth.query = {{ name = \"key\", value = {{ env = \"TOKEN\" }} }}\nrequest.query = {{ a = \"1\" }}\n"
    );
    let world = World::new(&rules, |request| {
        let reply = |json: &str| Reply::json(json).with("etag", "\"x\"");
        // Like many a server, it repeats the whole address in its links.
        if request.target.contains("page") {
            reply(r#"[{"id":2}]"#)
        } else {
            reply(r#"[{"id":1}]"#).with("link", format!("<{}&page=2>; rel=next", request.target))
        }
    })
    .await;
    world.poll().await;
    world.poll().await;
    assert_eq!(
        world.asked(),
        [
            "/items?a=1&key=s3cret-token",
            "/items?a=1&page=2&key=s3cret-token",
            "/items?a=1&key=s3cret-token if",
            "/items?a=1&page=2&key=s3cret-token if",
        ],
    );
    assert!(!world.memory().await.contains("s3cret"));
    world.source.respond(|request| Reply::of(403, format!("not for {}", request.target)));
    insta::assert_snapshot!(world.failure().await, @"connector orders: SOURCE/items?a=1: the source answered 403 Forbidden (check the connector's `auth`, and what its token is allowed to do); it begins: not for /items?a=1&key=***");
}
