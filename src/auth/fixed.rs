//! Secrets that are sent as they are: bearer, basic, header, query.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{AuthError, insert_secret, invalid};
use crate::http::HttpRequest;
use crate::http::header::{AUTHORIZATION, HeaderName};
use crate::model::auth::Auth;

/// Adds a secret to a request. Of the methods that need more than a secret, nothing is added.
pub(super) fn add(auth: &Auth, request: &mut HttpRequest) -> Result<(), AuthError> {
    match auth {
        Auth::Bearer { token } => {
            insert_secret(&mut request.headers, AUTHORIZATION, &format!("Bearer {}", token.expose()))
        }
        Auth::Basic { username, password } => {
            let pair = STANDARD.encode(format!("{username}:{}", password.expose()));
            insert_secret(&mut request.headers, AUTHORIZATION, &format!("Basic {pair}"))
        }
        Auth::Header { name, value } => {
            let invalid = |_| invalid(&format!("auth header {name}"), "it is no header name");
            insert_secret(&mut request.headers, name.parse::<HeaderName>().map_err(invalid)?, value.expose())
        }
        Auth::Query { name, value } => {
            request.url.query_pairs_mut().append_pair(name, value.expose());
            Ok(())
        }
        Auth::Digest { .. } | Auth::OAuth2(_) | Auth::SigV4(_) => Ok(()),
    }
}
