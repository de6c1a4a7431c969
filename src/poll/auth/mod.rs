//! How requests prove who they are from, and to whom: a file a method.

mod digest;
mod fixed;
mod oauth2;
mod sigv4;
mod token_endpoint;

use std::fmt::Write as _;

use url::{Position, Url};

use self::digest::Digests;
use self::oauth2::Tokens;
pub use self::token_endpoint::TokenError;
use super::context::FetchContext;
use super::error::PageError;
use super::request::PageRequest;
use crate::http::header::{
    AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION, WWW_AUTHENTICATE,
};
use crate::http::{HttpClient, HttpRequest, HttpResponse};
use crate::model::auth::Auth;
use crate::model::connector::Connector;
use crate::model::fingerprint::BodyHash;
use crate::model::secret::Secret;
use crate::model::tls::{ClientIdentity, Tls};
use crate::store::SharedStore;

/// What sources gave that requests prove with who they are from: access tokens and challenges. Clones share it.
#[derive(Clone)]
pub struct Credentials {
    tokens: Tokens,
    digests: Digests,
}

impl Credentials {
    /// Returns what knows nothing yet. Grants that are replaced are kept in the store, if there is one.
    pub fn new(store: Option<SharedStore>) -> Self {
        Self { tokens: Tokens::new(store), digests: Digests::default() }
    }

    /// Tells whether a token endpoint replaced a grant and there was no store to keep the new one in.
    pub fn lost_a_grant(&self) -> bool {
        self.tokens.lost_a_grant()
    }

    /// Waits until no token endpoint is being asked: breaking that off could lose a grant for ever.
    pub async fn settled(&self) {
        self.tokens.settled().await;
    }
}

/// A request that proves who it is from.
pub(super) struct Authorized {
    pub request: HttpRequest,
    /// What may carry it.
    pub client: HttpClient,
    pub proof: Proof,
}

/// What a request was sent with.
#[derive(Debug)]
pub(super) enum Proof {
    /// Something that stays the same, or nothing.
    Fixed,
    /// An access token of the entry with this id, and whether it was asked for just now.
    Token { id: BodyHash, token: Secret, is_new: bool },
    /// The answer to the challenge with this id, if there was one yet.
    Digest { id: BodyHash },
}

impl Proof {
    /// Takes note that a source refused this with 401. Tells whether the request may be sent once more, because there
    /// will be another proof.
    pub fn renew(&self, credentials: &Credentials, refusal: &HttpResponse) -> bool {
        match self {
            Self::Fixed => false,
            Self::Token { id, token, is_new } => {
                credentials.tokens.forget(*id, token);
                // Another one as new would be refused as well.
                !is_new
            }
            Self::Digest { id } => {
                let challenges = refusal.headers.get_all(WWW_AUTHENTICATE).iter();
                credentials.digests.challenged(*id, challenges.filter_map(|value| value.to_str().ok()))
            }
        }
    }
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
    if request.url.origin() != home.origin() {
        strip(connector, &mut request)?;
        let tls = connector.tls.as_ref().and_then(Tls::without_identity);
        return Ok(Authorized { client: client(context, tls.as_ref())?, request, proof: Proof::Fixed });
    }
    check_certificate(connector, context)?;
    let client = client(context, connector.tls.as_ref())?;
    let proof = match &connector.auth {
        None => Proof::Fixed,
        Some(Auth::OAuth2(oauth2)) => {
            let id = oauth2::id(oauth2);
            let (token, is_new) = context.credentials.tokens.token(id, oauth2, connector, context, &client).await?;
            connector.redactor.learn(&token);
            insert_secret(&mut request.headers, AUTHORIZATION, &format!("Bearer {}", token.expose()))?;
            Proof::Token { id, token, is_new }
        }
        Some(Auth::Digest { username, password }) => {
            let id = digest::id(&request.url, username, password);
            let target = &request.url[Position::BeforePath..Position::AfterQuery];
            let answer = context.credentials.digests.answer(id, username, password, request.method.as_str(), target);
            if let Some(answer) = answer {
                insert_secret(&mut request.headers, AUTHORIZATION, &answer)?;
            }
            Proof::Digest { id }
        }
        Some(Auth::SigV4(keys)) => {
            sigv4::sign(keys, &mut request, context.clock.now())?;
            Proof::Fixed
        }
        Some(auth) => {
            fixed::add(auth, &mut request)?;
            Proof::Fixed
        }
    };
    Ok(Authorized { request, client, proof })
}

fn client(context: &FetchContext, tls: Option<&Tls>) -> Result<HttpClient, PageError> {
    match tls {
        Some(tls) => Ok(context.http.with_tls(tls)?),
        None => Ok(context.http.clone()),
    }
}

/// Refuses to go on with a certificate that has expired: what servers say about it is of little help.
fn check_certificate(connector: &Connector, context: &FetchContext) -> Result<(), PageError> {
    let identity = connector.tls.as_ref().and_then(Tls::identity);
    match identity.and_then(ClientIdentity::expires_at).filter(|at| *at <= context.clock.now()) {
        Some(at) => Err(PageError::Certificate { expired_at: at }),
        None => Ok(()),
    }
}

fn insert_secret(headers: &mut HeaderMap, name: HeaderName, value: &str) -> Result<(), PageError> {
    let mut value = HeaderValue::from_str(value).map_err(|_| invalid("auth", "the secret has control characters"))?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

fn invalid(part: &str, problem: &str) -> PageError {
    PageError::Request { part: part.to_owned(), problem: problem.to_owned() }
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

/// Returns bytes in hexadecimal.
fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes whatever is written to it");
        text
    })
}

/// Returns a hash of texts that no other texts have.
fn id_of(parts: &[&str]) -> BodyHash {
    BodyHash::of(serde_json::Value::from(parts).to_string().as_bytes())
}
