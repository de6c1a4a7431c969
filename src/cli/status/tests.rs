//! What people read about their connectors.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::super::output::Output;
use super::{connector, print_connectors};
use crate::model::pagination::PagePosition;
use crate::model::poll_record::{NextReason, PollRecord};
use crate::model::time::Timestamp;
use crate::server::wire::{ConnectorStatus, ConnectorView, NextPoll};
use crate::store::{Hold, Pass};

fn at(seconds: u64) -> Timestamp {
    Timestamp::parse("2026-11-20T12:00:00Z").expect("a time") + Duration::from_secs(seconds)
}

#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Returns what is printed.
fn printed(print: impl FnOnce(&mut Output)) -> String {
    let written = Printed::default();
    print(&mut Output::plain(written.clone()));
    let bytes = written.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    String::from_utf8(bytes).expect("text")
}

fn view(name: &str, status: ConnectorStatus) -> ConnectorView {
    let json = serde_json::json!({
        "name": name, "schedule": "every 30s", "status": status, "items": 1250, "failures": 0,
        "polled_at": at(0), "succeeded_at": at(0),
    });
    let next_poll = Some(NextPoll { at: at(30), because: NextReason::Schedule });
    ConnectorView { next_poll, ..serde_json::from_value(json).expect("a view") }
}

fn failing() -> ConnectorView {
    ConnectorView {
        failures: 7,
        failing_since: Some(at(0)),
        error: Some(
            "connector orders: https://shop.example.com/api/orders: the source answered 401 Unauthorized: check \
             `auth`"
                .to_owned(),
        ),
        not_before: Some(at(900)),
        next_poll: Some(NextPoll { at: at(900), because: NextReason::AskedToWait }),
        ..view("orders", ConnectorStatus::Failing)
    }
}

fn record(seconds: u64, outcome: &str, cause: Option<&str>) -> PollRecord {
    PollRecord {
        at: at(seconds),
        elapsed: 1234,
        outcome: outcome.to_owned(),
        cause: cause.map(str::to_owned),
        pages: 12,
        requests: 13,
        bytes: 1_258_291,
        items: 1250,
        created: 0,
        updated: 0,
        removed: 0,
        held: 0,
        notes: Vec::new(),
        next: Some(at(seconds + 30)),
        next_because: NextReason::Schedule,
    }
}

