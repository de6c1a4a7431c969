//! Sources that fail, and what is tried about it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pollhook::model::time::Timestamp;
use pollhook::poll::PollOutcome;
use tokio_util::sync::CancellationToken;

use crate::source::{Fault, Reply};
use crate::world::{World, name};

/// Returns a world whose source gives these answers one after the other, the last one for ever, and the list of
/// times at which it was asked.
async fn answering(rules: &str, replies: Vec<Reply>) -> (World, Arc<Mutex<Vec<Timestamp>>>) {
    let world = World::new(rules, |_| Reply::json("[]")).await;
    let times = Arc::new(Mutex::new(Vec::new()));
    let (clock, asked) = (world.shared_clock(), Arc::clone(&times));
    let mut replies = replies.into_iter().peekable();
    world.source.respond(move |_| {
        asked.lock().expect("nobody panicked").push(clock.now());
        let reply = replies.peek().cloned().expect("an answer");
        if replies.len() > 1 {
            replies.next();
        }
        reply
    });
    (world, times)
}

/// By how much a source on a busy machine may notice a request late, while the clock goes on.
const LATE: Duration = Duration::from_millis(500);

/// Returns how long after each request the next one came, at most.
fn waits(times: &Mutex<Vec<Timestamp>>) -> Vec<Duration> {
    times.lock().expect("nobody panicked").windows(2).map(|pair| pair[1].since(pair[0]) + LATE).collect()
}

fn limited(status: u16, retry_after: &str) -> Reply {
    Reply::of(status, "").with("retry-after", retry_after)
}

const ITEMS: &str = r#"[{"id":1}]"#;

#[tokio::test]
async fn what_may_pass_is_tried_three_times() {
    let check = async |fault: Reply| {
        let (world, times) = answering("", vec![fault.clone(), fault.clone(), Reply::json(ITEMS)]).await;
        let report = world.poll().await;
        assert_eq!(report.outcome.failure(), None, "{fault:?}");
        assert_eq!(report.requests, 3);
        let waits = waits(&times);
        assert!(waits[0] >= Duration::from_secs(1) && waits[1] >= Duration::from_secs(4), "{waits:?}");

        let (world, times) = answering("", vec![fault.clone()]).await;
        assert!(matches!(world.poll().await.outcome, PollOutcome::Failed(_)), "{fault:?}");
        assert_eq!(times.lock().expect("nobody panicked").len(), 3, "{fault:?}");
    };
    check(Reply::of(500, "")).await;
    check(Reply::of(503, "")).await;
    check(Reply::of(408, "")).await;
    check(limited(503, "soon")).await;
    check(Reply::fault(Fault::Close)).await;
    check(Reply { fault: Fault::CutAfter(3), ..Reply::json(ITEMS) }).await;
}

