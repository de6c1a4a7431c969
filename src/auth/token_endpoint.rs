//! One exchange with an OAuth 2.0 token endpoint (RFC 6749, 4.4 and 6).

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use url::Url;

use crate::clock::Clock;
use crate::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use crate::http::{BodyLimit, HttpClient, HttpRequest, HttpResponse, Limits, Method, Status, retry_after};
use crate::model::auth::{ClientAuth, OAuth2, OAuth2Grant};
use crate::model::excerpt::Excerpt;
use crate::model::quantity::ByteSize;
use crate::model::secret::{Redactor, Secret};
use crate::model::time::Timestamp;
use crate::store::StoreError;
use crate::telemetry::describe_error;

/// How long a token endpoint may take. Shorter than the time that the service is given to stop, so that an exchange is
/// never broken off.
const DEADLINE: Duration = Duration::from_secs(15);

/// How long a token is used whose endpoint does not say, or says nonsense.
const USUAL_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// The longest that a token is used, whatever its endpoint says.
const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// How long before it expires a token is used no more, but at most a tenth of its lifetime.
const MARGIN: Duration = Duration::from_secs(60);

/// The most characters of an endpoint's own words that are shown.
const LONGEST_DESCRIPTION: usize = 300;

/// What a token endpoint is asked with.
pub(super) struct TokenEndpoint<'a> {
    pub oauth2: &'a OAuth2,
    pub client: &'a HttpClient,
    pub clock: &'a dyn Clock,
    pub redactor: &'a Redactor,
}

/// What a token endpoint gave.
pub(super) struct Given {
    pub token: Secret,
    pub fresh_until: Timestamp,
    /// Replaces the refresh token that was used, if it is there.
    pub refresh_token: Option<Secret>,
}

/// Why there is no access token. Nothing secret is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no access token from {endpoint}: {problem}")]
pub struct TokenError {
    endpoint: String,
    problem: String,
    kind: Kind,
    /// The endpoint asked not to be asked before this.
    pub not_before: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Asking again may help.
    Passing,
    Lasting,
    /// The refresh token is not valid any more.
    Grant,
}

impl TokenError {
    pub(super) fn interrupted(endpoint: &Url) -> Self {
        Self::new(endpoint.to_string(), "asking for it was interrupted".to_owned(), Kind::Passing)
    }

    pub(super) fn of_store(endpoint: &Url, action: &str, error: &StoreError) -> Self {
        let problem = format!("the refresh token could not be {action}: {}", describe_error(error));
        Self::new(endpoint.to_string(), problem, Kind::Passing)
    }

    fn new(endpoint: String, problem: String, kind: Kind) -> Self {
        Self { endpoint, problem, kind, not_before: None }
    }

    /// Tells whether asking again may help.
    pub fn may_pass(&self) -> bool {
        self.kind == Kind::Passing
    }

    /// Tells whether the refresh token was refused.
    pub(super) fn is_of_grant(&self) -> bool {
        self.kind == Kind::Grant
    }
}

