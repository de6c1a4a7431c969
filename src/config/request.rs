//! How a connector asks: request, auth and pagination.

use super::params::scalar;
use super::reader::Fields;
use super::text::Texts;
use super::tree::{Entry, Node, NodeValue};
use crate::model::connector::{Auth, JsonTemplate, Method, Pagination, Request, RequestBody};
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

/// Reads `auth`; a secret that is empty means none.
pub(super) fn auth(texts: &mut Texts<'_>, fields: &Fields<'_>) -> Option<Auth> {
    if let Some(bearer) = fields.table("bearer") {
        let token = texts.secret(&bearer.required("token")?.node)?;
        return (!token.expose().is_empty()).then_some(Auth::Bearer { token });
    }
    if let Some(basic) = fields.table("basic") {
        let (username, password) = (basic.required("username"), basic.required("password"));
        let username = &username?.node;
        let template = texts.template(username)?;
        let username = texts.rendered(username, &template)?;
        let password = texts.secret(&password?.node)?;
        let given = !username.is_empty() || !password.expose().is_empty();
        return given.then_some(Auth::Basic { username, password });
    }
    if let Some(header) = fields.table("header") {
        let (name, value) = name_and_value(texts, &header)?;
        return (!value.expose().is_empty()).then_some(Auth::Header { name, value });
    }
    if let Some(query) = fields.table("query") {
        let (name, value) = name_and_value(texts, &query)?;
        return (!value.expose().is_empty()).then_some(Auth::Query { name, value });
    }
    None
}

fn name_and_value(texts: &mut Texts<'_>, fields: &Fields<'_>) -> Option<(String, crate::model::secret::Secret)> {
    let (name, value) = (fields.required("name"), fields.required("value"));
    let value = value.and_then(|entry| texts.secret(&entry.node));
    let name = super::reader::text(fields.report, &name?.node)?.to_owned();
    Some((name, value?))
}

/// Reads `pagination`.
pub(super) fn pagination(fields: Option<&Fields<'_>>) -> Option<Pagination> {
    match fields.and_then(|fields| fields.table("link")) {
        Some(link) => Some(Pagination::Link { max_pages: usize::try_from(link.count("max_pages")?).ok()? }),
        None => Some(Pagination::Single),
    }
}

/// Reports a header that cannot be sent, or that pollhook sends itself.
pub(super) fn check_header(fields: &Fields<'_>, entry: &Entry, own: &[&str]) {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if entry.key.is_empty() || !entry.key.chars().all(is_token) {
        fields.report.error(entry.key_place, format!("`{}` cannot be the name of a header", entry.key));
    } else if own.contains(&entry.key.to_ascii_lowercase().as_str()) {
        fields.report.error(entry.key_place, format!("the header `{}` is set by pollhook itself", entry.key));
    }
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
