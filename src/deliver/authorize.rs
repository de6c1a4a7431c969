//! What a subscription's deliveries prove who they are from with, beside their signature.

use std::sync::Arc;
use std::time::Duration;

use crate::auth::{self, AuthError, Credentials, Principal, Proof};
use crate::clock::SharedClock;
use crate::http::{HttpClient, HttpError, HttpRequest, HttpResponse, within};
use crate::model::auth::{Auth, Party};
use crate::model::delivery::FailureClass;
use crate::model::quantity::format_duration;
use crate::model::subscription::Subscription;
use crate::model::time::Timestamp;

/// Lets the requests of one subscription prove who they are from.
pub(super) struct Authorizer {
    subscription: Arc<Subscription>,
    party: Party,
    credentials: Credentials,
    http: HttpClient,
    clock: SharedClock,
}

/// A request that proves who it is from, and what may carry it.
pub(super) struct Authorized {
    pub request: HttpRequest,
    pub client: HttpClient,
    pub proof: Proof,
}

/// Why a request cannot prove who it is from.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unproven {
    #[error(transparent)]
    Auth(#[from] AuthError),
    #[error("there is no access token from {endpoint} within {}", format_duration(*.within))]
    Late { endpoint: String, within: Duration },
}

impl Unproven {
    /// Returns in which part of the attempt the failure lay.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Auth(AuthError::Certificate { .. } | AuthError::Client(HttpError::Tls(_))) => FailureClass::Tls,
            Self::Auth(_) | Self::Late { .. } => FailureClass::Auth,
        }
    }

    /// Returns before when it is in vain to try again, if that is known.
    pub fn not_before(&self) -> Option<Timestamp> {
        match self {
            Self::Auth(AuthError::Token(error)) => error.not_before,
            Self::Auth(_) | Self::Late { .. } => None,
        }
    }
}

impl Authorizer {
    /// Returns what lets this subscription's requests prove who they are from.
    pub fn new(
        subscription: Arc<Subscription>,
        credentials: Credentials,
        http: HttpClient,
        clock: SharedClock,
    ) -> Self {
        let party = Party::Subscription(subscription.name.clone());
        Self { subscription, party, credentials, http, clock }
    }

    /// Returns the request with the subscription's auth. An access token that has to be asked for is waited for no longer
    /// than the deadline; asking for it goes on, and the next attempt finds it.
    pub async fn authorize(&self, request: &HttpRequest, deadline: Duration) -> Result<Authorized, Unproven> {
        let Subscription { auth, tls, redactor, timeout, .. } = &*self.subscription;
        let client = auth::client(&self.http, tls.as_ref(), self.clock.now())?;
        let principal = Principal { party: &self.party, auth: auth.as_ref(), tls: tls.as_ref(), redactor };
        let mut request = request.clone();
        let proof = match within(deadline, self.credentials.prove(principal, &client, &mut request)).await {
            Some(proof) => proof?,
            None => {
                let endpoint = match auth {
                    Some(Auth::OAuth2(oauth2)) => oauth2.token_url.to_string(),
                    // The others wait for nothing.
                    _ => String::new(),
                };
                return Err(Unproven::Late { endpoint, within: *timeout });
            }
        };
        Ok(Authorized { request, client, proof })
    }

    /// Takes note that the receiver refused a proof with 401. Tells whether the request may be sent once more, because
    /// there will be another proof.
    pub fn renew(&self, proof: &Proof, refusal: &HttpResponse) -> bool {
        self.credentials.renew(proof, refusal)
    }
}
