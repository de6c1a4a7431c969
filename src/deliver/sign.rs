//! Signatures of [Standard Webhooks](https://www.standardwebhooks.com): made by lanes, checked by receivers.

use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;

use crate::http::header::HeaderMap;
use crate::model::secret::{SigningSecret, SigningSecretError};
use crate::model::signing::{Signing, Timed};
use crate::model::time::Timestamp;

/// The headers that carry a signature and what it covers beside the body.
pub(super) const ID: &str = "webhook-id";
pub(super) const TIMESTAMP: &str = "webhook-timestamp";
pub(super) const SIGNATURE: &str = "webhook-signature";

/// How far the clocks of sender and receiver may lie apart.
const TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// Signs with each of a subscription's secrets.
pub struct Signer {
    keys: Vec<Timed<SigningKey>>,
}

enum SigningKey {
    Hmac(Box<hmac::Key>),
    Ed25519(Ed25519KeyPair),
}

impl Signer {
    /// Returns a signer with these secrets, prepared to be used often.
    pub fn new(signing: &Signing) -> Self {
        let secrets = match signing {
            Signing::Standard(secrets) => secrets.as_slice(),
            Signing::Header(..) => &[],
        };
        let key = |timed: &Timed<SigningSecret>| {
            let secret = match &timed.secret {
                SigningSecret::Hmac(key) => SigningKey::Hmac(hmac_key(key.expose_secret())),
                SigningSecret::Ed25519(seed) => SigningKey::Ed25519(key_pair(seed.expose_secret())),
            };
            Timed { secret, until: timed.until }
        };
        Self { keys: secrets.iter().map(key).collect() }
    }

    /// Returns the value of `webhook-signature`, one signature for each secret; `None` if there are no secrets.
    pub fn sign(&self, id: &str, timestamp: Timestamp, body: &[u8]) -> Option<String> {
        let seconds = timestamp.as_seconds().to_string();
        let mut signatures = String::with_capacity(96 * self.keys.len());
        for key in self.keys.iter().filter(|key| key.is_used_at(timestamp)) {
            if !signatures.is_empty() {
                signatures.push(' ');
            }
            match &key.secret {
                SigningKey::Hmac(key) => {
                    signatures.push_str("v1,");
                    STANDARD.encode_string(tag(key, id, &seconds, body), &mut signatures);
                }
                SigningKey::Ed25519(pair) => {
                    signatures.push_str("v1a,");
                    STANDARD.encode_string(pair.sign(&signed_content(id, &seconds, body)), &mut signatures);
                }
            }
        }
        (!signatures.is_empty()).then_some(signatures)
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({} keys)", self.keys.len())
    }
}

/// What a receiver checks signatures with.
#[derive(Clone)]
pub enum VerifyingKey {
    /// The same secret that the sender has.
    Hmac(Box<hmac::Key>),
    /// The public key that belongs to the sender's secret.
    Ed25519([u8; 32]),
}

impl VerifyingKey {
    /// Returns the key that checks what is signed with this secret.
    pub fn of(secret: &SigningSecret) -> Self {
        match secret {
            SigningSecret::Hmac(key) => Self::Hmac(hmac_key(key.expose_secret())),
            SigningSecret::Ed25519(seed) => {
                let pair = key_pair(seed.expose_secret());
                Self::Ed25519(pair.public_key().as_ref().try_into().expect("an ed25519 public key has 32 bytes"))
            }
        }
    }

