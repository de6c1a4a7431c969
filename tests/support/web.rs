//! Asking HTTP servers.

use std::time::Duration;

use pollhook::http::header::{HeaderMap, HeaderName, HeaderValue};
use pollhook::http::{BodyLimit, HttpClient, HttpRequest, HttpResponse, Limits, Method};
use pollhook::model::quantity::ByteSize;

/// Sends a request; `None` means that there was no answer.
pub async fn send(method: Method, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<HttpResponse> {
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| {
            let name: HeaderName = name.parse().expect("a header name");
            (name, HeaderValue::from_str(value).expect("a header value"))
        })
        .collect();
    let request = HttpRequest { method, url: url.parse().expect("a URL"), headers, body: body.to_vec().into() };
    let limits = Limits { deadline: Duration::from_secs(10), body: BodyLimit::Refuse(ByteSize::mebibytes(64)) };
    HttpClient::new().expect("a client").send(request, limits).await.ok()
}

/// Tells whether a URL answers with a success.
pub async fn answers(url: &str) -> bool {
    send(Method::GET, url, &[], b"").await.is_some_and(|response| (200..300).contains(&response.status))
}
