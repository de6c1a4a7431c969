//! OAuth 2.0 access tokens (RFC 6749): asked for once however many requests want one, and kept until shortly before they
//! expire. A refresh token that is replaced is on disk before what came with it is used.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as Turn, watch};
use tokio_util::task::TaskTracker;

use super::token_endpoint::{Given, TokenEndpoint, TokenError};
use super::{Principal, hex, id_of};
use crate::clock::SharedClock;
use crate::http::HttpClient;
use crate::model::auth::{OAuth2, OAuth2Grant, Party};
use crate::model::fingerprint::BodyHash;
use crate::model::secret::{Redactor, Secret};
use crate::model::subscription::Origin;
use crate::model::time::Timestamp;
use crate::model::tls::Tls;
use crate::store::SharedStore;
use crate::telemetry::SharedTelemetry;

/// The longest that an endpoint is not asked because it asked for that: somebody may have made it well since.
const LONGEST_REST: Duration = Duration::from_secs(10 * 60);

/// The access tokens of all connectors and subscriptions. Clones share them.
#[derive(Clone)]
pub(super) struct Tokens {
    shared: Arc<Shared>,
    /// Exchanges with token endpoints. They are tasks, because whoever is broken off must not break one off: the grant
    /// that it was going to bring would be lost.
    exchanges: TaskTracker,
}

struct Shared {
    entries: Mutex<HashMap<BodyHash, Entry>>,
    /// One exchange at a time for each refresh token, since the answer may replace it. What could not be stored is kept
    /// here.
    turns: Mutex<HashMap<BodyHash, Arc<Turn<Option<Secret>>>>>,
    store: Option<SharedStore>,
    lost_a_grant: AtomicBool,
    clock: SharedClock,
    telemetry: SharedTelemetry,
}

/// One access token, for whoever asks the same endpoint for the same.
#[derive(Default)]
struct Entry {
    token: Option<AccessToken>,
    /// Why there is none, and until when that is not asked again, where the endpoint said so.
    refusal: Option<(TokenError, Timestamp)>,
    /// Where what is being asked for will be said.
    awaited: Option<watch::Receiver<Option<Outcome>>>,
}

impl Entry {
    fn is_of_use(&self, now: Timestamp) -> bool {
        let is_fresh = self.token.as_ref().is_some_and(|token| now < token.fresh_until);
        let is_resting = self.refusal.as_ref().is_some_and(|(_, until)| now < *until);
        is_fresh || is_resting || self.awaited.is_some()
    }
}

type Outcome = Result<Secret, TokenError>;

struct AccessToken {
    secret: Secret,
    fresh_until: Timestamp,
}

/// Returns what tells access tokens apart: everything that is asked for, and by whom. Some endpoints bind a token to the
/// certificate that it was asked for with (RFC 8705), and not everybody may reach every endpoint.
pub(super) fn id(oauth2: &OAuth2, tls: Option<&Tls>, origin: Origin) -> BodyHash {
    let OAuth2 { token_url, grant, client_id, client_secret, client_auth, scope, extra } = oauth2;
    let how = format!("{origin:?} {client_auth:?}");
    let mut parts = vec![token_url.as_str(), client_id, &how];
    parts.push(client_secret.as_ref().map_or("", Secret::expose));
    parts.push(scope.as_deref().unwrap_or_default());
    match grant {
        OAuth2Grant::ClientCredentials => parts.push("client_credentials"),
        OAuth2Grant::RefreshToken(first) => parts.extend(["refresh_token", first.expose()]),
    }
    let tls = tls.map(|tls| hex(tls.id().0));
    parts.push(tls.as_deref().unwrap_or_default());
    parts.extend(extra.iter().flat_map(|(name, value)| [name.as_str(), value]));
    id_of(&parts)
}

/// Returns what the store keeps a refresh token under, whatever it is replaced with.
fn grant_id(oauth2: &OAuth2, first: &Secret) -> BodyHash {
    id_of(&[oauth2.token_url.as_str(), &oauth2.client_id, first.expose()])
}

impl Tokens {
    /// Returns no tokens yet.
    pub fn new(store: Option<SharedStore>, clock: SharedClock, telemetry: SharedTelemetry) -> Self {
        let shared = Shared {
            entries: Mutex::default(),
            turns: Mutex::default(),
            store,
            lost_a_grant: AtomicBool::new(false),
            clock,
            telemetry,
        };
        Self { shared: Arc::new(shared), exchanges: TaskTracker::new() }
    }

    /// Returns an access token that is not about to expire, and whether it had to be asked for.
    pub async fn token(
        &self,
        id: BodyHash,
        oauth2: &OAuth2,
        principal: Principal<'_>,
        client: &HttpClient,
    ) -> Result<(Secret, bool), TokenError> {
        let mut awaited = {
            let mut entries = lock(&self.shared.entries);
            let now = self.shared.clock.now();
            // Subscriptions come and go. Looking at all entries whenever their number has doubled costs next to nothing.
            if !entries.contains_key(&id) && entries.len().is_power_of_two() {
                entries.retain(|_, entry| entry.is_of_use(now));
            }
            let entry = entries.entry(id).or_default();
            if let Some(token) = entry.token.as_ref().filter(|token| now < token.fresh_until) {
                return Ok((token.secret.clone(), false));
            }
            if let Some((refusal, _)) = entry.refusal.as_ref().filter(|(_, until)| now < *until) {
                return Err(refusal.clone());
            }
            match &entry.awaited {
                Some(awaited) => awaited.clone(),
                None => {
                    let (tell, awaited) = watch::channel(None);
                    entry.awaited = Some(awaited.clone());
                    let exchange = Exchange {
                        landing: Landing { shared: Arc::clone(&self.shared), id },
                        oauth2: oauth2.clone(),
                        client: client.clone(),
                        party: principal.party.clone(),
                        redactor: principal.redactor.clone(),
                    };
                    self.exchanges.spawn(async move { tell.send_replace(Some(exchange.run().await)) });
                    awaited
                }
            }
        };
        let outcome = awaited.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
        let outcome = outcome.unwrap_or_else(|| Err(TokenError::interrupted(&oauth2.token_url)));
        outcome.map(|token| (token, true))
    }

