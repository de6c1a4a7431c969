//! Finds out all that there is to know of an item: asks the source, and the service.

use std::sync::Arc;

use serde_json::Value;

use super::facts::{
    Comparison, Earlier, EventFacts, Facts, Failing, MatchedEvent, Matching, Memory, Rules, Service, Source,
};
use crate::cli::Global;
use crate::cli::client::{ServiceClient, ServiceOptions};
use crate::cli::failure::Failure;
use crate::cli::try_connector::{find as find_connector, lacks_secrets, uses_refresh_token};
use crate::clock::{SharedClock, SystemClock};
use crate::config::Configuration;
use crate::deliver::SubscriptionSet;
use crate::http::HttpClient;
use crate::model::change::ChangeKind;
use crate::model::connector::Connector;
use crate::model::event::Event;
use crate::model::id::DeliveryId;
use crate::model::item::Item;
use crate::model::json;
use crate::poll::{self, Difference, FetchContext, Look, Sighting, Tape};
use crate::server::wire::{
    ConnectorView, DeliveryDetail, EventView, LONGEST_LIST, MatchAnswer, MatchRequest, PresenceName, RememberedAnswer,
    RememberedRequest, RulesView,
};
use crate::telemetry::Telemetry;

/// The most events of the item that are shown.
const MOST_EVENTS: u16 = 20;

/// The most deliveries that are asked for in all.
const MOST_DELIVERIES: usize = 60;

/// The most differences that are told.
const MOST_DIFFERENCES: usize = 20;

/// The most keys that are shown of a source that does not have the one.
const MOST_EXAMPLES: usize = 3;

/// Finds out what there is to know of an item.
pub struct Gathering {
    configuration: Configuration,
    connector: Arc<Connector>,
    /// Whether the source cannot be asked from here.
    lacks_secrets: bool,
    key: String,
    client: ServiceClient,
    clock: SharedClock,
}

/// What a look found of the item.
struct Looked {
    source: Source,
    /// The item, with its detail laid over it if it has one.
    item: Option<Item>,
}

impl Gathering {
    /// Returns what finds out about the item with this key, of the connector with this name.
    pub fn new(connector: &str, key: String, service: ServiceOptions, global: &Global) -> Result<Self, Failure> {
        let (configuration, lacking) = global.load_without_secrets()?;
        let connector = find_connector(&configuration, connector)?;
        let lacks_secrets = lacking.is_some() && lacks_secrets(&configuration, &connector);
        let client = service.connect(global)?;
        Ok(Self { configuration, connector, lacks_secrets, key, client, clock: SystemClock::shared() })
    }

    /// Returns all that was found out. The source is asked if that is wanted and does no harm.
    pub async fn gather(&self, asks_source: bool) -> Result<Facts, Failure> {
        let looked = self.look(asks_source).await?;
        let (service, memory) = match self.memory().await {
            Ok(memory) => (Service::Answers, Some(memory)),
            Err(Failure::Failed(reason)) => (Service::Silent { reason }, None),
            Err(failure) => return Err(failure),
        };
        let (mut events, mut events_are_cut) = (Vec::new(), false);
        if memory.is_some() {
            (events, events_are_cut) = self.events().await?;
        }
        let comparison = self.comparison(looked.item.as_ref(), memory.as_ref(), events.first());
        let matching = self.matching(looked.item.as_ref(), memory.as_ref(), events.first()).await?;
        Ok(Facts {
            connector: self.connector.name.clone(),
            key: self.key.clone(),
            rules: Rules {
                events: self.connector.changes.events.clone(),
                detects_removal: self.connector.changes.detects_removal(),
            },
            service,
            fingerprint_now: looked.item.as_ref().map(|item| item.fingerprint),
            source: looked.source,
            memory,
            comparison,
            matching,
            events,
            events_are_cut,
        })
    }

    /// Asks the source what it has.
    async fn look(&self, asks_source: bool) -> Result<Looked, Failure> {
        let not_asked =
            |reason: &str| Ok(Looked { source: Source::NotAsked { reason: reason.to_owned() }, item: None });
        if !asks_source {
            return not_asked("--no-look was given");
        }
        if self.lacks_secrets {
            return not_asked("a secret that it is asked with is not to be had here; `pollhook check` names it");
        }
        if uses_refresh_token(&self.connector) {
            return not_asked("its refresh token may be good for one use only, and that is the service's");
        }
        let http = HttpClient::with_egress(self.configuration.egress.clone())
            .map_err(|error| Failure::caused("cannot set up the HTTP client", error))?;
        let tape = Tape::recording();
        let context = FetchContext::new(http, self.clock.clone(), Telemetry::shared())
            .with_hosts(self.configuration.hosts.clone())
            .with_tape(tape.clone());
        let mut look = poll::look(&self.connector, &context).await;
        let sighting = poll::find(&self.connector, &look, &tape, &self.key);
        let source = self.source(&look, &sighting);
        let Sighting::Listed { item, .. } = sighting else { return Ok(Looked { source, item: None }) };
        look.items = vec![item.clone()];
        look.add_details(&self.connector, &context, 1).await;
        let whole = look.items.pop().unwrap_or(item);
        Ok(Looked { source, item: Some(whole) })
    }

