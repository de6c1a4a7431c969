//! `pollhook try`, through the real binary against real servers: what it prints, whole, and that it is true.

mod support {
    #[expect(dead_code, reason = "other tests use all of it")]
    pub mod packing;
    pub mod process;
    #[expect(dead_code, reason = "other tests use all of it")]
    pub mod service;
    #[expect(dead_code, reason = "the tests of faults use all of it")]
    pub mod source;
    pub mod wait;
    pub mod web;
}

use std::process::{Command, Output};
use std::time::Duration;

use pollhook::clock::SystemClock;
use pollhook::deliver::{VerifyingKey, verify};
use pollhook::http::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use support::packing::gzip;
use support::service::Home;
use support::source::{Reply, Source};
use support::wait;

/// How long anything here may take, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(40);

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

const ORDERS: &str = r#"{"data":{"order_list":[
    {"id":1,"status":"open","total":10,"customer":{"name":"Ada","city":"Delft"}},
    {"id":2,"status":"paid","total":25.50,"customer":{"name":"Zoë","city":"Gent"}},
    {"id":3,"status":"paid","total":7,"customer":{"name":"Bo","city":"Lille"}},
    {"id":3,"status":"paid","total":7,"customer":{"name":"Bo","city":"Lille"}}
],"total":4}}"#;

/// Subscriptions of every kind.
const SUBSCRIPTIONS: &str = r#"
    [subscriptions.erp]
    url = "https://erp.example/hooks"
    secret = { env = "ERP_SECRET" }
    headers.X-Team = { env = "ERP_TEAM" }

    [subscriptions.bus]
    url = "https://bus.example/"
    format = "cloudevents"
    auth.bearer.token = { env = "ERP_TEAM" }

    [subscriptions.chat]
    url = "https://chat.example/T0KEN"
    filter = ".data.total > 20"
    body = '{text: "order \(.key) of \(.data.customer.name)"}'
"#;

fn connector(source: &Source, rules: &str) -> String {
    let url = source.url("/orders");
    format!("[connectors.orders]\nevery = \"1h\"\nrequest.url = \"{url}\"\n{rules}\n{SUBSCRIPTIONS}")
}

/// Rules that find the orders that are paid.
const PAID: &str = r#"
    response.items = ".data.order_list[]"
    item.key = ".id"
    item.filter = '.status == "paid"'
"#;

async fn orders() -> Source {
    Source::start(|_| Reply::json(gzip(ORDERS.as_bytes())).with("content-encoding", "gzip")).await
}

/// Returns `pollhook try orders` in lines of so many columns.
fn trying(home: &Home, columns: usize, arguments: &[&str]) -> Command {
    let mut command = home.command();
    command.args(["try", "orders"]).args(arguments);
    command.env("COLUMNS", columns.to_string()).env("NO_COLOR", "1").env_remove("CLICOLOR_FORCE");
    command.env("ERP_SECRET", SECRET).env("ERP_TEAM", "hunter2hunter2");
    command
}

fn output_of(command: &mut Command) -> Output {
    command.output().expect("pollhook can be started")
}

