//! Subscriptions written in JSON, as the admin API takes them: the keys, bounds and words of the configuration file, but
//! nothing that reads this machine's files or environment.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::diagnostic::{Mistake, Severity};
use super::document::Document;
use super::environment::{Environment, STAND_IN};
use super::keys::SUBSCRIPTION;
use super::reader::Fields;
use super::report::Report;
use super::secret::Scope;
use super::source::Place;
use super::subscription::{self, Known};
use crate::model::auth::Auth;
use crate::model::connector::Connector;
use crate::model::egress::Egress;
use crate::model::id::SubscriptionName;
use crate::model::secret::{HIDDEN, Secret, SigningSecret};
use crate::model::signing::{Signing, Timed};
use crate::model::subscription::{Origin, Subscription};
use crate::store::StoredSubscription;

/// Reads what is asked for over the API, beside what is configured.
#[derive(Debug)]
pub struct Definitions {
    connectors: Vec<Arc<Connector>>,
    /// What subscriptions can call the connectors.
    names: Vec<String>,
    egress: Egress,
}

/// A subscription that was read.
#[derive(Debug)]
pub struct Defined {
    pub subscription: Arc<Subscription>,
    /// What was asked for, with `***` for each secret.
    pub shown: Value,
    /// What is allowed but probably not meant.
    pub warnings: Vec<DefinitionMistake>,
}

/// Something that is wrong with a subscription in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinitionMistake {
    /// Where, as a JSON pointer.
    pub pointer: String,
    /// What.
    pub detail: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// Everything that is wrong with a subscription in JSON; no secret is in it.
#[derive(Debug)]
pub struct DefinitionMistakes(pub Vec<DefinitionMistake>);

impl Definitions {
    /// Returns what reads subscriptions to these connectors, whose URLs may lead where this allows.
    pub fn of(connectors: &[Arc<Connector>], egress: Egress) -> Self {
        let mut names: Vec<String> = Vec::new();
        for connector in connectors {
            let name = connector.name.as_str();
            names.push(name.to_owned());
            names.extend(name.split_once('/').map(|(whole, _)| whole.to_owned()));
        }
        names.dedup();
        Self { connectors: connectors.to_vec(), names, egress }
    }

    /// Returns what is wrong with the hosts that a subscription names, as far as that can be told without resolving them.
    /// When a connection is made, its address is judged in any case.
    pub fn refusals(&self, subscription: &Subscription) -> Vec<DefinitionMistake> {
        let token_url = match &subscription.auth {
            Some(Auth::OAuth2(oauth2)) => Some(("/auth/oauth2/token_url", &oauth2.token_url)),
            _ => None,
        };
        let urls = std::iter::once(("/url", &subscription.url)).chain(token_url);
        let refused = urls.filter_map(|(pointer, url)| {
            let refusal =
                self.egress.judge_host(subscription.origin, &url.host()?, url.port_or_known_default()).err()?;
            Some(DefinitionMistake { pointer: pointer.to_owned(), detail: refusal.to_string(), help: None })
        });
        refused.collect()
    }

    /// Reads a subscription. Deliveries are signed with former secrets as well, as long as those are used.
    pub fn read(
        &self,
        name: &SubscriptionName,
        definition: &Map<String, Value>,
        former_secrets: &[Timed<Secret>],
    ) -> Result<Defined, DefinitionMistakes> {
        let report = Report::default();
        let (document, table) = Document::read(&report, definition);
        let nothing = Environment::from([]);
        let scope = Scope { report: &report, folder: Path::new(""), environment: Some(&nothing), origin: Origin::Api };
        let fields = Fields::new(&report, &table, Place::beginning_of(0), &SUBSCRIPTION);
        let known = Known { names: self.names.iter().map(String::as_str).collect(), connectors: &self.connectors };
        let read = subscription::subscription(scope, Some(name.clone()), &fields, &known);
        let (mistakes, hidden) = report.into_parts();
        let told = |severity| {
            let of_severity = mistakes.iter().filter(move |mistake: &&Mistake| mistake.severity == severity);
            of_severity.map(|mistake| DefinitionMistake::of(mistake, &document)).collect::<Vec<_>>()
        };
        let errors = told(Severity::Error);
        let Some(mut subscription) = read.filter(|_| errors.is_empty()) else {
            return Err(DefinitionMistakes(errors));
        };
        let mut shown = Value::Object(definition.clone());
        for place in hidden {
            if let Some(secret) = shown.pointer_mut(document.pointer(place)) {
                *secret = Value::from(HIDDEN);
            }
        }
        sign_with_former(&mut subscription, former_secrets);
        Ok(Defined { subscription: Arc::new(subscription), shown, warnings: told(Severity::Warning) })
    }

