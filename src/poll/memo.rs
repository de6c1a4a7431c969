//! What the items of the last poll came to, by their texts: so that only those are parsed that are new or differ.

use std::collections::HashMap;
use std::sync::Arc;

use super::cursor::CursorValue;
use crate::model::fingerprint::{Fingerprint, KeyHash};

/// The most texts that are remembered: of a longer poll, none is.
pub(super) const MOST_TEXTS: usize = 100_000;

/// What a connector's rules make of texts. It is no longer true when the rules are edited.
#[derive(Debug, Default)]
pub(super) struct Memo {
    meanings: HashMap<blake3::Hash, Meaning>,
    overflowed: bool,
}

/// What a text means.
#[derive(Debug, Clone)]
pub(super) struct Meaning {
    /// `None` if the filter leaves it out.
    pub identity: Option<Identity>,
    /// Its cursor value, if the connector's items have such.
    pub cursor: Option<CursorValue>,
}

/// What tells an item, and a version of it, from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub key: Arc<str>,
    pub key_hash: KeyHash,
    pub fingerprint: Fingerprint,
}

impl Memo {
    /// Returns what a text means, if that is remembered.
    pub fn get(&self, text: &blake3::Hash) -> Option<&Meaning> {
        self.meanings.get(text)
    }

    /// Remembers more texts, or forgets all if there are more than [`MOST_TEXTS`].
    pub fn extend(&mut self, meanings: Vec<(blake3::Hash, Meaning)>) {
        self.overflowed |= self.meanings.len() + meanings.len() > MOST_TEXTS;
        if self.overflowed {
            self.meanings = HashMap::new();
        } else {
            self.meanings.extend(meanings);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_that_is_too_long_is_not_remembered_at_all() {
        let nothing = Meaning { identity: None, cursor: None };
        let meanings = |from: usize, count: usize| -> Vec<(blake3::Hash, Meaning)> {
            (from..from + count).map(|number| (blake3::hash(&number.to_le_bytes()), nothing.clone())).collect()
        };
        let mut memo = Memo::default();
        memo.extend(meanings(0, MOST_TEXTS));
        assert!(memo.get(&blake3::hash(&0_usize.to_le_bytes())).is_some());
        memo.extend(meanings(MOST_TEXTS, 1));
        memo.extend(meanings(0, 1));
        assert!(memo.get(&blake3::hash(&0_usize.to_le_bytes())).is_none());
    }
}
