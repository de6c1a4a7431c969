//! The guard judges the address that is connected to, however it is written and wherever it comes from.

use std::time::Duration;

use pollhook::http::HttpClient;
use pollhook::http::HttpError;
use pollhook::model::delivery::FailureClass;
use pollhook::model::egress::Egress;
use pollhook::model::subscription::Origin;

use crate::world::{Names, OK, Server, Silence, answer_one, egress, guarded, post, post_within, trusted};

#[track_caller]
fn assert_refused(result: &Result<pollhook::http::HttpResponse, HttpError>, case: &str) {
    match result {
        Err(error) => assert_eq!(error.class(), FailureClass::Egress, "{case}: {error}"),
        Ok(answer) => panic!("{case}: answered {}", answer.status),
    }
}

/// Spellings of this machine's address, and of addresses that stand for it.
const HERE: &[&str] = &[
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "0x7f.1",
    "0X7F.0.0.1",
    "0x7f000001",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "00000177.0x0.0.1",
    "127.0.0.1.",
    "%31%32%37.0.0.1",
    "\u{ff11}\u{ff12}\u{ff17}.0.0.1",
    "127\u{3002}0\u{3002}0\u{3002}1",
    "\u{2460}\u{2461}\u{2466}.0.0.1",
    "127.8.8.8",
    "0",
    "0.0.0.0",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b:1::127.0.0.1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "[fe80::5efe:127.0.0.1]",
    "[2606:4700::5efe:127.0.0.1]",
];

#[tokio::test]
async fn every_spelling_of_a_forbidden_address_is_refused() {
    let server = Server::answering().await;
    let client = guarded(Egress::default(), Names::leading_to([]));
    for host in HERE {
        let (trace, result) = post(&client, &server.url(host)).await;
        assert_refused(&result, host);
        assert_eq!(trace.address, None, "{host}");
    }
    for host in ["user:password@127.0.0.1", "169.254.169.254", "10.0.0.1", "[fd00:ec2::254]", "100.100.100.200"] {
        assert_refused(&post(&client, &server.url(host)).await.1, host);
    }
    assert_eq!(server.accepted(), 0);
    // The same place, for those who may go there.
    for host in ["127.1", "0x7f000001", "[::ffff:127.0.0.1]"] {
        assert_eq!(post(&trusted(), &server.url(host)).await.1.expect(host).status, 200);
    }
}

#[tokio::test]
async fn names_of_this_machine_are_refused() {
    let server = Server::answering().await;
    // As the operating system resolves them.
    let client = HttpClient::new().expect("a client").for_origin(Origin::Api);
    for host in ["localhost", "LocalHost"] {
        assert_refused(&post(&client, &server.url(host)).await.1, host);
    }
    // As some do, but not all.
    let client = guarded(Egress::default(), Names::leading_to([&["127.0.0.1"]]));
    for host in ["localhost.", "here.localhost", "ip6-localhost", "localhost.localdomain"] {
        assert_refused(&post(&client, &server.url(host)).await.1, host);
    }
    assert_eq!(server.accepted(), 0);
    assert_eq!(post(&trusted(), &server.url("localhost")).await.1.expect("an answer").status, 200);
}