/// Returns what it printed on both outputs, without what differs from run to run.
fn printed(output: &Output) -> String {
    masked(&format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

/// Replaces times, ports and ids. A time takes its blanks along: how many there are depends on it.
fn masked(text: &str) -> String {
    let mut shown = String::new();
    for line in text.lines() {
        let mut rest = line.to_owned();
        for head in ["TOOK", "TOOK\u{1b}[0m"] {
            while rest.contains(&format!("{head}   ")) {
                rest = rest.replace(&format!("{head}   "), &format!("{head}  "));
            }
        }
        while let Some(at) = rest.find(" ms") {
            let start = rest[..at].rfind(|c: char| !c.is_ascii_digit() && c != '.').map_or(0, |before| before + 1);
            let after = rest[at + 3..].trim_start_matches(' ');
            let gap = if after.len() < rest.len() - at - 3 { "  " } else { "" };
            rest = format!("{}TIME{gap}{after}", &rest[..start]);
        }
        let rest = masked_after(&rest, "127.0.0.1:", "PORT", |c| c.is_ascii_digit());
        let rest = masked_after(&rest, "evt_", "ID", |c| c.is_ascii_hexdigit());
        let rest = masked_after(&rest, "webhook-timestamp: ", "SECONDS", |c| c.is_ascii_digit());
        let rest = masked_after(&rest, "webhook-signature: v1,", "SIGNATURE", |c| !c.is_whitespace());
        let rest = masked_after(&rest, "\"timestamp\":\"", "NOW", |c| c != '"');
        shown.push_str(masked_after(&rest, "\"time\":\"", "NOW", |c| c != '"').trim_end());
        shown.push('\n');
    }
    shown
}

fn masked_after(text: &str, before: &str, mask: &str, is_masked: impl Fn(char) -> bool) -> String {
    let mut parts = text.split(before);
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        shown.push_str(before);
        shown.push_str(mask);
        shown.push_str(part.trim_start_matches(&is_masked));
    }
    shown
}

#[tokio::test(flavor = "multi_thread")]
async fn each_stage_is_told_with_its_numbers() {
    let source = orders().await;
    let home = Home::new(&connector(&source, PAID));
    let output = output_of(&mut trying(&home, 80, &[]));
    assert_eq!(output.status.code(), Some(0));
    insta::assert_snapshot!(printed(&output), @r#"
    STATUS  TOOK  SIZE   ITEMS  PAGE
    200     TIME  363 B  3      http://127.0.0.1:PORT/orders

    requests    TIME  1 for 1 page
    bytes                 386 B received, 363 B after decompression
    decoding    TIME  JSON
    items       TIME  4 from `.data.order_list[]`
    filter                1 left out by `.status == "paid"`, 3 left
    duplicates            1 with the key of another, such as 3
    changes               no service runs at http://127.0.0.1:PORT/, so every item
                          counts as new

    KEY  WOULD GO TO     DATA
    2    erp, bus, chat  {"id":2,"status":"paid","total":25.50,"customer":{"name":"…
    3    erp, bus        {"id":3,"status":"paid","total":7,"customer":{"name":"Bo",…
    3    erp, bus        {"id":3,"status":"paid","total":7,"customer":{"name":"Bo",…

    The first one, if it were new, would be sent as
    {"type":"orders.created","timestamp":"NOW","id":"evt_ID","connector":"orders","key":"2","data":{"id":2,"status":"paid","total":25.50,"customer":{"name":"Zoë","city":"Gent"}}}

    3 items on 1 page in TIME, 1 request: complete
    the exact requests: pollhook try orders --show request
    "#);

    let output = output_of(trying(&home, 120, &["--limit", "1"]).env_remove("NO_COLOR").env("CLICOLOR_FORCE", "1"));
    insta::assert_snapshot!(printed(&output).replace('\u{1b}', "^"), @r#"
    ^[1mSTATUS^[0m  ^[1mTOOK^[0m  ^[1mSIZE^[0m   ^[1mITEMS^[0m  ^[1mPAGE^[0m
    ^[32m200^[0m     TIME  363 B  3      http://127.0.0.1:PORT/orders

    ^[2mrequests   ^[0m TIME  1 for 1 page
    ^[2mbytes      ^[0m           386 B received, 363 B after decompression
    ^[2mdecoding   ^[0m TIME  JSON
    ^[2mitems      ^[0m TIME  4 from `.data.order_list[]`
    ^[2mfilter     ^[0m           1 left out by `.status == "paid"`, 3 left
    ^[2mduplicates ^[0m           1 with the key of another, such as 3
    ^[2mchanges    ^[0m           ^[2mno service runs at http://127.0.0.1:PORT/, so every item counts as new^[0m

    ^[1mKEY^[0m  ^[1mWOULD GO TO^[0m     ^[1mDATA^[0m
    2    erp, bus, chat  {"id":2,"status":"paid","total":25.50,"customer":{"name":"Zoë","city":"Gent"}}
    and 2 more items

    The first one, if it were new, would be sent as
    {"type":"orders.created","timestamp":"NOW","id":"evt_ID","connector":"orders","key":"2","data":{"id":2,"status":"paid","total":25.50,"customer":{"name":"Zoë","city":"Gent"}}}

    3 items on 1 page in TIME, 1 request: ^[32mcomplete^[0m
    ^[2mthe exact requests: pollhook try orders --show request^[0m
    "#);

    let output = output_of(&mut trying(&home, 80, &["--json"]));
    let shown: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let stages = &shown["stages"];
    assert_eq!((&stages["yielded"], &stages["filtered_out"], &stages["duplicates"]), (&4.into(), &1.into(), &1.into()));
    assert_eq!(stages["bytes"], ORDERS.len());
    assert_eq!(stages["received_bytes"], gzip(ORDERS.as_bytes()).len());
    assert_eq!(source.take_requests().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_printed_fits_the_terminal() {
    let source = orders().await;
    let home = Home::new(&connector(&source, PAID));
    for columns in [80, 120] {
        let output = output_of(&mut trying(&home, columns, &[]));
        insta::assert_snapshot!(format!("orders_{columns}"), printed(&output));
        let output = output_of(trying(&home, columns, &[]).env_remove("NO_COLOR").env("CLICOLOR_FORCE", "1"));
        let shown = printed(&output).replace('\u{1b}', "^");
        insta::assert_snapshot!(format!("orders_{columns}_coloured"), shown);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_shown_as_they_would_go_out() {
    let source = orders().await;
    let home = Home::new(&connector(&source, PAID));
    let output = output_of(&mut trying(&home, 80, &["--show", "request"]));
    insta::assert_snapshot!(printed(&output), @r#"
    # 2 to erp
    POST https://erp.example/hooks
    x-team: ***
    content-type: application/json
    webhook-signature: v1,SIGNATURE
    webhook-id: evt_ID
    webhook-timestamp: SECONDS

    {"type":"orders.created","timestamp":"NOW","id":"evt_ID","connector":"orders","key":"2","data":{"id":2,"status":"paid","total":25.50,"customer":{"name":"Zoë","city":"Gent"}}}

    # 2 to bus
    POST https://bus.example/
    content-type: application/cloudevents+json
    webhook-id: evt_ID
    webhook-timestamp: SECONDS
    authorization: ***

    {"specversion":"1.0","id":"evt_ID","source":"pollhook/orders","type":"orders.created","time":"NOW","subject":"2","connector":"orders","datacontenttype":"application/json","data":{"id":2,"status":"paid","total":25.50,"customer":{"name":"Zoë","city":"Gent"}}}

    # 2 to chat
    POST https://chat.example/T0KEN
    content-type: application/json
    webhook-id: evt_ID
    webhook-timestamp: SECONDS

    {"text":"order 2 of Zoë"}
    "#);
    check_signature(&String::from_utf8_lossy(&output.stdout));

    let output = output_of(&mut trying(&home, 80, &["--show", "event", "--item", "3"]));
    insta::assert_snapshot!(printed(&output), @r#"{"type":"orders.created","timestamp":"NOW","id":"evt_ID","connector":"orders","key":"3","data":{"id":3,"status":"paid","total":7,"customer":{"name":"Bo","city":"Lille"}}}"#);
    let output = output_of(&mut trying(&home, 80, &["--show", "event", "--item", "7"]));
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(printed(&output), @r#"error: no item has the key "7": 3 items found; the first one is 2"#);
    let output = output_of(&mut trying(&home, 80, &["--show", "request", "--json"]));
    let shown: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(shown["would_send"][2]["request"]["body"], r#"{"text":"order 2 of Zoë"}"#);
}

/// Checks that the first request that was shown is what a receiver would accept.
#[track_caller]
fn check_signature(shown: &str) {
    let mut lines = shown.lines().skip(2);
    let mut headers = HeaderMap::new();
    for line in lines.by_ref().take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").expect("a header");
        let name: HeaderName = name.parse().expect("the name of a header");
        headers.insert(name, HeaderValue::from_str(value).expect("the value of a header"));
    }
    assert_eq!(headers["x-team"], "***");
    let body = lines.next().expect("a body");
    let key = VerifyingKey::parse(SECRET).expect("a key");
    verify(&[key], &headers, body.as_bytes(), SystemClock::shared().now()).expect("a right signature");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_is_tried_again_without_the_api_and_without_secrets() {
    let source = orders().await;
    let rules = format!(
        "{PAID}\nauth.bearer.token = {{ env = \"ERP_TEAM\" }}\nrequest.query.token = \"{{{{ params.token }}}}\"\nparams.token = {{ env = \"ERP_TEAM\" }}"
    );
    let home = Home::new(&connector(&source, &rules));
    let saved = output_of(&mut trying(&home, 80, &["--limit", "1", "--save", "answers"]));
    assert_eq!(saved.status.code(), Some(0), "{}", printed(&saved));
    insta::assert_snapshot!(printed(&saved), @r#"
    STATUS  TOOK  SIZE   ITEMS  PAGE
    200     TIME  363 B  3      http://127.0.0.1:PORT/orders?token=***

    requests    TIME  1 for 1 page
    bytes                 386 B received, 363 B after decompression
    decoding    TIME  JSON
    items       TIME  4 from `.data.order_list[]`
    filter                1 left out by `.status == "paid"`, 3 left
    duplicates            1 with the key of another, such as 3
    changes               no service runs at http://127.0.0.1:PORT/, so every item
                          counts as new

    KEY  WOULD GO TO     DATA
    2    erp, bus, chat  {"id":2,"status":"paid","total":25.50,"customer":{"name":"…
    and 2 more items

    The first one, if it were new, would be sent as
    {"type":"orders.created","timestamp":"NOW","id":"evt_ID","connector":"orders","key":"2","data":{"id":2,"status":"paid","total":25.50,"customer":{"name":"Zoë","city":"Gent"}}}

    3 items on 1 page in TIME, 1 request: complete
    the exact requests: pollhook try orders --show request

    saved 1 answer to answers, without the secrets of the configuration
    they hold what the API answered: look before you publish them
    again without the API: pollhook try orders --replay answers
    "#);
    let list = std::fs::read_to_string(home.path().join("answers/answers.json")).expect("a list of the answers");
    assert!(list.contains("token=***") && !list.contains("hunter2"), "{list}");

    drop(source);
    let mut replay = trying(&home, 80, &["--limit", "1", "--replay", "answers"]);
    let replayed = output_of(replay.env_remove("ERP_SECRET").env_remove("ERP_TEAM"));
    assert_eq!(replayed.status.code(), Some(0), "{}", printed(&replayed));
    insta::assert_snapshot!(printed(&replayed), @r#"
    STATUS  TOOK  SIZE   ITEMS  PAGE
    200     TIME  363 B  3      http://127.0.0.1:PORT/orders?token=***

    requests              none: 1 page from the recording
    bytes                 363 B
    decoding    TIME  JSON
    items       TIME  4 from `.data.order_list[]`
    filter                1 left out by `.status == "paid"`, 3 left
    duplicates            1 with the key of another, such as 3

    KEY  WOULD GO TO     DATA
    2    erp, bus, chat  {"id":2,"status":"paid","total":25.50,"customer":{"name":"…
    and 2 more items

    The first one, if it were new, would be sent as
    {"type":"orders.created","timestamp":"NOW","id":"evt_ID","connector":"orders","key":"2","data":{"id":2,"status":"paid","total":25.50,"customer":{"name":"Zoë","city":"Gent"}}}

    3 items on 1 page in TIME, no request: complete
    the exact requests: pollhook try orders --replay answers --show request
    note: secrets that are not to be had here have stand-ins, so signatures are not those that receivers would see
    "#);

    let nowhere = output_of(&mut trying(&home, 80, &["--replay", "elsewhere"]));
    assert_eq!(nowhere.status.code(), Some(1));
    let taken = output_of(&mut trying(&home, 80, &["--save", "."]));
    assert_eq!(taken.status.code(), Some(2));
    insta::assert_snapshot!(printed(&nowhere) + &printed(&taken), @"
    error: there is nothing to replay: `elsewhere/answers.json` cannot be read: No such file or directory (os error 2)
    error: `.` holds other files: name a new folder to save the answers to
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stopped_matching_is_told() {
    let source = orders().await;
    let check = |rules: &str| {
        let output = output_of(&mut trying(&Home::new(&connector(&source, rules)), 80, &[]));
        assert_eq!(output.status.code(), Some(1));
        masked(&String::from_utf8_lossy(&output.stderr))
    };
    insta::assert_snapshot!(check("response.items = \".data.orders[]\"\nitem.key = \".id\""), @"
    error: connector orders: http://127.0.0.1:PORT/orders: `response.items` (.data.orders[]) failed on the answer: `.data.orders` is null, so `[]` finds nothing to iterate over; `.data` has the keys: order_list, total
      `.data` is there, an object with `order_list` (array of 4) and `total`
      (number); `.orders` is not there: did you mean `.order_list`?
      what could be items is `.data.order_list[]` (array of 4)
    ");
    insta::assert_snapshot!(check("response.items = '.data.order_list[] | select(.state == \"paid\")'\nitem.key = \".id\""), @r#"
    error: `response.items` (.data.order_list[] | select(.state == "paid")) gives nothing
      `.data.order_list[]` gives 4 values, the first one an object with `id`
      (number), `status` (text), `total` (number) and `customer` (object of 2);
      `select(.state == "paid")` gives nothing
      in the first one `.state` is null
    "#);
    insta::assert_snapshot!(check("response.items = \".data.order_list[]\"\nitem.key = \".uuid\""), @"
    error: connector orders: http://127.0.0.1:PORT/orders: item 1 of page 1: `item.key` (.uuid) gives null, where a text, a number or a boolean is needed
      item 1 is an object with `id` (number), `status` (text), `total` (number) and
      `customer` (object of 2); `.uuid` is not there: did you mean `.id`?
    ");
    insta::assert_snapshot!(check("response.items = \".data.order_list[]\"\nitem.key = \".id\"\nitem.filter = '.total > 100'"), @"
    error: none of 4 items passes `item.filter` (.total > 100)
      in the first item `.total` is the number 10
    ");
    let cursor = "cursor.value = \".customer\"\ncursor.initial = \"0\"\nrequest.query.since = \"{{ cursor }}\"";
    insta::assert_snapshot!(check(&format!("response.items = \".data.order_list[]\"\nitem.key = \".id\"\n{cursor}")), @"
    error: connector orders: http://127.0.0.1:PORT/orders?since=0: item 1 of page 1: `cursor.value` (.customer) gives an object, where a text or a number is needed
      in item 1, `.customer` gives an object with `name` (text) and `city` (text)
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_counted_against_what_the_service_remembers() {
    let source = Source::start(|_| Reply::json(r#"[{"id":1,"n":1},{"id":2,"n":1},{"id":3,"n":1}]"#)).await;
    let url = source.url("/orders");
    let home = Home::new(&format!(
        "[connectors.orders]\nevery = \"1h\"\nrequest.url = \"{url}\"\nitem.key = \".id\"\nchanges.lists = \"everything\""
    ));
    let changes = |server: &str| {
        let output = printed(&output_of(&mut trying(&home, 80, &["--server", server])));
        let lines = output.lines().skip_while(|line| !line.starts_with("changes")).take_while(|line| !line.is_empty());
        lines.collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(changes("http://127.0.0.1:9/"), @"
    changes               no service runs at http://127.0.0.1:PORT/, so every item
                          counts as new
    ");

    let service = home.start().await;
    wait::until("the service remembers the orders", PATIENCE, async || {
        changes(&service.url()).ends_with("0 new, 0 changed, 3 unchanged").then_some(())
    })
    .await;
    source.respond(|_| Reply::json(r#"[{"id":1,"n":1},{"id":2,"n":2},{"id":4,"n":1}]"#));
    insta::assert_snapshot!(changes(&service.url()), @"
    changes               1 new, 1 changed, 1 unchanged; 1 remembered item not
                          listed any more
    ");
    source.respond(|_| Reply::json("[]"));
    let empty = output_of(&mut trying(&home, 80, &["--server", &service.url()]));
    assert_eq!(empty.status.code(), Some(1));
    service.stop().await;
}
