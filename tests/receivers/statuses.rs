//! What each status means.

use crate::fault::Step;
use crate::send;
use crate::trial::Trial;

pub fn trials() -> Vec<Trial> {
    let mut trials: Vec<Trial> = vec![
        status("200 OK"),
        status("201 Created"),
        status("202 Accepted"),
        status("204 No Content"),
        status("205 Reset Content"),
        status("206 Partial Content"),
        status("299 Well"),
    ];
    trials.extend(redirects());
    trials.extend([
        status("304 Not Modified"),
        status("400 Bad Request"),
        status("401 Unauthorized"),
        status("403 Forbidden"),
        status("404 Not Found"),
        status("405 Method Not Allowed"),
        status("407 Proxy Authentication Required"),
        status("408 Request Timeout"),
        status("409 Conflict"),
        status("410 Gone"),
        status("413 Content Too Large"),
        status("415 Unsupported Media Type"),
        status("421 Misdirected Request"),
        status("422 Unprocessable Content"),
        status("425 Too Early"),
        status("426 Upgrade Required"),
        status("429 Too Many Requests"),
        status("431 Request Header Fields Too Large"),
        status("451 Unavailable For Legal Reasons"),
        status("499 Nobody Knows"),
        status("500 Internal Server Error"),
        status("501 Not Implemented"),
        status("502 Bad Gateway"),
        status("503 Service Unavailable"),
        status("504 Gateway Timeout"),
        status("511 Network Authentication Required"),
        status("599 Nobody Knows"),
        status("600 Nobody Knows"),
        status("999 Request Denied"),
        Trial::new(
            "410, which closes the connection",
            [Step::Request, send("HTTP/1.1 410 Gone\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")],
        ),
        Trial::new(
            "410 with a body that breaks off",
            [Step::Request, send("HTTP/1.1 410 Gone\r\ncontent-length: 1000\r\n\r\ngone")],
        ),
    ]);
    trials
}

/// They lead back to the receiver, which would notice if they were followed.
fn redirects() -> impl Iterator<Item = Trial> {
    ["300 Choices", "301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"].into_iter().map(
        |line| {
            let text = format!("HTTP/1.1 {line}\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n");
            Trial::new(line, [Step::Request, send(&text), Step::Keep])
        },
    )
}

fn status(line: &'static str) -> Trial {
    let length = if line.starts_with("204") || line.starts_with("304") { "" } else { "content-length: 0\r\n" };
    Trial::new(line, [Step::Request, send(&format!("HTTP/1.1 {line}\r\n{length}\r\n")), Step::Keep])
}
