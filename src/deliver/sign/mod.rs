//! Signatures: made by lanes, checked by receivers. Those of [Standard Webhooks](https://www.standardwebhooks.com), and HMACs
//! of the body in headers of other names.

mod signer;
mod text;
mod verify;

#[cfg(test)]
mod tests;

use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

use crate::model::signing::HmacAlgorithm;

pub(super) use text::hex;

pub use signer::{NoSecretInUse, SignatureOfKey, Signer};
pub use verify::{VerifyError, VerifyingKey, verify};

/// The headers that carry a signature and what it covers beside the body.
pub(super) const ID: &str = "webhook-id";
pub(super) const TIMESTAMP: &str = "webhook-timestamp";
pub(super) const SIGNATURE: &str = "webhook-signature";

/// How far the clocks of sender and receiver may lie apart.
const TOLERANCE: Duration = Duration::from_secs(5 * 60);

fn hmac_key(algorithm: HmacAlgorithm, key: &[u8]) -> Box<hmac::Key> {
    let algorithm = match algorithm {
        HmacAlgorithm::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        HmacAlgorithm::Sha256 => hmac::HMAC_SHA256,
        HmacAlgorithm::Sha512 => hmac::HMAC_SHA512,
    };
    Box::new(hmac::Key::new(algorithm, key))
}

fn key_pair(seed: &[u8; 32]) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(seed).expect("any 32 bytes are an ed25519 seed")
}

fn public_key(pair: &Ed25519KeyPair) -> [u8; 32] {
    pair.public_key().as_ref().try_into().expect("an ed25519 public key has 32 bytes")
}

fn signed_content(id: &str, seconds: &str, body: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b".", seconds.as_bytes(), b".", body].concat()
}
