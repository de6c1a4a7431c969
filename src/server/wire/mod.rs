//! What the admin API answers, as the commands read it.

mod connector;
mod delivery;
mod item;
mod replay;
mod subscription;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::event::{Event, RoutedEvent};
use crate::model::id::SubscriptionName;
use crate::store::Page;

pub use connector::{ConnectorStatus, ConnectorView, DecisionAnswer, HeldCounts, NextPoll};
pub use delivery::{DeliveryDetail, DeliveryView};
pub use item::{
    ConnectorMemory, ItemMemory, MatchAnswer, MatchRequest, MatchVerdict, MatchView, PresenceName, RememberedAnswer,
    RememberedRequest, RulesView, SeenMemory, SetAsideMemory,
};
pub use replay::{DryRun, ReplayAnswer, ReplayExample, ReplayRequest, ReplayView};
pub use subscription::{
    ChangedSubscription, DisableRequest, LaneStatus, MadeView, RotateRequest, SubscriptionView, TestAnswer, TestDetail,
    TestHindrance,
};

/// A part of a list, and where the next part begins.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct List<T> {
    pub data: Vec<T>,
    /// To be given as `before`, or as `after` where a list goes by name, to get what follows; absent at the end of the
    /// list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl<T> List<T> {
    /// Returns a list that is all there is.
    pub fn whole(data: Vec<T>) -> Self {
        Self { data, next: None }
    }

    /// Returns a part of a list of the store.
    pub fn of_page<Stored: Into<T>, Id: std::fmt::Display>(page: Page<Stored, Id>) -> Self {
        let next = page.next.map(|next| next.to_string());
        Self { data: page.found.into_iter().map(Into::into).collect(), next }
    }

    /// Returns a part of a list that was asked for with this limit; `id` names an entry.
    pub fn part(data: Vec<T>, limit: usize, id: impl Fn(&T) -> String) -> Self {
        let next = (data.len() == limit).then(|| data.last().map(id)).flatten();
        Self { data, next }
    }
}

/// Deliveries are counted up to here; a count that has reached it means "so many or more".
pub const MOST_COUNTED: usize = 10_000;

/// An event and where it goes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EventView {
    /// The event in the form of the `standard` format.
    pub event: Event,
    pub subscriptions: Vec<SubscriptionName>,
}

impl From<RoutedEvent> for EventView {
    fn from(routed: RoutedEvent) -> Self {
        Self { event: (*routed.event).clone(), subscriptions: routed.subscriptions }
    }
}

/// The most entries of a list that one request gets.
pub const LONGEST_LIST: usize = 500;

/// The entries of a list that a request gets if it does not say how many.
pub const USUAL_LIST: usize = 50;

/// How long a command waits for the service to answer.
pub const SLOWEST_ANSWER: Duration = Duration::from_secs(30);
