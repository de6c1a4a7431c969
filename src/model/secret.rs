//! Values that must not be shown.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretBox, SecretString};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use super::fingerprint::BodyHash;
use super::json;

/// A text that no log, error, answer or dump shows.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Returns the secret with this text.
    pub fn new(text: String) -> Self {
        Self(SecretString::from(text))
    }

    /// Returns the text. Whoever asks for it answers for where it goes.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// What stands where a secret was.
pub const HIDDEN: &str = "***";

/// Takes a connector's or subscription's secrets out of texts that people will read. Clones share what they learn.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    needles: Vec<Secret>,
    /// Those of secrets that sources gave, the latest ones last.
    learnt: Arc<RwLock<Vec<Secret>>>,
}

/// Shorter secrets are not searched for: they would hide half of every text.
const SHORTEST_NEEDLE: usize = 4;

impl Redactor {
    /// Returns a redactor for these secrets, which are found as they are and as they stand in an address or in JSON.
    pub fn new(secrets: impl IntoIterator<Item = Secret>) -> Self {
        Self::default().and(secrets)
    }

    /// Returns a redactor for these secrets as well.
    pub fn and(mut self, secrets: impl IntoIterator<Item = Secret>) -> Self {
        for secret in secrets {
            add_needles(&mut self.needles, secret.expose());
        }
        self.needles.sort_by_key(|needle| std::cmp::Reverse(needle.expose().len()));
        self
    }

    /// Takes a secret that a source gave, such as an access token, out of texts from now on. Only the latest few are
    /// remembered: older ones are not in use any more.
    pub fn learn(&self, secret: &Secret) {
        let is_known = |known: &[Secret]| known.iter().any(|known| known.expose() == secret.expose());
        if is_known(&self.needles) || is_known(&self.learnt.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        let mut learnt = self.learnt.write().unwrap_or_else(PoisonError::into_inner);
        add_needles(&mut learnt, secret.expose());
        let forgotten = learnt.len().saturating_sub(MOST_LEARNT);
        learnt.drain(..forgotten);
    }

    /// Returns what tells sets of secrets apart without giving any away: the same set has the same identity.
    pub fn identity(&self) -> BodyHash {
        let mut secrets: Vec<&str> = self.needles.iter().map(Secret::expose).collect();
        secrets.sort_unstable();
        BodyHash::of(secrets.join("\0").as_bytes())
    }

    /// Returns the text with `***` for each secret in it.
    pub fn redact(&self, text: &str) -> String {
        let learnt = self.learnt.read().unwrap_or_else(PoisonError::into_inner);
        let needles = self.needles.iter().chain(&*learnt);
        needles.fold(text.to_owned(), |text, needle| text.replace(needle.expose(), HIDDEN))
    }

    /// Returns the JSON text with `***` for each secret in it; a number that holds one becomes the text `***`.
    pub fn redact_json(&self, json: &RawValue) -> Box<RawValue> {
        let text = self.redact(json.get());
        if text == json.get() {
            return json.to_owned();
        }
        let mut value = json::parse(json.get().as_bytes()).unwrap_or_default();
        self.redact_value(&mut value);
        to_raw_value(&value).unwrap_or_else(|_| RawValue::NULL.to_owned())
    }

    /// Takes the secrets out of all texts and numbers in a value.
    pub fn redact_value(&self, value: &mut Value) {
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::String(text) => *text = self.redact(text),
            Value::Number(number) => {
                let redacted = self.redact(number.as_str());
                if redacted != number.as_str() {
                    *value = Value::String(redacted);
                }
            }
            Value::Array(elements) => elements.iter_mut().for_each(|element| self.redact_value(element)),
            Value::Object(members) => {
                let mut shown = Map::new();
                for (name, mut member) in std::mem::take(members) {
                    self.redact_value(&mut member);
                    shown.insert(self.redact(&name), member);
                }
                *members = shown;
            }
        }
    }
}

/// How many needles of learnt secrets are remembered.
const MOST_LEARNT: usize = 32;

/// Adds a secret as it is, as it stands in an address, and as it stands in JSON.
fn add_needles(needles: &mut Vec<Secret>, text: &str) {
    if text.len() < SHORTEST_NEEDLE {
        return;
    }
    let encoded: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    let percent_encoded = encoded.replace('+', "%20");
    let json = serde_json::Value::from(text).to_string();
    for needle in [text, &encoded, &percent_encoded, &json[1..json.len() - 1]] {
        if !needles.iter().any(|known| known.expose() == needle) {
            needles.push(Secret::new(needle.to_owned()));
        }
    }
}

/// A secret that deliveries are signed with, in the notation of Standard Webhooks.
#[derive(Clone)]
pub enum SigningSecret {
    /// `whsec_…`: HMAC-SHA256, signature `v1`. The key has 24 to 64 bytes.
    Hmac(Arc<SecretBox<[u8]>>),
    /// `whsk_…`: ed25519, signature `v1a`. The seed of the key pair.
    Ed25519(Arc<SecretBox<[u8; 32]>>),
}

