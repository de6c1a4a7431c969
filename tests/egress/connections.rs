//! Connections that are kept open and closed, and answers that come too early, too late or without end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pollhook::model::delivery::FailureClass;
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;

use crate::world::{OK, Server, answer_one, post, post_body, post_within, read_head, read_request, trusted};

/// A server that answers on each connection, keeps it open, and closes all of them when the next request comes.
async fn restarting() -> (Server, Arc<AtomicBool>) {
    let restarted = Arc::new(AtomicBool::new(false));
    let is_restarted = Arc::clone(&restarted);
    let server = Server::start(move |_, mut stream| {
        let restarted = Arc::clone(&is_restarted);
        async move {
            let was_restarted = restarted.load(Ordering::SeqCst);
            while read_request(&mut stream).await.is_some() {
                if restarted.load(Ordering::SeqCst) && !was_restarted {
                    return;
                }
                if stream.write_all(OK.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    (server, restarted)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_known_whether_a_request_met_a_connection_that_was_closed() {
    let (server, restarted) = restarting().await;
    let (client, url) = (trusted(), server.url("127.0.0.1"));
    let mut requests = JoinSet::new();
    for _ in 0..8 {
        let (client, url) = (client.clone(), url.clone());
        requests.spawn(async move { post(&client, &url).await.1.expect("an answer").status });
    }
    assert_eq!(requests.join_all().await, [200; 8]);
    let open = server.accepted();
    restarted.store(true, Ordering::SeqCst);
    // Each of them is found closed once, and then no more.
    let mut stale = 0;
    let (trace, status) = loop {
        let (trace, result) = post(&client, &url).await;
        match result {
            Ok(answer) => break (trace, answer.status),
            Err(error) => assert_eq!((error.class(), trace.stale), (FailureClass::Transport, true), "{error}"),
        }
        assert_eq!(trace.phases.connect, None);
        stale += 1;
    };
    assert!((1..=open).contains(&stale), "{stale} of {open}");
    assert_eq!((status, trace.stale, trace.phases.connect.is_some()), (200, false, true));
}

#[tokio::test]
async fn an_answer_before_the_request_is_read_is_an_answer() {
    const LARGE: usize = 8 * 1024 * 1024;
    let server = Server::start(|_, mut stream| async move {
        read_head(&mut stream).await.expect("a request");
        let answer = b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        stream.write_all(answer).await.expect("the client listens");
        // As most servers do, so that the answer is not lost with the rest of the request.
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.expect("the client closes");
    })
    .await;
    let body = vec![b' '; LARGE];
    let (_, result) = post_body(&trusted(), &server.url("127.0.0.1"), Duration::from_secs(10), &body).await;
    assert_eq!(result.expect("an answer").status, 413);
}

#[tokio::test]
async fn news_before_the_answer_are_no_answer() {
    let answer =
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n";
    let answer = format!("{answer}{OK}");
    let server = Server::start(move |_, mut stream| {
        let answer = answer.clone();
        async move { while answer_one(&mut stream, &answer).await {} }
    })
    .await;
    let client = trusted();
    for _ in 0..2 {
        let response = post(&client, &server.url("127.0.0.1")).await.1.expect("an answer");
        assert_eq!((response.status, &response.body[..]), (200, &b"ok"[..]));
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn an_answer_without_end_ends() {
    let check = async |begin: &'static str, more: &'static str, expected: FailureClass| {
        let server = Server::start(move |_, mut stream| async move {
            read_request(&mut stream).await.expect("a request");
            let mut written = stream.write_all(begin.as_bytes()).await;
            while written.is_ok() {
                written = stream.write_all(more.as_bytes()).await;
                tokio::task::yield_now().await;
            }
        })
        .await;
        let (_, result) = post_within(&trusted(), &server.url("127.0.0.1"), Duration::from_secs(2)).await;
        assert_eq!(result.expect_err(more).class(), expected, "{more:?}");
    };
    check("", "HTTP/1.1 100 Continue\r\n\r\n", FailureClass::Timeout).await;
    check("HTTP/1.1 200 OK\r\n", "x-more: and more and more and more\r\n", FailureClass::Transport).await;
    check("HTTP/1.1 200 OK\r\nx-long: ", "and more and more and more and more", FailureClass::Transport).await;
    check("HTTP/1.1 103 Early Hints\r\n", "x-more: and more and more and more\r\n", FailureClass::Transport).await;
    check("", "x", FailureClass::Transport).await;
}

#[tokio::test]
async fn a_body_without_end_is_kept_as_far_as_it_is_wanted() {
    let server = Server::start(|_, mut stream| async move {
        read_request(&mut stream).await.expect("a request");
        let mut written = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 999999999999\r\n\r\n").await;
        while written.is_ok() {
            written = stream.write_all(&[b'x'; 1024]).await;
        }
    })
    .await;
    let response = post(&trusted(), &server.url("127.0.0.1")).await.1.expect("an answer");
    assert_eq!((response.status, response.body.len()), (200, 1024));
}
