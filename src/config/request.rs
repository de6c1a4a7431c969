//! How a connector asks.

use super::params::scalar;
use super::reader::Fields;
use super::text::Texts;
use super::tree::{Entry, Node, NodeValue};
use crate::model::connector::{JsonTemplate, Method, Request, RequestBody};
use crate::model::template::Template;

/// Headers that pollhook sends itself.
const OWN_HEADERS: [&str; 7] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "if-none-match",
    "if-modified-since",
    "accept-encoding",
];

/// Reads `request`.
pub(super) fn request(texts: &Texts<'_>, fields: &Fields<'_>) -> Option<Request> {
    let url = fields.required("url").and_then(|entry| url(texts, &entry.node));
    let method = fields.choice("method", &[Method::Get, Method::Post]);
    let body = body(texts, fields);
    if method == Some(Method::Get)
        && let Some(entry) = fields.entry("body").or_else(|| fields.entry("form"))
    {
        let message = format!("a GET has no `{}`", entry.key);
        fields.report.error_with_help(entry.key_place, message, "write method = \"POST\" beside it");
    }
    for entry in fields.entries("headers") {
        check_header(fields, entry, &OWN_HEADERS);
    }
    let (query, headers) = (texts.templates(fields, "query"), texts.templates(fields, "headers"));
    let (timeout, max_body) = (fields.duration("timeout"), fields.size("max_body"));
    Some(Request { method: method?, url: url?, query, headers, body, timeout: timeout?, max_body: max_body? })
}

/// Reports a header that cannot be sent, or that pollhook sends itself.
pub(super) fn check_header(fields: &Fields<'_>, entry: &Entry, own: &[&str]) {
    if !is_header_name(&entry.key) {
        fields.report.error(entry.key_place, format!("`{}` cannot be the name of a header", entry.key));
    } else if own.contains(&entry.key.to_ascii_lowercase().as_str()) {
        fields.report.error(entry.key_place, format!("the header `{}` is set by pollhook itself", entry.key));
    }
}

/// Tells whether a header can have this name.
pub(super) fn is_header_name(text: &str) -> bool {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !text.is_empty() && text.chars().all(is_token)
}

fn url(texts: &Texts<'_>, node: &Node) -> Option<Template> {
    let template = texts.template(node)?;
    match texts.rendered(node, &template) {
        Some(rendered) => texts.check_url(node, &rendered).then_some(template),
        None => Some(template),
    }
}

fn body(texts: &Texts<'_>, fields: &Fields<'_>) -> Option<RequestBody> {
    if fields.entry("form").is_some() {
        return Some(RequestBody::Form(texts.templates(fields, "form")));
    }
    let node = &fields.entry("body")?.node;
    match node.value {
        NodeValue::Text(_) => texts.template(node).map(RequestBody::Text),
        _ => json(texts, node).map(RequestBody::Json),
    }
}

fn json(texts: &Texts<'_>, node: &Node) -> Option<JsonTemplate> {
    match &node.value {
        NodeValue::Text(_) => texts.template(node).map(JsonTemplate::Text),
        NodeValue::List(nodes) => {
            nodes.iter().map(|node| json(texts, node)).collect::<Option<_>>().map(JsonTemplate::Array)
        }
        NodeValue::Table(table) => {
            let members = table.entries.iter().map(|entry| Some((entry.key.clone(), json(texts, &entry.node)?)));
            members.collect::<Option<_>>().map(JsonTemplate::Object)
        }
        _ => scalar(texts.scope.report, node).map(JsonTemplate::Other),
    }
}

/// Tells whether a request refers to anything under this first name, such as `page`.
pub(super) fn refers_to(request: &Request, name: &str) -> bool {
    let in_named = |named: &[(String, Template)]| named.iter().any(|(_, template)| template.refers_to(name));
    let in_body = match &request.body {
        None => false,
        Some(RequestBody::Text(text)) => text.refers_to(name),
        Some(RequestBody::Form(fields)) => in_named(fields),
        Some(RequestBody::Json(json)) => json_refers_to(json, name),
    };
    request.url.refers_to(name) || in_named(&request.query) || in_named(&request.headers) || in_body
}

fn json_refers_to(json: &JsonTemplate, name: &str) -> bool {
    match json {
        JsonTemplate::Text(text) => text.refers_to(name),
        JsonTemplate::Array(elements) => elements.iter().any(|element| json_refers_to(element, name)),
        JsonTemplate::Object(members) => members.iter().any(|(_, member)| json_refers_to(member, name)),
        JsonTemplate::Other(_) => false,
    }
}
