//! Answers that are not JSON: their items are followed like any others.

use crate::source::Reply;
use crate::world::World;

/// Polls a first answer, which is the baseline, and then others, and checks which changes each of these brings.
async fn check(rules: &str, content_type: &str, answers: &[(&[u8], &[&str])]) {
    let reply = |body: &[u8]| Reply::of(200, body).with("content-type", content_type);
    let first = reply(answers[0].0);
    let world = World::new(rules, move |_| first.clone()).await;
    for (body, expected) in answers {
        let next = reply(body);
        world.source.respond(move |_| next.clone());
        assert_eq!(world.changes().await, *expected, "{}", String::from_utf8_lossy(body));
    }
}

#[tokio::test]
async fn feeds_are_followed_whatever_they_are() {
    let rules = "response.items = \".items[]\"\nresponse.format = \"feed\"";
    let item = |id: u8, title: &str| format!("<item><guid>{id}</guid><title>{title}</title></item>");
    let rss = |items: &[String]| format!("<rss><channel>{}</channel></rss>", items.concat()).into_bytes();
    let (one, two) = (item(1, "One"), item(2, "Two"));
    let laid_out = format!("<rss>\n<channel>\n{}\n{}</channel></rss><!-- x -->", two.replace("><", ">\n<"), one);
    let answers: [(&[u8], &[&str]); 4] = [
        (&rss(std::slice::from_ref(&one)), &[]),
        (&rss(&[two.clone(), one.clone()]), &["created 2"]),
        (laid_out.as_bytes(), &[]),
        (&rss(&[two, item(1, "Won")]), &["updated 1"]),
    ];
    check(rules, "text/html", &answers).await;
}

#[tokio::test]
async fn tables_lines_elements_and_pages_are_followed() {
    let csv: [(&[u8], &[&str]); 3] = [
        (b"id;name\n1;Caf\xe9\n", &[]),
        (b"id;name\r\n1;Caf\xe9\r\n2;Bar\r\n", &["created 2"]),
        (b"id;name\n1;Caf\xe9s\n2;Bar\n", &["updated 1"]),
    ];
    check("", "text/csv", &csv).await;
    let ndjson: [(&[u8], &[&str]); 2] = [(b"{\"id\":1}\n", &[]), (b"{\"id\":1}\n{\"id\":2}\n", &["created 2"])];
    check("", "application/x-ndjson", &ndjson).await;
    let xml: [(&[u8], &[&str]); 2] = [
        (b"<shop><order id='1'/></shop>", &[]),
        (b"<shop><order id='1'/><order id='2'>x</order></shop>", &["created 2"]),
    ];
    check("response.items = \".shop.order[]\"\nitem.key = '.\"@id\"'", "text/xml", &xml).await;
    let html: [(&[u8], &[&str]); 2] = [
        (b"<ul><li id=1><a href=/1>One</a></ul>", &[]),
        (b"<ul><li id=1><a href=/1>Won</a><li id=2></ul>", &["updated 1", "created 2"]),
    ];
    let fields = "response.html = { items = \"li\", fields = { id = { attribute = \"id\" }, title = \"a\" } }";
    check(fields, "text/html", &html).await;
}

#[tokio::test]
async fn what_cannot_be_read_as_a_whole_changes_nothing() {
    let good = "<rss><channel><item><guid>1</guid></item></channel></rss>";
    let rules = "response.items = \".items[]\"\nresponse.format = \"feed\"\nchanges.lists = \"everything\"";
    for bad in ["<rss><channel>", "<!doctype html><p>Sign in", "<!DOCTYPE a [<!ENTITY b 'c'>]><rss/>", "{\"a\":1}"] {
        let world = World::new(rules, move |_| Reply::of(200, good)).await;
        assert_eq!(world.changes().await, [""; 0]);
        let before = world.memory().await;
        world.source.respond(move |_| Reply::of(200, bad));
        world.failure().await;
        assert_eq!(world.memory().await, before, "{bad}");
    }
}
