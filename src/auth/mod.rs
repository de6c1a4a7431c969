//! How requests prove who they are from, to sources and to receivers alike: a file a method.

mod digest;
mod fixed;
mod oauth2;
mod sigv4;
mod token_endpoint;

use std::fmt::Write as _;

use url::Position;

use self::digest::Digests;
use self::oauth2::Tokens;
pub use self::token_endpoint::TokenError;
use crate::clock::SharedClock;
use crate::http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use crate::http::{HttpClient, HttpError, HttpRequest, HttpResponse};
use crate::model::auth::{Auth, Party};
use crate::model::fingerprint::BodyHash;
use crate::model::secret::{Redactor, Secret};
use crate::model::time::Timestamp;
use crate::model::tls::{ClientIdentity, Tls};
use crate::store::SharedStore;
use crate::telemetry::SharedTelemetry;

/// What was given at run time to prove with who requests are from: access tokens and challenges. Clones share it.
#[derive(Clone)]
pub struct Credentials {
    tokens: Tokens,
    digests: Digests,
    clock: SharedClock,
}

/// Who requests are from, and how they prove it.
#[derive(Debug, Clone, Copy)]
pub struct Principal<'a> {
    pub party: &'a Party,
    pub auth: Option<&'a Auth>,
    pub tls: Option<&'a Tls>,
    /// Learns what is given at run time before anything is sent with it.
    pub redactor: &'a Redactor,
}

/// Why a request cannot prove who it is from. Nothing secret is in it.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    #[error("the request's {part} is not valid: {problem}")]
    Request { part: String, problem: String },
    #[error(transparent)]
    Client(#[from] HttpError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("the certificate in `tls.cert` expired at {expired_at}; a new one is needed")]
    Certificate { expired_at: Timestamp },
}

/// What a request was sent with.
#[derive(Debug)]
pub enum Proof {
    /// Something that stays the same, or nothing.
    Fixed,
    /// An access token of the entry with this id, and whether it was asked for just now.
    Token { id: BodyHash, token: Secret, is_new: bool },
    /// The answer to the challenge with this id, if there was one yet.
    Digest { id: BodyHash },
}

impl Credentials {
    /// Returns what knows nothing yet. Grants that are replaced are kept in the store, if there is one.
    pub fn new(store: Option<SharedStore>, clock: SharedClock, telemetry: SharedTelemetry) -> Self {
        Self { tokens: Tokens::new(store, clock.clone(), telemetry), digests: Digests::default(), clock }
    }

    /// Adds to a request what proves who it is from. A token endpoint is asked with the client that will carry it.
    pub async fn prove(
        &self,
        principal: Principal<'_>,
        client: &HttpClient,
        request: &mut HttpRequest,
    ) -> Result<Proof, AuthError> {
        match principal.auth {
            None => Ok(Proof::Fixed),
            Some(Auth::OAuth2(oauth2)) => {
                let id = oauth2::id(oauth2, principal.tls, client.origin());
                let (token, is_new) = self.tokens.token(id, oauth2, principal, client).await?;
                principal.redactor.learn(&token);
                insert_secret(&mut request.headers, AUTHORIZATION, &format!("Bearer {}", token.expose()))?;
                Ok(Proof::Token { id, token, is_new })
            }
            Some(Auth::Digest { username, password }) => {
                let id = digest::id(&request.url, username, password);
                let target = &request.url[Position::BeforePath..Position::AfterQuery];
                if let Some(answer) = self.digests.answer(id, username, password, request.method.as_str(), target) {
                    insert_secret(&mut request.headers, AUTHORIZATION, &answer)?;
                }
                Ok(Proof::Digest { id })
            }
            Some(Auth::SigV4(keys)) => {
                sigv4::sign(keys, request, self.clock.now())?;
                Ok(Proof::Fixed)
            }
            Some(auth) => {
                fixed::add(auth, request)?;
                Ok(Proof::Fixed)
            }
        }
    }

    /// Takes note that a proof was refused with 401. Tells whether the request may be sent once more, because there
    /// will be another proof.
    pub fn renew(&self, proof: &Proof, refusal: &HttpResponse) -> bool {
        match proof {
            Proof::Fixed => false,
            Proof::Token { id, token, is_new } => {
                self.tokens.forget(*id, token);
                // Another one as new would be refused as well.
                !is_new
            }
            Proof::Digest { id } => {
                let challenges = refusal.headers.get_all(WWW_AUTHENTICATE).iter();
                self.digests.challenged(*id, challenges.filter_map(|value| value.to_str().ok()))
            }
        }
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

/// Returns the client whose connections have these certificates. A certificate of one's own that has expired is an
/// error: what servers say about it is of little help.
pub fn client(http: &HttpClient, tls: Option<&Tls>, now: Timestamp) -> Result<HttpClient, AuthError> {
    let Some(tls) = tls else { return Ok(http.clone()) };
    match tls.identity().and_then(ClientIdentity::expires_at).filter(|at| *at <= now) {
        Some(expired_at) => Err(AuthError::Certificate { expired_at }),
        None => Ok(http.with_tls(tls)?),
    }
}

fn insert_secret(headers: &mut HeaderMap, name: HeaderName, value: &str) -> Result<(), AuthError> {
    let mut value = HeaderValue::from_str(value).map_err(|_| invalid("auth", "the secret has control characters"))?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

fn invalid(part: &str, problem: &str) -> AuthError {
    AuthError::Request { part: part.to_owned(), problem: problem.to_owned() }
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
