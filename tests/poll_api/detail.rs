//! A second request for each new or changed item.

use std::sync::{Arc, Mutex};

use pollhook::model::change::{Decided, Decision};
use pollhook::poll::PollOutcome;

use crate::source::{Reply, Request};
use crate::world::World;

const DETAIL: &str = "detail = { request = { url = \"SOURCE/items/{{ item.id }}\" } }\n";

/// What an API answers, by path.
#[derive(Clone, Default)]
struct Api(Arc<Mutex<Vec<(String, Reply)>>>);

impl Api {
    /// Answers a path this way from now on.
    fn set(&self, path: &str, reply: Reply) {
        let mut replies = self.0.lock().expect("nobody panicked");
        replies.retain(|(known, _)| known != path);
        replies.push((path.to_owned(), reply));
    }

    fn json(&self, path: &str, json: &str) {
        self.set(path, Reply::json(json));
    }

    fn answer(&self, request: &Request) -> Reply {
        let replies = self.0.lock().expect("nobody panicked");
        let found = replies.iter().find(|(path, _)| *path == request.target);
        found.map_or_else(|| Reply::of(404, "not there"), |(_, reply)| reply.clone())
    }
}

/// Returns a world that has taken this listing as seen.
async fn world(rules: &str, listing: &str) -> (World, Api) {
    let api = Api::default();
    api.json("/items", listing);
    let answering = api.clone();
    let world = World::new(rules, move |request| answering.answer(request)).await;
    assert_eq!(world.changes().await, [""; 0]);
    assert_eq!(world.asked(), ["/items"], "a baseline needs no details");
    (world, api)
}

/// Polls, and returns the events of items with their data, whatever the poll came to.
async fn events(world: &World) -> Vec<String> {
    let before = world.events().await.len();
    world.poll().await;
    let events = world.events().await.split_off(before);
    let items = events.iter().filter(|event| !event.connector.is_service());
    items.map(|event| format!("{} {}", event.event_type.action(), event.data)).collect()
}

async fn awaiting(world: &World) -> u64 {
    world.state().await.expect("it was polled").awaiting_detail
}

