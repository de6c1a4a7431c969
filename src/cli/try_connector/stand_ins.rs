//! What stands in for secrets that are not to be had here: those of the configuration, and those of subscriptions that
//! were made over the API, which nobody is shown.

use std::sync::Arc;

use crate::cli::client::ServiceClient;
use crate::cli::subscriptions;
use crate::config::{Configuration, Definitions, Environment};
use crate::model::connector::Connector;
use crate::model::id::SubscriptionName;
use crate::model::subscription::Subscription;

/// What is said where not all secrets are to be had.
pub const STOOD_IN: &str = "note: secrets that are not to be had here have stand-ins, so signatures are not those that \
    receivers would see";

/// Returns the subscriptions that were made over the API, as far as the service shows them; none if it does not answer.
pub async fn made(service: Option<&ServiceClient>, configuration: &Configuration) -> Vec<Arc<Subscription>> {
    let Some(service) = service else { return Vec::new() };
    let Ok(views) = subscriptions::all(service).await else { return Vec::new() };
    let definitions = Definitions::of(&configuration.connectors, configuration.egress.clone());
    let is_configured =
        |name: &SubscriptionName| configuration.subscriptions.iter().any(|configured| configured.name == *name);
    let made = views.iter().filter(|view| !is_configured(&view.name));
    made.filter_map(|view| definitions.read_shown(&view.name, &view.made.as_ref()?.definition)).collect()
}

/// Tells whether something stands in for what a connector's source is asked with.
pub fn lacks_secrets(configuration: &Configuration, connector: &Connector) -> bool {
    let proxy = configuration.egress.proxy.as_ref();
    Environment::stands_in_for(&connector.redactor) || proxy.is_some_and(|proxy| Environment::leads_nowhere(&proxy.url))
}