#[tokio::test]
async fn what_will_not_pass_fails_at_once() {
    for status in [400, 401, 403, 404, 410, 422, 429, 501] {
        let (world, times) = answering("", vec![Reply::of(status, "no")]).await;
        let failure = world.failure().await;
        assert!(failure.contains(&format!("SOURCE/items: the source answered {status} ")), "{failure}");
        assert_eq!(times.lock().expect("nobody panicked").len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_short_retry_after_is_waited_for_once() {
    let (world, times) = answering("", vec![limited(429, "7"), Reply::json(ITEMS)]).await;
    assert_eq!(world.poll().await.outcome.failure(), None);
    let first = waits(&times)[0];
    assert!(first >= Duration::from_secs(7), "{first:?}");

    let (world, times) = answering("", vec![limited(503, "3")]).await;
    let failure = world.failure().await;
    assert_eq!(failure, "connector orders: SOURCE/items: the source answered 503 Service Unavailable");
    assert_eq!(times.lock().expect("nobody panicked").len(), 2);
    assert!(world.state().await.expect("it was polled").not_before.is_some());
}

#[tokio::test]
async fn a_long_retry_after_puts_the_next_poll_off() {
    let check = async |retry_after: &str, expected: Option<Duration>| {
        let (world, _) = answering("", vec![limited(429, retry_after)]).await;
        let report = world.poll_with_ticks_of(Duration::ZERO).await;
        let state = world.state().await.expect("it was polled");
        assert_eq!(report.requests, 1);
        assert_eq!(state.not_before.map(|at| at.since(report.at)), expected, "{retry_after}");
    };
    check("11", Some(Duration::from_secs(11))).await;
    check("99999999999999999999", Some(Duration::from_secs(24 * 60 * 60))).await;
    check("later", None).await;
}

#[tokio::test]
async fn a_source_that_does_not_answer_is_left_after_the_timeout() {
    let (world, _) = answering("request.timeout = \"100ms\"", vec![Reply::fault(Fault::Hang)]).await;
    // Not faster than the timeout, which passes in real time.
    let report = world.poll_with_ticks_of(Duration::from_millis(20)).await;
    assert_eq!(world.failure_of(&report), "connector orders: SOURCE/items: no answer within 100ms");
    assert_eq!(report.requests, 3);
}

#[tokio::test]
async fn a_source_that_is_not_there_is_named() {
    let world = World::new("request.url = \"http://127.0.0.1:1/items\"", |_| Reply::json("[]")).await;
    let failure = world.failure().await;
    assert!(failure.starts_with("connector orders: http://127.0.0.1:1/items: no connection: "), "{failure}");
}

#[tokio::test]
async fn lasting_failure_and_recovery_are_news() {
    let world = World::new("", |_| Reply::of(404, "")).await;
    for failures in 1..=4 {
        assert_eq!(world.poll().await.failures, failures);
    }
    let state = world.state().await.expect("it was polled");
    assert_eq!(state.failures, 4);
    assert!(state.last_error.expect("it failed").contains("404"));
    world.serve(ITEMS);
    assert_eq!(world.poll().await.recovered_after, 4);
    world.poll().await;
    let state = world.state().await.expect("it was polled");
    assert_eq!((state.failures, state.failing_since, state.last_error), (0, None, None));
    let events = world.events().await;
    let news: Vec<(&str, &str)> = events.iter().map(|event| (event.event_type.as_str(), event.key.as_str())).collect();
    assert_eq!(news, [("pollhook.connector.failing", "orders"), ("pollhook.connector.recovered", "orders")]);
    assert!(events[0].data.get().contains("\"failures\":3"), "{}", events[0].data);
}

#[tokio::test]
async fn a_poll_that_is_told_to_stop_leaves_at_once_and_gives_its_lease_back() {
    let world = World::new("", |_| Reply::fault(Fault::Hang)).await;
    let stop = CancellationToken::new();
    let poller = world.poller();
    let (report, ()) = tokio::join!(poller.poll_until(&stop), async {
        while world.source.take_requests().is_empty() {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    });
    assert_eq!(report.expect("the store works").outcome, PollOutcome::Stopped);
    assert_eq!(world.state().await, None);
    world.serve(ITEMS);
    assert_eq!(world.poll().await.outcome.failure(), None);
}

#[tokio::test]
async fn a_connector_that_someone_else_polls_is_left_alone() {
    let world = World::new("", |_| Reply::json(ITEMS)).await;
    let lease = world.store.lease_poll(&name(), world.now(), Duration::from_secs(3600)).await.expect("it works");
    assert_eq!(world.poll().await.outcome, PollOutcome::Held);
    assert_eq!(world.asked(), [""; 0]);
    world.store.release_poll(lease.expect("nobody else has it")).await.expect("it works");
    assert_eq!(world.poll().await.outcome.failure(), None);
}

#[tokio::test]
async fn a_poll_that_takes_too_long_is_given_up() {
    let (world, _) = answering("request.timeout = \"10m\"", vec![Reply::fault(Fault::Hang)]).await;
    let poller = world.poller();
    let (report, ()) = tokio::join!(poller.poll(), async {
        while world.source.take_requests().is_empty() {
            tokio::task::yield_now().await;
        }
        world.clock.advance(Duration::from_secs(5 * 60 * 60));
    });
    let failure = report.expect("the store works").outcome.failure().expect("it failed").to_string();
    assert_eq!(failure, "connector orders: its pages were not read within 30m20s");
    assert_eq!(world.state().await.expect("it was polled").failures, 1);
}
