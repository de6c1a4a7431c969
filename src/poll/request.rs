//! A connector's templates → the request of its first page.

use bytes::Bytes;
use serde_json::Value;
use url::Url;

use super::error::PageError;
use crate::http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use crate::http::{BodyLimit, Limits, Method};
use crate::model::connector::{self, Connector, JsonTemplate, RequestBody};
use crate::model::template::{Template, TemplateContext};
use crate::model::time::Timestamp;

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
    /// Returns the request of a connector's first page.
    pub fn first(connector: &Connector, cursor: Option<&str>, now: Timestamp) -> Result<Self, PageError> {
        let context = TemplateContext { params: &connector.params.0, cursor, item: None, now, page: Some(1) };
        Self::rendered(&connector.request, &context)
    }

    fn rendered(request: &connector::Request, context: &TemplateContext<'_>) -> Result<Self, PageError> {
        let mut headers = headers(&request.headers, context)?;
        let body = match &request.body {
            Some(body) => render_body(body, context, &mut headers)?,
            None => Bytes::new(),
        };
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("application/json, */*;q=0.5"));
        let method = match request.method {
            connector::Method::Get => Method::GET,
            connector::Method::Post => Method::POST,
        };
        let limits = Limits { deadline: request.timeout, body: BodyLimit::Refuse(request.max_body) };
        Ok(Self { method, url: url(&request.url, &request.query, context)?, headers, body, limits })
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
        let value = render(value, context, || format!("query parameter {name}"))?;
        url.query_pairs_mut().append_pair(name, &value);
    }
    Ok(url)
}

fn headers(templates: &[(String, Template)], context: &TemplateContext<'_>) -> Result<HeaderMap, PageError> {
    let mut headers = HeaderMap::new();
    for (name, value) in templates {
        let part = || format!("header {name}");
        let value = render(value, context, part)?;
        let name: HeaderName = name.parse().map_err(|_| invalid(part(), "it is no header name"))?;
        // The error would repeat the value, which may be a secret.
        let value = HeaderValue::from_str(&value).map_err(|_| invalid(part(), "its value has control characters"))?;
        headers.append(name, value);
    }
    Ok(headers)
}

fn render_body(body: &RequestBody, context: &TemplateContext<'_>, headers: &mut HeaderMap) -> Result<Bytes, PageError> {
    let (content_type, body) = match body {
        RequestBody::Text(text) => return Ok(render(text, context, || "body".to_owned())?.into()),
        RequestBody::Json(json) => ("application/json", render_json(json, context)?.to_string()),
        RequestBody::Form(fields) => {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            for (name, value) in fields {
                form.append_pair(name, &render(value, context, || format!("form field {name}"))?);
            }
            ("application/x-www-form-urlencoded", form.finish())
        }
    };
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(content_type));
    Ok(body.into())
}

fn render_json(json: &JsonTemplate, context: &TemplateContext<'_>) -> Result<Value, PageError> {
    Ok(match json {
        JsonTemplate::Text(text) => Value::String(render(text, context, || "body".to_owned())?),
        JsonTemplate::Array(elements) => {
            elements.iter().map(|element| render_json(element, context)).collect::<Result<_, _>>()?
        }
        JsonTemplate::Object(members) => members
            .iter()
            .map(|(name, value)| Ok((name.clone(), render_json(value, context)?)))
            .collect::<Result<_, PageError>>()?,
        JsonTemplate::Other(value) => value.clone(),
    })
}