#[tokio::test]
async fn a_name_with_one_forbidden_address_is_refused() {
    let client = guarded(Egress::default(), Names::leading_to([&["1.1.1.1", "10.0.0.1"]]));
    let (_, result) = post(&client, "http://hooks.example.com/").await;
    let error = result.expect_err("a refusal").to_string();
    assert_eq!(
        error,
        "the address 10.0.0.1 (private, RFC 1918) may not be connected to; `[egress] allow` could name it"
    );
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_a_moment_later_leads_nowhere() {
    let good = Server::start(|_, mut stream| async move {
        answer_one(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
    })
    .await;
    let bad = Server::at(&format!("127.0.0.2:{}", good.address.port()), |_, mut stream| async move {
        answer_one(&mut stream, OK).await;
    })
    .await;
    let names = Names::leading_to([&["127.0.0.1"], &["127.0.0.2"]]);
    let client = guarded(egress(&["127.0.0.1"], &[]), names.clone());
    let url = good.url("rebinding.example.com");
    let (trace, result) = post(&client, &url).await;
    // What was judged is what was connected to: the name was resolved but once.
    assert_eq!((result.expect("an answer").status, trace.address, names.asked()), (200, Some(good.address), 1));
    assert_refused(&post(&client, &url).await.1, "the second time");
    assert_eq!((good.accepted(), bad.accepted(), names.asked()), (1, 0, 2));
}

#[tokio::test]
async fn a_connection_that_is_open_is_only_for_those_who_may_go_there() {
    let server = Server::answering().await;
    let client = HttpClient::with_lookup(Egress::default(), Names::leading_to([&["127.0.0.1"]])).expect("a client");
    let url = server.url("hooks.example.com");
    for _ in 0..2 {
        assert_eq!(post(&client, &url).await.1.expect("an answer").status, 200);
    }
    assert_refused(&post(&client.for_origin(Origin::Api), &url).await.1, "the connection of another");
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn what_is_denied_is_denied_to_all() {
    let server = Server::answering().await;
    let denying = egress(&["127.0.0.0/8"], &["127.0.0.1", "*.example.com"]);
    for origin in [Origin::Configuration, Origin::Api] {
        let client = HttpClient::with_lookup(denying.clone(), Names::leading_to([&["127.0.0.1"]]));
        let client = client.expect("a client").for_origin(origin);
        for host in ["127.0.0.1", "a.example.com", "a.example.org"] {
            assert_refused(&post(&client, &server.url(host)).await.1, host);
        }
    }
    assert_eq!(server.accepted(), 0);
}

#[tokio::test]
async fn what_is_allowed_may_be_allowed_at_one_port_only() {
    let (server, other) = (Server::answering().await, Server::answering().await);
    let allowed = format!("127.0.0.1:{}", server.address.port());
    let client = guarded(egress(&[&allowed], &[]), Names::leading_to([&["127.0.0.1"]]));
    for host in ["127.0.0.1", "hooks.example.com"] {
        assert_eq!(post(&client, &server.url(host)).await.1.expect("an answer").status, 200);
        assert_refused(&post(&client, &other.url(host)).await.1, host);
    }
    assert_eq!(other.accepted(), 0);
}

#[tokio::test]
async fn a_redirect_is_an_answer_like_others() {
    let target = Server::answering().await;
    let location = target.url("127.0.0.1");
    for status in [301, 302, 303, 307, 308] {
        let answer = format!("HTTP/1.1 {status} Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        let server = Server::start(move |_, mut stream| {
            let answer = answer.clone();
            async move {
                answer_one(&mut stream, &answer).await;
            }
        })
        .await;
        assert_eq!(post(&trusted(), &server.url("127.0.0.1")).await.1.expect("an answer").status, status);
    }
    assert_eq!(target.accepted(), 0);
}

#[tokio::test]
async fn the_deadline_is_also_for_finding_the_address() {
    let client = guarded(Egress::default(), std::sync::Arc::new(Silence));
    let deadline = Duration::from_secs(1);
    let (trace, result) = post_within(&client, "http://hooks.example.com/", deadline).await;
    assert_eq!(result.expect_err("no answer").class(), FailureClass::Timeout);
    let phases = trace.phases;
    assert!(phases.dns.is_some_and(|dns| dns >= deadline / 2), "{phases:?}");
    assert_eq!((phases.connect, phases.tls, phases.answer, phases.body, trace.address), (None, None, None, None, None));
}

#[tokio::test]
async fn a_name_without_an_address_is_told_apart_from_one_that_may_not_be_connected_to() {
    let client = guarded(Egress::default(), Names::leading_to([]));
    let error = post(&client, "http://hooks.example.com/").await.1.expect_err("no address");
    assert_eq!(
        (error.class(), error.to_string()),
        (FailureClass::Dns, "the name cannot be resolved: no such name".to_owned())
    );
    let client = guarded(Egress::default(), Names::leading_to([&[]]));
    let error = post(&client, "http://hooks.example.com/").await.1.expect_err("no address");
    assert_eq!(error.to_string(), "the name cannot be resolved: it has no address");
}
