//! Making, changing and removing subscriptions.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use super::super::ServerState;
use super::super::problem::Problem;
use super::super::wire::{ChangedSubscription, RotateRequest};
use super::{Optional, unknown, view};
use crate::config::{Defined, DefinitionMistake, Definitions};
use crate::deliver::{self, Change, Holder, Made};
use crate::model::fingerprint::BodyHash;
use crate::model::id::SubscriptionName;
use crate::model::quantity::{format_duration, parse_duration};
use crate::model::secret::{Secret, SigningSecret};
use crate::model::time::Timestamp;
use crate::store::StoredSubscription;

/// A JSON object that was sent, or why there is none.
type Sent = Result<Json<Map<String, Value>>, JsonRejection>;

/// What a change tells the one who asked for it.
#[derive(Default)]
struct Outcome {
    secret: Option<Secret>,
    former_until: Option<Timestamp>,
    warnings: Vec<DefinitionMistake>,
}

/// What a request about a name comes to.
type Decided = Result<(Change, Outcome), Problem>;

/// How long secrets are used after they were rotated, unless it is said otherwise.
const USUAL_OVERLAP: Duration = Duration::from_secs(24 * 60 * 60);

/// How long that can be.
const LONGEST_OVERLAP: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// The most former secrets that are used at once: each makes a signature in the header.
const MOST_FORMER: usize = 16;

/// The most bytes of a subscription's definition.
const LARGEST_DEFINITION: usize = 256 * 1024;

/// `POST /v1/subscriptions`: makes one. Without `secret` one is generated, and shown in the answer; with `null` nothing is signed. The same request with
/// the same `Idempotency-Key` gets the same answer.
pub async fn create(
    State(state): State<Arc<ServerState>>,
    headers: HeaderMap,
    sent: Sent,
) -> Result<Response, Problem> {
    let mut definition = definition(sent)?;
    let name = taken_name(&mut definition)?;
    let made_by = headers.get("idempotency-key").map(|key| {
        let request = Value::Object(definition.clone()).to_string();
        BodyHash::of(&[key.as_bytes(), b"\0", name.as_str().as_bytes(), b"\0", request.as_bytes()].concat())
    });
    let generated = (!definition.contains_key("secret")).then(SigningSecret::generate);
    if let Some(secret) = &generated {
        definition.insert("secret".to_owned(), Value::from(secret.expose()));
    }
    let (definitions, now) = (Arc::clone(&state.definitions), state.clock.now());
    let decide = {
        let name = name.clone();
        move |holder: Holder<'_>| -> Decided {
            match holder {
                Holder::Made(made) if made_by.is_some() && made.stored.made_by == made_by => {
                    Ok((Change::Nothing, repeated(made, generated.is_some())))
                }
                Holder::Made(_) => Err(Problem::conflict(format!(
                    "there is a subscription {name} already; PUT /v1/subscriptions/{name} replaces it"
                ))),
                Holder::Configured(_) => Err(is_configured(&name)),
                Holder::Nobody => {
                    let stored = StoredSubscription {
                        name,
                        definition: Secret::new(Value::Object(definition).to_string()),
                        former_secrets: Vec::new(),
                        created_at: now,
                        changed_at: now,
                        revision: 1,
                        made_by,
                    };
                    let (made, warnings) = read(&definitions, stored)?;
                    Ok((Change::Put(made), Outcome { secret: generated, warnings, ..Outcome::default() }))
                }
            }
        }
    };
    let outcome = state.registry.change(name.clone(), decide).await?;
    let mut response = (StatusCode::CREATED, changed(&state, &name, outcome).await?).into_response();
    let location = format!("/v1/subscriptions/{name}").parse().expect("names are plain text");
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

/// `PUT /v1/subscriptions/{name}`: replaces all that was said of one. Without `secret` it keeps those that it has.
pub async fn replace(
    State(state): State<Arc<ServerState>>,
    Path(name): Path<String>,
    sent: Sent,
) -> Result<Json<ChangedSubscription>, Problem> {
    let given = definition_of(&name, sent)?;
    edit(&state, &name, move |before| {
        let mut definition = given;
        if !definition.contains_key("secret")
            && let Some(secret) = before.get("secret")
        {
            definition.insert("secret".to_owned(), secret.clone());
        }
        definition
    })
    .await
}

/// `PATCH /v1/subscriptions/{name}`: replaces some of what was said of one, as a JSON merge patch (RFC 7396).
pub async fn patch(
    State(state): State<Arc<ServerState>>,
    Path(name): Path<String>,
    sent: Sent,
) -> Result<Json<ChangedSubscription>, Problem> {
    let patch = definition_of(&name, sent)?;
    edit(&state, &name, move |mut before| {
        merge(&mut before, patch);
        before
    })
    .await
}

