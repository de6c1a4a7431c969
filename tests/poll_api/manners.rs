//! How sources are spared: budgets of hosts, what answers ask for, validators, and intervals that adapt.

use std::time::Duration;

use pollhook::model::item::Completeness;
use pollhook::model::poll_record::NextReason;
use pollhook::poll::{PollOutcome, driver};
use tokio_util::sync::CancellationToken;

use crate::source::{Fault, Reply, Request};
use crate::world::World;

const ITEMS: &str = r#"[{"id":1}]"#;

const STEP: Duration = Duration::from_millis(50);

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// An answer after which nothing more is allowed for so many seconds.
fn spent(reset: &str) -> Reply {
    Reply::json(ITEMS).with("x-ratelimit-remaining", "0").with("x-ratelimit-reset", reset)
}

#[tokio::test]
async fn a_spent_budget_puts_the_next_polls_of_all_connectors_off_without_a_failure() {
    let world = World::new("", |_| spent("300")).await;
    let report = world.poll_with_ticks_of(Duration::ZERO).await;
    let until = report.at + seconds(300);
    assert_eq!(report.outcome, PollOutcome::Compared(Completeness::Complete));
    let state = world.state().await.expect("it was polled");
    assert_eq!((state.failures, state.not_before), (0, Some(until)));
    let due = world.connector.schedule.due(Some(&state.past()), world.now()).expect("a time");
    assert_eq!((due.at, due.because), (until, NextReason::AskedToWait));

    let another = world.another("more", "");
    world.asked();
    assert_eq!(world.poll_by(&another, Duration::ZERO).await.outcome, PollOutcome::PutOff(until));
    assert_eq!(world.asked(), [""; 0]);
    world.clock.advance(seconds(300));
    assert_eq!(world.poll_by(&another, STEP).await.outcome, PollOutcome::Compared(Completeness::Complete));
}

#[tokio::test]
async fn a_refusal_concerns_all_connectors_that_the_host_takes_for_the_same() {
    let refused = |request: &Request| match request.header("authorization") {
        Some(_) => Reply::of(403, "").with("retry-after", "3600"),
        None => Reply::json(ITEMS),
    };
    let auth = "auth.bearer.token = { env = \"TOKEN\" }";
    let world = World::new(auth, refused).await;
    world.poll_with_ticks_of(Duration::ZERO).await;
    world.asked();
    let same = world.another("same", auth);
    assert!(matches!(world.poll_by(&same, STEP).await.outcome, PollOutcome::PutOff(_)));
    assert_eq!(world.asked(), [""; 0]);
    let anonymous = world.another("anonymous", "");
    assert_eq!(world.poll_by(&anonymous, STEP).await.outcome, PollOutcome::Compared(Completeness::Complete));
}

#[tokio::test]
async fn a_driver_waits_until_the_host_wants_to_be_asked_again() {
    let world = World::new("", |_| spent("300")).await;
    world.poll().await;
    world.serve(ITEMS);
    world.asked();
    let another = world.another("more", "");
    let stop = CancellationToken::new();
    let (result, ()) = tokio::join!(driver::run(another, stop.clone()), async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        world.clock.advance(seconds(299));
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(world.asked(), [""; 0]);
        world.clock.advance(seconds(1));
        while world.asked().is_empty() {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    });
    result.expect("the store works");
}