    /// Reads a subscription as it is shown, with stand-ins for its secrets: for work that sends nothing.
    pub fn read_shown(&self, name: &SubscriptionName, shown: &Value) -> Option<Arc<Subscription>> {
        let mut definition = shown.clone();
        stand_in_for_hidden(&mut definition);
        self.read(name, definition.as_object()?, &[]).ok().map(|defined| defined.subscription)
    }

    /// Reads a subscription that was stored.
    pub fn read_stored(&self, stored: &StoredSubscription) -> Result<Defined, DefinitionMistakes> {
        let definition = serde_json::from_str(stored.definition.expose()).map_err(|error| {
            let detail = format!("what is stored of it is no JSON object: {error}");
            DefinitionMistakes(vec![DefinitionMistake { pointer: String::new(), detail, help: None }])
        })?;
        self.read(&stored.name, &definition, &stored.former_secrets)
    }
}

/// Puts what stands in for a secret wherever one is hidden.
fn stand_in_for_hidden(value: &mut Value) {
    match value {
        Value::String(text) if text == HIDDEN => STAND_IN.clone_into(text),
        Value::Array(elements) => elements.iter_mut().for_each(stand_in_for_hidden),
        Value::Object(members) => members.values_mut().for_each(stand_in_for_hidden),
        _ => {}
    }
}

/// Adds former secrets to those that sign. Where only one signs, the oldest that is used does: receivers that do not
/// know the new one yet are the reason why it is kept.
fn sign_with_former(subscription: &mut Subscription, former_secrets: &[Timed<Secret>]) {
    let redactor = std::mem::take(&mut subscription.redactor);
    subscription.redactor = redactor.and(former_secrets.iter().map(|former| former.secret.clone()));
    match &mut subscription.signing {
        Signing::Standard(secrets) => {
            secrets.extend(former_secrets.iter().filter_map(|former| {
                let secret = SigningSecret::parse(former.secret.expose()).ok()?;
                Some(Timed { secret, until: former.until })
            }));
        }
        Signing::Header(_, secrets) => {
            secrets.splice(..0, former_secrets.iter().cloned());
        }
    }
}

impl DefinitionMistake {
    fn of(mistake: &Mistake, document: &Document) -> Self {
        let pointer = mistake.place.map_or("", |place| document.pointer(place)).to_owned();
        Self { pointer, detail: mistake.message.clone(), help: mistake.help.clone() }
    }
}

