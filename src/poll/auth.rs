//! What a connector's requests prove who they are from with, and where they may not.

use url::Url;

use super::context::FetchContext;
use super::error::PageError;
use super::request::PageRequest;
use crate::auth::{self, Principal, Proof};
use crate::http::header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue, PROXY_AUTHORIZATION};
use crate::http::{HttpClient, HttpRequest};
use crate::model::auth::{Auth, Party};
use crate::model::connector::Connector;
use crate::model::tls::Tls;

/// A request that proves who it is from.
pub(super) struct Authorized {
    pub request: HttpRequest,
    /// What may carry it.
    pub client: HttpClient,
    pub proof: Proof,
}

/// Returns the request with the connector's auth. A request to another origin than the connector's own gets none, does
/// not present the connector's certificate, and loses every header that carries a secret.
pub(super) async fn authorize(
    connector: &Connector,
    context: &FetchContext,
    home: &Url,
    request: &PageRequest,
) -> Result<Authorized, PageError> {
    let PageRequest { method, url, headers, body, .. } = request.clone();
    let mut request = HttpRequest { method, url, headers, body };
    let now = context.clock.now();
    if request.url.origin() != home.origin() {
        strip(connector, &mut request)?;
        let tls = connector.tls.as_ref().and_then(Tls::without_identity);
        return Ok(Authorized {
            client: auth::client(&context.http, tls.as_ref(), now)?,
            request,
            proof: Proof::Fixed,
        });
    }
    let client = auth::client(&context.http, connector.tls.as_ref(), now)?;
    let principal = Principal {
        party: &Party::Connector(connector.name.clone()),
        auth: connector.auth.as_ref(),
        tls: connector.tls.as_ref(),
        redactor: &connector.redactor,
    };
    let proof = context.credentials.prove(principal, &client, &mut request).await?;
    Ok(Authorized { request, client, proof })
}

/// Takes all that is secret out of a request that leaves for another origin.
fn strip(connector: &Connector, request: &mut HttpRequest) -> Result<(), PageError> {
    let is_secret = |(name, value): &(&HeaderName, &HeaderValue)| {
        [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION].contains(name) || has_secret(connector, value.as_bytes())
    };
    let secret: Vec<HeaderName> = request.headers.iter().filter(is_secret).map(|(name, _)| name.clone()).collect();
    for name in secret {
        request.headers.remove(name);
    }
    for (part, bytes) in [("body", &request.body[..]), ("address", request.url.as_str().as_bytes())] {
        if has_secret(connector, bytes) {
            let origin = request.url.origin().ascii_serialization();
            let problem = format!("leads to another origin ({origin}) with secrets in the {part}");
            return Err(PageError::Redirect { problem });
        }
    }
    Ok(())
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