/// A second page behind a first one that is answered this way.
fn two_pages(first: impl Fn() -> Reply + Send + 'static) -> impl FnMut(&Request) -> Reply + Send + 'static {
    move |request| match request.target.as_str() {
        "/items" => first().with("link", "</items?page=2>; rel=\"next\""),
        _ => Reply::json(r#"[{"id":2}]"#),
    }
}

#[tokio::test]
async fn within_a_poll_a_short_wait_is_waited_for_and_a_long_one_ends_it_early() {
    let rules = "pagination.link = {}\nchanges.first_poll = \"send\"\n";
    let world = World::new(rules, two_pages(|| spent("7"))).await;
    let report = world.poll().await;
    assert_eq!(report.outcome, PollOutcome::Compared(Completeness::Complete));
    assert!(report.elapsed >= seconds(7), "{:?}", report.elapsed);

    let world = World::new(rules, two_pages(|| Reply::json(ITEMS))).await;
    world.poll().await;
    world.source.respond(two_pages(|| spent("120")));
    let report = world.poll_with_ticks_of(Duration::ZERO).await;
    let until = report.at + seconds(120);
    let failure = world.failure_of(&report);
    assert!(failure.contains(&format!(" allows no more requests until {until}: what it allows is spent")), "{failure}");
    assert!(matches!(report.outcome, PollOutcome::Partial(_) | PollOutcome::Failed(_)), "{:?}", report.outcome);
    assert_eq!(world.state().await.expect("it was polled").not_before, Some(until));
}

#[tokio::test]
async fn a_rate_is_kept_and_waiting_for_it_does_not_count_as_the_source_being_slow() {
    let rules = "pagination.link = {}\nrequest.timeout = \"200ms\"\n[hosts.\"HOST\"]\nrate = \"1/5s\"\n";
    let world = World::new(rules, two_pages(|| Reply::json(ITEMS))).await;
    world.clock.advance(seconds(60));
    let poller = world.poller();
    let (report, ()) = tokio::join!(poller.poll(), async {
        let real = std::time::Duration::from_millis(500);
        while world.asked().is_empty() {
            tokio::task::yield_now().await;
        }
        // Longer than the request's timeout, which passes in real time.
        let _ = tokio::time::timeout(real, std::future::pending::<()>()).await;
        assert_eq!(world.asked(), [""; 0]);
        world.clock.advance(seconds(5));
    });
    let report = report.expect("the store works");
    assert_eq!(report.outcome, PollOutcome::Compared(Completeness::Complete));
    assert_eq!(report.requests, 2);
}

#[tokio::test]
async fn a_rate_that_is_used_up_for_long_puts_polls_off_instead_of_failing_them() {
    let rules = "[hosts.\"HOST\"]\nrate = \"2/h\"\n";
    let world = World::new(&format!("pagination.link = {{}}\n{rules}"), two_pages(|| Reply::json(ITEMS))).await;
    assert_eq!(world.poll().await.outcome, PollOutcome::Compared(Completeness::Complete));
    let free = world.now() + seconds(60 * 60);
    world.asked();
    let another = world.another("more", rules);
    let report = world.poll_by(&another, Duration::ZERO).await;
    let PollOutcome::PutOff(until) = report.outcome else { panic!("not put off: {report:?}") };
    assert!(until <= free && free.since(until) < seconds(60), "{until}");
    let stop = CancellationToken::new();
    let (result, ()) = tokio::join!(driver::run(another, stop.clone()), async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(world.asked(), [""; 0]);
        world.clock.advance(seconds(60 * 60));
        while world.asked().is_empty() {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    });
    result.expect("the store works");
}

#[tokio::test]
async fn a_connectors_own_rate_is_kept_over_its_pages() {
    let world = World::new("pagination.link = {}\nlimits.rate = \"1/5s\"\n", two_pages(|| Reply::json(ITEMS))).await;
    let report = world.poll().await;
    assert_eq!(report.outcome, PollOutcome::Compared(Completeness::Complete));
    assert!(report.elapsed >= seconds(5), "{:?}", report.elapsed);
}

#[tokio::test]
async fn a_poll_that_is_stopped_frees_its_place_at_the_host() {
    let rules = "request.timeout = \"10m\"\n[hosts.\"HOST\"]\nconcurrency = 1\n";
    let world = World::new(rules, |_| Reply::fault(Fault::Hang)).await;
    let (stop, poller, another) = (CancellationToken::new(), world.poller(), world.another("more", rules));
    let (stopped, other) = tokio::join!(poller.poll_until(&stop), async {
        while world.asked().is_empty() {
            tokio::task::yield_now().await;
        }
        world.serve(ITEMS);
        let (report, ()) = tokio::join!(another.poll(), async {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            assert_eq!(world.asked(), [""; 0], "there is one place, and it is taken");
            stop.cancel();
        });
        report
    });
    assert_eq!(stopped.expect("the store works").outcome, PollOutcome::Stopped);
    assert_eq!(other.expect("the store works").outcome, PollOutcome::Compared(Completeness::Complete));
}

#[tokio::test]
async fn backoff_is_the_same_after_a_restart() {
    let world = World::new("", |_| Reply::of(404, "")).await;
    for _ in 0..4 {
        world.poll().await;
    }
    world.asked();
    let state = world.state().await.expect("it was polled");
    let due = world.connector.schedule.due(Some(&state.past()), world.now()).expect("a time");
    let wait = due.at.since(state.polled_at);
    assert!(seconds(8 * 60) <= wait && wait <= seconds(10 * 60), "{wait:?}");
    assert_eq!(due.because, NextReason::Backoff);
    let stop = CancellationToken::new();
    // As after a restart: nothing but the store knows of the failures.
    let (result, ()) = tokio::join!(driver::run(world.another("orders", ""), stop.clone()), async {
        world.clock.advance((due.at - Duration::from_millis(1)).since(world.now()));
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(world.asked(), [""; 0]);
        world.clock.advance(Duration::from_millis(1));
        while world.asked().is_empty() {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    });
    result.expect("the store works");
}

#[tokio::test]
async fn an_adaptive_interval_follows_the_source_and_outlives_a_restart() {
    let mut world = World::new("every = { min = \"10s\", max = \"5m\" }\n", |_| Reply::json(ITEMS)).await;
    let interval = async |world: &World| world.state().await.expect("it was polled").past().interval.expect("a length");
    world.poll().await;
    let mut before = interval(&world).await;
    for _ in 0..30 {
        world.poll().await;
        let after = interval(&world).await;
        assert!(after > before || after == seconds(300), "{before:?}, then {after:?}");
        before = after;
    }
    assert_eq!(before, seconds(300));
    world.serve(r#"[{"id":1},{"id":2}]"#);
    world.edit("every = { min = \"10s\", max = \"5m\" }\n");
    world.poll().await;
    assert_eq!(interval(&world).await, seconds(150));
    let state = world.state().await.expect("it was polled");
    let due = world.connector.schedule.due(Some(&state.past()), world.now()).expect("a time");
    assert_eq!((due.at, due.because), (state.polled_at + seconds(150), NextReason::Adaptive));

    world.source.respond(|_| Reply::json("[]").with("cache-control", "max-age=240"));
    world.poll().await;
    assert_eq!(interval(&world).await, seconds(240), "the answer stands for so long");
    world.source.respond(|_| Reply::of(500, ""));
    world.poll().await;
    assert_eq!(interval(&world).await, seconds(240), "a failure says nothing of it");
}

#[tokio::test]
async fn silence_is_told_once_and_ends_with_the_next_change() {
    let world = World::new("limits.silence = \"1h\"", |_| Reply::json(ITEMS)).await;
    let news = async || {
        let events = world.events().await;
        events.iter().filter(|event| event.event_type.as_str() == "pollhook.connector.silent").count()
    };
    world.poll().await;
    let since = world.state().await.expect("it was polled").polled_at;
    world.clock.advance(seconds(58 * 60));
    world.poll().await;
    assert_eq!(news().await, 0, "an hour has not passed");
    for _ in 0..2 {
        world.poll().await;
        assert_eq!(news().await, 1);
    }
    let event = world.events().await.pop().expect("an event");
    assert_eq!(event.data.get(), format!(r#"{{"since":"{since}","longest":"1h"}}"#));
    world.source.respond(|_| Reply::of(404, ""));
    world.poll().await;
    assert_eq!(news().await, 1, "failures do not end it, and tell of themselves");
    world.serve(r#"[{"id":1},{"id":2}]"#);
    assert_eq!(world.changes().await, ["created 2"]);
    assert!(!world.state().await.expect("it was polled").is_silent);
    world.clock.advance(seconds(60 * 60));
    world.poll().await;
    assert_eq!(news().await, 2, "another silence");
}

#[tokio::test]
async fn a_feed_is_not_polled_sooner_than_its_ttl() {
    let interval = async |ttl: u32| {
        let rules =
            "every = { min = \"10s\", max = \"2h\" }\nresponse.format = \"feed\"\nresponse.items = \".items[]\"\n";
        let feed = format!(
            "<rss version=\"2.0\"><channel><title>t</title><ttl>{ttl}</ttl>\
             <item><guid>1</guid><title>a</title></item></channel></rss>"
        );
        let world = World::new(rules, move |_| Reply::of(200, feed.clone())).await;
        world.poll().await;
        world.state().await.expect("it was polled").past().interval.expect("a length")
    };
    assert_eq!(interval(60).await, seconds(60 * 60));
    assert_eq!(interval(0).await, Duration::from_millis(12_501));
    assert_eq!(interval(u32::MAX).await, seconds(2 * 60 * 60));
}

/// Polls twice and returns the validators that the second poll sent.
async fn validators(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    let reply = headers.iter().fold(Reply::json(ITEMS), |reply, (name, value)| reply.with(name, *value));
    let world = World::new("", move |_| reply.clone()).await;
    world.poll().await;
    world.source.take_requests();
    world.poll().await;
    let requests = world.source.take_requests();
    let [request] = requests.as_slice() else { panic!("one request, not {requests:?}") };
    request.headers.iter().filter(|(name, _)| name.starts_with("if-")).cloned().collect()
}

const DATE: (&str, &str) = ("date", "Fri, 20 Nov 2026 12:00:10 GMT");

const MODIFIED: (&str, &str) = ("last-modified", "Fri, 20 Nov 2026 12:00:00 GMT");

#[tokio::test]
async fn validators_go_back_as_they_came_and_the_best_of_them_alone() {
    let check = async |headers: &[(&str, &str)], expected: &[(&str, &str)]| {
        let sent = validators(headers).await;
        let sent: Vec<(&str, &str)> = sent.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(sent, expected, "{headers:?}");
    };
    for etag in ["\"x\"", "W/\"x\"", "\"x-gzip\"", "unquoted", "\"a, b\""] {
        check(&[("etag", etag)], &[("if-none-match", etag)]).await;
    }
    check(&[("etag", ""), DATE, MODIFIED], &[("if-modified-since", MODIFIED.1)]).await;
    check(&[("etag", "W/\"x\""), DATE, MODIFIED], &[("if-none-match", "W/\"x\"")]).await;
    check(&[("last-modified", DATE.1), DATE], &[]).await;
    check(&[MODIFIED], &[]).await;
}

#[tokio::test]
async fn a_confirmation_of_another_version_is_not_believed() {
    let check = async |answer: Reply| {
        let world = World::new("", |_| Reply::json(ITEMS).with("etag", "\"x\"")).await;
        world.poll().await;
        world.asked();
        world.source.respond(move |request| match request.header("if-none-match") {
            Some(_) => answer.clone(),
            None => Reply::json(r#"[{"id":1},{"id":2}]"#).with("etag", "\"y\""),
        });
        assert_eq!(world.changes().await, ["created 2"]);
        assert_eq!(world.asked(), ["/items if", "/items"]);
    };
    check(Reply::of(304, "").with("etag", "\"y\"")).await;
    check(Reply::of(412, "")).await;
}

#[tokio::test]
async fn a_confirmation_that_nobody_asked_for_is_an_error() {
    let world = World::new("", |_| Reply::of(304, "")).await;
    let failure = world.failure().await;
    assert!(failure.contains("304 Not Modified (it was not asked"), "{failure}");
}
