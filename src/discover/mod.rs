//! What an API answers → a draft of a connector: what can be found out from one or two answers, how sure that is, and why.
//!
//! Everything here is a pure function of the answers. Nothing is asked, and nothing is written.

use std::fmt;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use url::Url;

use crate::http::header::HeaderMap;

/// One answer of an API to a plain GET.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Where it was found.
    pub url: Url,
    pub status: u16,
    pub headers: HeaderMap,
    /// After decompression.
    pub body: Bytes,
}

/// What was found out about an API.
#[derive(Debug, Clone, Serialize)]
pub struct Draft {
    /// In the order in which people would ask: what the answer is, where its items are, what identifies them, and so on.
    pub findings: Vec<Finding>,
    /// How many items there are in the answer.
    pub items: usize,
}

/// One thing that was found out, or could not be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    pub about: About,
    /// What a connector says of it; empty if its defaults are right, or if nothing is known.
    pub settings: Vec<Setting>,
    /// What was found, in a few words: "`.id`", "a Link header".
    pub found: String,
    pub sureness: Sureness,
    /// Why, as the end of a sentence for people: "it is different in all 30 items, and the same in both answers".
    pub because: String,
}

/// A key of a connector and its value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Setting {
    /// The dotted path of the key, such as `item.key`.
    pub path: String,
    /// As TOML and JSON have in common.
    pub value: Value,
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// In which format the answer is.
    Format,
    /// Where in it the items are.
    Items,
    /// What identifies an item.
    Key,
    /// What of an item changes without a meaning.
    Volatile,
    /// How the pages after this one are found.
    Paging,
    /// Which date the API can be asked from.
    Cursor,
    /// Whether the answer lists everything that there is, or what is recent.
    Lists,
    /// How often the API may be asked.
    Limits,
    /// How requests prove who they are from.
    Auth,
}

/// How sure a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sureness {
    /// It may well be wrong: a person should look at it.
    Doubtful,
    /// Nothing speaks against it, and something for it.
    Likely,
    /// The answer says so, or there is no other way to read it.
    Certain,
}

impl Draft {
    /// Returns what was found about something, if that was looked for.
    pub fn about(&self, about: About) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.about == about)
    }

    /// Returns the value of a setting, by its dotted path.
    pub fn setting(&self, path: &str) -> Option<&Value> {
        let mut settings = self.findings.iter().flat_map(|finding| &finding.settings);
        settings.find(|setting| setting.path == path).map(|setting| &setting.value)
    }

    /// Tells whether a person should look at something.
    pub fn is_doubtful(&self) -> bool {
        self.findings.iter().any(|finding| finding.sureness == Sureness::Doubtful)
    }
}

impl Setting {
    /// Returns a setting.
    pub fn new(path: impl Into<String>, value: impl Into<Value>) -> Self {
        Self { path: path.into(), value: value.into() }
    }
}

impl fmt::Display for Sureness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Doubtful => "doubtful",
            Self::Likely => "likely",
            Self::Certain => "certain",
        })
    }
}
