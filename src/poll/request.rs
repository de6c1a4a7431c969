//! Templates and what they are filled in with → a request.
//!
//! What refers to a cursor or a page that is not there is left out: a parameter of the address, a header, a field of a
//! form, a member or an element of a JSON body. So the first poll asks for everything, and the first page for no page in
//! particular. A template that has a default for what is not there is not left out.

use bytes::Bytes;
use serde_json::{Map, Value};
use url::Url;

use super::error::PageError;
use crate::http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use crate::http::{BodyLimit, Limits, Method};
use crate::model::connector::{self, JsonTemplate, RequestBody};
use crate::model::json;
use crate::model::pagination::PageParam;
use crate::model::template::{Template, TemplateContext};

/// The request of one page, without what auth adds to it.
#[derive(Debug, Clone)]
pub(super) struct PageRequest {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// How long each try may take, and how much it may bring.
    pub limits: Limits,
}

impl PageRequest {
    /// Fills in a request, and puts what pagination adds to it in its place.
    pub fn new(
        request: &connector::Request,
        context: &TemplateContext<'_>,
        additions: &[(&PageParam, Value)],
    ) -> Result<Self, PageError> {
        let mut headers = headers(&request.headers, context)?;
        let body = body(request.body.as_ref(), context, additions, &mut headers)?;
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("application/json, */*;q=0.5"));
        let method = match request.method {
            connector::Method::Get => Method::GET,
            connector::Method::Post => Method::POST,
        };
        let mut url = url(&request.url, &request.query, context)?;
        for (param, value) in additions {
            if let PageParam::Query(name) = param {
                for (name, value) in named(name, value) {
                    set_query(&mut url, name, &plain(value));
                }
            }
        }
        let limits = Limits { deadline: request.timeout, body: BodyLimit::Refuse(request.max_body) };
        Ok(Self { method, url, headers, body, limits })
    }

    /// Returns the same request for another page.
    pub fn to(&self, url: Url) -> Self {
        Self { url, ..self.clone() }
    }

    /// Tells whether the answer can be compared with a remembered one by the server.
    pub fn can_be_conditional(&self) -> bool {
        self.method == Method::GET
    }
}

fn render(template: &Template, context: &TemplateContext<'_>, part: impl Fn() -> String) -> Result<String, PageError> {
    template.render(context).map_err(|error| PageError::Template { part: part(), error })
}

