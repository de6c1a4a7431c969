//! Receivers that are busy and say for how long. Every trial begins on 2026-11-20 at 12:00:00, and without being asked
//! for more, what failed is tried again after ten seconds.

use crate::fault::Step;
use crate::send;
use crate::trial::Trial;

pub fn trials() -> Vec<Trial> {
    vec![
        asks("429, in two minutes", 429, "120"),
        asks("503, in two minutes", 503, "120"),
        asks("503, in less than the schedule's wait", 503, "3"),
        asks("429, on a date", 429, "Fri, 20 Nov 2026 12:10:00 GMT"),
        asks("429, on a date in an old form", 429, "Friday, 20-Nov-26 12:10:00 GMT"),
        asks("429, on a date in the oldest form", 429, "Fri Nov 20 12:10:00 2026"),
        asks("503, on a date", 503, "Fri, 20 Nov 2026 12:10:00 GMT"),
        asks("429, on a date of the past", 429, "Sun, 06 Nov 1994 08:49:37 GMT"),
        asks("429, on a date of 2099", 429, "Tue, 10 Nov 2099 08:49:37 GMT"),
        asks("429, on a date with a wrong weekday", 429, "Mon, 20 Nov 2026 12:10:00 GMT"),
        asks("429, on a date of another zone", 429, "Fri, 20 Nov 2026 12:10:00 +0200"),
        asks("429, on a date without a time", 429, "2026-11-20"),
        asks("429, on a date as APIs write it", 429, "2026-11-20T12:10:00Z"),
        asks("429, now", 429, "0"),
        asks("503, now", 503, "0"),
        asks("429, in seconds less than none", 429, "-30"),
        asks("429, in a fraction of seconds", 429, "90.5"),
        asks("429, in longer than the universe is old", 429, "99999999999999999999"),
        asks("503, in a year", 503, "31536000"),
        asks("429, in words", 429, "a while"),
        asks("429, in nothing", 429, ""),
        asks("429, in seconds with a unit", 429, "60s"),
        asks("429, in hexadecimal", 429, "0x3c"),
        asks("429, in seconds with a sign", 429, "+60"),
        asks("429, in blanks and seconds", 429, "   60   "),
        says("429, in both of two times", 429, "retry-after: 30\r\nretry-after: 600\r\n"),
        says("429 and no more", 429, ""),
        says("503 and no more", 503, ""),
        asks("500, in two minutes", 500, "120"),
        asks("404, in two minutes", 404, "120"),
        asks("301, in two minutes", 301, "120"),
        asks("200, in two minutes", 200, "120"),
        asks("410, in two minutes", 410, "120"),
        Trial::new(
            "503 in two minutes, and a body that breaks off",
            [Step::Request, send("HTTP/1.1 503 No\r\nretry-after: 120\r\ncontent-length: 1000\r\n\r\nbusy")],
        ),
        Trial::new(
            "429 in two minutes, before a large body is read",
            [
                Step::Head,
                send("HTTP/1.1 429 No\r\nretry-after: 120\r\ncontent-length: 0\r\n\r\n"),
                Step::Rest,
                Step::Keep,
            ],
        )
        .bytes(900 << 10),
    ]
}

fn asks(name: &'static str, status: u16, value: &str) -> Trial {
    says(name, status, &format!("retry-after: {value}\r\n"))
}

fn says(name: &'static str, status: u16, headers: &str) -> Trial {
    let text = format!("HTTP/1.1 {status} Said\r\n{headers}content-length: 0\r\n\r\n");
    Trial::new(name, [Step::Request, send(&text), Step::Keep])
}
