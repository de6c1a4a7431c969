//! What is known of an exchange when it is over.

use std::time::Duration;

use pollhook::clock::SystemClock;
use pollhook::http::HttpClient;
use pollhook::model::delivery::FailureClass;
use pollhook::model::egress::Egress;
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;

use crate::world::{Names, OK, Server, answer_one, post, post_within, read_request, trusted};

#[tokio::test]
async fn only_who_opened_a_connection_is_told_what_that_took() {
    let server = Server::answering().await;
    let client = HttpClient::with_lookup(Egress::default(), Names::leading_to([&["127.0.0.1"]])).expect("a client");
    let (first, result) = post(&client, &server.url("hooks.example.com")).await;
    assert_eq!(result.expect("an answer").status, 200);
    let phases = first.phases;
    assert!(phases.dns.is_some() && phases.connect.is_some() && phases.tls.is_none(), "{phases:?}");
    assert!(phases.answer.is_some() && phases.body.is_some(), "{phases:?}");
    let (second, result) = post(&client, &server.url("hooks.example.com")).await;
    assert_eq!(result.expect("an answer").status, 200);
    let phases = second.phases;
    assert_eq!((phases.dns, phases.connect, phases.tls), (None, None, None));
    assert!(phases.answer.is_some() && phases.body.is_some(), "{phases:?}");
    assert_eq!((first.address, second.address), (Some(server.address), Some(server.address)));
    // Nothing is resolved for an address.
    let (third, _) = post(&trusted(), &server.url("127.0.0.1")).await;
    assert!(third.phases.dns.is_none() && third.phases.connect.is_some(), "{third:?}");
}

/// Lets a server be slow.
async fn wait(pause: Duration) {
    let clock = SystemClock::shared();
    clock.sleep_until(clock.now() + pause).await;
}

#[tokio::test]
async fn phases_follow_each_other_and_make_up_the_whole() {
    let pause = Duration::from_millis(60);
    let server = Server::start(move |_, mut stream| async move {
        read_request(&mut stream).await.expect("a request");
        wait(pause).await;
        let (head, body) = OK.split_at(OK.len() - 2);
        stream.write_all(head.as_bytes()).await.expect("the client listens");
        wait(pause).await;
        stream.write_all(body.as_bytes()).await.expect("the client listens");
    })
    .await;
    let clock = SystemClock::shared();
    let begun = clock.monotonic();
    let (trace, result) = post(&trusted(), &server.url("localhost")).await;
    let whole = clock.monotonic().saturating_sub(begun);
    assert_eq!(result.expect("an answer").body, "ok");
    let phases = trace.phases;
    // The server's clock has whole milliseconds.
    let least = Duration::from_millis(58);
    assert!(phases.answer.is_some_and(|answer| answer >= least), "{phases:?}");
    assert!(phases.body.is_some_and(|body| body >= least), "{phases:?}");
    let all = [phases.dns, phases.connect, phases.tls, phases.answer, phases.body];
    let sum: Duration = all.into_iter().flatten().sum();
    assert!(sum <= whole && sum >= 2 * least, "{sum:?} of {whole:?}: {phases:?}");
}

#[tokio::test]
async fn a_failure_tells_how_far_it_came() {
    let (trace, result) = post(&trusted(), "http://127.0.0.1:1/").await;
    assert_eq!(result.expect_err("nobody listens").class(), FailureClass::Connect);
    assert_eq!(trace.address, Some("127.0.0.1:1".parse().expect("an address")));
    assert!(trace.phases.connect.is_some() && trace.phases.answer.is_none() && !trace.stale, "{trace:?}");

    let silent = Server::start(|_, mut stream| async move { while read_request(&mut stream).await.is_some() {} }).await;
    let deadline = Duration::from_millis(80);
    let (trace, result) = post_within(&trusted(), &silent.url("127.0.0.1"), deadline).await;
    assert_eq!(result.expect_err("no answer").class(), FailureClass::Timeout);
    assert_eq!(trace.address, Some(silent.address));
    assert!(trace.phases.answer.is_some_and(|answer| answer >= deadline / 4), "{trace:?}");
    assert!(trace.phases.connect.is_some() && trace.phases.body.is_none(), "{trace:?}");

    let closing = Server::start(|_, mut stream| async move {
        read_request(&mut stream).await;
    })
    .await;
    let (trace, result) = post(&trusted(), &closing.url("127.0.0.1")).await;
    assert_eq!(result.expect_err("no answer").class(), FailureClass::Transport);
    assert_eq!((trace.address, trace.stale), (Some(closing.address), false));
}

/// Many requests at once open connections that others then use. No connection is told of twice, and none that was not made.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_told_of_once_at_most() {
    let server = Server::start(|_, mut stream| async move { while answer_one(&mut stream, OK).await {} }).await;
    let client = trusted();
    let mut requests = JoinSet::new();
    let url = server.url("localhost");
    for _ in 0..200 {
        let (client, url) = (client.clone(), url.clone());
        requests.spawn(async move {
            let mut opened = 0;
            for _ in 0..5 {
                let (trace, result) = post(&client, &url).await;
                assert_eq!(result.expect("an answer").status, 200);
                assert_eq!(trace.phases.dns.is_some(), trace.phases.connect.is_some(), "{trace:?}");
                assert!(trace.phases.answer.is_some() && trace.address.is_some(), "{trace:?}");
                opened += usize::from(trace.phases.connect.is_some());
            }
            opened
        });
    }
    let opened: usize = requests.join_all().await.into_iter().sum();
    assert!((1..=server.accepted()).contains(&opened), "{opened} of {}", server.accepted());
}