/// Returns the text of a template; `None` if it is left out.
fn render_if_there(
    template: &Template,
    context: &TemplateContext<'_>,
    part: impl Fn() -> String,
) -> Result<Option<String>, PageError> {
    match render(template, context, part) {
        Ok(text) => Ok(Some(text)),
        Err(_) if refers_to_nothing(template, context) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Tells whether a template refers to a cursor or a page that is not there.
fn refers_to_nothing(template: &Template, context: &TemplateContext<'_>) -> bool {
    context.cursor.is_none() && template.refers_to("cursor") || context.page.is_none() && template.refers_to("page")
}

fn invalid(part: impl Into<String>, problem: impl Into<String>) -> PageError {
    PageError::Request { part: part.into(), problem: problem.into() }
}

fn url(address: &Template, query: &[(String, Template)], context: &TemplateContext<'_>) -> Result<Url, PageError> {
    let text = render(address, context, || "url".to_owned())?;
    let mut url = Url::parse(text.trim()).map_err(|error| invalid("url", error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid("url", "it begins with http:// or https://"));
    }
    url.set_fragment(None);
    for (name, value) in query {
        if let Some(value) = render_if_there(value, context, || format!("query parameter {name}"))? {
            url.query_pairs_mut().append_pair(name, &value);
        }
    }
    Ok(url)
}

/// Puts a parameter into an address, in place of any others of its name. The rest stays as it is written.
fn set_query(url: &mut Url, name: &str, value: &str) {
    let is_other = |pair: &&str| url::form_urlencoded::parse(pair.as_bytes()).all(|(known, _)| known != name);
    let kept: Vec<&str> = url.query().unwrap_or_default().split('&').filter(is_other).collect();
    let kept = kept.join("&");
    url.set_query(Some(&kept).filter(|kept| !kept.is_empty()).map(String::as_str));
    url.query_pairs_mut().append_pair(name, value);
}

fn headers(templates: &[(String, Template)], context: &TemplateContext<'_>) -> Result<HeaderMap, PageError> {
    let mut headers = HeaderMap::new();
    for (name, value) in templates {
        let part = || format!("header {name}");
        let Some(value) = render_if_there(value, context, part)? else { continue };
        let name: HeaderName = name.parse().map_err(|_| invalid(part(), "it is no header name"))?;
        // The error would repeat the value, which may be a secret.
        let value = HeaderValue::from_str(&value).map_err(|_| invalid(part(), "its value has control characters"))?;
        headers.append(name, value);
    }
    Ok(headers)
}

fn body(
    body: Option<&RequestBody>,
    context: &TemplateContext<'_>,
    additions: &[(&PageParam, Value)],
    headers: &mut HeaderMap,
) -> Result<Bytes, PageError> {
    let additions: Vec<(&[String], &Value)> = additions
        .iter()
        .filter_map(|(param, value)| if let PageParam::Body(path) = param { Some((&**path, value)) } else { None })
        .collect();
    let (content_type, body) = match body {
        None if additions.is_empty() => return Ok(Bytes::new()),
        Some(RequestBody::Text(text)) => return Ok(render(text, context, || "body".to_owned())?.into()),
        Some(RequestBody::Form(fields)) => {
            ("application/x-www-form-urlencoded", render_form(fields, context, &additions)?)
        }
        Some(RequestBody::Json(json)) => {
            let mut value = render_json(json, context)?.unwrap_or_default();
            add_to_json(&mut value, &additions);
            ("application/json", value.to_string())
        }
        None => {
            let mut value = Value::Object(Map::new());
            add_to_json(&mut value, &additions);
            ("application/json", value.to_string())
        }
    };
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(content_type));
    Ok(body.into())
}

fn render_form(
    fields: &[(String, Template)],
    context: &TemplateContext<'_>,
    additions: &[(&[String], &Value)],
) -> Result<String, PageError> {
    let added: Vec<(String, String)> = additions
        .iter()
        .flat_map(|(path, value)| {
            named(&path.join("."), value).map(|(name, value)| (name.to_owned(), plain(value))).collect::<Vec<_>>()
        })
        .collect();
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields.iter().filter(|(name, _)| added.iter().all(|(other, _)| other != name)) {
        if let Some(value) = render_if_there(value, context, || format!("form field {name}"))? {
            form.append_pair(name, &value);
        }
    }
    form.extend_pairs(added);
    Ok(form.finish())
}

/// Returns a JSON value with everything filled in; `None` if it is a text that is left out.
fn render_json(json: &JsonTemplate, context: &TemplateContext<'_>) -> Result<Option<Value>, PageError> {
    Ok(Some(match json {
        JsonTemplate::Text(text) => return render_json_text(text, context),
        JsonTemplate::Array(elements) => {
            let elements = elements.iter().filter_map(|element| render_json(element, context).transpose());
            Value::Array(elements.collect::<Result<_, _>>()?)
        }
        JsonTemplate::Object(members) => {
            let members = members.iter().filter_map(|(name, value)| {
                render_json(value, context).transpose().map(|value| Ok((name.clone(), value?)))
            });
            Value::Object(members.collect::<Result<_, PageError>>()?)
        }
        JsonTemplate::Other(value) => value.clone(),
    }))
}

/// A text that is nothing but `{{ page }}` or `{{ cursor }}` becomes what that is: a number stays a number.
fn render_json_text(text: &Template, context: &TemplateContext<'_>) -> Result<Option<Value>, PageError> {
    let whole = match text.only_name() {
        Some("page") => context.page.cloned(),
        Some("cursor") => {
            context.cursor.map(|cursor| json::number(cursor).map_or_else(|| Value::from(cursor), Value::Number))
        }
        _ => None,
    };
    match whole {
        Some(value) => Ok(Some(value)),
        None => Ok(render_if_there(text, context, || "body".to_owned())?.map(Value::String)),
    }
}

/// Puts values into a JSON body under their names, in place of what is there. What is no object on the way becomes one.
fn add_to_json(body: &mut Value, additions: &[(&[String], &Value)]) {
    for (path, value) in additions {
        let Some((last, parents)) = path.split_last() else { continue };
        let parent = parents.iter().fold(&mut *body, |value, name| member(value, name));
        for (name, value) in named(last, value) {
            *member(parent, name) = value.clone();
        }
    }
}

fn member<'a>(value: &'a mut Value, name: &str) -> &'a mut Value {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().expect("it was made one").entry(name).or_insert(Value::Null)
}

/// Returns what an addition of this name comes to: itself, or the members of an object, under their own names.
fn named<'a>(name: &'a str, value: &'a Value) -> Box<dyn Iterator<Item = (&'a str, &'a Value)> + 'a> {
    match value {
        Value::Object(members) => Box::new(members.iter().map(|(name, value)| (name.as_str(), value))),
        value => Box::new(std::iter::once((name, value))),
    }
}

/// Returns a value as it stands in an address or a form.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests;
