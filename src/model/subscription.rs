//! Who is told of which events, and how.

use std::time::Duration;

use url::Url;

use super::auth::Auth;
use super::content::Content;
use super::event::{Event, EventType};
use super::expression::{Expression, ExpressionError};
use super::id::SubscriptionName;
use super::lane::LanePolicy;
use super::pattern::Pattern;
use super::retry::RetryPolicy;
use super::secret::{Redactor, Secret};
use super::signing::Signing;
use super::tls::Tls;

/// A URL, which events go to it, and how they are sent.
#[derive(Debug)]
pub struct Subscription {
    pub name: SubscriptionName,
    /// Where events are POSTed; `http` or `https`.
    pub url: Url,
    pub matching: Matching,
    /// Who wrote the URL.
    pub origin: Origin,
    pub content: Content,
    pub signing: Signing,
    /// How deliveries prove who they are from, beside their signature.
    pub auth: Option<Auth>,
    pub tls: Option<Tls>,
    /// Headers beside those of the format, by name.
    pub headers: Vec<(String, Secret)>,
    /// How long an attempt may take from connecting to the end of the answer.
    pub timeout: Duration,
    pub lane: LanePolicy,
    pub retry: RetryPolicy,
    /// Takes this subscription's secrets out of what people read.
    pub redactor: Redactor,
}

/// Who wrote a subscription, which decides where its URL may lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The operator, in the configuration file: any address that `[egress] deny` does not name.
    Configuration,
    /// Somebody over the API: public addresses only, and those that `[egress] allow` names.
    Api,
}

/// Which events a subscription wants.
#[derive(Debug)]
pub struct Matching {
    /// The connectors it listens to; empty means all but the service's own events.
    pub connectors: Vec<Pattern>,
    /// Event types, whole (`orders.created`) or without their connector (`created`); empty means all.
    pub events: Vec<Pattern>,
    /// Must be truthy for the event's JSON form.
    pub filter: Option<Expression>,
}

/// Why a subscription does not get an event.
#[derive(Debug)]
pub enum Mismatch {
    Connector,
    EventType,
    Filter,
    /// The filter failed on the event, which counts as not matching.
    FilterFailed(ExpressionError),
}

impl Matching {
    /// Tells whether the event is wanted, as far as connector and type say.
    pub fn check_kind(&self, event: &Event) -> Result<(), Mismatch> {
        let connector_wanted = if self.connectors.is_empty() {
            !event.connector.is_service()
        } else {
            self.connectors.iter().any(|pattern| {
                pattern.matches(event.connector.as_str()) && (!event.connector.is_service() || pattern.is_literal())
            })
        };
        if !connector_wanted {
            return Err(Mismatch::Connector);
        }
        if !self.wants_type(&event.event_type) {
            return Err(Mismatch::EventType);
        }
        Ok(())
    }

    /// Tells whether the filter lets the event's JSON form through.
    pub fn check_filter(&self, event: &serde_json::Value) -> Result<(), Mismatch> {
        match self.filter.as_ref().map(|filter| filter.is_truthy(event)) {
            None | Some(Ok(true)) => Ok(()),
            Some(Ok(false)) => Err(Mismatch::Filter),
            Some(Err(error)) => Err(Mismatch::FilterFailed(error)),
        }
    }

    fn wants_type(&self, event_type: &EventType) -> bool {
        self.events.is_empty()
            || self
                .events
                .iter()
                .any(|pattern| pattern.matches(event_type.as_str()) || pattern.matches(event_type.action()))
    }
}
