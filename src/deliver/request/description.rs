//! A request as people may see it.

use aws_lc_rs::digest;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::{RequestWriter, Unsendable, delivery_id};
use crate::deliver::sign::{SignatureOfKey, hex};
use crate::model::auth::Auth;
use crate::model::secret::HIDDEN;
use crate::model::time::Timestamp;
use crate::store::ClaimedDelivery;

/// A request without its secrets, and what a receiver's verifier computes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestDescription {
    pub method: String,
    /// With `***` for each secret in it.
    pub url: String,
    /// All but those that every HTTP client sends (`host`, `content-length`, `user-agent`, `accept`); `***` for those
    /// with secrets.
    pub headers: IndexMap<String, String>,
    /// With `***` for each secret in it.
    pub body: String,
    /// `None` if the request is not signed.
    pub signature: Option<SignatureDescription>,
}

/// What a verifier computes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureDescription {
    /// The header in which signatures are compared.
    pub header: String,
    /// What is signed: `evt_….1763640000.{body}`, or `{body}` alone. The braces stand for the bytes of the body.
    pub signed: String,
    /// How many bytes that are.
    pub signed_bytes: usize,
    /// The SHA-256 of the body as it is sent, in hexadecimal: a verifier whose framework changed the body gets another.
    pub body_sha256: String,
    /// One for each secret that signs.
    pub keys: Vec<KeyDescription>,
}

/// What a verifier computes with one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyDescription {
    /// `v1`, `v1a`, or the hash of an HMAC in a header of its own.
    pub scheme: String,
    /// The signature that the key makes, as it stands in the header.
    pub expected: String,
    /// The first eight hexadecimal digits of the SHA-256 of the verifier's key, after base64 where the key has that. The
    /// key itself is never shown.
    pub key_fingerprint: String,
    /// `whpk_…`, where there is a public key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// Until when the secret is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl RequestWriter {
    /// Returns the request that [`Self::write`] returns, as people may see it, with `***` in the header that proves who it is from
    /// beside its signature.
    pub fn describe(&self, claimed: &ClaimedDelivery, at: Timestamp) -> Result<RequestDescription, Unsendable> {
        let request = self.write(claimed, at)?;
        let redact = |text: &str| self.subscription.redactor.redact(text);
        let headers = request.headers.iter().map(|(name, value)| {
            let value = if value.is_sensitive() { HIDDEN.into() } else { String::from_utf8_lossy(value.as_bytes()) };
            (name.to_string(), redact(&value))
        });
        let mut headers: IndexMap<String, String> = headers.collect();
        if let Some(header) = self.subscription.auth.as_ref().and_then(Auth::header) {
            headers.insert(header.to_ascii_lowercase(), HIDDEN.to_owned());
        }
        let id = delivery_id(claimed);
        let signatures = self.signer.signatures(&id, at, &request.body);
        let signatures = signatures.map_err(|error| Unsendable { reason: None, message: error.to_string() })?;
        let before_body = self.signer.signed_before_body(&id, at);
        let signature = (!signatures.is_empty()).then(|| SignatureDescription {
            header: self.signer.header().to_owned(),
            signed: format!("{before_body}{{body}}"),
            signed_bytes: before_body.len() + request.body.len(),
            body_sha256: hex(digest::digest(&digest::SHA256, &request.body).as_ref()),
            keys: signatures.into_iter().map(KeyDescription::from).collect(),
        });
        Ok(RequestDescription {
            method: request.method.to_string(),
            url: redact(request.url.as_str()),
            headers,
            body: redact(&String::from_utf8_lossy(&request.body)),
            signature,
        })
    }
}

impl From<SignatureOfKey<'_>> for KeyDescription {
    fn from(signature: SignatureOfKey<'_>) -> Self {
        Self {
            scheme: signature.scheme.to_owned(),
            expected: signature.text,
            key_fingerprint: signature.fingerprint.to_owned(),
            public_key: signature.public_key.map(str::to_owned),
            until: signature.until,
        }
    }
}
