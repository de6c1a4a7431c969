//! What goes wrong beneath HTTP, or is said in it against the rules.

use std::time::Duration;

use crate::source::{Fault, Reply, Step};
use crate::trial::{BEFORE, MORE, Trial};

/// Long enough for an answer that comes at once, on a busy machine as well.
const IMPATIENT: &str = "request.timeout = \"500ms\"";
const SMALL: &str = "request.max_body = \"64KiB\"";
const PAUSE: Duration = Duration::from_millis(100);

pub fn trials() -> Vec<Trial> {
    let mut trials = slow_and_endless();
    trials.extend(broken_off());
    trials.extend(framing());
    trials.extend(heads());
    trials.extend(other_protocols());
    trials
}

fn slow_and_endless() -> Vec<Trial> {
    vec![
        wire("no answer ever", [Step::Hang]).rules(IMPATIENT),
        wire("a head that drips", [Step::Drip(plain(BEFORE), PAUSE)]).rules(IMPATIENT),
        wire("a body that drips", [send("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n"), drip("[{\"id\":1},")])
            .rules(IMPATIENT),
        wire("a head and nothing more", [send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n"), Step::Hang])
            .rules(IMPATIENT),
        wire("a body without end", [send("HTTP/1.1 200 OK\r\n\r\n["), forever("{\"id\":1},")]).rules(SMALL),
        wire(
            "chunks without end",
            [send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n[\r\n"), forever("4\r\n[1],\r\n")],
        )
        .rules(SMALL),
        wire("a body announced as endless", [send("HTTP/1.1 200 OK\r\ncontent-length: 9223372036854775807\r\n\r\n[")])
            .rules(SMALL),
        wire("headers without end", [send("HTTP/1.1 200 OK\r\n"), forever("x-more: and more\r\n")]),
        wire("one header without end", [send("HTTP/1.1 200 OK\r\nx-more: "), forever("and more ")]),
        wire(
            "trailers without end",
            [
                send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n"),
                forever("x-more: and more\r\n"),
            ],
        ),
        wire(
            "a chunk extension without end",
            [send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;"), forever("and-more")],
        ),
        wire("100 Continue without end", [forever("HTTP/1.1 100 Continue\r\n\r\n")]).rules(IMPATIENT),
    ]
}

fn broken_off() -> Vec<Trial> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n";
    vec![
        Trial::new("closed without an answer", |_| Reply::fault(Fault::Close)),
        wire("closed within the head", [send("HTTP/1.1 200 OK\r\ncontent-le")]),
        wire("closed after the head", [send(head)]),
        wire("closed within the body", [send(head), send(BEFORE)]),
        wire("reset without an answer", [Step::Reset]),
        wire("reset after the head", [send(head), Step::Pause(PAUSE), Step::Reset]),
        wire("reset within the body", [send(head), send(BEFORE), Step::Pause(PAUSE), Step::Reset]),
        wire("closed between chunks", [send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n[]\r\n")]),
        wire("closed within a chunk", [send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\n[]")]),
        Trial::harmless("closed after each answer, which it does not announce", |_| Reply {
            fault: Fault::CutAfter(MORE.len()),
            ..Reply::json(MORE)
        })
        .polls(2),
    ]
}

fn framing() -> Vec<Trial> {
    let with = |headers: &str, body: &str| [send(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n{body}"))];
    let long = format!("content-length: {}", BEFORE.len() + 5);
    let short = format!("content-length: {}", BEFORE.len() - 5);
    let exact = format!("content-length: {}", MORE.len());
    let chunked = "transfer-encoding: chunked";
    let chunks = format!("{:x}\r\n{MORE}\r\n0\r\n\r\n", MORE.len());
    vec![
        wire("a content-length too large", with(&long, BEFORE)),
        wire("a content-length too small", with(&short, BEFORE)),
        wire("a negative content-length", with("content-length: -5", BEFORE)),
        wire("a content-length that is no number", with("content-length: many", BEFORE)),
        wire("two content-lengths that differ", with("content-length: 2\r\ncontent-length: 96", BEFORE)),
        wire("chunks whose size is no number", with(chunked, "zz\r\n[]\r\n0\r\n\r\n")),
        wire("chunks whose size overflows", with(chunked, "ffffffffffffffffff\r\n[]\r\n0\r\n\r\n")),
        wire("chunks that are longer than announced", with(chunked, "2\r\n[{\"id\":1}]\r\n0\r\n\r\n")),
        wire("an unknown transfer encoding", with("transfer-encoding: snail", BEFORE)),
        truthful("chunks and a content-length", with(&format!("{chunked}\r\ncontent-length: 3"), &chunks)),
        truthful("the same content-length twice", with(&format!("{exact}\r\n{exact}"), MORE)),
        truthful("chunk extensions", with(chunked, &chunks.replacen("\r\n", ";name=\"a;b\"\r\n", 1))),
        truthful("chunks with trailers", with(chunked, &chunks.replace("0\r\n\r\n", "0\r\nx-sum: 1\r\n\r\n"))),
        truthful("no length at all", with("x-length: unknown", MORE)),
        truthful("a second answer that nobody asked for", with(&exact, &format!("{MORE}HTTP/1.1 500 No\r\n\r\n")))
            .polls(2),
    ]
}

fn heads() -> Vec<Trial> {
    let head = |head: &str| [send(&format!("{head}\r\n\r\n{BEFORE}"))];
    let odd = |head: &str| [send(&format!("{head}content-length: {}\r\n\r\n{MORE}", MORE.len()))];
    vec![
        wire("a header that is a megabyte long", head(&format!("HTTP/1.1 200 OK\r\nx: {}", "x".repeat(1 << 20)))),
        wire("a thousand headers", head(&format!("HTTP/1.1 200 OK{}", "\r\nx: x".repeat(1000)))),
        wire("a header with a null byte", head("HTTP/1.1 200 OK\r\nx: a\0b")),
        wire("a header with a lone carriage return", head("HTTP/1.1 200 OK\r\nx: a\rset-cookie: b")),
        wire("a header without a colon", head("HTTP/1.1 200 OK\r\nno header at all")),
        wire("a header name with a space", head("HTTP/1.1 200 OK\r\ncontent length: 5")),
        wire("a status that is no number", head("HTTP/1.1 two OK")),
        wire("a status with two digits", head("HTTP/1.1 20 OK")),
        wire("a status that nobody knows", head("HTTP/1.1 999 Request Denied")),
        wire("a status of zero", head("HTTP/1.1 000 Nothing")),
        wire("a version of the future", head("HTTP/9.9 200 OK")),
        wire("another protocol from here on", head("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket")),
        wire("100 Continue and nothing more", [send("HTTP/1.1 100 Continue\r\n\r\n")]),
        truthful("100 Continue before the answer", odd("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")),
        truthful(
            "103 Early Hints before the answer",
            odd("HTTP/1.1 103 Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n"),
        ),
        truthful("a status without a phrase", odd("HTTP/1.1 200\r\n")),
        truthful("a phrase that is not ASCII", odd("HTTP/1.1 200 Très bien\r\n")),
        truthful(
            "lines that end without carriage returns",
            [send(&format!("HTTP/1.1 200 OK\ncontent-length: {}\n\n{MORE}", MORE.len()))],
        ),
        truthful("a header that is not ASCII", odd("HTTP/1.1 200 OK\r\nx-name: Café\r\n")),
    ]
}

fn other_protocols() -> Vec<Trial> {
    vec![
        truthful("HTTP/1.0", [send(&format!("HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n{MORE}"))]),
        wire("HTTP/0.9: a body without a head", [send(BEFORE)]),
        wire("another protocol's greeting", [send("220 mail.example.com ESMTP ready\r\n")]),
        wire("TLS where plain HTTP was asked", [Step::Send(vec![0x15, 3, 1, 0, 2, 2, 70])]),
        wire("HTTP/2 where HTTP/1 was asked", [Step::Send(vec![0, 0, 0, 4, 0, 0, 0, 0, 0])]),
        Trial::new("plain HTTP where TLS was asked", |request| {
            let host = request.header("host").expect("a host");
            Reply::of(302, "").with("location", format!("https://{host}/items"))
        }),
    ]
}

fn wire(name: &'static str, steps: impl Into<Vec<Step>>) -> Trial {
    let steps = steps.into();
    Trial::new(name, move |_| Reply::wire(steps.clone()))
}

fn truthful(name: &'static str, steps: impl Into<Vec<Step>>) -> Trial {
    let steps = steps.into();
    Trial::harmless(name, move |_| Reply::wire(steps.clone()))
}

fn send(text: &str) -> Step {
    Step::Send(text.as_bytes().to_vec())
}

fn forever(text: &str) -> Step {
    Step::Forever(text.as_bytes().repeat(100))
}

fn drip(text: &str) -> Step {
    Step::Drip(text.as_bytes().to_vec(), PAUSE)
}

fn plain(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
