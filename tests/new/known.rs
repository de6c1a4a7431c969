//! Addresses that the catalogue knows, and feeds.

use crate::desk::{Desk, api, check_shown, check_terminals};
use crate::source::Reply;

const FEED: &str = r#"<?xml version="1.0"?><rss version="2.0"><channel><title>News</title><link>https://news.example</link>
<item><guid>n-1</guid><title>One</title><link>https://news.example/1</link></item>
<item><guid>n-2</guid><title>Two</title><link>https://news.example/2</link></item></channel></rss>"#;

/// A template of somebody's own, for a host with any name.
const TEMPLATE: &str = r#"
title    = "Tickets of the house"
homepage = "https://tickets.example"
matches  = ["{site}/projects/{project}/tickets", "{site}/projects/{project}/tickets.json?open={open}"]
every    = "1m"

[params.site]
description = "Where it runs"
example     = "https://tickets.example"

[params.project]
description = "The project's short name"
example     = "web"

[params.open]
description = "Whether only open tickets count"
default     = "yes"

[params.token]
description = "A token"
default     = ""
secret      = true

[request]
url = "{{ params.site }}/api/{{ params.project }}.json"

[auth.bearer]
token = "{{ params.token }}"

[item]
key = ".number"
"#;

fn desk_with_template() -> Desk {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("connectors")).expect("a folder");
    desk.with("connectors/house-tickets.toml", TEMPLATE).with("config.toml", "[server]\nlisten = \"127.0.0.1:0\"\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_a_template_is_made_for_gets_it_with_its_params() {
    let source = api(&[("/api/web.json", Reply::json(r#"[{"number":7,"title":"It is slow"}]"#))]).await;
    let desk = desk_with_template();
    check_shown("template", &desk, &["new", &source.url("/projects/web/tickets/?page=2")]);

    let desk = desk.set("TICKETS_TOKEN", "hunter2hunter2");
    source.take_requests();
    let said =
        desk.well(&["new", &source.url("/projects/web/tickets"), "--bearer-env", "TICKETS_TOKEN", "--name", "t"]);
    assert!(said.out.contains("token = { env = \"TICKETS_TOKEN\" }"), "{}", said.out);
    let asked = source.take_requests();
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|request| request.header("authorization") == Some("Bearer hunter2hunter2")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_does_not_work_gives_way_to_what_the_address_answers() {
    let source = api(&[("/projects/web/tickets", Reply::json(r#"[{"id":7,"title":"It is slow"}]"#))]).await;
    let said = desk_with_template().well(&["new", &source.url("/projects/web/tickets")]);
    assert!(said.err.contains("house-tickets is made for such addresses, but did not work"), "{}", said.err);
    assert!(said.out.contains("item.key = \".id\""), "{}", said.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_gets_the_template_for_feeds() {
    let reply = Reply::of(200, FEED).with("content-type", "application/rss+xml");
    let source = api(&[("/feed", reply)]).await;
    check_terminals("feed", &["new", &source.url("/feed")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_is_not_asked_more_often_than_it_says() {
    for (said, expected) in [
        ("<ttl>90</ttl>", Some("2h")),
        ("<sy:updatePeriod>hourly</sy:updatePeriod><sy:updateFrequency>1</sy:updateFrequency>", Some("1h")),
        ("<sy:updatePeriod>yearly</sy:updatePeriod>", Some("6h")),
        ("<ttl>5</ttl>", None),
    ] {
        let head = r#"<rss version="2.0" xmlns:sy="http://purl.org/rss/1.0/modules/syndication/"><channel>"#;
        let feed = FEED.replace(r#"<rss version="2.0"><channel>"#, &format!("{head}{said}"));
        let source = api(&[("/feed", Reply::of(200, feed).with("content-type", "application/rss+xml"))]).await;
        let desk = Desk::new().with("config.toml", "[server]\nlisten = \"127.0.0.1:0\"\n");
        let told = desk.well(&["new", &source.url("/feed"), "--write", "config.toml"]);
        let every = told.out.lines().find(|line| line.starts_with("every"));
        assert_eq!(every, expected.map(|every| format!("every = \"{every}\"")).as_deref(), "{}", told.out);
        desk.well(&["check"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_page_leads_to_the_feed_that_it_names() {
    let page = r#"<!doctype html><title>News</title>
<link rel="alternate" type="application/rss+xml" title="Comments" href="/comments/feed">
<link rel="alternate" type="application/rss+xml" title="Articles" href="/feed"><h1>News</h1>"#;
    let html = || Reply::of(200, page).with("content-type", "text/html; charset=utf-8");
    let feed = Reply::of(200, FEED).with("content-type", "application/rss+xml");
    let source = api(&[("/", html()), ("/feed", feed)]).await;
    check_shown("advertised-feed", &Desk::new(), &["new", &source.url("/")]);
    let gone = api(&[("/", html())]).await;
    check_shown("advertised-feed-gone", &Desk::new(), &["new", &gone.url("/")]);
}
