//! ETag and Last-Modified that do not say what they should.

use crate::source::{Reply, Request};
use crate::trial::{BEFORE, MORE, Respond, Trial};

const DATE: &str = "Wed, 18 Nov 2026 08:00:00 GMT";

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        // Until a day has passed, nobody can know. The events are missing here, and come when the day is over.
        Trial::new("an ETag that never changes", |request| unless_known(request, MORE, "\"same\""))
            .truth(MORE)
            .well(|listing| Box::new(move |request| unless_known(request, listing, "\"same\"")))
            .polls(2),
        Trial::new("a date that never changes", |request| since(request, MORE, DATE))
            .truth(MORE)
            .well(|listing| Box::new(move |request| since(request, listing, DATE)))
            .polls(2),
        Trial::new("304 with another ETag", |_| Reply::of(304, "").with("etag", "\"another\"")).well(tagged),
        Trial::new("304 with a body", |_| Reply::of(304, "").with("content-length", "5")).well(tagged),
        Trial::new("304 whatever was asked", |_| Reply::of(304, "")).rules("item.watch = [\".state\"]").polls(2),
        Trial::new("412 where 304 was meant", |_| Reply::of(412, "")).well(tagged).polls(2),
        Trial::new("500 to whoever asks with an ETag", |request| match request.header("if-none-match") {
            Some(_) => Reply::of(500, ""),
            None => Reply::json(BEFORE),
        })
        .well(tagged)
        .polls(2),
        Trial::new("304 after a failure", failing_then(|_| Reply::of(304, ""))).well(tagged).polls(2),
    ];
    let harmless: [(&'static str, &'static str); 7] = [
        ("an ETag that changes each time", ""),
        ("an ETag without quotes", "abc"),
        ("a weak ETag", "W/\"abc\""),
        ("an ETag of nothing", "\"\""),
        ("an ETag that is a star", "*"),
        ("an ETag of several", "\"a\", \"b\""),
        ("an ETag with blanks and quotes in it", "\"a \"b\" c\""),
    ];
    for (name, etag) in harmless {
        let mut count = 0;
        trials.push(
            Trial::harmless(name, move |request| {
                count += 1;
                let etag = if etag.is_empty() { format!("\"{count}\"") } else { etag.to_owned() };
                unless_known(request, MORE, &etag)
            })
            .well(tagged)
            .polls(3),
        );
    }
    trials.push(
        Trial::harmless("an ETag of 60 kB", |request| {
            unless_known(request, MORE, &format!("\"{}\"", "x".repeat(60_000)))
        })
        .polls(2),
    );
    trials.push(
        Trial::harmless("an ETag that is not ASCII", |_| Reply::json(MORE).with("etag", "\"caf\u{e9}\"")).polls(2),
    );
    trials.push(Trial::harmless("a date that is none", |request| since(request, MORE, "yesterday")).polls(2));
    trials.push(
        Trial::harmless("a date of the future", |request| since(request, MORE, "Tue, 10 Nov 2099 08:00:00 GMT"))
            .polls(2),
    );
    trials
}

/// A source whose ETags are true.
fn tagged(listing: &'static str) -> Respond {
    Box::new(move |request| unless_known(request, listing, &format!("\"{}\"", listing.replace('"', ""))))
}

fn unless_known(request: &Request, listing: &str, etag: &str) -> Reply {
    match request.header("if-none-match") {
        Some(known) if known == etag => Reply::of(304, ""),
        _ => Reply::json(listing).with("etag", etag),
    }
}

fn since(request: &Request, listing: &str, date: &str) -> Reply {
    match request.header("if-modified-since") {
        Some(known) if known == date => Reply::of(304, ""),
        // Made long after the page was: otherwise the date would not be believed.
        _ => Reply::json(listing).with("last-modified", date).with("date", "Fri, 31 Dec 2027 12:00:00 GMT"),
    }
}

/// Refuses the first request.
fn failing_then(mut answer: impl FnMut(&Request) -> Reply + Send + 'static) -> impl FnMut(&Request) -> Reply + Send {
    let mut failed = false;
    move |request| if std::mem::replace(&mut failed, true) { answer(request) } else { Reply::of(404, "") }
}
