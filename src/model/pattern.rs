//! Names with stars.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A pattern in which `*` stands for any run of characters, none included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// Returns the pattern written so. Every text is a pattern.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Tells whether the pattern has no star, so that it matches one text only.
    pub fn is_literal(&self) -> bool {
        !self.0.contains('*')
    }

    /// Tells whether the whole of `text` matches. Takes time proportional to both lengths at most.
    pub fn matches(&self, text: &str) -> bool {
        let Some((first, rest)) = self.0.split_once('*') else { return *self.0 == *text };
        let Some(mut left) = text.strip_prefix(first) else { return false };
        let mut parts = rest.split('*').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return left.ends_with(part);
            }
            match left.find(part) {
                Some(at) => left = &left[at + part.len()..],
                None => return false,
            }
        }
        true
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, matching: &[&str], others: &[&str]) {
        let pattern = Pattern::new(pattern);
        for text in matching {
            assert!(pattern.matches(text), "{pattern} should match {text}");
        }
        for text in others {
            assert!(!pattern.matches(text), "{pattern} should not match {text}");
        }
    }

    #[test]
    fn stars_stand_for_any_run() {
        check("orders", &["orders"], &["order", "orders2", ""]);
        check("github-*", &["github-", "github-rust"], &["github", "a-github-b"]);
        check("*.updated", &["orders.updated", ".updated"], &["orders.updated.x"]);
        check("a*b*c", &["abc", "aXbYc", "abbcc"], &["ab", "acb", "abcd"]);
        check("*", &["", "anything"], &[]);
    }
}