#[test]
fn a_line_says_for_each_trouble_what_it_is_and_what_to_do() {
    let hold = Hold {
        since: at(0),
        cause: "1500 items created at once, and `hold_above.created` is 1000".to_owned(),
        created: 1500,
        updated: 3,
        removed: 20,
    };
    let pass = Pass { polls: 4, ..Pass::new(at(0), PagePosition::Number(201)) };
    let connectors = [
        failing(),
        ConnectorView { failures: 1, error: None, ..view("invoices", ConnectorStatus::Failing) },
        ConnectorView { hold: Some(hold), ..view("tickets", ConnectorStatus::Held) },
        ConnectorView { pass: Some(pass), ..view("prices/rome", ConnectorStatus::Behind) },
        ConnectorView {
            awaiting_detail: 3,
            changed_at: Some(at(0)),
            is_silent: true,
            warnings: vec!["2 keys were found twice in one answer".to_owned()],
            ..view("releases", ConnectorStatus::Warning)
        },
        ConnectorView { baseline_next: true, ..view("stock", ConnectorStatus::Ok) },
        ConnectorView { polled_at: None, next_poll: None, items: 0, ..view("new", ConnectorStatus::Waiting) },
    ];
    let text = printed(|output| print_connectors(&connectors, output).expect("it is printed"));
    insta::assert_snapshot!(text, @r#"
    CONNECTOR    STATUS   SCHEDULE   ITEMS  POLLED                NEXT
    orders       failing  every 30s  1250   2026-11-20 12:00:00Z  2026-11-20 12:15:00Z
    invoices     failing  every 30s  1250   2026-11-20 12:00:00Z  2026-11-20 12:00:30Z
    tickets      held     every 30s  1250   2026-11-20 12:00:00Z  2026-11-20 12:00:30Z
    prices/rome  behind   every 30s  1250   2026-11-20 12:00:00Z  2026-11-20 12:00:30Z
    releases     warning  every 30s  1250   2026-11-20 12:00:00Z  2026-11-20 12:00:30Z
    stock        ok       every 30s  1250   2026-11-20 12:00:00Z  2026-11-20 12:00:30Z
    new          waiting  every 30s  0      -                     -

    orders: failed 7 times in a row since 2026-11-20 12:00:00Z: https://shop.example.com/api/orders: the source answered 401 Unauthorized: check `auth`; it asked not to be polled before 2026-11-20 12:15:00Z. To look closer: `pollhook try orders`
    invoices: failed at 2026-11-20 12:00:00Z: no cause was recorded. To look closer: `pollhook try invoices`
    tickets: 1500 created, 3 updated and 20 removed are held since 2026-11-20 12:00:00Z: 1500 items created at once, and `hold_above.created` is 1000. `pollhook approve tickets` sends them, `pollhook drop tickets` forgets them, `pollhook baseline tickets` takes them as seen
    prices/rome: behind since 2026-11-20 12:00:00Z: it has more pages than one poll may read (`pagination.max_pages`); 4 polls so far, and the next one goes on at page 201
    releases: the detail of 3 items could not be had, so nothing is sent of that yet; each poll asks again
    releases: no change since 2026-11-20 12:00:00Z, longer than `limits.silence`; does the source still work?
    releases: 2 keys were found twice in one answer
    stock: what its next complete poll finds is taken as seen and not sent, as was asked
    "#);
}

#[test]
fn a_connector_is_shown_with_its_last_polls() {
    let polls = [
        PollRecord {
            next: Some(at(900)),
            next_because: NextReason::AskedToWait,
            ..record(90, "failed", failing().error.as_deref())
        },
        record(60, "failed", Some("connector orders: https://shop.example.com: 500")),
        record(30, "failed", Some("connector orders: https://shop.example.com: 500")),
        record(15, "unchanged", None),
        PollRecord {
            created: 12,
            updated: 3,
            removed: 1,
            notes: vec!["2 keys were found twice".to_owned()],
            ..record(0, "complete", None)
        },
        PollRecord {
            held: 1500,
            next: None,
            notes: vec!["paging stopped: there are more than 50 pages".to_owned()],
            ..record(0, "truncated", Some("there are more than 50 pages"))
        },
    ];
    let orders = ConnectorView {
        title: Some("Orders of the shop".to_owned()),
        changed_at: Some(at(0)),
        cursor: Some("2026-11-20T11:59:00Z".to_owned()),
        reconciled_at: Some(at(0)),
        interval: Some(300_000),
        ..failing()
    };
    let text = printed(|output| connector::print(&orders, &polls, output).expect("it is printed"));
    insta::assert_snapshot!(text, @r#"
    connector   orders
    title       Orders of the shop
    status      failing
    schedule    every 30s
    interval    5m
    polled      2026-11-20 12:00:00Z
    succeeded   2026-11-20 12:00:00Z
    changed     2026-11-20 12:00:00Z
    next        2026-11-20 12:15:00Z, as it asked to wait
    items       1250
    cursor      2026-11-20T11:59:00Z
    reconciled  2026-11-20 12:00:00Z

    orders: failed 7 times in a row since 2026-11-20 12:00:00Z: https://shop.example.com/api/orders: the source answered 401 Unauthorized: check `auth`; it asked not to be polled before 2026-11-20 12:15:00Z. To look closer: `pollhook try orders`

    POLL                  OUTCOME    PAGES  REQUESTS  BYTES    ITEMS  CHANGES    TOOK  NEXT
    2026-11-20 12:01:30Z  failed     12     13        1.1 MiB  1250   -          1.2s  12:15:00Z, as it asked to wait
    2026-11-20 12:01:00Z  failed     12     13        1.1 MiB  1250   -          1.2s  12:01:30Z
    2026-11-20 12:00:30Z  failed     12     13        1.1 MiB  1250   -          1.2s  12:01:00Z
    2026-11-20 12:00:15Z  unchanged  12     13        1.1 MiB  -      -          1.2s  12:00:45Z
    2026-11-20 12:00:00Z  complete   12     13        1.1 MiB  1250   +12 ~3 -1  1.2s  12:00:30Z
    2026-11-20 12:00:00Z  truncated  12     13        1.1 MiB  1250   1500 held  1.2s  never

    2026-11-20 12:01:00Z failed: https://shop.example.com: 500
    2026-11-20 12:00:00Z complete: 2 keys were found twice
    2026-11-20 12:00:00Z truncated: there are more than 50 pages
    "#);
}

#[test]
fn a_connector_that_was_never_polled_is_shown() {
    let new = ConnectorView {
        polled_at: None,
        succeeded_at: None,
        next_poll: None,
        items: 0,
        ..view("new", ConnectorStatus::Waiting)
    };
    let text = printed(|output| connector::print(&new, &[], output).expect("it is printed"));
    insta::assert_snapshot!(text, @r#"
    connector   new
    status      waiting
    schedule    every 30s
    polled      never
    succeeded   never
    items       0
    "#);
}
