//! One subscription: what was written becomes what it means.

mod content;
mod identity;
mod lane;
mod signing;

use crate::config::keys::nearest;
use crate::config::reader::Fields;
use crate::config::request::check_header;
use crate::config::secret::Scope;
use crate::config::text;
use crate::config::tree::{Node, NodeValue};
use crate::model::change::ChangeKind;
use crate::model::connector::Connector;
use crate::model::event::ServiceNews;
use crate::model::id::SubscriptionName;
use crate::model::pattern::Pattern;
use crate::model::secret::{Redactor, Secret};
use crate::model::subscription::{Matching, Subscription};

/// Headers that each delivery has of its own.
const OWN_HEADERS: [&str; 8] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "content-type",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
];

/// The connectors that there are, as far as subscriptions can name them.
pub(super) struct Known<'a> {
    /// All names, also of connectors that are wrong.
    pub names: Vec<&'a str>,
    pub connectors: &'a [std::sync::Arc<Connector>],
}

/// Reads a subscription; one whose name was wrong is read as well, for its other mistakes. `None` means that something
/// is wrong with it and was reported.
pub(super) fn subscription(
    scope: Scope<'_>,
    name: Option<SubscriptionName>,
    fields: &Fields<'_>,
    known: &Known<'_>,
) -> Option<Subscription> {
    let mut secrets = Vec::new();
    let url = fields.required("url").and_then(|entry| url(scope, &entry.node, &mut secrets));
    let matching = Matching {
        connectors: connectors(fields, known),
        events: events(fields, known),
        filter: fields.expression("filter"),
    };
    let signing = signing::signing(scope, fields, &mut secrets);
    let headers = headers(scope, fields, &mut secrets);
    let (auth, tls) = identity::identity(scope, fields, signing.as_ref(), &mut secrets);
    let (content, lane, retry) =
        (content::content(scope, fields, &mut secrets), lane::lane(fields), lane::retry(fields));
    let timeout = fields.duration("timeout");
    Some(Subscription {
        name: name?,
        url: url?,
        origin: scope.origin,
        matching,
        content: content?,
        signing: signing?,
        auth,
        tls,
        headers,
        timeout: timeout?,
        lane: lane?,
        retry: retry?,
        redactor: Redactor::new(secrets),
    })
}

fn url(scope: Scope<'_>, node: &Node, secrets: &mut Vec<Secret>) -> Option<url::Url> {
    if let NodeValue::Text(written) = &node.value {
        return text::url(scope.report, node.place, written);
    }
    let found = scope.secret_address(node)?;
    let url = text::url(scope.report, node.place, &found.text);
    secrets.push(Secret::new(found.text));
    url
}

fn connectors(fields: &Fields<'_>, known: &Known<'_>) -> Vec<Pattern> {
    let mut patterns = Vec::new();
    for (text, node) in fields.texts("connectors") {
        let pattern = Pattern::new(text);
        if text != "pollhook" && !known.names.iter().any(|name| pattern.matches(name)) {
            let help = nearest(text, known.names.iter().copied()).map(|name| format!("did you mean \"{name}\"?"));
            fields.report.warning(node.place, format!("no connector matches \"{text}\""), help);
        }
        patterns.push(pattern);
    }
    patterns
}

fn events(fields: &Fields<'_>, known: &Known<'_>) -> Vec<Pattern> {
    let actions: Vec<&str> = ChangeKind::ALL
        .iter()
        .map(|kind| kind.as_str())
        .chain(ServiceNews::ALL.iter().map(|news| news.as_str()))
        .collect();
    let types: Vec<String> = known
        .names
        .iter()
        .flat_map(|name| ChangeKind::ALL.iter().map(move |kind| format!("{name}.{kind}")))
        .chain(ServiceNews::ALL.iter().map(|news| format!("pollhook.{}", news.as_str())))
        .collect();
    let mut patterns = Vec::new();
    for (text, node) in fields.texts("events") {
        let pattern = Pattern::new(text);
        let words = || actions.iter().copied().chain(types.iter().map(String::as_str));
        if !words().any(|word| pattern.matches(word)) {
            let help = match nearest(text, words()) {
                Some(suggestion) => format!("did you mean \"{suggestion}\"?"),
                None => {
                    "events are \"created\", \"updated\" and \"removed\", or with their connector \"orders.created\""
                        .to_owned()
                }
            };
            fields.report.error_with_help(node.place, format!("there are no events \"{text}\""), help);
        } else if text == "removed"
            && !known.connectors.iter().any(|connector| connector.changes.wants(ChangeKind::Removed))
        {
            let help = "write \"removed\" into `changes.events` of a connector".to_owned();
            fields.report.warning(node.place, "no connector makes \"removed\" events", Some(help));
        }
        patterns.push(pattern);
    }
    patterns
}

fn headers(scope: Scope<'_>, fields: &Fields<'_>, secrets: &mut Vec<Secret>) -> Vec<(String, Secret)> {
    let mut headers = Vec::new();
    for entry in fields.entries("headers") {
        check_header(fields, entry, &OWN_HEADERS);
        let Some(found) = scope.secret(&entry.node) else { continue };
        if found.text.chars().any(char::is_control) {
            let message = "this header has a line break or another control character in it";
            fields.report.error(entry.node.place, message);
        }
        let value = Secret::new(found.text);
        secrets.push(value.clone());
        headers.push((entry.key.clone(), value));
    }
    headers
}
