//! Answers that refuse, and when they want to be asked again.

use crate::source::{Reply, Request};
use crate::trial::{BEFORE, Trial};

pub fn trials() -> Vec<Trial> {
    let mut trials = limited();
    trials.extend(refused());
    trials.extend(broken());
    trials
}

/// The source is first polled while it is ill at 2026-11-18T11:30:00Z.
fn limited() -> Vec<Trial> {
    let asks = |name, status, value: &'static str| {
        Trial::new(name, move |_| Reply::of(status, "slow down").with("retry-after", value)).standing_still()
    };
    let says = |name, status, headers: &'static [(&'static str, &'static str)]| {
        let reply = move |_: &Request| {
            headers.iter().fold(Reply::of(status, "slow down"), |reply, (name, value)| reply.with(name, *value))
        };
        Trial::new(name, reply).standing_still()
    };
    vec![
        asks("429, in two minutes", 429, "120"),
        asks("429, on a date", 429, "Wed, 18 Nov 2026 11:40:00 GMT"),
        asks("429, on a date of 1994", 429, "Sun, 06 Nov 1994 08:49:37 GMT"),
        asks("429, on a date of 2099", 429, "Tue, 10 Nov 2099 08:49:37 GMT"),
        asks("429, on a date in an old form", 429, "Wednesday, 18-Nov-26 11:40:00 GMT"),
        asks("429, on a date without a time", 429, "2026-11-18"),
        asks("429, on a date as APIs write it", 429, "2026-11-18T11:40:00Z"),
        asks("429, now", 429, "0"),
        asks("429, in seconds less than none", 429, "-30"),
        asks("429, in a fraction of seconds", 429, "90.5"),
        asks("429, in longer than the universe is old", 429, "99999999999999999999"),
        asks("429, in words", 429, "a while"),
        asks("429, in nothing", 429, ""),
        asks("429, in seconds with a unit", 429, "60s"),
        asks("429, as milliseconds since 1970", 429, "1795000100000"),
        asks("503, in two minutes", 503, "120"),
        says("429, in both of two times", 429, &[("retry-after", "30"), ("retry-after", "600")]),
        says("429 and no more", 429, &[]),
        says("429 with RateLimit-Reset", 429, &[("ratelimit-limit", "10"), ("ratelimit-reset", "50")]),
        says("429 with RateLimit as the draft has it", 429, &[("ratelimit", "\"default\";r=0;t=50")]),
        says(
            "429 with X-RateLimit-Reset as a time",
            429,
            &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1795001700")],
        ),
        says(
            "429 with X-RateLimit-Reset as a wait",
            429,
            &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "40")],
        ),
        says(
            "429 with X-RateLimit-Reset as a fraction",
            429,
            &[("x-ratelimit-remaining", "0.0"), ("x-ratelimit-reset", "40.25")],
        ),
        says(
            "429 with X-RateLimit-Reset as words",
            429,
            &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "soon")],
        ),
        says(
            "429 with X-RateLimit-Reset of the past",
            429,
            &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1000")],
        ),
        says("403 because of a limit", 403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1795001700")]),
        says("403 for a second limit", 403, &[("retry-after", "60")]),
        Trial::new("200 and the last one for a while", |_| {
            Reply::json(BEFORE).with("x-ratelimit-remaining", "0").with("x-ratelimit-reset", "1795001700")
        })
        .standing_still(),
    ]
}

fn refused() -> Vec<Trial> {
    let status = |name, status| Trial::new(name, move |_| Reply::of(status, "no"));
    vec![
        status("400", 400),
        status("401", 401).rules("auth.bearer.token = { env = \"TOKEN\" }"),
        flapping("401 every other time", |count| if count % 2 == 0 { Reply::of(401, "") } else { Reply::json(BEFORE) })
            .polls(4),
        status("402", 402),
        status("403", 403),
        status("404", 404),
        status("405", 405),
        status("406", 406),
        status("407", 407),
        status("410", 410),
        status("412 although there was no condition", 412),
        status("416 although no part was asked for", 416),
        status("418", 418),
        status("451", 451),
        status("300 with a choice", 300),
        status("304 although there was no condition", 304),
        status("305, go through a proxy", 305),
    ]
}

fn broken() -> Vec<Trial> {
    let status = |name, status| Trial::new(name, move |_| Reply::of(status, "<h1>Sorry</h1>"));
    vec![
        status("408", 408),
        status("425", 425),
        status("500", 500),
        status("501", 501),
        status("502 with a page for people", 502),
        status("503 without a time", 503),
        status("504", 504),
        status("511, sign in to this network", 511),
        status("520 of a proxy", 520),
        status("599", 599),
        Trial::new("500 with what looks like items", |_| Reply { status: 500, ..Reply::json("[]") }),
        Trial::new("404 with what looks like items", |_| Reply { status: 404, ..Reply::json("[]") }),
        Trial::new("503, in two seconds, for ever", |_| Reply::of(503, "").with("retry-after", "2")),
        flapping("500 twice, then well", |count| if count % 3 == 2 { Reply::json(BEFORE) } else { Reply::of(500, "") })
            .polls(2),
        Trial::new("a refusal that is a megabyte long", |_| Reply::of(500, "no ".repeat(350_000)))
            .rules("request.max_body = \"64KiB\""),
        Trial::new("a refusal whose body is not what it says", |_| {
            Reply::of(500, "<h1>Sorry</h1>").with("content-encoding", "gzip")
        }),
        Trial::new("a refusal in an unknown encoding", |_| Reply::of(404, "no").with("content-encoding", "snail")),
    ]
}

/// A source whose answer depends on how often it was asked.
fn flapping(name: &'static str, answer: fn(usize) -> Reply) -> Trial {
    let mut count = 0;
    Trial::new(name, move |_| {
        count += 1;
        answer(count - 1)
    })
}
