//! What each stage of a poll did: its numbers, and how long it took.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::changes::Changes;
use crate::cli::check::counted;
use crate::cli::failure::Failure;
use crate::cli::output::{Colour, Output};
use crate::model::connector::Connector;
use crate::model::quantity::ByteSize;
use crate::poll::{Look, Visit};

/// The stages of a look.
pub struct Stages {
    /// Whether the answers come from a recording.
    replayed: bool,
    requests: usize,
    pages: usize,
    /// From the first request to the last byte of each page.
    fetching: Duration,
    received: u64,
    bytes: u64,
    /// What the formats of the pages are called.
    formats: Vec<&'static str>,
    decoding: Duration,
    extracting: Duration,
    /// How many values `response.items` gave.
    yielded: usize,
    items_by: String,
    filter: Option<String>,
    /// How many items the pages have after the filter.
    items: usize,
    /// How many of the items have the key of one before.
    duplicates: usize,
    /// A key that several items have.
    duplicate: Option<String>,
    detailed: Option<usize>,
}

/// A stage: its name, how long it took, and what came of it.
struct Stage(&'static str, Option<Duration>, String);

/// How many columns the names of the stages have.
const NAME: usize = 11;

/// How many columns the times have.
const TOOK: usize = 9;

/// The most characters of an expression or a key that a stage shows.
const LONGEST_SHOWN: usize = 60;

impl Stages {
    /// Returns the stages of a look at a connector.
    pub fn new(connector: &Connector, look: &Look, replayed: bool) -> Self {
        let pages = &look.pages;
        let sum = |part: fn(&Visit) -> Duration| pages.iter().map(part).sum();
        let mut formats: Vec<&'static str> = pages.iter().filter_map(|page| page.format).collect();
        formats.dedup();
        let mut counts = HashMap::new();
        let mut duplicate = None;
        for item in &look.items {
            let count = counts.entry(item.key_hash).or_insert(0);
            *count += 1;
            if *count == 2 && duplicate.is_none() {
                duplicate = Some(item.key.to_string());
            }
        }
        Self {
            replayed,
            requests: look.requests,
            pages: pages.len(),
            fetching: sum(|page| page.elapsed),
            received: pages.iter().map(|page| page.received).sum(),
            bytes: pages.iter().map(|page| page.bytes as u64).sum(),
            formats,
            decoding: sum(|page| page.decoding),
            extracting: sum(|page| page.extracting),
            yielded: pages.iter().map(|page| page.yielded).sum(),
            items_by: connector.response.items.source().to_owned(),
            filter: connector.item.filter.as_ref().map(|filter| filter.source().to_owned()),
            items: pages.iter().map(|page| page.items).sum(),
            duplicates: look.items.len() - counts.len(),
            duplicate,
            detailed: look.detailed,
        }
    }

    /// Prints a line a stage, and the changes as the last one.
    pub fn print(&self, changes: Option<&Changes>, output: &mut Output) -> Result<(), Failure> {
        let changes = changes.map(|changes| {
            let (text, is_dim) = changes.in_words();
            Stage("changes", None, if is_dim { output.paint(Colour::Dim, text) } else { text })
        });
        for Stage(name, took, result) in self.stages().into_iter().chain(changes) {
            let took = took.map(in_words).unwrap_or_default();
            let name = output.paint(Colour::Dim, format_args!("{name:<NAME$}"));
            output.paragraph(&format!("{name} {took:<TOOK$} {result}"), NAME + TOOK + 2)?;
        }
        Ok(())
    }

    /// Returns the numbers for programs; times in milliseconds.
    pub fn json(&self) -> Value {
        let millis = |duration: Duration| duration.as_secs_f64() * 1000.0;
        json!({
            "received_bytes": self.received,
            "bytes": self.bytes,
            "fetching_ms": millis(self.fetching),
            "formats": self.formats,
            "decoding_ms": millis(self.decoding),
            "extracting_ms": millis(self.extracting),
            "yielded": self.yielded,
            "filtered_out": self.yielded.saturating_sub(self.items),
            "duplicates": self.duplicates,
        })
    }

    fn stages(&self) -> Vec<Stage> {
        let pages = counted(self.pages, "page");
        let requests = if self.replayed {
            format!("none: {pages} from the recording")
        } else {
            format!("{} for {pages}", self.requests)
        };
        let mut stages = vec![Stage("requests", (!self.replayed).then_some(self.fetching), requests)];
        if self.pages == 0 {
            return stages;
        }
        let (received, size) = (ByteSize(self.received), ByteSize(self.bytes));
        let bytes = match () {
            () if self.replayed => size.to_string(),
            () if self.received == self.bytes => format!("{size}, not compressed"),
            () => format!("{received} received, {size} after decompression"),
        };
        stages.push(Stage("bytes", None, bytes));
        if self.formats.is_empty() {
            return stages;
        }
        stages.push(Stage("decoding", Some(self.decoding), self.formats.join(", ")));
        let items = format!("{} from `{}`", self.yielded, shortened(&self.items_by));
        stages.push(Stage("items", Some(self.extracting), items));
        if let Some(filter) = &self.filter {
            let out = self.yielded.saturating_sub(self.items);
            stages.push(Stage(
                "filter",
                None,
                format!("{out} left out by `{}`, {} left", shortened(filter), self.items),
            ));
        }
        if self.items > 0 {
            let duplicates = match &self.duplicate {
                None => "none".to_owned(),
                Some(key) => format!("{} with the key of another, such as {}", self.duplicates, shortened(key)),
            };
            stages.push(Stage("duplicates", None, duplicates));
        }
        if let Some(detailed) = self.detailed {
            stages.push(Stage(
                "details",
                None,
                format!("asked for {}, those that are shown", counted(detailed, "item")),
            ));
        }
        stages
    }
}

fn shortened(text: &str) -> String {
    crate::cli::output::beginning(text, LONGEST_SHOWN)
}

/// Returns a time in so many digits as matter.
fn in_words(took: Duration) -> String {
    let millis = took.as_secs_f64() * 1000.0;
    match millis {
        ..10.0 => format!("{millis:.1} ms"),
        ..10_000.0 => format!("{millis:.0} ms"),
        _ => format!("{:.1} s", millis / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_digits_that_matter() {
        let check = |micros, expected: &str| assert_eq!(in_words(Duration::from_micros(micros)), expected);
        check(0, "0.0 ms");
        check(1_240, "1.2 ms");
        check(12_600, "13 ms");
        check(12_340_000, "12.3 s");
    }
}
