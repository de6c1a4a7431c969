//! How deliveries prove that they were not altered, and by whom they were sent.

use super::secret::{Secret, SigningSecret};
use super::time::Timestamp;

/// What a subscription's deliveries are signed with.
#[derive(Debug, Clone)]
pub enum Signing {
    /// As [Standard Webhooks](https://www.standardwebhooks.com) says: each secret in use makes one signature. None means
    /// unsigned.
    Standard(Vec<Timed<SigningSecret>>),
    /// An HMAC of the body in a header of the receiver's own, such as `X-Hub-Signature-256`: the first secret in use
    /// signs.
    Header(HeaderSignature, Vec<Timed<Secret>>),
}

/// A secret that may be used up to some time.
#[derive(Debug, Clone)]
pub struct Timed<S> {
    pub secret: S,
    /// From then on it is no longer used; `None` means always.
    pub until: Option<Timestamp>,
}

/// How an HMAC of a body is written into a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderSignature {
    /// The header's name.
    pub header: String,
    /// What comes before the signature, such as `sha256=`.
    pub prefix: String,
    pub algorithm: HmacAlgorithm,
    pub encoding: SignatureEncoding,
}

/// The hash that an HMAC is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HmacAlgorithm {
    Sha1,
    Sha256,
    Sha512,
}

/// How the bytes of a signature are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureEncoding {
    /// In lower case.
    Hex,
    Base64,
}

impl<S> Timed<S> {
    /// Returns a secret that is used for ever.
    pub fn always(secret: S) -> Self {
        Self { secret, until: None }
    }

    /// Tells whether the secret is used at this time.
    pub fn is_used_at(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl Signing {
    /// Returns what signs nothing.
    pub fn none() -> Self {
        Self::Standard(Vec::new())
    }
}

impl HeaderSignature {
    /// Returns how GitHub signs its webhooks: `X-Hub-Signature-256: sha256=…`.
    pub fn github() -> Self {
        Self {
            header: "X-Hub-Signature-256".to_owned(),
            prefix: "sha256=".to_owned(),
            algorithm: HmacAlgorithm::Sha256,
            encoding: SignatureEncoding::Hex,
        }
    }
}

impl HmacAlgorithm {
    /// Returns the name of the HMAC.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "HMAC-SHA1",
            Self::Sha256 => "HMAC-SHA256",
            Self::Sha512 => "HMAC-SHA512",
        }
    }
}
