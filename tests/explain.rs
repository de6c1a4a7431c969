//! `pollhook explain`, through the real binary, beside a running service with a real source and real receivers: what
//! became of an item, and why.

mod support {
    pub mod process;
    #[expect(dead_code, reason = "other tests list what the admin API has")]
    pub mod service;
    #[expect(dead_code, reason = "the tests of faults use all of it")]
    pub mod source;
    pub mod wait;
    pub mod web;
}

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use support::service::{Home, Service};
use support::source::{Reply, Source};
use support::wait;

/// How long anything here may take, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// A source whose answers a test sets by path, and whatever else explaining takes.
struct World {
    pages: Arc<Mutex<BTreeMap<String, (u16, String)>>>,
    source: Source,
    home: Home,
}

impl World {
    /// Returns a world whose source answers these pages. In the configuration, `SOURCE` stands for its address.
    async fn new(configuration: &str, pages: &[(&str, &str)]) -> Self {
        let pages = pages.iter().map(|(path, body)| ((*path).to_owned(), (200, (*body).to_owned()))).collect();
        let pages: Arc<Mutex<BTreeMap<String, (u16, String)>>> = Arc::new(Mutex::new(pages));
        let answers = Arc::clone(&pages);
        let source = Source::start(move |request| {
            let pages = answers.lock().unwrap_or_else(PoisonError::into_inner);
            match pages.get(&request.target) {
                Some((200, body)) => Reply::json(body.clone()),
                Some((status, body)) => Reply::of(*status, body.clone()),
                None => Reply::of(404, "not here"),
            }
        })
        .await;
        let home = Home::new(&configuration.replace("SOURCE", source.url("").trim_end_matches('/')));
        Self { pages, source, home }
    }

    fn set(&self, path: &str, status: u16, body: &str) {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), (status, body.to_owned()));
    }

    /// Returns what is explained, as JSON.
    fn explain(&self, service: &Service, arguments: &[&str]) -> Value {
        self.run(&[arguments, &["--json", "--server", &service.url()]].concat())
    }

    fn run(&self, arguments: &[&str]) -> Value {
        let output = self.home.command().arg("explain").args(arguments).output().expect("pollhook can be started");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_str(&text).expect("JSON")
    }

    /// Checks which case it is and what is said.
    #[track_caller]
    fn check(&self, service: &Service, arguments: &[&str], case: &str, said: &str) -> Value {
        let facts = self.explain(service, arguments);
        let conclusion = &facts["conclusion"];
        let sentence = conclusion["sentence"].as_str().expect("a sentence");
        assert!(conclusion["case"] == case && sentence.contains(said), "{arguments:?}: {facts:#}");
        facts
    }

    /// Returns all that is printed, with what differs from run to run masked by as many characters.
    fn printed(&self, service: Option<&Service>, arguments: &[&str], columns: u16, coloured: bool) -> String {
        let mut command = self.home.command();
        command.arg("explain").args(arguments).env("COLUMNS", columns.to_string());
        command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
        command.env(if coloured { "CLICOLOR_FORCE" } else { "NO_COLOR" }, "1");
        command.args(service.map(|service| format!("--server={}", service.url())));
        let output = command.output().expect("pollhook can be started");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && errors.is_empty(), "{arguments:?}: {errors}");
        let text =
            String::from_utf8_lossy(&output.stdout).replace(self.source.url("").trim_end_matches('/'), "http://source");
        let text = service.map_or_else(|| text.clone(), |service| text.replace(&service.url(), "http://service"));
        masked(&text).replace('\u{1b}', "␛")
    }
}

/// Masks times, ids, fingerprints and durations.
fn masked(text: &str) -> String {
    let mut shown = String::new();
    let mut left = text;
    while let Some(first) = left.chars().next() {
        let hexadecimal = left.bytes().take_while(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte)).count();
        let digits = left.bytes().take_while(u8::is_ascii_digit).count();
        let is_time = left.len() >= 20 && left.as_bytes()[19] == b'Z' && left.starts_with("20");
        if is_time {
            shown.push_str("2026-11-21 12:00:00Z");
            left = &left[20..];
        } else if hexadecimal >= 32 {
            shown.push_str(&"0".repeat(hexadecimal));
            left = &left[hexadecimal..];
        } else if digits > 0
            && left[digits..].starts_with(" ms")
            && !shown.ends_with(|c: char| c.is_ascii_alphanumeric())
        {
            shown.push('9');
            left = &left[digits..];
        } else {
            shown.push(first);
            left = &left[first.len_utf8()..];
        }
    }
    shown
}

