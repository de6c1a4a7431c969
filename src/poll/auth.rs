//! How requests prove who they are from, and to whom.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use url::Url;

use super::error::PageError;
use super::request::PageRequest;
use crate::http::HttpRequest;
use crate::http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION};
use crate::model::auth::Auth;
use crate::model::connector::Connector;

/// Returns the request with the connector's auth. A request to another origin than the connector's own gets none, and
/// loses every header that carries a secret.
pub(super) fn authorize(connector: &Connector, home: &Url, request: &PageRequest) -> Result<HttpRequest, PageError> {
    let PageRequest { method, mut url, mut headers, body, .. } = request.clone();
    if url.origin() == home.origin() {
        if let Some(auth) = &connector.auth {
            add(auth, &mut url, &mut headers)?;
        }
    } else {
        strip(connector, &mut headers);
        if has_secret(connector, &body) {
            let problem =
                format!("leads to another origin ({}) with secrets in the body", url.origin().ascii_serialization());
            return Err(PageError::Redirect { problem });
        }
    }
    Ok(HttpRequest { method, url, headers, body })
}

fn add(auth: &Auth, url: &mut Url, headers: &mut HeaderMap) -> Result<(), PageError> {
    let (name, value) = match auth {
        Auth::Bearer { token } => (AUTHORIZATION, format!("Bearer {}", token.expose())),
        Auth::Basic { username, password } => {
            (AUTHORIZATION, format!("Basic {}", STANDARD.encode(format!("{username}:{}", password.expose()))))
        }
        Auth::Header { name, value } => {
            let invalid = |_| invalid(&format!("auth header {name}"), "it is no header name");
            (name.parse::<HeaderName>().map_err(invalid)?, value.expose().to_owned())
        }
        Auth::Query { name, value } => {
            url.query_pairs_mut().append_pair(name, value.expose());
            return Ok(());
        }
        Auth::Digest { .. } | Auth::OAuth2(_) | Auth::SigV4(_) => return Err(invalid("auth", "it is not known yet")),
    };
    let mut value = HeaderValue::from_str(&value).map_err(|_| invalid("auth", "the secret has control characters"))?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

fn invalid(part: &str, problem: &str) -> PageError {
    PageError::Request { part: part.to_owned(), problem: problem.to_owned() }
}

fn strip(connector: &Connector, headers: &mut HeaderMap) {
    let secret: Vec<HeaderName> = headers
        .iter()
        .filter(|(name, value)| {
            [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION].contains(name) || has_secret(connector, value.as_bytes())
        })
        .map(|(name, _)| name.clone())
        .collect();
    for name in secret {
        headers.remove(name);
    }
}

fn has_secret(connector: &Connector, bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    connector.redactor.redact(&text) != text
}

/// Takes what auth adds to an address out of one that the source gave back, so that it is not added twice.
pub(super) fn forget_query_auth(connector: &Connector, url: &mut Url) {
    let Some(Auth::Query { name: secret_name, .. }) = &connector.auth else { return };
    if !url.query_pairs().any(|(name, _)| name == *secret_name) {
        return;
    }
    let kept: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, _)| name != secret_name)
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    url.set_query(None);
    if !kept.is_empty() {
        url.query_pairs_mut().extend_pairs(kept);
    }
}
