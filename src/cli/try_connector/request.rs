//! The exact event of one item, and the exact requests that it would be sent with.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::cli::failure::Failure;
use crate::cli::output::{Colour, Output};
use crate::deliver::{RequestDescription, describe_first_attempt};
use crate::model::event::Event;
use crate::model::id::SubscriptionName;
use crate::model::subscription::Subscription;
use crate::model::time::Timestamp;

/// What of the first item is shown, exactly as it would be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Show {
    /// The event, as JSON on one line
    Event,
    /// The request to each subscription that the event matches
    Request,
}

/// The requests that an event would be sent with, by subscription; or why it could not be sent.
pub struct Requests(Vec<(SubscriptionName, Result<RequestDescription, String>)>);

impl Requests {
    /// Returns the requests to those of the subscriptions that are named, signed at that time.
    pub fn new(event: &Event, to: &[SubscriptionName], subscriptions: &[Arc<Subscription>], at: Timestamp) -> Self {
        let matching = subscriptions.iter().filter(|subscription| to.contains(&subscription.name));
        let event = Arc::new(event.clone());
        let described = matching.map(|subscription| {
            let request = describe_first_attempt(subscription, Arc::clone(&event), at);
            (subscription.name.clone(), request.map_err(|unsendable| unsendable.message))
        });
        Self(described.collect())
    }

    /// Prints them as they would go out: the line of the request, its headers and its body.
    pub fn print(&self, key: &str, output: &mut Output) -> Result<(), Failure> {
        if self.0.is_empty() {
            return output.line(format_args!("nobody would be told of {key}: no subscription matches its event"));
        }
        for (index, (name, request)) in self.0.iter().enumerate() {
            if index > 0 {
                output.line("")?;
            }
            output.line(output.paint(Colour::Dim, format_args!("# {key} to {name}")))?;
            match request {
                Ok(request) => print(request, output)?,
                Err(message) => output.line(format_args!("nothing would be sent: {message}"))?,
            }
        }
        Ok(())
    }

    /// Returns them for programs.
    pub fn json(&self) -> Value {
        let requests = self.0.iter().map(|(name, request)| match request {
            Ok(request) => json!({ "subscription": name, "request": request }),
            Err(message) => json!({ "subscription": name, "unsendable": message }),
        });
        requests.collect()
    }
}

fn print(request: &RequestDescription, output: &mut Output) -> Result<(), Failure> {
    output.line(output.paint(Colour::Bold, format_args!("{} {}", request.method, request.url)))?;
    for (name, value) in &request.headers {
        output.line(format_args!("{}: {value}", output.paint(Colour::Dim, name)))?;
    }
    output.line(format_args!("\n{}", request.body))
}