/// `DELETE /v1/subscriptions/{name}`: removes one. What waits for it is not delivered any more.
pub async fn remove(State(state): State<Arc<ServerState>>, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    let name: SubscriptionName = name.parse().map_err(|_| unknown(&name))?;
    let decide = {
        let name = name.clone();
        move |holder: Holder<'_>| match holder {
            Holder::Made(_) => Ok((Change::Remove, Outcome::default())),
            Holder::Configured(_) => Err(is_configured(&name)),
            Holder::Nobody => Err(unknown(name.as_str())),
        }
    };
    state.registry.change(name, decide).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/subscriptions/{name}/rotate`: gives one another secret. The former ones are used beside it for a while, so
/// that its receiver can change over.
pub async fn rotate(
    State(state): State<Arc<ServerState>>,
    Path(name): Path<String>,
    Optional(request): Optional<RotateRequest>,
) -> Result<Json<ChangedSubscription>, Problem> {
    let name: SubscriptionName = name.parse().map_err(|_| unknown(&name))?;
    let now = state.clock.now();
    let until = now + overlap(request.overlap.as_deref())?;
    let generated = request.secret.is_none().then(SigningSecret::generate);
    let secret = request.secret.map(Secret::new).or_else(|| generated.clone()).expect("it is given or generated");
    let definitions = Arc::clone(&state.definitions);
    let decide = {
        let name = name.clone();
        move |holder: Holder<'_>| -> Decided {
            if let Holder::Configured(_) = holder {
                return Err(Problem::conflict(format!(
                    "the subscription {name} is in the configuration file: write its new secret there behind the old one, \
                     such as secret = [{{ env = \"OLD_SECRET\", until = \"{until}\" }}, {{ env = \"NEW_SECRET\" }}], and \
                     restart the service"
                )));
            }
            let made = made_or_problem(holder, &name)?;
            let subscription = made.subscription.as_ref().ok_or_else(|| unusable(&name))?;
            let mut former = deliver::signing_secrets(&subscription.signing);
            former.retain(|former| former.is_used_at(now));
            if former.is_empty() {
                return Err(Problem::conflict(format!(
                    "deliveries to {name} are not signed, so there is nothing to rotate; PATCH \
                     /v1/subscriptions/{name} with a `secret` signs them"
                )));
            }
            former.retain(|former| former.secret.expose() != secret.expose());
            if former.len() > MOST_FORMER {
                return Err(Problem::conflict(format!(
                    "{MOST_FORMER} former secrets of {name} are still in use, as many as there can be; rotate it again when \
                     they have ended"
                )));
            }
            for former in &mut former {
                former.until = Some(former.until.map_or(until, |earlier| earlier.min(until)));
            }
            let mut definition = definition_stored(&made.stored)?;
            definition.insert("secret".to_owned(), Value::from(secret.expose()));
            let stored = StoredSubscription { former_secrets: former, ..next(&made.stored, definition, now) };
            let (made, warnings) = read(&definitions, stored)?;
            Ok((Change::Put(made), Outcome { secret: generated, former_until: Some(until), warnings }))
        }
    };
    let outcome = state.registry.change(name.clone(), decide).await?;
    changed(&state, &name, outcome).await
}

/// Changes what was asked for of a subscription that was made here. Former secrets stay in use if its secrets do.
async fn edit(
    state: &ServerState,
    name: &str,
    change: impl FnOnce(Map<String, Value>) -> Map<String, Value> + Send + 'static,
) -> Result<Json<ChangedSubscription>, Problem> {
    let name: SubscriptionName = name.parse().map_err(|_| unknown(name))?;
    let (definitions, now) = (Arc::clone(&state.definitions), state.clock.now());
    let decide = {
        let name = name.clone();
        move |holder: Holder<'_>| -> Decided {
            let made = made_or_problem(holder, &name)?;
            let before = definition_stored(&made.stored)?;
            let definition = change(before.clone());
            let mut stored = next(&made.stored, definition.clone(), now);
            if definition.get("secret") != before.get("secret") {
                stored.former_secrets.clear();
            }
            let (made, warnings) = read(&definitions, stored)?;
            Ok((Change::Put(made), Outcome { warnings, ..Outcome::default() }))
        }
    };
    let outcome = state.registry.change(name.clone(), decide).await?;
    changed(state, &name, outcome).await
}

/// Returns a subscription's next revision, with this definition.
fn next(stored: &StoredSubscription, definition: Map<String, Value>, now: Timestamp) -> StoredSubscription {
    StoredSubscription {
        definition: Secret::new(Value::Object(definition).to_string()),
        changed_at: now,
        revision: stored.revision + 1,
        made_by: None,
        ..stored.clone()
    }
}

fn read(definitions: &Definitions, stored: StoredSubscription) -> Result<(Made, Vec<DefinitionMistake>), Problem> {
    if stored.definition.expose().len() > LARGEST_DEFINITION {
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "a subscription has at most 256 KiB of JSON"));
    }
    let Defined { subscription, shown, warnings } = definitions.read_stored(&stored)?;
    let refusals = definitions.refusals(&subscription);
    if !refusals.is_empty() {
        return Err(Problem::mistakes(refusals));
    }
    Ok((Made { stored, subscription: Some(subscription), shown }, warnings))
}

/// Returns what was answered when the same request came before.
fn repeated(made: &Made, was_generated: bool) -> Outcome {
    let definition = definition_stored(&made.stored).unwrap_or_default();
    let secret = definition.get("secret").and_then(Value::as_str).filter(|_| was_generated);
    Outcome { secret: secret.map(|secret| Secret::new(secret.to_owned())), ..Outcome::default() }
}

fn definition_stored(stored: &StoredSubscription) -> Result<Map<String, Value>, Problem> {
    serde_json::from_str(stored.definition.expose()).map_err(|_| unusable(&stored.name))
}

async fn changed(
    state: &ServerState,
    name: &SubscriptionName,
    outcome: Outcome,
) -> Result<Json<ChangedSubscription>, Problem> {
    let present = state.registry.present();
    // Somebody else may have removed it meanwhile.
    let subscription = super::named(&present, name.as_str())?;
    Ok(Json(ChangedSubscription {
        subscription: view(state, &present, subscription).await?,
        secret: outcome.secret.map(|secret| secret.expose().to_owned()),
        former_until: outcome.former_until,
        warnings: outcome.warnings,
    }))
}

fn made_or_problem<'a>(holder: Holder<'a>, name: &SubscriptionName) -> Result<&'a Made, Problem> {
    match holder {
        Holder::Made(made) => Ok(made),
        Holder::Configured(_) => Err(is_configured(name)),
        Holder::Nobody => Err(unknown(name.as_str())),
    }
}

fn is_configured(name: &SubscriptionName) -> Problem {
    Problem::conflict(format!(
        "the subscription {name} is in the configuration file: change [subscriptions.{name}] there and restart the service"
    ))
}

fn unusable(name: &SubscriptionName) -> Problem {
    Problem::conflict(format!(
        "what is stored of the subscription {name} cannot be used by this version; DELETE /v1/subscriptions/{name}, and \
         make it anew"
    ))
}

fn definition(sent: Sent) -> Result<Map<String, Value>, Problem> {
    let Json(definition) = sent?;
    Ok(definition)
}

/// Returns the definition that was sent for a subscription with this name, which it may repeat.
fn definition_of(name: &str, sent: Sent) -> Result<Map<String, Value>, Problem> {
    let mut definition = definition(sent)?;
    match definition.shift_remove("name") {
        None => Ok(definition),
        Some(repeated) if repeated == name => Ok(definition),
        Some(_) => Err(mistake("/name", "a subscription keeps its name", Some("make another one with the new name"))),
    }
}

/// Takes the name out of what was sent.
fn taken_name(definition: &mut Map<String, Value>) -> Result<SubscriptionName, Problem> {
    match definition.shift_remove("name") {
        Some(Value::String(name)) => name.parse().map_err(|error| mistake("/name", format!("{error}"), None)),
        Some(_) => Err(mistake("/name", "expected a text", None)),
        None => Err(mistake(
            "",
            "`name` is missing in a subscription",
            Some("What it is called, in a-z, 0-9, `-` and `_`."),
        )),
    }
}

fn mistake(pointer: &str, detail: impl Into<String>, help: Option<&str>) -> Problem {
    let help = help.map(str::to_owned);
    Problem::mistakes(vec![DefinitionMistake { pointer: pointer.to_owned(), detail: detail.into(), help }])
}

fn overlap(given: Option<&str>) -> Result<Duration, Problem> {
    let Some(given) = given else { return Ok(USUAL_OVERLAP) };
    let overlap = parse_duration(given).map_err(|error| mistake("/overlap", error.to_string(), None))?;
    if overlap > LONGEST_OVERLAP {
        return Err(mistake("/overlap", format!("must be at most {}", format_duration(LONGEST_OVERLAP)), None));
    }
    Ok(overlap)
}

/// Applies a JSON merge patch (RFC 7396).
fn merge(target: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (key, value) in patch {
        match value {
            Value::Null => {
                target.shift_remove(&key);
            }
            Value::Object(patch) => {
                let entry = target.entry(key).or_insert_with(|| Value::Object(Map::new()));
                if !entry.is_object() {
                    *entry = Value::Object(Map::new());
                }
                if let Value::Object(target) = entry {
                    merge(target, patch);
                }
            }
            other => {
                target.insert(key, other);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check_merge(target: Value, patch: Value, expected: &Value) {
        let (Value::Object(mut target), Value::Object(patch)) = (target, patch) else { panic!("objects are merged") };
        merge(&mut target, patch);
        assert_eq!(&Value::Object(target), expected);
    }

    #[test]
    fn patches_are_merged_as_their_standard_says() {
        check_merge(json!({"a": "b"}), json!({"a": "c"}), &json!({"a": "c"}));
        check_merge(json!({"a": "b", "b": "c"}), json!({"a": null}), &json!({"b": "c"}));
        check_merge(json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), &json!({"a": {"b": "d"}}));
        check_merge(json!({"a": [{"b": "c"}]}), json!({"a": [1]}), &json!({"a": [1]}));
        check_merge(json!({"a": "x"}), json!({"a": {"b": {"c": null}}}), &json!({"a": {"b": {}}}));
    }
}
