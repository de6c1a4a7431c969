//! `/v1/subscriptions`: who is told, how their lanes are doing, and how that is changed.

mod edit;
mod testing;

use std::sync::Arc;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, Path, Query, Request, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::ServerState;
use super::problem::Problem;
use super::wire::{DisableRequest, LONGEST_LIST, List, MOST_COUNTED, MadeView, SubscriptionView};
use crate::deliver::{self, Holder, Made, Present};
use crate::model::id::SubscriptionName;
use crate::model::subscription::Subscription;
use crate::store::StoreError;

pub use edit::create;

/// Returns what there is below the path of one subscription.
pub fn routes() -> Router<Arc<ServerState>> {
    Router::new()
        .route("/", get(one).put(edit::replace).patch(edit::patch).delete(edit::remove))
        .route("/enable", post(enable))
        .route("/disable", post(disable))
        .route("/rotate", post(edit::rotate))
        .route("/test", post(testing::create))
        .route("/tests/{event}", get(testing::one))
}

/// Which subscriptions are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubscriptionParams {
    after: Option<SubscriptionName>,
    limit: Option<usize>,
}

/// `GET /v1/subscriptions`: all that events go to, by name.
pub async fn list(
    State(state): State<Arc<ServerState>>,
    params: Result<Query<SubscriptionParams>, QueryRejection>,
) -> Result<Json<List<SubscriptionView>>, Problem> {
    let Query(params) = params.map_err(|error| Problem::bad_request(error.body_text()))?;
    let limit = params.limit.unwrap_or(LONGEST_LIST).clamp(1, LONGEST_LIST);
    let present = state.registry.present();
    let is_asked_for = |one: &&Arc<Subscription>| params.after.as_ref().is_none_or(|after| one.name > *after);
    let mut asked_for: Vec<_> = present.all().filter(is_asked_for).collect();
    asked_for.sort_by(|one, other| one.name.cmp(&other.name));
    let mut views = Vec::with_capacity(limit.min(asked_for.len()));
    for subscription in asked_for.into_iter().take(limit) {
        views.push(view(&state, &present, subscription).await?);
    }
    Ok(Json(List::part(views, limit, |view| view.name.to_string())))
}

async fn one(
    State(state): State<Arc<ServerState>>,
    Path(name): Path<String>,
) -> Result<Json<SubscriptionView>, Problem> {
    let present = state.registry.present();
    Ok(Json(view(&state, &present, named(&present, &name)?).await?))
}

/// Sends again what waits, after the subscription was disabled or paused.
async fn enable(
    State(state): State<Arc<ServerState>>,
    Path(name): Path<String>,
) -> Result<Json<SubscriptionView>, Problem> {
    let present = state.registry.present();
    let subscription = named(&present, &name)?;
    deliver::enable(&*state.store, &subscription.name).await?;
    Ok(Json(view(&state, &present, subscription).await?))
}

/// Sends nothing until the subscription is enabled again; what it would be sent waits.
async fn disable(
    State(state): State<Arc<ServerState>>,
    Path(name): Path<String>,
    Optional(request): Optional<DisableRequest>,
) -> Result<Json<SubscriptionView>, Problem> {
    let present = state.registry.present();
    let subscription = named(&present, &name)?;
    let reason = request.reason.filter(|reason| !reason.trim().is_empty()).unwrap_or_else(|| "by hand".to_owned());
    deliver::disable(&*state.store, subscription, &reason, state.clock.now()).await?;
    Ok(Json(view(&state, &present, subscription).await?))
}

/// The body of a request that may have none.
struct Optional<T>(T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for Optional<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = axum::body::Bytes::from_request(request, state)
            .await
            .map_err(|error| Problem::new(error.status(), error.body_text()))?;
        if bytes.trim_ascii().is_empty() {
            return Ok(Self(T::default()));
        }
        let Json(body) = Json::from_bytes(&bytes).map_err(|error: JsonRejection| Problem::from(error))?;
        Ok(Self(body))
    }
}

fn unknown(name: &str) -> Problem {
    Problem::not_found(format_args!("subscription {name}"))
}

/// Returns the subscription that is asked for by its name.
fn named<'p>(present: &'p Present, name: &str) -> Result<&'p Arc<Subscription>, Problem> {
    let parsed = name.parse::<SubscriptionName>().map_err(|_| unknown(name))?;
    match present.holder(&parsed) {
        Holder::Configured(subscription) => Ok(subscription),
        Holder::Made(made) => made.subscription.as_ref().ok_or_else(|| {
            Problem::conflict(format!(
                "what is stored of the subscription {name} cannot be used by this version; PUT /v1/subscriptions/{name} \
                 replaces it, DELETE removes it, and the log says what is wrong with it"
            ))
        }),
        Holder::Nobody => Err(unknown(name)),
    }
}

async fn view(
    state: &ServerState,
    present: &Present,
    subscription: &Subscription,
) -> Result<SubscriptionView, StoreError> {
    let lane = state.store.lane_state(&subscription.name).await?;
    let deliveries = state.store.lane_counts(&subscription.name, MOST_COUNTED).await?;
    let made = match present.holder(&subscription.name) {
        Holder::Made(made) => Some(made_view(made)),
        Holder::Configured(_) | Holder::Nobody => None,
    };
    Ok(SubscriptionView::new(subscription, made, &lane, deliveries, state.clock.now()))
}

fn made_view(made: &Made) -> MadeView {
    let stored = &made.stored;
    MadeView {
        created_at: stored.created_at,
        changed_at: stored.changed_at,
        revision: stored.revision,
        definition: made.shown.clone(),
    }
}

#[cfg(test)]
mod tests;