impl fmt::Display for DefinitionMistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, DefinitionMistake { pointer, detail, help }) in self.0.iter().enumerate() {
            let between = if number == 0 { "" } else { "; " };
            let colon = if pointer.is_empty() { "" } else { ": " };
            write!(f, "{between}{pointer}{colon}{detail}")?;
            if let Some(help) = help {
                write!(f, " ({help})")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for DefinitionMistakes {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::time::Timestamp;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn read(definition: &Value) -> Result<Defined, DefinitionMistakes> {
        let name = "erp".parse().expect("a name");
        Definitions::of(&[], Egress::default()).read(&name, definition.as_object().expect("an object"), &[])
    }

    #[track_caller]
    fn check(definition: &Value, expected: &[(&str, &str)]) {
        let mistakes = read(definition).expect_err("something is wrong").0;
        let mistakes: Vec<_> =
            mistakes.iter().map(|mistake| (mistake.pointer.as_str(), mistake.detail.as_str())).collect();
        assert_eq!(mistakes, expected);
    }

    #[test]
    fn each_mistake_is_told_with_its_pointer_and_the_words_of_the_configuration() {
        check(&json!({}), &[("", "`url` is missing in a subscription")]);
        check(
            &json!({"url": "ftp://a", "timeout": "1ms", "retrys": [], "events": ["created", "creatd"]}),
            &[
                ("/url", "an address begins with http:// or https://, not ftp:"),
                ("/timeout", "must be at least 100ms, not 1ms"),
                ("/retrys", "unknown key `retrys` in a subscription"),
                ("/events/1", "there are no events \"creatd\""),
            ],
        );
        check(
            &json!({"url": "http://a", "filter": ".a |"}),
            &[("/filter", "this is not a jq expression: it ends where an expression was expected")],
        );
    }

    #[test]
    fn nothing_is_read_from_this_machine() {
        let refused = "over the API a secret is given as it is";
        check(&json!({"url": {"env": "HOME"}}), &[("/url", refused)]);
        check(
            &json!({"url": "http://a", "secret": [SECRET, {"file": "/etc/passwd"}], "headers": {"X": {"env": "HOME"}}}),
            &[("/secret/1", refused), ("/headers/X", refused)],
        );
        let of_tls = "over the API a certificate or key is given as it is";
        check(
            &json!({"url": "http://a", "tls": {"ca": "/etc/passwd", "cert": "a.pem", "key": "b.pem"}}),
            &[("/tls/ca", of_tls), ("/tls/cert", of_tls), ("/tls/key", of_tls)],
        );
        check(
            &json!({"url": "http://a", "auth": {"bearer": {"token": {"file": "/etc/passwd"}}}}),
            &[("/auth/bearer/token", refused)],
        );
    }

    #[test]
    fn addresses_that_are_refused_are_told_at_once() {
        let definitions = Definitions::of(&[], Egress::default());
        let refused = |definition: &Value| {
            let defined = read(definition).expect("nothing is wrong");
            definitions.refusals(&defined.subscription).into_iter().map(|one| one.pointer).collect::<Vec<_>>()
        };
        let oauth2 = json!({"token_url": "http://[::1]/token", "client_id": "a", "client_secret": "b"});
        assert_eq!(
            refused(&json!({"url": "http://10.0.0.1/", "auth": {"oauth2": oauth2}})),
            ["/url", "/auth/oauth2/token_url"]
        );
        assert!(refused(&json!({"url": "https://hooks.example.com/"})).is_empty());
    }

    #[test]
    fn secrets_are_read_but_not_shown() {
        let definition = json!({"url": "http://a/", "secret": SECRET, "headers": {"X-Key": "hunter2"}});
        let defined = read(&definition).expect("nothing is wrong");
        assert_eq!(defined.shown, json!({"url": "http://a/", "secret": "***", "headers": {"X-Key": "***"}}));
        assert_eq!(defined.subscription.headers[0].1.expose(), "hunter2");
        assert_eq!(defined.subscription.origin, Origin::Api);
        assert_eq!(defined.subscription.redactor.redact(SECRET), "***");
    }

    #[test]
    fn former_secrets_sign_as_well_or_first_where_one_alone_does() {
        let former = ["whsec_b3RoZXIgc2VjcmV0IG9mIDI0IGJ5dGVz", "whsec_eWV0IGFub3RoZXIgc2VjcmV0IG9mIGJ5dGVz"];
        let timed = former.map(|text| Timed { secret: Secret::new(text.to_owned()), until: Some(Timestamp::LAST) });
        let signing = |definition: &Value| {
            let name = "erp".parse().expect("a name");
            let definition = definition.as_object().expect("an object");
            let read = Definitions::of(&[], Egress::default()).read(&name, definition, &timed);
            let subscription = read.expect("nothing is wrong").subscription;
            assert!(former.iter().all(|secret| subscription.redactor.redact(secret) == "***"));
            subscription
        };
        let standard = signing(&json!({"url": "http://a/", "secret": SECRET}));
        let Signing::Standard(secrets) = &standard.signing else { panic!("as Standard Webhooks says") };
        let texts: Vec<_> = secrets.iter().map(|timed| timed.secret.to_text().expose().to_owned()).collect();
        assert_eq!(texts, [SECRET, former[0], former[1]]);
        let github = signing(&json!({"url": "http://a/", "secret": SECRET, "signature": {"style": "github"}}));
        let Signing::Header(_, secrets) = &github.signing else { panic!("in a header of its own") };
        let texts: Vec<_> = secrets.iter().map(|timed| timed.secret.expose().to_owned()).collect();
        assert_eq!(texts, [former[0], former[1], SECRET]);
    }

    #[test]
    fn what_is_probably_not_meant_is_told_as_well() {
        let defined = read(&json!({"url": "http://a/", "connectors": ["orders"]})).expect("nothing is wrong");
        let warnings: Vec<_> = defined.warnings.iter().map(|one| (one.pointer.as_str(), one.detail.as_str())).collect();
        assert_eq!(warnings, [("/connectors/0", "no connector matches \"orders\"")]);
    }
}
