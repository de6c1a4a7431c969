use super::*;

fn response(format: Option<ResponseFormat>, items: &str) -> Response {
    let items = Expression::parse(items).expect("an expression");
    Response { format, items, items_by_default: false, error: None }
}

fn decoded(format: Option<ResponseFormat>, content_type: Option<&str>, body: &[u8]) -> Result<Value, PageError> {
    let page = RawPage { url: None, content_type, body };
    decode(&response(format, ".[]"), page, &Redactor::default()).map(|decoded| decoded.value)
}

#[test]
fn json_is_recognised_by_its_type_or_its_first_character() {
    let check = |content_type: Option<&str>, body: &str, expected: Option<&str>| {
        let decoded = decoded(None, content_type, body.as_bytes());
        let decoded = decoded.map(|value| value.to_string()).map_err(|error| error.to_string());
        assert_eq!(decoded.as_deref().ok(), expected, "{content_type:?} {body} {decoded:?}");
    };
    check(None, "7", Some("7"));
    check(Some("application/json"), "7", Some("7"));
    check(Some("Application/Problem+JSON; charset=utf-8"), "\"x\"", Some("\"x\""));
    check(Some("text/plain"), "\u{feff}\n [1.0]", Some("[1.0]"));
    check(Some("text/html"), "{\"a\":1}", Some("{\"a\":1}"));
    check(Some("text/plain"), "{\"a\":1}\n{\"a\":2}\n", Some("[{\"a\":1},{\"a\":2}]"));
    check(Some("text/csv"), "a,b\n1,2", Some("[{\"a\":\"1\",\"b\":\"2\"}]"));
    check(Some("application/xml"), "<a><b>1</b></a>", Some("{\"a\":{\"b\":\"1\"}}"));
    check(Some("text/plain"), "7", None);
    check(Some("application/json"), "<html>", None);
    check(Some("application/json"), "\u{feff}", None);
}

#[test]
fn json_is_read_in_whatever_charset_it_is() {
    let check = |content_type: &str, body: &[u8]| {
        let decoded = decoded(None, Some(content_type), body).expect("JSON");
        assert_eq!(decoded, serde_json::json!(["é"]), "{content_type} {body:x?}");
    };
    check("application/json", "[\"é\"]".as_bytes());
    check("application/json; charset=iso-8859-1", "[\"é\"]".as_bytes());
    check("application/json; charset=iso-8859-1", b"[\"\xe9\"]");
    check("text/plain", b"\xff\xfe[\0\"\0\xe9\0\"\0]\0");
}

#[test]
fn what_leads_to_items_is_a_list_in_xml() {
    let page = RawPage { url: None, content_type: Some("text/xml"), body: b"<a><b><c>1</c></b></a>" };
    let response = response(None, ".a.b[]");
    let decoded = decode(&response, page, &Redactor::default()).expect("XML");
    assert_eq!(decoded.value.to_string(), r#"{"a":{"b":[{"c":"1"}]}}"#);
}

#[test]
fn a_feed_yields_its_items_and_how_long_it_stands_if_nothing_else_is_said() {
    let check = |items_by_default, expected: &str| {
        let body = b"<rss><channel><ttl>90</ttl><item><guid>1</guid></item></channel></rss>";
        let page = RawPage { url: None, content_type: Some("text/xml"), body };
        let response = Response { items_by_default, ..response(None, ".[]") };
        let Decoded { items, fresh_for, .. } = decode(&response, page, &Redactor::default()).expect("a feed");
        assert_eq!((items.source(), fresh_for), (expected, Some(Duration::from_secs(5400))));
    };
    check(true, ".items[]");
    check(false, ".[]");
}

#[test]
fn what_cannot_be_read_is_named_with_what_came() {
    let check = |format: Option<ResponseFormat>, content_type: &str, body: &[u8]| {
        decoded(format, Some(content_type), body).expect_err("it cannot be read").to_string()
    };
    insta::assert_snapshot!(
        check(None, "text/plain", b"a,b\n1,2"),
        @r#"the answer's format "text/plain" is not known: say what it is in `response.format`; it begins: a,b\n1,2"#
    );
    insta::assert_snapshot!(
        check(None, "text/html", b"<p>"),
        @"the answer is HTML, not JSON (to take items out of a page, say how in `response.html`); it begins: <p>"
    );
    insta::assert_snapshot!(
        check(Some(ResponseFormat::Feed), "text/html", b"<!doctype html><p>Sign in"),
        @"the answer is HTML, not a feed; it begins: <!doctype html><p>Sign in"
    );
    insta::assert_snapshot!(
        check(Some(ResponseFormat::Json), "text/xml", b"<?xml version='1.0'?><error/>"),
        @"the answer is XML, not JSON; it begins: <?xml version='1.0'?><error/>"
    );
    insta::assert_snapshot!(
        check(None, "text/xml", b"<a>\n\xe9</a>"),
        @"the answer is not valid XML: the bytes at 4 are no text in UTF-8; it begins: <a>\\n\u{fffd}</a>"
    );
    insta::assert_snapshot!(
        check(None, "text/csv", b"a,b\n1"),
        @"the answer is not valid CSV: line 2 has 1 values, where there are 2 columns (delimiter ','); it begins: a,b\\n1"
    );
}

#[test]
fn what_is_too_deep_to_be_kept_is_refused() {
    let check = |levels: usize| {
        let body = format!("{}{}", "<a><b/>".repeat(levels), "<b/></a>".repeat(levels));
        decoded(None, Some("text/xml"), body.as_bytes()).map(|_| ()).map_err(|error| error.to_string().len() > 20)
    };
    assert_eq!((check(125), check(126), check(128)), (Ok(()), Err(true), Err(true)));
}
