//! Answers that are against the rules, or odd but well.

use crate::fault::Step;
use crate::send;
use crate::trial::Trial;

pub fn trials() -> Vec<Trial> {
    let mut trials = framing();
    trials.extend(heads());
    trials.extend(other_protocols());
    trials
}

fn framing() -> Vec<Trial> {
    let with = |name, headers: &str, body: &str| answer(name, &format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n{body}"));
    let kept = |name, headers: &str, body: &str| {
        let text = format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n{body}");
        Trial::new(name, [Step::Request, send(&text), Step::Keep])
    };
    let chunked = "transfer-encoding: chunked";
    vec![
        with("a content-length too large", "content-length: 20", "thank you"),
        kept("a content-length too small", "content-length: 5", "thank you"),
        with("a negative content-length", "content-length: -5", "thank you"),
        with("a content-length that is no number", "content-length: many", "thank you"),
        with("two content-lengths that differ", "content-length: 2\r\ncontent-length: 9", "thank you"),
        kept("the same content-length twice", "content-length: 9\r\ncontent-length: 9", "thank you"),
        with("no length at all", "x-length: unknown", "thank you"),
        with("chunks whose size is no number", chunked, "zz\r\nok\r\n0\r\n\r\n"),
        with("chunks whose size overflows", chunked, "ffffffffffffffffff\r\nok\r\n0\r\n\r\n"),
        with("chunks that are longer than announced", chunked, "2\r\nthank you\r\n0\r\n\r\n"),
        kept("chunks with extensions and trailers", chunked, "2;a=\"b\"\r\nok\r\n0\r\nx-sum: 1\r\n\r\n"),
        kept("chunks and a content-length", "transfer-encoding: chunked\r\ncontent-length: 3", "2\r\nok\r\n0\r\n\r\n"),
        with("an unknown transfer encoding", "transfer-encoding: snail", "thank you"),
        kept(
            "a second answer that nobody asked for",
            "content-length: 2",
            "okHTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n",
        ),
        kept("64 KiB and no more", "content-length: 65536", &"x".repeat(65536)),
        kept("64 KiB and a byte", "content-length: 65537", &"x".repeat(65537)),
        kept("64 KiB that end within a letter", "content-length: 65537", &format!("{}é", "x".repeat(65535))),
        Trial::new(
            "bytes that are no text",
            [
                Step::Request,
                Step::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n\xff\xfe\0\x01".to_vec()),
                Step::Keep,
            ],
        ),
    ]
}

fn heads() -> Vec<Trial> {
    let head = |name, head: &str| answer(name, &format!("{head}\r\n\r\nthank you"));
    let odd = |name, head: &str| {
        Trial::new(name, [Step::Request, send(&format!("{head}content-length: 2\r\n\r\nok")), Step::Keep])
    };
    let hints = "HTTP/1.1 103 Hints\r\nlink: </style.css>\r\n\r\n";
    vec![
        odd("100 Continue before the answer", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"),
        odd("102 Processing before the answer", "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\n"),
        odd("103 Early Hints before the answer", &format!("{hints}HTTP/1.1 200 OK\r\n")),
        odd("twenty times 103 Early Hints before the answer", &format!("{}HTTP/1.1 200 OK\r\n", hints.repeat(20))),
        odd("103 Early Hints before a failure", &format!("{hints}HTTP/1.1 500 No\r\n")),
        Trial::new(
            "100 Continue before the request is read",
            [
                Step::Head,
                send("HTTP/1.1 100 Continue\r\n\r\n"),
                Step::Rest,
                send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
                Step::Keep,
            ],
        ),
        head("another protocol from here on", "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: ws"),
        head("a header that is a megabyte long", &format!("HTTP/1.1 200 OK\r\nx: {}", "x".repeat(1 << 20))),
        head("a thousand headers", &format!("HTTP/1.1 200 OK{}", "\r\nx: x".repeat(1000))),
        head("a header with a null byte", "HTTP/1.1 200 OK\r\nx: a\0b"),
        head("a header without a colon", "HTTP/1.1 200 OK\r\nno header at all"),
        head("a header name with a space", "HTTP/1.1 200 OK\r\ncontent length: 5"),
        head("a status that is no number", "HTTP/1.1 two OK"),
        head("a status with two digits", "HTTP/1.1 20 OK"),
        head("a status of zero", "HTTP/1.1 000 Nothing"),
        head("a version of the future", "HTTP/9.9 200 OK"),
        odd("a status without a phrase", "HTTP/1.1 200\r\n"),
        odd("a phrase that is not ASCII", "HTTP/1.1 200 Très bien\r\n"),
        odd("a header that is not ASCII", "HTTP/1.1 200 OK\r\nx-name: Café\r\n"),
        odd("a cookie", "HTTP/1.1 200 OK\r\nset-cookie: session=1\r\n"),
        answer("lines that end without carriage returns", "HTTP/1.1 200 OK\ncontent-length: 2\n\nok"),
    ]
}

fn other_protocols() -> Vec<Trial> {
    vec![
        answer("HTTP/1.0", "HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nthank you"),
        Trial::new(
            "HTTP/1.0 that is kept",
            [
                Step::Request,
                send("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok"),
                Step::Keep,
            ],
        ),
        answer("HTTP/1.0 that fails", "HTTP/1.0 500 No\r\n\r\nout of order"),
        answer("HTTP/0.9: a body without a head", "thank you\n"),
        answer("another protocol's greeting", "220 mail.example.com ESMTP ready\r\n"),
        Trial::new("a greeting before anything is asked", [send("SSH-2.0-OpenSSH_9.2\r\n"), Step::Request]),
        Trial::new("TLS where plain HTTP was asked", [Step::Request, Step::Send(vec![0x15, 3, 1, 0, 2, 2, 70])]),
        Trial::new(
            "HTTP/2 where HTTP/1 was asked",
            [Step::Request, Step::Send(vec![0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0])],
        ),
        answer("nothing but a line break", "\r\n"),
        Trial::new("null bytes", [Step::Request, Step::Send(vec![0; 100])]),
    ]
}

/// Answers like this and closes the connection.
fn answer(name: &'static str, text: &str) -> Trial {
    Trial::new(name, [Step::Request, send(text)])
}