/// Why a text is no signing secret. The text itself is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SigningSecretError {
    #[error("a signing secret begins with `whsec_` (HMAC-SHA256) or `whsk_` (ed25519)")]
    Prefix,
    #[error("what follows the prefix of a signing secret is base64")]
    Base64,
    #[error("an HMAC secret has 24 to 64 bytes before base64, this one {0}")]
    HmacLength(usize),
    #[error("an ed25519 secret has 32 bytes before base64 (or 64, with the public key behind it), this one {0}")]
    Ed25519Length(usize),
}

impl SigningSecret {
    /// Parses `whsec_…` or `whsk_…`.
    pub fn parse(text: &str) -> Result<Self, SigningSecretError> {
        let decode = |encoded: &str| STANDARD.decode(encoded.trim()).map_err(|_| SigningSecretError::Base64);
        if let Some(encoded) = text.strip_prefix("whsec_") {
            let key = decode(encoded)?;
            match key.len() {
                24..=64 => Ok(Self::Hmac(Arc::new(SecretBox::new(key.into_boxed_slice())))),
                length => Err(SigningSecretError::HmacLength(length)),
            }
        } else if let Some(encoded) = text.strip_prefix("whsk_") {
            let key = decode(encoded)?;
            match (key.len(), key.first_chunk::<32>()) {
                (32 | 64, Some(seed)) => Ok(Self::Ed25519(Arc::new(SecretBox::new(Box::new(*seed))))),
                (length, _) => Err(SigningSecretError::Ed25519Length(length)),
            }
        } else {
            Err(SigningSecretError::Prefix)
        }
    }

    /// Returns the secret as it is written.
    pub fn to_text(&self) -> Secret {
        Secret::new(match self {
            Self::Hmac(key) => format!("whsec_{}", STANDARD.encode(key.expose_secret())),
            Self::Ed25519(seed) => format!("whsk_{}", STANDARD.encode(seed.expose_secret())),
        })
    }

    /// Returns a new random `whsec_…` of 32 bytes, as text.
    pub fn generate() -> Secret {
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key).expect("the operating system gives random bytes");
        Secret::new(format!("whsec_{}", STANDARD.encode(key)))
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hmac(_) => "whsec_***",
            Self::Ed25519(_) => "whsk_***",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_secrets_are_checked_and_never_shown() {
        let secret = SigningSecret::parse(SigningSecret::generate().expose()).expect("a generated secret is valid");
        assert_eq!(format!("{secret:?}"), "whsec_***");
        for text in ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="] {
            assert_eq!(SigningSecret::parse(text).expect("a secret").to_text().expose(), text);
        }
        let check = |text: &str| SigningSecret::parse(text).expect_err(text);
        assert_eq!(check("hunter2"), SigningSecretError::Prefix);
        assert_eq!(check("whsec_???"), SigningSecretError::Base64);
        assert_eq!(check("whsec_c2hvcnQ="), SigningSecretError::HmacLength(5));
        assert_eq!(check("whsk_c2hvcnQ="), SigningSecretError::Ed25519Length(5));
    }

    #[test]
    fn redaction_finds_secrets_as_written_and_as_encoded_in_an_address() {
        let redactor = Redactor::new([Secret::new("a b+c/d".to_owned()), Secret::new("x".to_owned())]);
        assert_eq!(redactor.redact("k=a b+c/d&k=a+b%2Bc%2Fd&k=a%20b%2Bc%2Fd x"), "k=***&k=***&k=*** x");
        let quoted = Redactor::new([Secret::new("a\"b\\c".to_owned())]);
        assert_eq!(quoted.redact(r#"{"k":"a\"b\\c"}"#), r#"{"k":"***"}"#);
    }

    #[test]
    fn json_stays_json_when_secrets_are_taken_out() {
        let redactor = Redactor::new([Secret::new("hunter22".to_owned()), Secret::new("12345".to_owned())]);
        let check = |text: &str, expected: &str| {
            let json = RawValue::from_string(text.to_owned()).expect("JSON");
            assert_eq!(redactor.redact_json(&json).get(), expected);
        };
        check(r#"{"b": 1.0, "a": [1E5]}"#, r#"{"b": 1.0, "a": [1E5]}"#);
        check(r#"{"hunter22":["x hunter22",9123456,1E5,true]}"#, r#"{"***":["x ***","9***6",1E5,true]}"#);
    }

    #[test]
    fn learnt_secrets_are_redacted_by_all_clones_and_the_oldest_are_forgotten() {
        let redactor = Redactor::default();
        let clone = redactor.clone();
        for number in 0..=MOST_LEARNT {
            redactor.learn(&Secret::new(format!("token-{number:02}")));
        }
        assert_eq!(clone.redact("token-00 token-01 token-32"), "token-00 *** ***");
    }
}