#[tokio::test]
async fn what_the_source_says_of_one_item_is_laid_over_it() {
    let (world, api) = world(DETAIL, r#"[{"id":1,"v":1}]"#).await;
    api.json("/items", r#"[{"id":1,"v":2},{"id":2,"v":1,"text":"short"},{"id":3}]"#);
    api.json("/items/1", r#"{"more":1.0}"#);
    api.json("/items/2", r#"{"id":2,"text":"in full"}"#);
    api.json("/items/3", r#"["not","an","object"]"#);
    let expected = [
        r#"updated {"id":1,"v":2,"more":1.0}"#,
        r#"created {"id":2,"v":1,"text":"in full"}"#,
        r#"created ["not","an","object"]"#,
    ];
    assert_eq!(events(&world).await, expected);
    let mut asked = world.asked();
    asked[1..].sort();
    assert_eq!(asked, ["/items", "/items/1", "/items/2", "/items/3"]);
    let report = world.poll().await;
    assert_eq!((report.outcome, report.requests), (PollOutcome::Unchanged, 1));
}

#[tokio::test]
async fn requests_and_bytes_of_details_count() {
    let (world, api) = world(DETAIL, "[]").await;
    api.json("/items", r#"[{"id":1},{"id":2}]"#);
    api.json("/items/1", "{}");
    api.json("/items/2", "{ }");
    let report = world.poll().await;
    assert_eq!((report.pages, report.requests, report.bytes), (1, 3, 19 + 5));
}

#[tokio::test]
async fn a_list_of_ids_becomes_items() {
    let rules =
        "item.key = \".\"\ndetail = { request = { url = \"SOURCE/item/{{ item }}.json\" } }\nitem.data = \".title\"";
    let (world, api) = world(rules, "[8863]").await;
    api.json("/items", "[9007199254740993,8863,\"a\"]");
    api.json("/item/9007199254740993.json", r#"{"id":9007199254740993,"title":"large"}"#);
    api.json("/item/a.json", r#"{"id":"a","title":"text"}"#);
    assert_eq!(events(&world).await, ["created \"large\"", "created \"text\""]);
}

#[tokio::test]
async fn only_changes_that_are_wanted_are_asked_for() {
    let rules = format!("{DETAIL}changes.events = [\"updated\"]\n");
    let (world, api) = world(&rules, r#"[{"id":1,"v":1}]"#).await;
    api.json("/items", r#"[{"id":1,"v":2},{"id":2}]"#);
    api.json("/items/1", r#"{"x":1}"#);
    assert_eq!(events(&world).await, [r#"updated {"id":1,"v":2,"x":1}"#]);
    assert_eq!(world.asked(), ["/items", "/items/1"]);
}

#[tokio::test]
async fn rules_look_at_the_listing_and_events_at_the_whole() {
    let rules = format!(
        "{DETAIL}item.filter = \".listed\"\nitem.watch = [\".v\"]\nitem.data = \"{{id, v, x}}\"\nchanges.previous = true\n"
    );
    let (world, api) = world(&rules, "[]").await;
    api.json("/items", r#"[{"id":1,"v":1,"listed":true},{"id":2,"listed":false}]"#);
    api.json("/items/1", r#"{"id":100,"x":1,"listed":false}"#);
    assert_eq!(events(&world).await, [r#"created {"id":100,"v":1,"x":1}"#]);
    assert_eq!(world.events().await[0].key, "1");
    api.json("/items/1", r#"{"id":100,"x":2}"#);
    assert_eq!(events(&world).await, [""; 0], "nobody looks at details by themselves");
    api.json("/items", r#"[{"id":1,"v":2,"listed":true}]"#);
    assert_eq!(events(&world).await, [r#"updated {"id":100,"v":2,"x":2}"#]);
    let updated = world.events().await.pop().expect("an event");
    assert_eq!(updated.previous.expect("kept").get(), r#"{"id":100,"v":1,"x":1}"#);
    assert_eq!(
        updated.changes.expect("kept").get(),
        r#"[{"op":"replace","path":"/v","value":2},{"op":"replace","path":"/x","value":2}]"#
    );
}

#[tokio::test]
async fn nothing_of_a_listing_is_kept_without_its_details() {
    let rules = format!("{DETAIL}changes.previous = true\n");
    let (world, api) = world(&rules, r#"[{"id":1,"v":1}]"#).await;
    api.json("/items", r#"[{"id":1,"v":2}]"#);
    api.json("/items/1", r#"{"x":1}"#);
    events(&world).await;
    let updated = world.events().await.pop().expect("an event");
    assert!(updated.previous.is_none() && updated.changes.is_none(), "{updated:?}");
}

#[tokio::test]
async fn a_detail_that_fails_keeps_only_its_own_item_back() {
    let rules = format!("{DETAIL}changes.lists = \"everything\"\nchanges.events = [\"created\", \"removed\"]\n");
    let (world, api) = world(&rules, r#"[{"id":1}]"#).await;
    api.json("/items", r#"[{"id":2},{"id":3},{"id":4}]"#);
    api.json("/items/2", r#"{"x":2}"#);
    api.set("/items/3", Reply::of(403, "no"));
    api.json("/items/4", r#"{"x":4}"#);
    let report = world.poll().await;
    assert_eq!(
        world.failure_of(&report),
        "connector orders: 1 of 3 details failed; the first: item 3: SOURCE/items/3: the source answered 403 Forbidden \
         (check the connector's `auth`, and what its token is allowed to do); it begins: no"
    );
    assert!(matches!(report.outcome, PollOutcome::Partial(_)));
    assert_eq!((report.changes.created, report.changes.removed), (2, 0), "nothing is removed");
    assert_eq!(awaiting(&world).await, 1);

    assert_eq!(events(&world).await, ["removed null"], "it fails still, and keeps nothing back");
    let state = world.state().await.expect("it was polled");
    assert_eq!((state.failures, state.awaiting_detail), (0, 1));
    assert!(state.warnings.iter().any(|warning| warning.contains("item 3: ")), "{:?}", state.warnings);

    api.json("/items/3", r#"{"x":3}"#);
    assert_eq!(events(&world).await, [r#"created {"id":3,"x":3}"#], "the listing is as it was");
    assert_eq!(awaiting(&world).await, 0);
    world.asked();
    assert_eq!(events(&world).await, [""; 0]);
    assert_eq!(world.asked(), ["/items"]);
}

#[tokio::test]
async fn an_item_that_is_no_longer_listed_still_gets_its_event() {
    let (world, api) = world(DETAIL, "[]").await;
    api.json("/items", r#"[{"id":1,"v":1}]"#);
    api.set("/items/1", Reply::of(403, "no"));
    assert_eq!(events(&world).await, [""; 0]);
    api.json("/items", "[]");
    assert_eq!(events(&world).await, [""; 0]);
    api.json("/items/1", r#"{"x":1}"#);
    assert_eq!(events(&world).await, [r#"created {"id":1,"v":1,"x":1}"#]);
    api.json("/items", r#"[{"id":1,"v":1}]"#);
    assert_eq!(events(&world).await, [""; 0], "it is seen");
}

#[tokio::test]
async fn what_waits_is_replaced_by_a_newer_version_and_ends_when_it_is_taken_back() {
    let rules = format!("{DETAIL}changes.lists = \"everything\"\n");
    let (world, api) = world(&rules, r#"[{"id":1,"v":1}]"#).await;
    for id in 1..=2 {
        api.set(&format!("/items/{id}"), Reply::of(403, "no"));
    }
    api.json("/items", r#"[{"id":1,"v":2},{"id":2,"v":1}]"#);
    assert_eq!(events(&world).await, [""; 0]);
    assert_eq!(awaiting(&world).await, 2);
    api.json("/items", r#"[{"id":1,"v":3},{"id":2,"v":1}]"#);
    assert_eq!(events(&world).await, [""; 0]);
    assert_eq!(awaiting(&world).await, 2);
    api.json("/items", r#"[{"id":1,"v":1}]"#);
    assert_eq!(events(&world).await, [""; 0]);
    assert_eq!(awaiting(&world).await, 0, "1 is as it was, and 2 is gone");
    api.json("/items/1", "{}");
    api.json("/items", r#"[{"id":1,"v":3}]"#);
    assert_eq!(events(&world).await, [r#"updated {"id":1,"v":3}"#]);
}

#[tokio::test]
async fn an_item_that_the_source_does_not_have_is_not_there() {
    let (world, api) = world(DETAIL, "[]").await;
    api.json("/items", r#"[{"id":1},{"id":2},{"id":3}]"#);
    api.json("/items/1", "null");
    api.set("/items/2", Reply::of(410, ""));
    let report = world.poll().await;
    assert_eq!(report.outcome.failure(), None);
    assert_eq!((report.changes.total(), awaiting(&world).await), (0, 0));
    assert_eq!(report.notes, ["3 listed items are not there when their details are asked for"]);
    api.json("/items", r#"[{"id":1}, {"id":2},{"id":3}]"#);
    api.json("/items/3", "{}");
    assert_eq!(events(&world).await, [r#"created {"id":3}"#], "when they are there, they are new");
}

#[tokio::test]
async fn a_source_that_wants_to_be_left_alone_is() {
    let rules = format!("{}request.timeout = \"1s\"\n", DETAIL.replace("} }", "}, concurrency = 1 }"));
    let (world, api) = world(&rules, "[]").await;
    api.json("/items", r#"[{"id":1},{"id":2},{"id":3}]"#);
    api.json("/items/1", "{}");
    api.set("/items/2", Reply::of(429, "").with("retry-after", "30"));
    api.json("/items/3", "{}");
    assert_eq!(events(&world).await, [r#"created {"id":1}"#]);
    assert_eq!(world.asked(), ["/items", "/items/1", "/items/2"]);
    let state = world.state().await.expect("it was polled");
    assert_eq!(state.awaiting_detail, 2);
    assert!(state.not_before.is_some_and(|at| at > world.now()), "{:?}", state.not_before);
    api.json("/items/2", "{}");
    assert_eq!(events(&world).await.len(), 2);
}

#[tokio::test]
async fn a_source_in_trouble_is_not_asked_for_every_item() {
    let (world, api) = world(&DETAIL.replace("} }", "}, concurrency = 1 }"), "[]").await;
    let ids: Vec<String> = (0..50).map(|id| format!("{{\"id\":{id}}}")).collect();
    api.json("/items", &format!("[{}]", ids.join(",")));
    for id in 0..50 {
        api.set(&format!("/items/{id}"), Reply::of(403, ""));
    }
    assert_eq!(events(&world).await, [""; 0]);
    assert_eq!(world.asked().len(), 1 + 8);
    assert_eq!(awaiting(&world).await, 50);
    for id in 0..50 {
        api.json(&format!("/items/{id}"), "{}");
    }
    assert_eq!(events(&world).await.len(), 50);
}

#[tokio::test]
async fn answers_are_read_as_they_are_to_be() {
    let rules = "detail = { request = { url = \"SOURCE/items/{{ item.id }}\", method = \"POST\", body = { id = \"{{ item.id }}\" } }, response = { items = \".order\", error = \".error?\" } }";
    let (world, api) = world(rules, "[]").await;
    api.json("/items", r#"[{"id":1},{"id":2},{"id":3},{"id":4}]"#);
    api.json("/items/1", r#"{"order":{"x":1}}"#);
    api.json("/items/2", r#"{"error":"it is broken"}"#);
    api.json("/items/3", r#"{"order":null}"#);
    api.json("/items/4", "<html>");
    let report = world.poll().await;
    let failure = world.failure_of(&report);
    assert!(
        failure.contains(
            "2 of 4 details failed; the first: item 2: SOURCE/items/2: the answer reports a failure: it is broken"
        ),
        "{failure}"
    );
    let requests = world.source.take_requests();
    assert!(requests[1..].iter().all(|request| request.method == "POST" && request.body.starts_with("{\"id\":\"")));
    assert_eq!(world.events().await.len(), 1);
}

#[tokio::test]
async fn an_item_leads_no_credentials_elsewhere() {
    let other = crate::source::Source::start(|_| Reply::json("{}")).await;
    let rules = "auth.bearer.token = { env = \"TOKEN\" }\ndetail = { request = { url = \"{{ item.url }}\" } }";
    let (world, api) = world(rules, "[]").await;
    api.json("/items", &format!(r#"[{{"id":1,"url":"{}"}}]"#, world.source.url("/items/1")));
    api.json("/items/1", "{}");
    assert_eq!(events(&world).await.len(), 1);
    let requests = world.source.take_requests();
    assert_eq!(requests[1].header("authorization"), Some("Bearer s3cret-token"));

    api.json("/items", &format!(r#"[{{"id":2,"url":"{}"}}]"#, other.url("/steal")));
    let failure = world.failure().await;
    assert!(failure.contains("the item leads to another origin"), "{failure}");
    assert!(other.take_requests().is_empty());

    let rules = format!("{}\n", rules.replace("{{ item.url }}", &other.url("/items/{{ item.id }}")));
    let (world, api) = self::world(&rules, "[]").await;
    api.json("/items", r#"[{"id":3}]"#);
    assert_eq!(events(&world).await.len(), 1, "the configuration may name another host");
    assert!(other.take_requests().iter().all(|request| request.header("authorization").is_none()));
}

#[tokio::test]
async fn what_is_approved_waits_for_its_details() {
    let rules = format!(
        "{DETAIL}changes.lists = \"everything\"\nchanges.events = [\"created\", \"removed\"]\nchanges.hold_above = {{ created = 1 }}\n"
    );
    let (world, api) = world(&rules, r#"[{"id":1}]"#).await;
    api.json("/items", r#"[{"id":2},{"id":3}]"#);
    api.json("/items/2", r#"{"x":2}"#);
    api.json("/items/3", r#"{"x":3}"#);
    assert_eq!(events(&world).await, [""; 0]);
    assert_eq!(world.asked(), ["/items"], "details of what is held are not asked for");
    let decided = world.poller().decide(Decision::Approve).await.expect("a hold");
    assert_eq!(decided, Decided::Held { created: 2, updated: 0, removed: 1 });
    assert_eq!(awaiting(&world).await, 2);
    let events_now = world.events().await;
    assert_eq!(events_now.last().expect("an event").event_type.action(), "removed");
    let mut sent = events(&world).await;
    sent.sort();
    assert_eq!(sent, [r#"created {"id":2,"x":2}"#, r#"created {"id":3,"x":3}"#]);
    assert_eq!((events(&world).await.len(), awaiting(&world).await), (0, 0));
}

#[tokio::test]
async fn what_waits_is_sent_as_listed_when_details_are_no_longer_configured() {
    let (mut world, api) = world(DETAIL, "[]").await;
    api.json("/items", r#"[{"id":1}]"#);
    api.set("/items/1", Reply::of(403, ""));
    assert_eq!(events(&world).await, [""; 0]);
    world.edit("");
    assert_eq!(events(&world).await, [r#"created {"id":1}"#]);
    assert_eq!((events(&world).await.len(), awaiting(&world).await), (0, 0));
}

#[tokio::test]
async fn a_look_asks_for_the_details_of_what_it_shows() {
    let (world, api) = world(DETAIL, "[]").await;
    api.json("/items", r#"[{"id":1},{"id":2},{"id":3},{"id":4}]"#);
    api.json("/items/1", r#"{"x":1}"#);
    api.json("/items/3", r#"{"x":3}"#);
    let mut look = pollhook::poll::look(&world.connector, &world.context.fetching).await;
    look.add_details(&world.connector, &world.context.fetching, 3).await;
    let items: Vec<String> = look.items.iter().map(|item| item.record.value().to_string()).collect();
    assert_eq!(items, [r#"{"id":1,"x":1}"#, r#"{"id":3,"x":3}"#, r#"{"id":4}"#], "2 is not there");
    assert_eq!((look.detailed, look.requests, look.problem), (Some(2), 1 + 3, None));
}