    fn source(&self, look: &Look, sighting: &Sighting) -> Source {
        let problem = look.problem.as_ref().map(ToString::to_string);
        match sighting {
            Sighting::Listed { page, position, .. } => Source::Listed {
                page: *page,
                position: *position,
                url: look.pages.get(page - 1).map(|page| page.url.clone()).unwrap_or_default(),
                pages: look.pages.len(),
                copies: look.items.iter().filter(|item| *item.key == *self.key).count(),
            },
            Sighting::Filtered { page, filter, looked_at, error } => Source::Filtered {
                page: *page,
                filter: filter.clone(),
                looked_at: looked_at.clone(),
                error: error.clone(),
            },
            Sighting::OnFailedPage { page } => {
                Source::OnFailedPage { page: *page, problem: problem.unwrap_or_default() }
            }
            Sighting::NotListed => match (&look.problem, problem) {
                (Some(poll::Problem::Failed(_)), Some(problem)) => Source::Failed { problem },
                _ => Source::NotListed {
                    pages: look.pages.len(),
                    items: look.items.len(),
                    unless: self.unless(look),
                    examples: look.items.iter().take(MOST_EXAMPLES).map(|item| item.key.to_string()).collect(),
                },
            },
        }
    }

    /// Says why an item may be in the source although a look did not find it.
    fn unless(&self, look: &Look) -> Option<String> {
        let truncation =
            look.truncation.as_ref().map(|cause| format!("it is on a later page: not all were read, because {cause}"));
        let incremental = || "it is older than what the look asked for (`cursor`)".to_owned();
        truncation.or_else(|| self.connector.cursor.as_ref().map(|_| incremental()))
    }

    /// Asks the service what it remembers.
    async fn memory(&self) -> Result<Memory, Failure> {
        let path = |below: &str| ServiceClient::path_of(&self.connector.name, below);
        let view: ConnectorView = self.client.get(&path(""), &[]).await?;
        let request = RememberedRequest { keys: vec![self.key.clone()] };
        let RememberedAnswer { connector, mut data } = self.client.post(&path("/remembered"), &request).await?;
        let item = data.pop().ok_or_else(|| Failure::Failed("the service says nothing of the item".to_owned()))?;
        let here = RulesView::from(self.connector.digest);
        let there = connector.rules;
        let parts = [
            (here.keys != there.keys, "keys"),
            (here.fingerprints != there.fingerprints, "fingerprints"),
            // This one is of all rules for pages and items together.
            (here.pages != there.pages && here.keys == there.keys && here.fingerprints == there.fingerprints, "pages"),
        ];
        Ok(Memory {
            item,
            rules_that_differ: parts.iter().filter(|(differs, _)| *differs).map(|(_, name)| *name).collect(),
            next_poll: view.next_poll,
            failing: view.error.filter(|_| view.failures > 0).map(|error| Failing { since: view.failing_since, error }),
            polled_at: view.polled_at,
            connector,
        })
    }

    /// Asks the service for the item's events and their deliveries, the newest first; tells whether there may be more.
    async fn events(&self) -> Result<(Vec<EventFacts>, bool), Failure> {
        let query = [("connector", Some(self.connector.events_as.to_string())), ("key", Some(self.key.clone()))];
        let list = self.client.list::<EventView>("/v1/events", &query, None, MOST_EVENTS).await?;
        let mut room = MOST_DELIVERIES;
        let mut events = Vec::new();
        for EventView { event, subscriptions } in list.data.into_iter().filter(|view| self.is_of_element(&view.event)) {
            let asked = subscriptions.len().min(room);
            room -= asked;
            let mut deliveries = Vec::new();
            for subscription in &subscriptions[..asked] {
                let id = DeliveryId { event: event.id, subscription: subscription.clone() };
                deliveries.extend(self.client.find::<DeliveryDetail>(&format!("/v1/deliveries/{id}")).await?);
            }
            let left_out = subscriptions.len() - asked;
            events.push(EventFacts { event, subscriptions, deliveries, left_out });
        }
        Ok((events, list.next.is_some()))
    }