    /// Returns the keys that check what is signed so, if that is as Standard Webhooks says.
    pub fn all_of(signing: &Signing) -> Vec<Self> {
        match signing {
            Signing::Standard(secrets) => secrets.iter().map(|timed| Self::of(&timed.secret)).collect(),
            Signing::Header(..) => Vec::new(),
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
            Self::Hmac(_) => None,
            Self::Ed25519(key) => Some(format!("whpk_{}", STANDARD.encode(key))),
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
        f.write_str(match self {
            Self::Hmac(_) => "whsec_***",
            Self::Ed25519(_) => "whpk_…",
        })
    }
}

/// Why a delivery is not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    #[error("the header `{0}` is missing")]
    MissingHeader(&'static str),
    #[error("`webhook-timestamp` is {0:?} and no number of seconds")]
    Timestamp(String),
    #[error("the delivery was signed more than five minutes ago: it is old, or the clocks differ")]
    TooOld,
    #[error("the delivery was signed more than five minutes ahead of now: the clocks differ")]
    TooNew,
    #[error("no signature matches: the body or headers were altered, or the secret is another one")]
    NoMatch,
}

/// Checks that a delivery was signed with one of these keys, no more than five minutes from now. How long it takes
/// does not tell how much of a signature was right.
pub fn verify(keys: &[VerifyingKey], headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<(), VerifyError> {
    let header = |name: &'static str| {
        headers.get(name).and_then(|value| value.to_str().ok()).ok_or(VerifyError::MissingHeader(name))
    };
    let (id, seconds, signatures) = (header(ID)?, header(TIMESTAMP)?, header(SIGNATURE)?);
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

fn hmac_key(key: &[u8]) -> Box<hmac::Key> {
    Box::new(hmac::Key::new(hmac::HMAC_SHA256, key))
}

fn key_pair(seed: &[u8; 32]) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(seed).expect("any 32 bytes are an ed25519 seed")
}

fn tag(key: &hmac::Key, id: &str, seconds: &str, body: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    for part in [id.as_bytes(), b".", seconds.as_bytes(), b".", body] {
        context.update(part);
    }
    context.sign()
}

fn signed_content(id: &str, seconds: &str, body: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b".", seconds.as_bytes(), b".", body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::header::HeaderValue;

    const HMAC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ED25519_SEED: &str = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
    /// The public key of the first test vector of RFC 8032.
    const ED25519_PUBLIC: &str = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    const ID_VALUE: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn signer(secrets: &[&str]) -> Signer {
        let secret = |text: &&str| Timed::always(SigningSecret::parse(text).expect("a secret"));
        Signer::new(&Signing::Standard(secrets.iter().map(secret).collect()))
    }

    fn headers(signature: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [(ID, ID_VALUE), (TIMESTAMP, "1614265330"), (SIGNATURE, signature)] {
            headers.insert(name, HeaderValue::from_str(value).expect("a header value"));
        }
        headers
    }

    #[track_caller]
    fn check(keys: &[&str], headers: &HeaderMap, body: &[u8], now: i64, expected: &Result<(), VerifyError>) {
        let keys: Vec<_> = keys.iter().map(|text| VerifyingKey::parse(text).expect("a key")).collect();
        assert_eq!(&verify(&keys, headers, body, at(now)), expected);
    }

    #[test]
    fn the_published_vector_is_signed_as_published() {
        let signature = signer(&[HMAC]).sign(ID_VALUE, at(1_614_265_330), BODY);
        assert_eq!(signature.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    }

    #[test]
    fn each_secret_makes_a_signature_and_any_of_them_suffices() {
        let signature = signer(&[HMAC, ED25519_SEED]).sign(ID_VALUE, at(1_614_265_330), BODY).expect("signed");
        let other = SigningSecret::generate();
        assert_eq!(
            signature.split(' ').map(|s| s.split_once(',').map(|(v, _)| v)).collect::<Vec<_>>(),
            [Some("v1"), Some("v1a")]
        );
        check(&[HMAC], &headers(&signature), BODY, 1_614_265_330, &Ok(()));
        check(&[ED25519_PUBLIC], &headers(&signature), BODY, 1_614_265_330, &Ok(()));
        check(&[other.expose(), ED25519_SEED], &headers(&signature), BODY, 1_614_265_330, &Ok(()));
        check(&[other.expose()], &headers(&signature), BODY, 1_614_265_330, &Err(VerifyError::NoMatch));
        check(&[], &headers(&signature), BODY, 1_614_265_330, &Err(VerifyError::NoMatch));
    }

    #[test]
    fn what_was_altered_is_refused() {
        let signature = signer(&[HMAC, ED25519_SEED]).sign(ID_VALUE, at(1_614_265_330), BODY).expect("signed");
        let keys = [HMAC, ED25519_PUBLIC];
        check(&keys, &headers(&signature), br#"{"test": 2432232315}"#, 1_614_265_330, &Err(VerifyError::NoMatch));
        let mut altered = headers(&signature);
        altered.insert(ID, HeaderValue::from_static("msg_other"));
        check(&keys, &altered, BODY, 1_614_265_330, &Err(VerifyError::NoMatch));
        let mut altered = headers(&signature);
        altered.insert(TIMESTAMP, HeaderValue::from_static("1614265331"));
        check(&keys, &altered, BODY, 1_614_265_330, &Err(VerifyError::NoMatch));
        // A signature of one kind is not accepted under the name of the other.
        let swapped = signature.replace("v1,", "v0,").replace("v1a,", "v1,");
        check(&keys, &headers(&swapped), BODY, 1_614_265_330, &Err(VerifyError::NoMatch));
    }

    #[test]
    fn a_delivery_is_fresh_for_five_minutes_either_way() {
        let signature = signer(&[HMAC]).sign(ID_VALUE, at(1_614_265_330), BODY).expect("signed");
        check(&[HMAC], &headers(&signature), BODY, 1_614_265_330 + 300, &Ok(()));
        check(&[HMAC], &headers(&signature), BODY, 1_614_265_330 - 300, &Ok(()));
        check(&[HMAC], &headers(&signature), BODY, 1_614_265_330 + 301, &Err(VerifyError::TooOld));
        check(&[HMAC], &headers(&signature), BODY, 1_614_265_330 - 301, &Err(VerifyError::TooNew));
    }

    #[test]
    fn headers_that_are_missing_or_make_no_sense_are_named() {
        for missing in [ID, TIMESTAMP, SIGNATURE] {
            let mut headers = headers("v1,AAAA");
            headers.remove(missing);
            check(&[HMAC], &headers, BODY, 1_614_265_330, &Err(VerifyError::MissingHeader(missing)));
        }
        let mut headers = headers("v1");
        check(&[HMAC], &headers, BODY, 1_614_265_330, &Err(VerifyError::NoMatch));
        headers.insert(TIMESTAMP, HeaderValue::from_static("now"));
        check(&[HMAC], &headers, BODY, 1_614_265_330, &Err(VerifyError::Timestamp("now".to_owned())));
    }

    #[test]
    fn a_public_key_is_written_as_it_is_read_and_no_secret_is_shown() {
        let key = VerifyingKey::parse(ED25519_SEED).expect("a key");
        assert_eq!(key.public_text().as_deref(), Some(ED25519_PUBLIC));
        assert_eq!(format!("{:?}", VerifyingKey::parse(HMAC).expect("a key")), "whsec_***");
        assert_eq!(signer(&[]).sign(ID_VALUE, at(0), BODY), None);
    }
}
