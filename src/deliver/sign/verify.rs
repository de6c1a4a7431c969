//! What receivers check signatures with.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;

use super::text::decode;
use super::{ID, SIGNATURE, TIMESTAMP, TOLERANCE, hmac_key, key_pair, public_key, signed_content};
use crate::http::header::HeaderMap;
use crate::model::secret::{Secret, SigningSecret, SigningSecretError};
use crate::model::signing::{HeaderSignature, HmacAlgorithm, Signing};
use crate::model::time::Timestamp;

/// What a receiver checks signatures with.
#[derive(Clone)]
pub enum VerifyingKey {
    /// The same secret that the sender has.
    Hmac(Box<hmac::Key>),
    /// The public key that belongs to the sender's secret.
    Ed25519([u8; 32]),
    /// The same secret that the sender has, for an HMAC in a header of its own.
    Header(Box<HeaderSignature>, Box<hmac::Key>),
}

impl VerifyingKey {
    /// Returns the key that checks what is signed with this secret.
    pub fn of(secret: &SigningSecret) -> Self {
        match secret {
            SigningSecret::Hmac(key) => Self::Hmac(hmac_key(HmacAlgorithm::Sha256, key.expose_secret())),
            SigningSecret::Ed25519(seed) => Self::Ed25519(public_key(&key_pair(seed.expose_secret()))),
        }
    }

    /// Returns the key that checks HMACs in such a header.
    pub fn of_header(signature: &HeaderSignature, secret: &Secret) -> Self {
        let key = hmac_key(signature.algorithm, secret.expose().as_bytes());
        Self::Header(Box::new(signature.clone()), key)
    }

    /// Returns the keys that check what is signed so, also with secrets that have ended.
    pub fn all_of(signing: &Signing) -> Vec<Self> {
        match signing {
            Signing::Standard(secrets) => secrets.iter().map(|timed| Self::of(&timed.secret)).collect(),
            Signing::Header(signature, secrets) => {
                secrets.iter().map(|timed| Self::of_header(signature, &timed.secret)).collect()
            }
        }
    }

    /// Parses `whpk_…` (an ed25519 public key), `whsec_…` or `whsk_…`.
    pub fn parse(text: &str) -> Result<Self, SigningSecretError> {
        let Some(encoded) = text.strip_prefix("whpk_") else { return SigningSecret::parse(text).map(|s| Self::of(&s)) };
        let key = STANDARD.decode(encoded.trim()).map_err(|_| SigningSecretError::Base64)?;
        <[u8; 32]>::try_from(&*key).map(Self::Ed25519).map_err(|_| SigningSecretError::Ed25519Length(key.len()))
    }

    /// Returns the public key as `whpk_…`, for those who receive; `None` for an HMAC secret, which has none.
    pub fn public_text(&self) -> Option<String> {
        match self {
            Self::Hmac(_) | Self::Header(..) => None,
            Self::Ed25519(key) => Some(public_text(key)),
        }
    }

    fn accepts(&self, version: &str, signature: &[u8], id: &str, seconds: &str, body: &[u8]) -> bool {
        match (self, version) {
            (Self::Hmac(key), "v1") => hmac::verify(key, &signed_content(id, seconds, body), signature).is_ok(),
            (Self::Ed25519(key), "v1a") => {
                UnparsedPublicKey::new(&ED25519, key).verify(&signed_content(id, seconds, body), signature).is_ok()
            }
            _ => false,
        }
    }
}

impl std::fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Hmac(_) => f.write_str("whsec_***"),
            Self::Ed25519(_) => f.write_str("whpk_…"),
            Self::Header(signature, _) => write!(f, "{}: ***", signature.header),
        }
    }
}

/// Why a delivery is not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    #[error("the header `{0}` is missing")]
    MissingHeader(String),
    #[error("`webhook-timestamp` is {0:?} and no number of seconds")]
    Timestamp(String),
    #[error("the delivery was signed more than five minutes ago: it is old, or the clocks differ")]
    TooOld,
    #[error("the delivery was signed more than five minutes ahead of now: the clocks differ")]
    TooNew,
    #[error("no signature matches: the body or headers were altered, or the secret is another one")]
    NoMatch,
}

/// Checks that a delivery was signed with one of these keys and, where the time is signed as well, no more than five
/// minutes from now. How long it takes does not tell how much of a signature was right.
pub fn verify(keys: &[VerifyingKey], headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<(), VerifyError> {
    let (of_headers, standard): (Vec<_>, Vec<_>) = keys.iter().partition(|key| matches!(key, VerifyingKey::Header(..)));
    let mut result = if standard.is_empty() && !of_headers.is_empty() {
        Err(VerifyError::NoMatch)
    } else {
        verify_standard(&standard, headers, body, now)
    };
    for key in of_headers {
        let VerifyingKey::Header(signature, key) = key else { continue };
        if result.is_err() {
            let verified = verify_header(signature, key, headers, body);
            // What is said of the headers of Standard Webhooks matters more, if they were expected.
            result = if verified.is_ok() || standard.is_empty() { verified } else { result };
        }
    }
    result
}

fn verify_standard(
    keys: &[&VerifyingKey],
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<(), VerifyError> {
    let (id, seconds, signatures) = (header(headers, ID)?, header(headers, TIMESTAMP)?, header(headers, SIGNATURE)?);
    let signed_at: i64 = seconds.parse().map_err(|_| VerifyError::Timestamp(seconds.to_owned()))?;
    let tolerance = i64::try_from(TOLERANCE.as_secs()).expect("five minutes fit");
    if signed_at < now.as_seconds().saturating_sub(tolerance) {
        return Err(VerifyError::TooOld);
    }
    if signed_at > now.as_seconds().saturating_add(tolerance) {
        return Err(VerifyError::TooNew);
    }
    let matches = signatures.split(' ').any(|signature| {
        let Some((version, encoded)) = signature.split_once(',') else { return false };
        let Ok(decoded) = STANDARD.decode(encoded) else { return false };
        keys.iter().any(|key| key.accepts(version, &decoded, id, seconds, body))
    });
    if matches { Ok(()) } else { Err(VerifyError::NoMatch) }
}

fn verify_header(
    signature: &HeaderSignature,
    key: &hmac::Key,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(), VerifyError> {
    let encoded = header(headers, &signature.header)?.strip_prefix(&signature.prefix).ok_or(VerifyError::NoMatch)?;
    let tag = decode(signature.encoding, encoded).ok_or(VerifyError::NoMatch)?;
    hmac::verify(key, body, &tag).map_err(|_| VerifyError::NoMatch)
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Result<&'h str, VerifyError> {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.ok_or_else(|| VerifyError::MissingHeader(name.to_owned()))
}

pub(super) fn public_text(key: &[u8; 32]) -> String {
    format!("whpk_{}", STANDARD.encode(key))
}
