//! What a poll would find changed, as far as the running service remembers.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::check::counted;
use crate::cli::client::ServiceClient;
use crate::cli::failure::Failure;
use crate::model::change::FirstPoll;
use crate::model::connector::Connector;
use crate::model::fingerprint::Fingerprint;
use crate::model::item::Completeness;
use crate::poll::Look;
use crate::server::wire::{ConnectorMemory, ItemMemory, PresenceName, RememberedAnswer, RememberedRequest, RulesView};

/// How the items of a look compare with what the service remembers.
pub enum Changes {
    /// They could not be compared, for this reason.
    Unknown(String),
    /// The service has not polled the connector yet; what its first poll will do.
    FirstPoll(String),
    /// The service remembers keys that were made by other rules.
    OtherKeys,
    Compared(Counts),
}

/// How many items are what to the service.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counts {
    new: usize,
    /// `None` if the service remembers fingerprints by other rules.
    changed: Option<usize>,
    unchanged: usize,
    /// How many wait: for approval, or because their event could not be made.
    waiting: usize,
    /// How many that are remembered were not found; `None` if that means nothing.
    not_listed: Option<u64>,
}

/// The most items that are compared.
const MOST_COMPARED: usize = 20_000;

impl Changes {
    /// Asks the service what it remembers of the items.
    pub async fn ask(client: &ServiceClient, connector: &Connector, look: &Look) -> Self {
        let base = client.base();
        if !client.is_running().await {
            return Self::Unknown(format!("no service runs at {base}, so every item counts as new"));
        }
        // Where a key comes several times, the last one counts.
        let found: HashMap<&str, Fingerprint> =
            look.items.iter().take(MOST_COMPARED).map(|item| (&*item.key, item.fingerprint)).collect();
        match remembered(client, connector, found.keys().copied()).await {
            Ok((memory, items)) => Self::of(connector, look, &found, &memory, &items),
            Err(Failure::Failed(text) | Failure::Usage(text)) => Self::Unknown(format!("not compared: {text}")),
            Err(_) => Self::Unknown(format!("not compared: {base} cannot be asked")),
        }
    }

    fn of(
        connector: &Connector,
        look: &Look,
        found: &HashMap<&str, Fingerprint>,
        memory: &ConnectorMemory,
        items: &[ItemMemory],
    ) -> Self {
        let Some(remembered_under) = memory.remembered_under.filter(|_| memory.is_baselined) else {
            return Self::FirstPoll(match connector.changes.first_poll {
                FirstPoll::Baseline => "the service has not polled it yet; its first poll sends nothing".to_owned(),
                FirstPoll::Send => "the service has not polled it yet; its first poll sends all of them".to_owned(),
                FirstPoll::Latest(most) => {
                    format!("the service has not polled it yet; its first poll sends {most} of them at most")
                }
            });
        };
        let ours = RulesView::from(connector.digest);
        if ours.keys != remembered_under.keys {
            return Self::OtherKeys;
        }
        let mut counts = Counts { changed: Some(0), ..Counts::default() };
        let mut known = 0;
        for item in items {
            let seen = item.seen.as_ref().filter(|seen| seen.presence != PresenceName::Removed);
            known += u64::from(seen.is_some());
            match seen {
                _ if item.set_aside.is_some() => counts.waiting += 1,
                None => counts.new += 1,
                Some(seen) if found.get(&*item.key) == Some(&seen.fingerprint) => counts.unchanged += 1,
                // Its fingerprint is replaced without an update.
                Some(seen) if seen.is_of_older_rules => counts.unchanged += 1,
                Some(_) => counts.changed = counts.changed.map(|changed| changed + 1),
            }
        }
        if ours.fingerprints != remembered_under.fingerprints {
            counts.unchanged += counts.changed.take().unwrap_or_default();
        }
        let lists_all = connector.changes.detects_removal() && look.completeness == Completeness::Complete;
        let compares_all = look.items.len() <= MOST_COMPARED;
        counts.not_listed = (lists_all && compares_all).then(|| memory.items.saturating_sub(known));
        Self::Compared(counts)
    }

    /// Says it in one line, and whether that is worth no more than a glance.
    pub fn in_words(&self) -> (String, bool) {
        match self {
            Self::Unknown(reason) => (reason.clone(), true),
            Self::FirstPoll(outlook) => (outlook.clone(), false),
            Self::OtherKeys => {
                let text = "the service remembers keys by other rules: under these, its next poll takes all as seen";
                (text.to_owned(), false)
            }
            Self::Compared(counts) => (counts.in_words(), false),
        }
    }

    /// Returns it for programs.
    pub fn json(&self) -> Value {
        match self {
            Self::Compared(counts) => json!(counts),
            other => json!({ "not_compared": other.in_words().0 }),
        }
    }
}

impl Counts {
    fn in_words(&self) -> String {
        let Self { new, changed, unchanged, waiting, not_listed } = *self;
        let mut text = match changed {
            Some(changed) => format!("{new} new, {changed} changed, {unchanged} unchanged"),
            None => format!("{new} new, {unchanged} known, whose fingerprints are of other rules"),
        };
        if waiting > 0 {
            text.extend([", ", &waiting.to_string(), " waiting"]);
        }
        if let Some(missing @ 1..) = not_listed {
            let missing = counted(usize::try_from(missing).unwrap_or(usize::MAX), "remembered item");
            text.extend(["; ", &missing, " not listed any more"]);
        }
        text
    }
}

/// Returns what the service remembers of the connector and of the items with these keys.
async fn remembered(
    client: &ServiceClient,
    connector: &Connector,
    keys: impl Iterator<Item = &str>,
) -> Result<(ConnectorMemory, Vec<ItemMemory>), Failure> {
    let path = ServiceClient::path_of(&connector.name, "/remembered");
    let keys: Vec<String> = keys.map(str::to_owned).collect();
    let mut items = Vec::with_capacity(keys.len());
    let mut memory = None;
    // Of no item, too, something can be asked: by which rules the service remembers.
    let parts = if keys.is_empty() { vec![vec![String::new()]] } else { vec![] };
    let chunks = keys.chunks(RememberedRequest::MOST_KEYS).map(<[String]>::to_vec);
    for part in parts.into_iter().chain(chunks) {
        let answer: RememberedAnswer = client.post(&path, &RememberedRequest { keys: part }).await?;
        memory = Some(answer.connector);
        if !keys.is_empty() {
            items.extend(answer.data);
        }
    }
    let memory = memory.ok_or_else(|| Failure::Failed("nothing was asked".to_owned()))?;
    Ok((memory, items))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_told_as_far_as_they_mean_anything() {
        let check = |counts: Counts, expected: &str| assert_eq!(counts.in_words(), expected);
        let counts = Counts { new: 3, changed: Some(1), unchanged: 44, waiting: 0, not_listed: Some(0) };
        check(counts, "3 new, 1 changed, 44 unchanged");
        check(
            Counts { waiting: 2, not_listed: Some(1), ..counts },
            "3 new, 1 changed, 44 unchanged, 2 waiting; 1 remembered item not listed any more",
        );
        check(
            Counts { changed: None, not_listed: None, ..counts },
            "3 new, 44 known, whose fingerprints are of other rules",
        );
    }
}