    /// Tells whether an event is of this element of `each`: others may have items with the same key.
    fn is_of_element(&self, event: &Event) -> bool {
        let element = event.element.as_ref().and_then(|element| json::parse(element.get().as_bytes()).ok());
        element == self.connector.element
    }

    /// Compares the item in the source with the one that is kept, or else with the data of its last event.
    fn comparison(
        &self,
        item: Option<&Item>,
        memory: Option<&Memory>,
        last: Option<&EventFacts>,
    ) -> Option<Comparison> {
        let connector = &self.connector;
        let mut now = item?.record.value().into_owned();
        connector.redactor.redact_value(&mut now);
        let parsed = |text: &str| json::parse(text.as_bytes()).ok();
        let kept = memory.and_then(|memory| memory.item.kept.as_ref()).and_then(|kept| parsed(kept.get()));
        let (with, mut differences) = match kept {
            Some(kept) => (Earlier::Kept, poll::differences(connector, &kept, &now).ok()?),
            None => {
                let event = &last?.event;
                let mut then = parsed(event.data.get()).filter(|data| !data.is_null())?;
                connector.redactor.redact_value(&mut then);
                (Earlier::LastEvent, self.against_data(&then, &now, item?)?)
            }
        };
        let left_out = differences.len().saturating_sub(MOST_DIFFERENCES);
        differences.truncate(MOST_DIFFERENCES);
        Some(Comparison { with, differences, left_out })
    }

    /// Compares an item with the data of an event. What the data does not show cannot be compared.
    fn against_data(&self, then: &Value, now: &Value, item: &Item) -> Option<Vec<Difference>> {
        if self.connector.item.data.is_none() {
            return poll::differences(&self.connector, then, now).ok();
        }
        let event = poll::created_event(&self.connector, item, self.clock.now()).ok()?;
        let mut data = json::parse(event.data.get().as_bytes()).ok()?;
        self.connector.redactor.redact_value(&mut data);
        Some(poll::plain_differences(then, &data))
    }

    /// Asks what subscriptions say: to the event that the next poll would make if there is something new, or else to the
    /// item's last one.
    async fn matching(
        &self,
        item: Option<&Item>,
        memory: Option<&Memory>,
        last: Option<&EventFacts>,
    ) -> Result<Option<Matching>, Failure> {
        let next = item.filter(|item| last.is_none() || is_news(item, memory));
        let event = match (next, last) {
            (Some(item), _) => self.next_event(item, memory).map(|event| (MatchedEvent::Next, event)),
            (None, Some(last)) => Some((MatchedEvent::Last, last.event.clone())),
            (None, None) => None,
        };
        let Some((of, event)) = event else { return Ok(None) };
        let event_type = event.event_type.to_string();
        let only_configured = memory.is_none();
        let MatchAnswer { data, left_out } = if only_configured {
            let set = SubscriptionSet::new(self.configuration.subscriptions.clone(), Telemetry::shared());
            MatchAnswer::new(set.explain(&event), LONGEST_LIST)
        } else {
            let path = ServiceClient::path_of(&self.connector.name, "/match");
            self.client.post(&path, &MatchRequest { event }).await?
        };
        Ok(Some(Matching { of, event_type, subscriptions: data, left_out, only_configured }))
    }

    /// Returns the event that the next poll would make of an item; `None` if it makes none, because `item.data` fails.
    fn next_event(&self, item: &Item, memory: Option<&Memory>) -> Option<Event> {
        let (connector, now) = (&self.connector, self.clock.now());
        let memory = memory.map(|memory| &memory.item);
        let kind = memory.and_then(|memory| memory.set_aside.as_ref()).map(|change| change.kind);
        let is_there =
            memory.and_then(|memory| memory.seen.as_ref()).is_some_and(|seen| seen.presence != PresenceName::Removed);
        if kind == Some(ChangeKind::Updated) || kind.is_none() && is_there {
            let kept = memory.and_then(|memory| memory.kept.as_deref());
            poll::updated_event(connector, item, kept, now).ok()
        } else {
            poll::created_event(connector, item, now).ok()
        }
    }
}

/// Tells whether an item in the source is not what is remembered of it.
fn is_news(item: &Item, memory: Option<&Memory>) -> bool {
    let Some(memory) = memory else { return true };
    let is_same = memory.item.seen.as_ref().is_some_and(|seen| {
        seen.presence != PresenceName::Removed && (seen.is_of_older_rules || seen.fingerprint == item.fingerprint)
    });
    !is_same || memory.item.set_aside.is_some()
}
