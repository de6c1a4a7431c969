//! Connections that are closed or reset at every stage, and answers that come before the request was read.

use std::time::Duration;

use crate::fault::Step;
use crate::send;
use crate::trial::Trial;

const PAUSE: Duration = Duration::from_millis(50);

/// More than the systems between the two take of a request that is not read.
const LARGE: usize = 900 << 10;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n";

pub fn trials() -> Vec<Trial> {
    let mut trials = before_the_answer();
    trials.extend(within_the_answer());
    trials.extend(early());
    trials
}

fn before_the_answer() -> Vec<Trial> {
    let closed: [Step; 0] = [];
    vec![
        Trial::new("closed as soon as it is opened", closed.clone()),
        Trial::new("closed as soon as it is opened, from the first one on", closed).fresh(),
        Trial::new("reset as soon as it is opened", [Step::Reset]),
        Trial::new("closed behind the head", [Step::Head]),
        Trial::new("reset behind the head", [Step::Head, Step::Reset]),
        Trial::new("closed within the body", [Step::Head, Step::Part(10)]),
        Trial::new("reset within the body", [Step::Head, Step::Part(10), Step::Reset]),
        Trial::new("closed within a large body", [Step::Head, Step::Part(10)]).bytes(LARGE),
        Trial::new("reset within a large body", [Step::Head, Step::Part(10), Step::Pause(PAUSE), Step::Reset])
            .bytes(LARGE),
        Trial::new("closed without an answer", [Step::Request]),
        Trial::new("closed without an answer, from the first one on", [Step::Request]).fresh(),
        Trial::new("reset without an answer", [Step::Request, Step::Reset]),
        Trial::new("closed a little later without an answer", [Step::Request, Step::Pause(PAUSE)]),
    ]
}

fn within_the_answer() -> Vec<Trial> {
    let answered = |name, steps: &[Step]| Trial::new(name, [&[Step::Request], steps].concat());
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    vec![
        answered("closed within the status", &[send("HTTP/1.1 20")]),
        answered("closed within the head", &[send("HTTP/1.1 200 OK\r\ncontent-le")]),
        answered("closed behind the head", &[send(HEAD)]),
        answered("closed within the answer's body", &[send(HEAD), send("thank you")]),
        answered(
            "closed within a failure's body",
            &[send("HTTP/1.1 500 No\r\ncontent-length: 1000\r\n\r\n"), send("out of order")],
        ),
        answered("closed between chunks", &[send(chunked), send("2\r\nok\r\n")]),
        answered("closed within a chunk", &[send(chunked), send("9\r\nok")]),
        answered("reset behind the head", &[send(HEAD), Step::Pause(PAUSE), Step::Reset]),
        answered("reset within the answer's body", &[send(HEAD), send("thank"), Step::Pause(PAUSE), Step::Reset]),
        answered("answered, then closed", &[send(OK)]),
        answered("answered, then reset", &[send(OK), Step::Pause(PAUSE), Step::Reset]),
        answered("closed after hints", &[send("HTTP/1.1 103 Hints\r\nlink: </>\r\n\r\n")]),
    ]
}

fn early() -> Vec<Trial> {
    let refusal = "HTTP/1.1 413 Too Large\r\ncontent-length: 9\r\n\r\ntoo large";
    let last = "HTTP/1.1 401 No\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno";
    vec![
        Trial::new(
            "answered before the body is read, which is read then",
            [Step::Head, send(OK), Step::Pause(PAUSE), Step::Rest, Step::Keep],
        ),
        Trial::new(
            "answered before a large body is read, which is read then",
            [Step::Head, send(OK), Step::Pause(PAUSE), Step::Rest, Step::Keep],
        )
        .bytes(LARGE),
        Trial::new("refused before the body is read", [Step::Head, send(refusal), Step::Pause(PAUSE)]),
        Trial::new("refused before a large body is read", [Step::Head, send(refusal), Step::Pause(PAUSE)]).bytes(LARGE),
        Trial::new(
            "refused before the body is read, and said to be closed",
            [Step::Head, send(last), Step::Pause(PAUSE)],
        )
        .bytes(LARGE),
        Trial::new(
            "refused before the body is read, then reset",
            [Step::Head, send(refusal), Step::Pause(PAUSE), Step::Reset],
        )
        .bytes(LARGE),
        Trial::new("thanked before the body is read, then closed", [Step::Head, send(OK), Step::Pause(PAUSE)])
            .bytes(LARGE),
        Trial::new("answered before anything is read", [send(OK), Step::Pause(PAUSE), Step::Request, Step::Keep]),
        Trial::new(
            "answered before anything is asked, from the first one on",
            [send(OK), Step::Pause(PAUSE), Step::Request, Step::Keep],
        )
        .fresh(),
    ]
}
