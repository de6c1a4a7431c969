use serde_json::json;

use super::*;
use crate::model::connector::{Method, Request};
use crate::model::quantity::ByteSize;
use crate::model::time::Timestamp;

fn template(text: &str) -> Template {
    Template::parse(text).expect("a template")
}

fn named_templates(texts: &[(&str, &str)]) -> Vec<(String, Template)> {
    texts.iter().map(|(name, text)| ((*name).to_owned(), template(text))).collect()
}

fn request(url: &str, query: &[(&str, &str)], headers: &[(&str, &str)], body: Option<RequestBody>) -> Request {
    Request {
        method: if body.is_some() { Method::Post } else { Method::Get },
        url: template(url),
        query: named_templates(query),
        headers: named_templates(headers),
        body,
        timeout: std::time::Duration::from_secs(1),
        max_body: "1MiB".parse::<ByteSize>().expect("a size"),
    }
}

fn json_template(value: &Value) -> JsonTemplate {
    match value {
        Value::String(text) => JsonTemplate::Text(template(text)),
        Value::Array(elements) => JsonTemplate::Array(elements.iter().map(json_template).collect()),
        Value::Object(members) => {
            JsonTemplate::Object(members.iter().map(|(name, value)| (name.clone(), json_template(value))).collect())
        }
        other => JsonTemplate::Other(other.clone()),
    }
}

fn filled(
    request: &Request,
    cursor: Option<&str>,
    page: Option<&Value>,
    additions: &[(&PageParam, Value)],
) -> PageRequest {
    let context = TemplateContext { params: &Value::Null, cursor, item: None, now: Timestamp::EPOCH, page };
    PageRequest::new(request, &context, additions).expect("a request")
}

fn body_of(request: &PageRequest) -> String {
    String::from_utf8(request.body.to_vec()).expect("text")
}

#[test]
fn what_refers_to_nothing_is_left_out() {
    let query = [("since", "{{ cursor }}"), ("p", "{{ page }}"), ("a", "1"), ("d", "{{ cursor | default('x') }}")];
    let body = json!({"page": "{{ page }}", "list": ["{{ cursor }}", "a"], "in": {"cursor": "<{{ cursor }}>"}});
    let request =
        request("https://a/", &query, &[("X-Page", "{{ page }}")], Some(RequestBody::Json(json_template(&body))));
    let first = filled(&request, None, None, &[]);
    assert_eq!(first.url.as_str(), "https://a/?a=1&d=x");
    assert!(!first.headers.contains_key("x-page"));
    assert_eq!(body_of(&first), r#"{"list":["a"],"in":{}}"#);
    let next = filled(&request, Some("7"), Some(&json!(2)), &[]);
    assert_eq!(next.url.as_str(), "https://a/?since=7&p=2&a=1&d=7");
    assert_eq!(next.headers["x-page"], "2");
    assert_eq!(body_of(&next), r#"{"page":2,"list":[7,"a"],"in":{"cursor":"<7>"}}"#);
}

#[test]
fn a_text_that_is_only_a_name_keeps_its_type_in_json() {
    let check = |text: &str, cursor: &str, expected: &str| {
        let request = request("https://a/", &[], &[], Some(RequestBody::Json(json_template(&json!({ "a": text })))));
        assert_eq!(body_of(&filled(&request, Some(cursor), Some(&json!(1.5)), &[])), expected);
    };
    check("{{ cursor }}", "9007199254740993", r#"{"a":9007199254740993}"#);
    check("{{cursor}}", "2026-01-01", r#"{"a":"2026-01-01"}"#);
    check("{{ cursor | string }}", "7", r#"{"a":"7"}"#);
    check("{{ page }}", "7", r#"{"a":1.5}"#);
    check("{{ page }}{{ cursor }}", "7", r#"{"a":"1.57"}"#);
}

#[test]
fn what_pagination_adds_takes_its_place() {
    let check = |url: &str, name: &str, value: Value, expected: &str| {
        let param = PageParam::Query(name.to_owned());
        let request = request(url, &[], &[], None);
        assert_eq!(filled(&request, None, None, &[(&param, value)]).url.as_str(), expected);
    };
    check("https://a/x", "page", json!(2), "https://a/x?page=2");
    check("https://a/x?page=1&q=a%20b,c&page=9", "page", json!(2), "https://a/x?q=a%20b,c&page=2");
    check("https://a/x?page%5Bn%5D=1&b", "page[n]", json!("a&b"), "https://a/x?b&page%5Bn%5D=a%26b");
    let continuation = json!({"rccontinue": "2026|1", "continue": "-||"});
    check("https://a/x", "continue", continuation, "https://a/x?rccontinue=2026%7C1&continue=-%7C%7C");
}

#[test]
fn what_pagination_adds_to_a_body_is_put_under_its_names() {
    let check = |body: Option<RequestBody>, path: &[&str], value: Value, expected: &str| {
        let param = PageParam::Body(path.iter().map(|name| (*name).to_owned()).collect());
        let mut request = request("https://a/", &[], &[], body);
        request.method = Method::Post;
        let filled = filled(&request, None, None, &[(&param, value)]);
        assert_eq!(body_of(&filled), expected);
        assert!(filled.headers.contains_key(CONTENT_TYPE));
    };
    let graphql = || Some(RequestBody::Json(json_template(&json!({"query": "q", "variables": {"first": 2}}))));
    check(graphql(), &["variables", "after"], json!("abc"), r#"{"query":"q","variables":{"first":2,"after":"abc"}}"#);
    check(graphql(), &["variables", "first"], json!(3), r#"{"query":"q","variables":{"first":3}}"#);
    check(
        graphql(),
        &["a", "b", "c"],
        json!([1, "x"]),
        r#"{"query":"q","variables":{"first":2},"a":{"b":{"c":[1,"x"]}}}"#,
    );
    check(None, &["page"], json!(1), r#"{"page":1}"#);
    check(None, &["a", "x"], json!({"c": 1, "d": "e"}), r#"{"a":{"c":1,"d":"e"}}"#);
    let form = || Some(RequestBody::Form(named_templates(&[("a", "b c"), ("page", "1")])));
    check(form(), &["page"], json!(2), "a=b+c&page=2");
    check(form(), &["p"], json!({"page": 3, "x": "y"}), "a=b+c&page=3&x=y");
}
