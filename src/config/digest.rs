//! What identifies a connector's rules, so that an edit is noticed.

use serde_json::{Value, json};

use super::text::Texts;
use crate::model::change::{ChangeRules, Lists};
use crate::model::connector::{ItemRules, JsonTemplate, Method, Request, RequestBody, Response, RulesDigest};
use crate::model::expression::Expression;
use crate::model::fingerprint::{BodyHash, Fingerprint};
use crate::model::pagination::{Pagination, PagingStyle};
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
    changes: &ChangeRules,
) -> RulesDigest {
    let keys = json!({
        "method": match request.method { Method::Get => "GET", Method::Post => "POST" },
        "url": texts.canonical(&request.url),
        "query": named(texts, &request.query),
        "body": request.body.as_ref().map(|body| of_body(texts, body)),
        // More pages show items that are not new, only newly looked at.
        "pagination": match pagination.style {
            PagingStyle::Link => json!({ "link": pagination.max_pages }),
            _ => json!("single"),
        },
        "items": response.items.source(),
        "key": sources(&item.key),
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
    });
    RulesDigest { pages: hash(&pages), keys: hash(&keys), fingerprints: hash(&fingerprints) }
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
