//! Answers that send the reader elsewhere.

use std::net::TcpListener;

use crate::source::{Reply, Source};
use crate::trial::{MORE, Trial};

pub async fn trials() -> Vec<Trial> {
    let elsewhere = Source::start(|_| Reply::json(MORE)).await;
    let away = Source::start(|_| Reply::of(302, "").with("location", "/items")).await;
    let there = elsewhere.url("/items");
    let in_a_circle = away.url("/items");
    // A port that was free a moment ago: nobody listens there.
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("it is bound");
    vec![
        to("to itself", 302, "/items"),
        to("to itself with another fragment", 301, "/items#again"),
        Trial::new("in a circle of two", |request| {
            Reply::of(307, "").with("location", if request.target == "/items" { "/b" } else { "/items" })
        }),
        Trial::new("ever further", |request| Reply::of(302, "").with("location", format!("{}/on", request.target))),
        to("to another origin, which goes in a circle", 302, &in_a_circle).keeping(away),
        to("to where nobody is", 302, &format!("http://{nobody}/items")),
        to("to a name that does not exist", 302, "http://nowhere.invalid/items"),
        to("to a file", 302, "file:///etc/passwd"),
        to("by FTP", 302, "ftp://127.0.0.1/items"),
        to("to a script", 302, "javascript:alert(1)"),
        to("to data", 302, "data:application/json,[]"),
        to("to what is no address", 302, "http://[::1/items"),
        to("to port 99999", 302, "http://127.0.0.1:99999/"),
        to("to nothing", 302, ""),
        Trial::new("and does not say where to", |_| Reply::of(301, "[]")),
        Trial::new("to an address that is not ASCII", |_| Reply::of(302, "").with("location", "/caf\u{e9}\u{0}")),
        to("to an address of 100 kB", 302, &format!("/{}", "x".repeat(100_000))),
        Trial::new("to a page to sign in", |request| match request.target.split('?').next() {
            Some("/login") => Reply::of(200, "<html>Sign in</html>").with("content-type", "text/html"),
            _ => Reply::of(302, "").with("location", "/login?next=/items"),
        }),
        Trial::harmless("five times, then well", |request| match request.target.len() {
            11.. => Reply::json(MORE),
            _ => Reply::of(302, "").with("location", format!("{}x", request.target)),
        }),
        Trial::harmless("without http, to the same host", |request| match request.target.as_str() {
            "/b" => Reply::json(MORE),
            _ => Reply::of(302, "").with("location", format!("//{}/b", request.header("host").expect("a host"))),
        }),
        Trial::harmless("and has items itself", |request| match request.target.as_str() {
            "/b" => Reply::json(MORE),
            _ => Reply { status: 302, ..Reply::json("[]") }.with("location", "/b"),
        }),
        Trial::harmless("to another origin", move |_| Reply::of(302, "").with("location", there.clone()))
            .keeping(elsewhere),
    ]
}

fn to(name: &'static str, status: u16, location: &str) -> Trial {
    let location = location.to_owned();
    Trial::new(name, move |_| Reply::of(status, "").with("location", location.clone()))
}
