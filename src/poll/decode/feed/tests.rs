use super::*;

fn items(text: &str) -> Vec<Value> {
    let url: Url = "https://example.com/blog/feed.xml".parse().expect("an address");
    let feed = decode(text, Some(&url)).unwrap_or_else(|problem| panic!("{problem}: {text}"));
    feed["items"].as_array().expect("an array").clone()
}

/// Checks one member of the only item of an RSS feed.
#[track_caller]
fn check_rss(item: &str, member: &str, expected: &str) {
    let items = items(&format!("<rss version='2.0'><channel><item>{item}</item></channel></rss>"));
    assert_eq!(items[0][member].to_string(), expected, "{item}");
}

/// Checks one member of the only entry of an Atom feed.
#[track_caller]
fn check_atom(entry: &str, member: &str, expected: &str) {
    let items = items(&format!("<feed xmlns='http://www.w3.org/2005/Atom'><entry>{entry}</entry></feed>"));
    assert_eq!(items[0][member].to_string(), expected, "{entry}");
}

#[test]
fn every_item_has_the_same_members() {
    let rss = items("<rss><channel><item/></channel></rss>");
    let atom = items("<feed xmlns='http://www.w3.org/2005/Atom'><entry/></feed>");
    let json = items(r#"{"items":[{}]}"#);
    let expected = r#"{"id":"hash:2d3adedff11b61f14c886e35afa03673","url":null,"title":null,"summary":null,"content":null,"authors":[],"published":null,"updated":null,"categories":[],"enclosures":[],"extra":{}}"#;
    for items in [&rss, &atom, &json] {
        assert_eq!(items[0].to_string(), expected);
    }
}

#[test]
fn an_item_is_identified_by_what_it_says() {
    check_rss("<guid> a b </guid><link>/x</link>", "id", r#""a b""#);
    check_rss("<link>/x</link>", "id", r#""https://example.com/x""#);
    check_rss("<enclosure url='a.mp3'/>", "id", r#""https://example.com/blog/a.mp3""#);
    check_rss("<title>x</title>", "id", r#""hash:8106ab205fb8d6f7d3d5d65669a7f791""#);
    check_atom("<id>tag:x,1</id>", "id", r#""tag:x,1""#);
    assert_eq!(items(r#"{"items":[{"id":7}]}"#)[0]["id"], "7");
}

#[test]
fn addresses_become_absolute() {
    check_rss("<guid>https://example.com/1</guid>", "url", r#""https://example.com/1""#);
    check_rss("<guid isPermaLink='false'>https://example.com/1</guid>", "url", "null");
    check_rss("<guid>1</guid>", "url", "null");
    check_rss("<link href='a'/>", "url", r#""https://example.com/blog/a""#);
    check_atom(
        "<link rel='self' href='s'/><link type='text/plain' href='t'/><link href='h'/>",
        "url",
        r#""https://example.com/blog/h""#,
    );
    let base = "<link xml:base='/base/' href='a'/>";
    check_atom(base, "url", r#""https://example.com/base/a""#);
}

#[test]
fn titles_are_plain_text() {
    check_rss("<title>AT&amp;amp;T\n <![CDATA[&lt;b&gt; &nbsp;x]]></title>", "title", r#""AT&T <b> x""#);
    check_rss("<title>a <b>c</b></title>", "title", r#""a <b>c</b>""#);
    check_atom("<title type='html'>1 &amp;lt; 2 &lt;em>x&lt;/em></title>", "title", r#""1 < 2 x""#);
    check_atom("<title>&lt;em> &amp;amp;</title>", "title", r#""<em> &amp;""#);
    let xhtml = "<title type='xhtml'><div xmlns='http://www.w3.org/1999/xhtml'>a <i>b</i></div></title>";
    check_atom(xhtml, "title", r#""a b""#);
}

#[test]
fn content_is_as_it_is() {
    check_rss("<description>&lt;p>x&lt;/p></description>", "summary", r#""<p>x</p>""#);
    check_rss("<description>x<br>y</description>", "summary", r#""x<br>y</br>""#);
    let xhtml = "<content type='xhtml'><h:div xmlns:h='http://www.w3.org/1999/xhtml'>a<h:br/>&amp;</h:div></content>";
    check_atom(xhtml, "content", r#""a<br/>&amp;""#);
}

#[test]
fn people_have_names_and_addresses() {
    check_rss("<author>a@b.example (A B)</author>", "authors", r#"[{"name":"A B","email":"a@b.example","url":null}]"#);
    check_rss(
        "<dc:creator>A &lt;a@b.example></dc:creator>",
        "authors",
        r#"[{"name":"A","email":"a@b.example","url":null}]"#,
    );
    check_rss("<itunes:author>A</itunes:author>", "authors", r#"[{"name":"A","email":null,"url":null}]"#);
    check_atom(
        "<author><name>A</name><uri>/a</uri></author>",
        "authors",
        r#"[{"name":"A","email":null,"url":"https://example.com/a"}]"#,
    );
}

#[test]
fn what_the_shape_has_not_is_extra() {
    check_rss(
        "<itunes:duration>1:02</itunes:duration><comments>c</comments><source url='u'>s</source><title>t</title>",
        "extra",
        r##"{"itunes:duration":"1:02","comments":"c","source":{"@url":"u","#text":"s"}}"##,
    );
    check_rss(
        "<enclosure url='/a.mp3' type='audio/mpeg' length='007'/><enclosure url='/b' length='x'/>",
        "enclosures",
        r#"[{"url":"https://example.com/a.mp3","type":"audio/mpeg","length":7},{"url":"https://example.com/b","type":null,"length":null}]"#,
    );
}

#[test]
fn a_feed_says_how_often_it_changes() {
    let check = |inner: &str, expected: Option<u64>| {
        let feed = decode(&format!("<rss><channel>{inner}</channel></rss>"), None).expect("a feed");
        assert_eq!(feed["feed"]["ttl"].as_u64(), expected, "{inner}");
    };
    check("<ttl>60</ttl>", Some(60));
    check("<ttl>soon</ttl>", None);
    check("<sy:updatePeriod> hourly </sy:updatePeriod><sy:updateFrequency>2</sy:updateFrequency>", Some(30));
    check("<sy:updateFrequency>0</sy:updateFrequency>", Some(24 * 60));
    check("<sy:updatePeriod>always</sy:updatePeriod>", None);
}

#[test]
fn what_is_no_feed_is_refused() {
    for (text, expected) in [
        ("<html/>", "<html> is neither RSS nor Atom"),
        ("{}", "it is JSON, but no JSON Feed: it has no `items`"),
        ("{\"items\":[1]}", "item 1 is no object"),
        ("<rss><channel><item>", "it is cut off: <item> is never closed"),
    ] {
        assert_eq!(decode(text, None).expect_err("no feed"), expected, "{text}");
    }
}
