//! What identifies a connector's rules, so that an edit is noticed.

use serde_json::{Value, json};

use super::text::Texts;
use crate::model::change::{ChangeRules, Lists};
use crate::model::connector::{ItemRules, JsonTemplate, Method, Request, RequestBody, Response, RulesDigest};
use crate::model::cursor::{CursorRules, CursorSource};
use crate::model::expression::Expression;
use crate::model::fingerprint::{BodyHash, Fingerprint};
use crate::model::format::{HtmlField, ResponseFormat};
use crate::model::pagination::{PageParam, PageSize, Pagination, PagingStyle, TokenSource};
use crate::model::selector::Selector;
use crate::model::template::Template;

/// Returns the digests of a connector's rules. They depend on what the rules mean, not on how they are written: not on
/// the order of keys, and not on whether a value comes from a param. No secret is in them, so that renewing a token
/// changes nothing.
pub(super) fn digest(
    texts: &Texts<'_>,
    request: &Request,
    pagination: &Pagination,
    response: &Response,
    item: &ItemRules,
    cursor: Option<&CursorRules>,
    changes: &ChangeRules,
) -> RulesDigest {
    let keys = json!({
        "method": match request.method { Method::Get => "GET", Method::Post => "POST" },
        "url": texts.canonical(&request.url),
        "query": named(texts, &request.query),
        "body": request.body.as_ref().map(|body| of_body(texts, body)),
        // More pages show items that are not new, only newly looked at.
        "pagination": of_pages(pagination),
        "format": response.format.as_ref().and_then(of_format),
        "items": response.items.source(),
        "key": sources(&item.key),
        "cursor": cursor.map(|rules| match &rules.value {
            CursorSource::Item(expression) => json!({ "value": expression.source() }),
            CursorSource::Answer(expression) => json!({ "answer": expression.source() }),
        }),
        "filter": item.filter.as_ref().map(Expression::source),
    });
    let fingerprints = json!({
        "watch": item.watch.as_deref().map(sources),
        "ignore": sources(&item.ignore),
    });
    // Whatever else needs the items themselves again, although the API may say that nothing has changed.
    let pages = json!({
        "keys": keys,
        "fingerprints": fingerprints,
        "headers": named(texts, &request.headers),
        "error": response.error.as_ref().map(Expression::source),
        "previous": changes.previous,
        "everything": changes.lists == Lists::Everything,
        "paging": of_page_requests(pagination),
    });
    RulesDigest { pages: hash(&pages), keys: hash(&keys), fingerprints: hash(&fingerprints) }
}

/// Returns what decides which pages there are.
fn of_pages(pagination: &Pagination) -> Value {
    let source = |expression: &Option<Expression>| expression.as_ref().map(|expression| expression.source().to_owned());
    let place = |next: &TokenSource| match next {
        TokenSource::Body(expression) => expression.source().to_owned(),
        TokenSource::Header(_) => "header".to_owned(),
    };
    let style = match &pagination.style {
        PagingStyle::Single => return json!("single"),
        PagingStyle::Link => json!("link"),
        PagingStyle::NextUrl { address } => json!({ "next_url": place(address) }),
        PagingStyle::Cursor { token, more, .. } => json!({
            "cursor": place(token),
            "more": source(more),
        }),
        PagingStyle::Page { start, size, total_pages, total, more, .. } => json!({
            "page": start,
            "size": size.as_ref().map(|size| size.items),
            "total_pages": source(total_pages),
            "total": source(total),
            "more": source(more),
        }),
        PagingStyle::Offset { start, size, total, more, .. } => json!({
            "offset": start,
            "size": size.items,
            "total": source(total),
            "more": source(more),
        }),
    };
    json!([style, pagination.max_pages])
}

/// Returns how the same pages are asked for.
fn of_page_requests(pagination: &Pagination) -> Value {
    let name = |param: &PageParam| match param {
        PageParam::Query(name) => json!({ "query": name }),
        PageParam::Body(names) => json!({ "body": names }),
        PageParam::Template => Value::Null,
    };
    let size_param = |size: Option<&PageSize>| size.and_then(|size| size.param.as_ref()).map(name);
    let style = match &pagination.style {
        PagingStyle::Single | PagingStyle::Link | PagingStyle::NextUrl { .. } => Value::Null,
        PagingStyle::Cursor { token, param, .. } => {
            let header = if let TokenSource::Header(header) = token { Some(header) } else { None };
            json!([name(param), header])
        }
        PagingStyle::Page { param, size, .. } => json!([name(param), size_param(size.as_ref())]),
        PagingStyle::Offset { param, size, overlap, .. } => json!([name(param), size_param(Some(size)), overlap]),
    };
    json!([style, pagination.stop.is_some(), pagination.origins])
}

/// Returns how answers are read, if that is another way than as JSON.
fn of_format(format: &ResponseFormat) -> Option<Value> {
    match format {
        ResponseFormat::Json => None,
        ResponseFormat::Ndjson => Some(json!("ndjson")),
        ResponseFormat::Csv(rules) => Some(json!({ "delimiter": rules.delimiter, "columns": rules.columns })),
        ResponseFormat::Xml(rules) => Some(json!({ "lists": rules.lists })),
        ResponseFormat::Feed => Some(json!("feed")),
        ResponseFormat::Html(rules) => {
            let field = |(name, field): &(String, HtmlField)| {
                json!([name, field.select.as_ref().map(Selector::source), field.attribute, field.all])
            };
            let fields: Vec<Value> = rules.fields.iter().map(field).collect();
            Some(json!({ "items": rules.items.source(), "fields": fields }))
        }
    }
}

fn hash(value: &Value) -> BodyHash {
    BodyHash::of(&Fingerprint::of([value]).0)
}

fn sources(expressions: &[Expression]) -> Vec<&str> {
    expressions.iter().map(Expression::source).collect()
}

/// Returns named texts sorted by name; those of one name stay in their order.
fn named(texts: &Texts<'_>, templates: &[(String, Template)]) -> Value {
    let mut named: Vec<(&String, Value)> =
        templates.iter().map(|(name, template)| (name, texts.canonical(template))).collect();
    named.sort_by_key(|(name, _)| *name);
    json!(named)
}

fn of_body(texts: &Texts<'_>, body: &RequestBody) -> Value {
    match body {
        RequestBody::Text(template) => json!({ "text": texts.canonical(template) }),
        RequestBody::Json(template) => json!({ "json": of_json(texts, template) }),
        RequestBody::Form(fields) => json!({ "form": named(texts, fields) }),
    }
}

fn of_json(texts: &Texts<'_>, template: &JsonTemplate) -> Value {
    match template {
        JsonTemplate::Text(template) => texts.canonical(template),
        JsonTemplate::Array(elements) => elements.iter().map(|element| of_json(texts, element)).collect(),
        JsonTemplate::Object(members) => {
            Value::Object(members.iter().map(|(name, member)| (name.clone(), of_json(texts, member))).collect())
        }
        JsonTemplate::Other(value) => value.clone(),
    }
}