/// Waits until the service has polled a connector.
async fn polled(service: &Service, connector: &str) {
    wait::until(&format!("{connector} is polled"), PATIENCE, async || {
        let view = service.get(&format!("/v1/connectors/{connector}")).await;
        (view["polled_at"].is_string()).then_some(())
    })
    .await;
}

/// Waits until so many deliveries of a subscription are in a state.
async fn deliveries(service: &Service, subscription: &str, state: &str, attempts: u64, count: usize) {
    let path = format!("/v1/deliveries?subscription={subscription}&state={state}");
    wait::until(&format!("{count} deliveries of {subscription} are {state}"), PATIENCE, async || {
        let list = service.get(&path).await;
        let data = list["data"].as_array().expect("a list");
        (data.iter().filter(|one| one["attempts"].as_u64() >= Some(attempts)).count() == count).then_some(())
    })
    .await;
}

const ORDERS: &str = r#"
    [connectors.orders]
    every = "1h"
    request.url = "SOURCE/orders"
    item.key = ".id"
    item.ignore = [".seen"]
    item.filter = '.status != "draft" and .total >= 0'
    changes.first_poll = "send"
    changes.previous = true

    [connectors.tickets]
    every = "1h"
    request.url = "SOURCE/tickets"
    item.key = ".id"

    [subscriptions.erp]
    url = "SOURCE/erp"
    connectors = ["ord*"]
    filter = ".data.total > 100"

    [subscriptions.crm]
    url = "SOURCE/crm"
    connectors = ["tickets"]

    [subscriptions.audit]
    url = "SOURCE/audit"
    events = ["removed"]

    [subscriptions.broken]
    url = "SOURCE/broken"
    connectors = ["orders"]
    filter = '.data.customer | test("^A")'
"#;

const LISTING: &str = r#"[
    {"id":1,"status":"paid","total":150,"customer":7,"seen":1},
    {"id":2,"status":"draft","total":20,"customer":7},
    {"id":3,"status":"open","total":5,"customer":7}
]"#;

const CHANGED: &str = r#"[
    {"id":1,"status":"sent","total":150,"customer":7,"seen":2,"carrier":"post"},
    {"id":2,"status":"draft","total":20,"customer":7},
    {"id":3,"status":"open","total":5,"customer":7},
    {"id":4,"status":"open","total":500,"customer":7}
]"#;

