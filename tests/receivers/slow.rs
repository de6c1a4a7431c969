//! What takes too long, or has no end.

use std::time::Duration;

use crate::fault::Step;
use crate::trial::Trial;
use crate::{forever, send};

const PAUSE: Duration = Duration::from_millis(100);

/// More than the systems between the two take of a request that is not read.
const LARGE: usize = 900 << 10;

pub fn trials() -> Vec<Trial> {
    let mut trials = slow();
    trials.extend(endless());
    trials
}

fn slow() -> Vec<Trial> {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n";
    vec![
        slow_to("nothing is read", [Step::Hang]),
        slow_to("nothing is read of a large request", [Step::Hang]).bytes(LARGE),
        slow_to("nothing is read but the head", [Step::Head, Step::Hang]),
        slow_to("no answer ever", [Step::Request, Step::Hang]),
        slow_to("a head that drips", [Step::Request, drip("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")]),
        slow_to("a status and nothing more", [Step::Request, send("HTTP/1.1 200 OK\r\n"), Step::Hang]),
        slow_to("a head and nothing more", [Step::Request, send(head), Step::Hang]),
        slow_to("a body that drips", [Step::Request, send(head), drip("thank you, thank you")]),
        slow_to(
            "a body without a length that drips",
            [Step::Request, send("HTTP/1.1 200 OK\r\n\r\n"), drip("thank you, thank you")],
        ),
        slow_to("half of a body", [Step::Request, send(head), send("thank you"), Step::Hang]),
        slow_to(
            "a failure whose body drips",
            [Step::Request, send("HTTP/1.1 500 No\r\ncontent-length: 1000\r\n\r\n"), drip("no, not at all today")],
        ),
        slow_to(
            "410 whose body drips",
            [
                Step::Request,
                send("HTTP/1.1 410 Gone\r\ncontent-length: 1000\r\n\r\n"),
                drip("gone for good, as I said"),
            ],
        ),
        slow_to(
            "503 in two minutes whose body never comes",
            [Step::Request, send("HTTP/1.1 503 No\r\nretry-after: 120\r\ncontent-length: 1000\r\n\r\n"), Step::Hang],
        ),
        slow_to("100 Continue and nothing more", [send("HTTP/1.1 100 Continue\r\n\r\n"), Step::Request, Step::Hang]),
        slow_to("hints and nothing more", [Step::Request, send("HTTP/1.1 103 Hints\r\nlink: </>\r\n\r\n"), Step::Hang]),
        Trial::new("an answer that comes late, but in time", [Step::Request, Step::Pause(PAUSE), ok(), Step::Keep]),
    ]
}

fn endless() -> Vec<Trial> {
    let asked = |name, steps: [Step; 2]| {
        let [first, rest] = steps;
        Trial::new(name, [Step::Request, first, rest])
    };
    let hanging = |name, steps| asked(name, steps).impatient();
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    vec![
        asked("a body without end", [send("HTTP/1.1 200 OK\r\n\r\n"), forever("thank you ")]),
        asked("a failure without end", [send("HTTP/1.1 500 No\r\n\r\n"), forever("no ")]),
        asked("chunks without end", [send(chunked), forever("4\r\nyes \r\n")]),
        asked(
            "a body that is announced as endless",
            [send("HTTP/1.1 200 OK\r\ncontent-length: 9223372036854775807\r\n\r\n"), forever("thank you ")],
        ),
        asked(
            "a failure whose body is announced as endless",
            [send("HTTP/1.1 404 No\r\ncontent-length: 9223372036854775807\r\n\r\n"), forever("no ")],
        ),
        asked("headers without end", [send("HTTP/1.1 200 OK\r\n"), forever("x-more: and more\r\n")]),
        asked("one header without end", [send("HTTP/1.1 200 OK\r\nx-more: "), forever("and more ")]),
        asked("a phrase without end", [send("HTTP/1.1 200 "), forever("very well ")]),
        asked("trailers without end", [send(&format!("{chunked}2\r\nok\r\n0\r\n")), forever("x-more: and more\r\n")]),
        asked("a chunk extension without end", [send(&format!("{chunked}2;")), forever("and-more")]),
        asked("empty lines without end", [send("\r\n"), forever("\r\n")]),
        hanging("100 Continue without end", [send("HTTP/1.1 100 "), forever("Continue\r\n\r\nHTTP/1.1 100 ")]),
        hanging("hints without end", [send("HTTP/1.1 103 "), forever("Hints\r\nlink: </>\r\n\r\nHTTP/1.1 103 ")]),
        Trial::new(
            "an answer without end to what is not read",
            [send("HTTP/1.1 200 OK\r\n\r\n"), forever("thank you ")],
        )
        .bytes(LARGE),
    ]
}

fn slow_to(name: &'static str, steps: impl Into<Vec<Step>>) -> Trial {
    Trial::new(name, steps).impatient()
}

fn drip(text: &str) -> Step {
    Step::Drip(text.as_bytes().to_vec(), PAUSE)
}

fn ok() -> Step {
    send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
}