impl TokenEndpoint<'_> {
    /// Asks for an access token, with a refresh token or with nothing but the client's secret.
    pub async fn ask(&self, refresh_token: Option<&Secret>) -> Result<Given, TokenError> {
        let asked_at = self.clock.now();
        let limits = Limits { deadline: DEADLINE, body: BodyLimit::Refuse(ByteSize::mebibytes(1)) };
        let (_, sent) = self.client.send_again(self.request(refresh_token)?, limits).await;
        let response = sent.map_err(|error| self.error(&error.to_string(), Kind::Passing))?;
        let answer: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        match (response.status, &answer["error"], &answer["access_token"]) {
            (200..=299, Value::Null, Value::String(token)) if !token.is_empty() => {
                let token_type = answer["token_type"].as_str().unwrap_or("bearer");
                if !token_type.eq_ignore_ascii_case("bearer") {
                    let problem = format!("its tokens are of the type {token_type:?}, where \"Bearer\" is needed");
                    return Err(self.error(&problem, Kind::Lasting));
                }
                if HeaderValue::from_str(token).is_err() {
                    return Err(self.error("its token has characters that no header can have", Kind::Lasting));
                }
                let refresh_token = answer["refresh_token"].as_str().filter(|token| !token.is_empty());
                Ok(Given {
                    token: Secret::new(token.clone()),
                    fresh_until: asked_at + lifetime(&answer["expires_in"]),
                    refresh_token: refresh_token.map(|token| Secret::new(token.to_owned())),
                })
            }
            // What is shown of an answer that brings no token could hold one all the same.
            (200..=299, Value::Null, _) => {
                Err(self.error("its answer has no `access_token` in a JSON object", Kind::Lasting))
            }
            (_, error, _) => Err(self.refusal(&response, error, &answer["error_description"])),
        }
    }

    fn request(&self, refresh_token: Option<&Secret>) -> Result<HttpRequest, TokenError> {
        let OAuth2 { token_url, client_id, client_secret, client_auth, scope, extra, .. } = self.oauth2;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        match refresh_token {
            Some(token) => form.append_pair("grant_type", "refresh_token").append_pair("refresh_token", token.expose()),
            None => form.append_pair("grant_type", "client_credentials"),
        };
        if let Some(scope) = scope {
            form.append_pair("scope", scope);
        }
        form.extend_pairs(extra);
        match (client_secret, client_auth) {
            (Some(secret), ClientAuth::Basic) => {
                let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                let pair = STANDARD.encode(format!("{}:{}", encoded(client_id), encoded(secret.expose())));
                self.redactor.learn(&Secret::new(pair.clone()));
                let value = HeaderValue::from_str(&format!("Basic {pair}"));
                let mut value = value.map_err(|_| self.error("the client's secret cannot be sent", Kind::Lasting))?;
                value.set_sensitive(true);
                headers.insert(AUTHORIZATION, value);
            }
            (Some(secret), ClientAuth::Body) => {
                form.append_pair("client_id", client_id).append_pair("client_secret", secret.expose());
            }
            (None, _) => {
                form.append_pair("client_id", client_id);
            }
        }
        Ok(HttpRequest { method: Method::POST, url: token_url.clone(), headers, body: form.finish().into() })
    }

    /// Says why an endpoint gave no token, in its own words if it has some.
    fn refusal(&self, response: &HttpResponse, error: &Value, description: &Value) -> TokenError {
        let status = Status(response.status);
        let kind = match (response.status, error.as_str()) {
            (_, Some("invalid_grant")) => Kind::Grant,
            (_, Some("temporarily_unavailable" | "server_error" | "slow_down")) => Kind::Passing,
            (408 | 425 | 429 | 500..=599, _) => Kind::Passing,
            _ => Kind::Lasting,
        };
        let advice = match error.as_str() {
            Some("invalid_client" | "unauthorized_client") => {
                " (check `client_id`, `client_secret` and `client_auth` of `auth.oauth2`)"
            }
            Some("invalid_grant") if matches!(self.oauth2.grant, OAuth2Grant::RefreshToken(_)) => {
                " (the refresh token is not valid any more: allow access anew and configure the new one)"
            }
            Some("invalid_scope") => " (check `auth.oauth2.scope`)",
            Some("unsupported_grant_type") => " (see whether the endpoint wants `refresh_token`)",
            _ if response.status == 404 => " (check `auth.oauth2.token_url`)",
            _ => "",
        };
        let words = match (error.as_str(), description.as_str()) {
            (Some(error), Some(description)) => format!(": {error}: {description}"),
            (Some(error), None) => format!(": {error}"),
            (None, _) => Excerpt::of(self.redactor, &response.body).to_string(),
        };
        let words: String = self.redactor.redact(&words).chars().take(LONGEST_DESCRIPTION).collect();
        let problem = format!("it answered {status}{words}{advice}");
        TokenError { not_before: retry_after(&response.headers, self.clock.now()), ..self.error(&problem, kind) }
    }

    fn error(&self, problem: &str, kind: Kind) -> TokenError {
        TokenError::new(self.redactor.redact(self.oauth2.token_url.as_str()), problem.to_owned(), kind)
    }
}

/// Returns how long a token is used whose endpoint says that it expires in so many seconds.
fn lifetime(expires_in: &Value) -> Duration {
    let seconds = match expires_in {
        Value::Number(number) => number.as_str().parse().ok(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let said = seconds
        .filter(|seconds| *seconds > 0.0)
        .map(|seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_LIFETIME).min(LONGEST_LIFETIME));
    let lifetime = said.unwrap_or(USUAL_LIFETIME);
    lifetime.saturating_sub(MARGIN.min(lifetime / 10))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::quantity::format_duration;

    #[test]
    fn tokens_are_used_until_shortly_before_they_expire() {
        let check = |expires_in: Value, expected: &str| {
            assert_eq!(format_duration(lifetime(&expires_in)), expected, "{expires_in}");
        };
        check(json!(3600), "59m");
        check(json!("3600"), "59m");
        check(json!(10), "9s");
        check(json!(2.5), "2s250ms");
        check(json!(315_360_000), "23h59m");
        check(serde_json::from_str("1e400").expect("JSON"), "23h59m");
        for junk in [json!(null), json!(0), json!(-5), json!("soon"), json!({}), json!("NaN")] {
            check(junk, "4m30s");
        }
    }
}
