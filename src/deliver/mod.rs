//! Events → acknowledged POSTs.
//!
//! A [`Lane`] takes one subscription's due deliveries from the store, renders, signs and sends each, and settles what
//! came of it. Lanes share nothing but the HTTP client, the store and the rendered bodies, so that none delays another.

mod authorize;
#[cfg(test)]
pub(crate) mod fixture;
mod lane;
mod matching;
mod news;
mod registry;
mod render;
pub mod replay;
mod request;
mod send;
mod sign;
mod testing;
mod verdict;

pub use lane::{DeliverContext, Lane, disable, disabled, enable};
pub use matching::SubscriptionSet;
pub use registry::{Change, Holder, Made, Present, Registry, signing_secrets};
pub use render::{Recipe, RenderError, Rendered, Renderer};
pub use request::{KeyDescription, RequestDescription, RequestWriter, SignatureDescription, Unsendable};
pub use sign::{NoSecretInUse, SignatureOfKey, Signer, VerifyError, VerifyingKey, verify};
pub use testing::{describe_first_attempt, describe_test, test_event};
