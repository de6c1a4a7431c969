//! What a look found: its pages, and its first items with who would get them.

use std::sync::Arc;

use crate::cli::check::counted;
use crate::cli::failure::Failure;
use crate::cli::output::{Cell, Colour, Output, beginning, fitted};
use crate::deliver::SubscriptionSet;
use crate::model::connector::Connector;
use crate::model::event::{Event, Route};
use crate::model::id::SubscriptionName;
use crate::model::quantity::ByteSize;
use crate::model::subscription::Subscription;
use crate::model::time::Timestamp;
use crate::poll::{Look, created_event};
use crate::telemetry::SharedTelemetry;

/// What each item of a look would send if it were new, and to whom; only of items that are whole.
pub struct Found<'a> {
    pub look: &'a Look,
    pub events: Vec<(Event, Vec<SubscriptionName>)>,
}

/// How much of an item's data the table has where lines may have any width, in characters.
const LONGEST_DATA: usize = 80;

/// The most pages that are listed.
const MOST_PAGES: usize = 10;

impl<'a> Found<'a> {
    /// Returns what a look at this connector found, as these subscriptions would be told at that time.
    pub fn new(
        connector: &Connector,
        look: &'a Look,
        subscriptions: Vec<Arc<Subscription>>,
        at: Timestamp,
        telemetry: SharedTelemetry,
    ) -> Result<Self, Failure> {
        let route = SubscriptionSet::new(subscriptions, telemetry);
        let whole = look.items.iter().take(look.detailed.unwrap_or(usize::MAX));
        let events = whole.map(|item| {
            let event = created_event(connector, item, at)
                .map_err(|error| Failure::caused(format!("the item {} makes no event", item.key), error))?;
            let subscriptions = route.subscriptions(&event);
            Ok((event, subscriptions))
        });
        Ok(Self { look, events: events.collect::<Result<_, Failure>>()? })
    }

    /// Prints the pages as a table, unless there is none.
    pub fn print_pages(&self, output: &mut Output) -> Result<(), Failure> {
        let pages = &self.look.pages;
        if pages.is_empty() {
            return Ok(());
        }
        let rows = pages.iter().take(MOST_PAGES).map(|page| {
            [
                Cell::painted(Colour::of_status(page.status), page.status.to_string()),
                Cell::from(format_args!("{} ms", page.elapsed.as_millis())),
                Cell::from(ByteSize(page.bytes as u64)),
                Cell::from(page.items),
                Cell::from(&page.url),
            ]
        });
        output.table(["STATUS", "TOOK", "SIZE", "ITEMS", "PAGE"], rows)?;
        and_more(pages.len() - pages.len().min(MOST_PAGES), "more page", output)?;
        output.line("")
    }

    /// Prints the first items as a table, so many at most, unless there is none.
    pub fn print_items(&self, limit: usize, output: &mut Output) -> Result<(), Failure> {
        if self.look.items.is_empty() {
            return Ok(());
        }
        let rows = self.events.iter().take(limit).map(|(event, subscriptions)| {
            let names: Vec<&str> = subscriptions.iter().map(SubscriptionName::as_str).collect();
            let to = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
            match output.width() {
                None => [Cell::from(&event.key), to.into(), beginning(event.data.get(), LONGEST_DATA).into()],
                Some(width) => {
                    let data = beginning(event.data.get(), width);
                    [fitted(&event.key, width * 2 / 5).into(), fitted(&to, width / 4).into(), data.into()]
                }
            }
        });
        let rows: Vec<_> = rows.collect();
        output.table(["KEY", "WOULD GO TO", "DATA"], rows)?;
        and_more(self.look.items.len().saturating_sub(limit.min(self.events.len())), "more item", output)
    }
}

fn and_more(left: usize, what: &str, output: &mut Output) -> Result<(), Failure> {
    if left > 0 { output.line(format_args!("and {}", counted(left, what))) } else { Ok(()) }
}
