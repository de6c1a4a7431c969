//! What signs deliveries.

use aws_lc_rs::signature::Ed25519KeyPair;
use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;

use super::text::{encode, hex};
use super::verify::public_text;
use super::{SIGNATURE, hmac_key, key_pair, public_key, signed_content};
use crate::model::secret::{Secret, SigningSecret};
use crate::model::signing::{HeaderSignature, HmacAlgorithm, Signing, Timed};
use crate::model::time::Timestamp;

/// Signs with those of a subscription's secrets that are in use.
pub struct Signer {
    scheme: Scheme,
}

enum Scheme {
    Standard(Vec<Timed<SigningKey>>),
    Header(HeaderSignature, Vec<Timed<SigningKey>>),
}

/// A secret, prepared to be used often.
struct SigningKey {
    algorithm: Algorithm,
    /// The beginning of the SHA-256 of the key that a verifier has, which tells keys apart.
    fingerprint: String,
    public: Option<String>,
}

enum Algorithm {
    Hmac(Box<hmac::Key>),
    Ed25519(Box<Ed25519KeyPair>),
}

/// One secret's signature of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureOfKey<'s> {
    /// `v1`, `v1a`, or the hash of an HMAC in a header of its own.
    pub scheme: &'static str,
    /// As it is sent, with `v1,` or the header's prefix before it.
    pub text: String,
    /// The first eight hexadecimal digits of the SHA-256 of the key that a verifier has: never the key.
    pub fingerprint: &'s str,
    /// `whpk_…`, where there is a public key.
    pub public_key: Option<&'s str>,
    /// Until when the secret is used.
    pub until: Option<Timestamp>,
}

/// All secrets have ended. What was to be signed is not sent unsigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("none of the subscription's secrets may be used any more, the last one ended at {ended}: configure a new one")]
pub struct NoSecretInUse {
    pub ended: Timestamp,
}

impl Signer {
    /// Returns a signer with these secrets, prepared to be used often.
    pub fn new(signing: &Signing) -> Self {
        let scheme = match signing {
            Signing::Standard(secrets) => Scheme::Standard(prepared(secrets, SigningKey::of)),
            Signing::Header(signature, secrets) => {
                let key = |secret: &Secret| SigningKey::hmac(signature.algorithm, secret.expose().as_bytes());
                Scheme::Header(signature.clone(), prepared(secrets, key))
            }
        };
        Self { scheme }
    }

    /// Returns the name of the header that carries signatures.
    pub fn header(&self) -> &str {
        match &self.scheme {
            Scheme::Standard(_) => SIGNATURE,
            Scheme::Header(signature, _) => &signature.header,
        }
    }

    /// Returns what is signed beside the body: its place is at the end, behind this.
    pub fn signed_before_body(&self, id: &str, timestamp: Timestamp) -> String {
        match &self.scheme {
            Scheme::Standard(_) => format!("{id}.{}.", timestamp.as_seconds()),
            Scheme::Header(..) => String::new(),
        }
    }

    /// Returns the value of the header that carries signatures, one for each secret in use where the header can have
    /// several; `None` if there are no secrets at all.
    pub fn sign(&self, id: &str, timestamp: Timestamp, body: &[u8]) -> Result<Option<String>, NoSecretInUse> {
        let signatures = self.signatures(id, timestamp, body)?;
        let texts: Vec<String> = signatures.into_iter().map(|signature| signature.text).collect();
        Ok((!texts.is_empty()).then(|| texts.join(" ")))
    }

    /// Returns each signature that the header carries; none if there are no secrets at all.
    pub fn signatures(
        &self,
        id: &str,
        timestamp: Timestamp,
        body: &[u8],
    ) -> Result<Vec<SignatureOfKey<'_>>, NoSecretInUse> {
        let (keys, most) = match &self.scheme {
            Scheme::Standard(keys) => (keys, usize::MAX),
            Scheme::Header(_, keys) => (keys, 1),
        };
        let in_use = keys.iter().filter(|key| key.is_used_at(timestamp)).take(most);
        let signatures: Vec<_> = in_use.map(|key| self.signature(key, id, timestamp, body)).collect();
        match keys.iter().filter_map(|key| key.until).max() {
            Some(ended) if signatures.is_empty() => Err(NoSecretInUse { ended }),
            _ => Ok(signatures),
        }
    }

    fn signature<'s>(
        &self,
        key: &'s Timed<SigningKey>,
        id: &str,
        timestamp: Timestamp,
        body: &[u8],
    ) -> SignatureOfKey<'s> {
        let seconds = timestamp.as_seconds().to_string();
        let SigningKey { algorithm, fingerprint, public } = &key.secret;
        let (scheme, text) = match (&self.scheme, algorithm) {
            (Scheme::Header(signature, _), Algorithm::Hmac(key)) => {
                let tag = hmac::sign(key, body);
                let text = format!("{}{}", signature.prefix, encode(signature.encoding, tag.as_ref()));
                (signature.algorithm.as_str(), text)
            }
            (_, Algorithm::Hmac(key)) => ("v1", format!("v1,{}", STANDARD.encode(tag(key, id, &seconds, body)))),
            (_, Algorithm::Ed25519(pair)) => {
                ("v1a", format!("v1a,{}", STANDARD.encode(pair.sign(&signed_content(id, &seconds, body)))))
            }
        };
        SignatureOfKey { scheme, text, fingerprint, public_key: public.as_deref(), until: key.until }
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Scheme::Standard(keys) | Scheme::Header(_, keys)) = &self.scheme;
        write!(f, "Signer({}, {} keys)", self.header(), keys.len())
    }
}

impl SigningKey {
    fn of(secret: &SigningSecret) -> Self {
        match secret {
            SigningSecret::Hmac(key) => Self::hmac(HmacAlgorithm::Sha256, key.expose_secret()),
            SigningSecret::Ed25519(seed) => {
                let pair = key_pair(seed.expose_secret());
                let public = public_key(&pair);
                let algorithm = Algorithm::Ed25519(Box::new(pair));
                Self { algorithm, fingerprint: fingerprint(&public), public: Some(public_text(&public)) }
            }
        }
    }

    fn hmac(algorithm: HmacAlgorithm, key: &[u8]) -> Self {
        let prepared = Algorithm::Hmac(hmac_key(algorithm, key));
        Self { algorithm: prepared, fingerprint: fingerprint(key), public: None }
    }
}

fn prepared<S>(secrets: &[Timed<S>], prepare: impl Fn(&S) -> SigningKey) -> Vec<Timed<SigningKey>> {
    secrets.iter().map(|timed| Timed { secret: prepare(&timed.secret), until: timed.until }).collect()
}

fn fingerprint(key: &[u8]) -> String {
    hex(&digest::digest(&digest::SHA256, key).as_ref()[..4])
}

fn tag(key: &hmac::Key, id: &str, seconds: &str, body: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    for part in [id.as_bytes(), b".", seconds.as_bytes(), b".", body] {
        context.update(part);
    }
    context.sign()
}