async fn shop() -> (World, Service) {
    let pages = [("/orders", LISTING), ("/tickets", r#"[{"id":"T-1"}]"#), ("/erp", ""), ("/crm", ""), ("/audit", "")];
    let world = World::new(ORDERS, &pages).await;
    let service = world.home.start().await;
    polled(&service, "orders").await;
    polled(&service, "tickets").await;
    deliveries(&service, "erp", "delivered", 1, 1).await;
    (world, service)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_stage_that_an_item_may_stop_at_is_named() {
    let (world, service) = shop().await;
    let sent = world.check(&service, &["orders", "1"], "sent", "It was sent to erp on ");
    assert_eq!(sent["events"][0]["deliveries"][0]["attempts"][0]["status"], 200);
    assert_eq!((&sent["comparison"]["with"], &sent["source"]["page"]), (&"kept".into(), &1.into()));
    assert_eq!(sent["memory"]["rules_that_differ"].as_array().map(Vec::len), Some(0));

    let filtered = world.check(&service, &["orders", "2"], "filtered", "leaves it out");
    let looked_at = serde_json::json!([{"path": ".status", "value": "draft"}, {"path": ".total", "value": 20}]);
    assert_eq!(filtered["source"]["looked_at"], looked_at);

    let said = "erp has a filter that says no (.data.total > 100); broken has a filter that fails: ";
    let unwanted = world.check(&service, &["orders", "3"], "nobody_wants", said);
    let verdicts = unwanted["matching"]["subscriptions"].as_array().expect("a list").iter();
    let verdicts: Vec<_> = verdicts.map(|view| (view["subscription"].as_str(), view["verdict"].as_str())).collect();
    let expected =
        [("erp", "filter_false"), ("broken", "filter_failed"), ("audit", "other_events"), ("crm", "other_connectors")];
    assert_eq!(verdicts, expected.map(|(name, verdict)| (Some(name), Some(verdict))));

    world.check(&service, &["orders", "99"], "unknown", "Is the key right? Keys of orders look like 1 and 3.");
    world.check(&service, &["tickets", "T-1"], "baseline", "It was seen at the first poll, on ");

    world.set("/orders", 200, CHANGED);
    let changed =
        world.check(&service, &["orders", "1"], "pending", "finds that and makes orders.updated of it, for erp.");
    let differences = serde_json::json!([
        {"path": ".status", "then": "paid", "now": "sent"},
        {"path": ".carrier", "now": "post"},
    ]);
    assert_eq!(changed["comparison"]["differences"], differences);
    world.check(&service, &["orders", "4"], "pending", "It is new in the source; the next poll, at ");

    world.source.take_requests();
    world.check(&service, &["orders", "1", "--no-look"], "sent", "It was sent to erp");
    world.check(&service, &["orders", "4", "--no-look"], "unknown", "without --no-look");
    assert!(world.source.take_requests().is_empty(), "--no-look sends no request");

    world.set("/orders", 403, "no more");
    let failed = world.check(&service, &["orders", "1"], "sent", "It was sent to erp");
    assert!(failed["source"]["problem"].as_str().is_some_and(|problem| problem.contains("403")), "{failed:#}");
    world.check(&service, &["orders", "4"], "unknown", "the source could not be asked");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_somebody_is_said_with_what_to_do() {
    let configuration = r#"
        [connectors.jobs]
        every = "1h"
        request.url = "SOURCE/jobs"
        item.key = ".id"
        changes.first_poll = "send"

        [connectors.held]
        every = "1s"
        request.url = "SOURCE/held"
        item.key = ".id"
        changes.hold_above.created = 1
        changes.lists = "everything"
        changes.removed_after = 200

        [connectors.details]
        every = "1h"
        request.url = "SOURCE/details"
        item.key = ".id"
        detail.request.url = "SOURCE/details/{{ item.id }}"
        changes.first_poll = "send"

        [subscriptions.deadly]
        url = "SOURCE/deadly"
        connectors = ["jobs"]
        retry = ["20ms"]

        [subscriptions.patient]
        url = "SOURCE/patient"
        connectors = ["jobs"]
        retry = ["2h"]
    "#;
    let pages = [("/jobs", r#"[{"id":"a"}]"#), ("/held", r#"[{"id":1},{"id":2}]"#), ("/details", r#"[{"id":1}]"#)];
    let world = World::new(configuration, &pages).await;
    world.set("/deadly", 500, "broken");
    world.set("/patient", 503, "later");
    world.set("/details/1", 403, "not for you");
    let service = world.home.start().await;
    deliveries(&service, "deadly", "dead", 2, 1).await;
    deliveries(&service, "patient", "pending", 1, 1).await;

    let dead = world.check(&service, &["jobs", "a"], "dead", "It is a dead letter of deadly since ");
    let sentence = dead["conclusion"]["sentence"].as_str().expect("a sentence");
    assert!(sentence.contains("(exhausted, 500): `pollhook replay evt_"), "{sentence}");
    assert!(sentence.contains("; it is waiting for its 2nd attempt to patient at "), "{sentence}");
    assert_eq!(dead["events"][0]["deliveries"][0]["attempts"].as_array().map(Vec::len), Some(2));

    insta::assert_snapshot!("dead_80", world.printed(Some(&service), &["jobs", "a"], 80, false));
    let url = format!("{}/v1/subscriptions/patient/disable", service.url());
    let body = br#"{"reason":"a holiday"}"#;
    let headers = [("content-type", "application/json")];
    support::web::send(pollhook::http::Method::POST, &url, &headers, body).await.expect("an answer");
    world.check(&service, &["jobs", "a"], "dead", "waits for patient, which is disabled since ");

    wait::until("the detail was asked for", PATIENCE, async || {
        let view = service.get("/v1/connectors/details").await;
        (view["awaiting_detail"] == 1).then_some(())
    })
    .await;
    world.check(&service, &["details", "1"], "awaiting_detail", "waits for its detail since ");

    polled(&service, "held").await;
    world.set("/held", 200, r#"[{"id":1},{"id":3},{"id":4},{"id":5}]"#);
    wait::until("changes are held", PATIENCE, async || {
        let view = service.get("/v1/connectors/held").await;
        view["hold"].is_object().then_some(())
    })
    .await;
    let said = "`pollhook approve held` sends what is held";
    let held = world.check(&service, &["held", "4"], "held", said);
    assert_eq!(held["memory"]["item"]["set_aside"]["why"], "held");
    insta::assert_snapshot!("held_80", world.printed(Some(&service), &["held", "4"], 80, false));
    world.check(&service, &["held", "2"], "missing", "It was missing in the last ");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_service_the_source_and_the_configuration_are_gone_by() {
    let world = World::new(ORDERS, &[("/orders", CHANGED)]).await;
    let check = |key: &str, case: &str, said: &str| {
        // A port that nobody listens on.
        let facts = world.run(&["orders", key, "--json", "--server", "http://127.0.0.1:9"]);
        let sentence = facts["conclusion"]["sentence"].as_str().expect("a sentence");
        assert!(facts["conclusion"]["case"] == case && sentence.contains(said), "{facts:#}");
        assert_eq!(facts["service"]["state"], "silent");
    };
    check("1", "only_looked", "if it is new, it goes to erp.");
    check("3", "only_looked", "none wants it as new: erp has a filter that says no");
    check("2", "filtered", "leaves it out");
    check("9", "only_looked", "It is not in the source.");
    world.set("/orders", 403, "no more");
    check("1", "nothing_known", "neither the service nor the source");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_does_not_run_is_noticed() {
    let (world, service) = shop().await;
    let path = world.home.path().join("config.toml");
    let text = std::fs::read_to_string(&path).expect("a configuration");
    std::fs::write(&path, text.replace("[\".seen\"]", "[\".seen\", \".status\"]")).expect("a configuration");
    let facts = world.check(&service, &["orders", "1"], "sent", "It was sent to erp");
    assert_eq!(facts["memory"]["rules_that_differ"], serde_json::json!(["fingerprints"]));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_printed_fits_the_terminal() {
    let (world, service) = shop().await;
    world.set("/orders", 200, CHANGED);
    let show = |arguments: &[&str], columns, coloured| world.printed(Some(&service), arguments, columns, coloured);
    insta::assert_snapshot!("changed_80", show(&["orders", "1"], 80, false));
    insta::assert_snapshot!("changed_80_coloured", show(&["orders", "1"], 80, true));
    insta::assert_snapshot!("changed_120", show(&["orders", "1"], 120, false));
    insta::assert_snapshot!("changed_120_coloured", show(&["orders", "1"], 120, true));
    insta::assert_snapshot!("unwanted_80_coloured", show(&["orders", "3"], 80, true));
    insta::assert_snapshot!("unwanted_120", show(&["orders", "3"], 120, false));
    insta::assert_snapshot!("filtered_80", show(&["orders", "2"], 80, false));
    insta::assert_snapshot!("baseline_80", show(&["tickets", "T-1"], 80, false));
    insta::assert_snapshot!("unknown_80", show(&["orders", "99"], 80, false));
    service.stop().await;
    let silent = world.printed(None, &["orders", "1", "--server", "http://127.0.0.1:9"], 80, false);
    insta::assert_snapshot!("without_a_service_80", silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_is_found_on_any_page_also_if_the_filter_or_a_neighbour_keeps_it_out() {
    let configuration = r#"
        [connectors.paged]
        every = "1h"
        request.url = "SOURCE/first"
        response.items = ".data[]"
        item.key = ".id"
        item.filter = ".open"
        pagination.next_url.value = ".next"
    "#;
    let first = r#"{"data":[{"id":1,"open":true},{"id":2,"open":true}],"next":"/second"}"#;
    let second = r#"{"data":[{"id":3,"open":true},{"id":4,"open":false},{"id":5,"open":true}]}"#;
    let world = World::new(configuration, &[("/first", first), ("/second", second)]).await;
    let explain = |key: &str| world.run(&["paged", key, "--json", "--server", "http://127.0.0.1:9"]);
    let place = |key: &str| {
        let source = explain(key)["source"].clone();
        [source["state"].clone(), source["page"].clone(), source["position"].clone()]
    };
    assert_eq!(place("2"), ["listed".into(), 1.into(), Value::from(2)]);
    assert_eq!(place("5"), ["listed".into(), 2.into(), Value::from(2)]);
    assert_eq!(place("4"), ["filtered".into(), 2.into(), Value::Null]);
    assert_eq!(place("6"), ["not_listed".into(), Value::Null, Value::Null]);

    world.set("/second", 200, r#"{"data":[{"id":3,"open":true},{"id":null,"open":true}]}"#);
    assert_eq!(place("1"), ["listed".into(), 1.into(), Value::from(1)]);
    assert_eq!(place("3"), ["on_failed_page".into(), 2.into(), Value::Null]);
    assert_eq!(place("6"), ["failed".into(), Value::Null, Value::Null]);
}