    /// Drops a token that was refused. If there is another one by now, that stays.
    pub fn forget(&self, id: BodyHash, refused: &Secret) {
        if let Some(entry) = lock(&self.shared.entries).get_mut(&id) {
            entry.token.take_if(|token| token.secret.expose() == refused.expose());
        }
    }

    /// Tells whether a grant was replaced that no store keeps.
    pub fn lost_a_grant(&self) -> bool {
        self.shared.lost_a_grant.load(Ordering::Relaxed)
    }

    /// Waits until no exchange is under way.
    pub async fn settled(&self) {
        self.exchanges.close();
        self.exchanges.wait().await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Nobody waits for an exchange that has ended, however it ended.
struct Landing {
    shared: Arc<Shared>,
    id: BodyHash,
}

impl Drop for Landing {
    fn drop(&mut self) {
        if let Some(entry) = lock(&self.shared.entries).get_mut(&self.id) {
            entry.awaited = None;
        }
    }
}

/// One exchange with a token endpoint, with all that it needs.
struct Exchange {
    landing: Landing,
    oauth2: OAuth2,
    client: HttpClient,
    /// Who was the first to want the token.
    party: Party,
    redactor: Redactor,
}

impl Exchange {
    async fn run(self) -> Outcome {
        let given = match &self.oauth2.grant {
            OAuth2Grant::ClientCredentials => self.endpoint().ask(None).await,
            OAuth2Grant::RefreshToken(first) => self.refresh(first).await,
        };
        let latest = self.shared().clock.now() + LONGEST_REST;
        let refusal = given.as_ref().err().and_then(|error| Some((error.clone(), error.not_before?.min(latest))));
        lock(&self.shared().entries).entry(self.landing.id).or_default().refusal = refusal;
        let given = given?;
        self.redactor.learn(&given.token);
        let used_for = given.fresh_until.since(self.shared().clock.now());
        self.shared().telemetry.auth.token_given(&self.party, used_for);
        let token = AccessToken { secret: given.token.clone(), fresh_until: given.fresh_until };
        lock(&self.shared().entries).entry(self.landing.id).or_default().token = Some(token);
        Ok(given.token)
    }

    fn shared(&self) -> &Shared {
        &self.landing.shared
    }

    fn endpoint(&self) -> TokenEndpoint<'_> {
        let clock = &*self.shared().clock;
        TokenEndpoint { oauth2: &self.oauth2, client: &self.client, clock, redactor: &self.redactor }
    }

    /// Has a token for the refresh token that is valid now. If that is refused, the one that is configured has another
    /// chance: somebody may have made it valid again.
    async fn refresh(&self, first: &Secret) -> Result<Given, TokenError> {
        let id = grant_id(&self.oauth2, first);
        let turn = Arc::clone(lock(&self.shared().turns).entry(id).or_default());
        let mut unsaved = turn.lock().await;
        if let Some(grant) = unsaved.as_ref() {
            self.keep(id, grant).await?;
            if self.shared().store.is_some() {
                *unsaved = None;
            }
        }
        let kept = self.kept(id, unsaved.as_ref()).await?;
        let mut spent = kept.as_ref().unwrap_or(first);
        let mut given = self.endpoint().ask(Some(spent)).await;
        if kept.is_some() && given.as_ref().is_err_and(TokenError::is_of_grant) {
            spent = first;
            given = self.endpoint().ask(Some(spent)).await;
        }
        let given = given?;
        let valid = given.refresh_token.as_ref().unwrap_or(spent);
        if valid.expose() != kept.as_ref().unwrap_or(first).expose() {
            self.redactor.learn(valid);
            *unsaved = Some(valid.clone());
            self.keep(id, valid).await?;
            if self.shared().store.is_some() {
                *unsaved = None;
            }
        }
        Ok(given)
    }

    /// Returns what the first refresh token was replaced with. Another instance of the service may have done that, so
    /// it is always the store that is asked.
    async fn kept(&self, id: BodyHash, unsaved: Option<&Secret>) -> Result<Option<Secret>, TokenError> {
        let Some(store) = &self.shared().store else { return Ok(unsaved.cloned()) };
        let kept = store.kept_grant(id).await;
        let kept = kept.map_err(|error| TokenError::of_store(&self.oauth2.token_url, "read", &error))?;
        if let Some(kept) = &kept {
            self.redactor.learn(kept);
        }
        Ok(kept)
    }

    async fn keep(&self, id: BodyHash, grant: &Secret) -> Result<(), TokenError> {
        match &self.shared().store {
            Some(store) => {
                let kept = store.keep_grant(id, grant.clone()).await;
                kept.map_err(|error| TokenError::of_store(&self.oauth2.token_url, "stored", &error))
            }
            None => {
                self.shared().lost_a_grant.store(true, Ordering::Relaxed);
                Ok(())
            }
        }
    }
}
