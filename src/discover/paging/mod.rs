//! How the pages after an answer are found, as far as the answer says so.
//!
//! Whatever names the next page by itself goes before whatever counts, and what is there before what is missing: a `next`
//! that is `null` tells of paging as well.

mod counts;
mod headers;
mod next;
mod signs;
mod tokens;
mod unknown;

use serde_json::Value;
use url::Url;

use self::signs::{Members, address, parameters};
use super::{About, Finding, Listing, Page, Setting, Sureness};
use crate::http::header::HeaderMap;
use crate::model::format::ResponseFormat;
use crate::poll::links;

/// How an API's pages are found, and what that means for its list.
#[derive(Debug)]
pub(super) struct Paging {
    pub finding: Finding,
    /// The key of the style below `pagination`; `None` if there is one page, or if nothing is known of others.
    pub style: Option<&'static str>,
    /// Whether a poll that follows the finding reads all that there is.
    pub reads_all: bool,
    /// Whether a poll ends with the first page of which nothing is new.
    stops: bool,
    /// How many items there are on all pages, as the answer says.
    pub total: Option<u64>,
    /// How many pages there are, as the answer says.
    pub pages: Option<u64>,
}

/// What an answer says of the pages around it.
struct Signs<'a> {
    url: &'a Url,
    headers: &'a HeaderMap,
    /// The members of the body that are not in the items.
    members: Members<'a>,
    body: &'a Value,
    /// The parameters that it was asked for with.
    asked: Vec<(String, String)>,
    /// The parameters of the other addresses of the same path that the answer names.
    told: Vec<(String, String)>,
    /// What yields the items.
    items: &'a str,
    rows: &'a [Value],
    /// How many items there are.
    count: u64,
}

/// A style of paging that an answer speaks for.
struct Proposal {
    style: &'static str,
    /// The keys below the style, and their values.
    keys: Vec<(&'static str, Value)>,
    found: String,
    sureness: Sureness,
    because: String,
}

/// The most pages that a poll reads, if nothing else is written.
pub(super) const MOST_PAGES: u64 = 50;

/// Why nothing is written where the answer is the last page.
const LAST: &str = "this is the last page";

/// Returns how the pages after this one are found.
pub(super) fn find(page: &Page<'_>, listing: &Listing) -> Paging {
    let signs = Signs::of(page, listing);
    let total = counts::total(&signs).map(|(_, total)| total);
    let pages = counts::pages(&signs).or_else(|| headers::last_page(&signs));
    let proposal = match &page.format {
        ResponseFormat::Feed => next::of_feed(&signs),
        ResponseFormat::Html(_) => headers::link(&signs).or_else(|| next::of_html(&signs, &page.answer.body)),
        _ => signs.proposal(),
    };
    match proposal {
        Some(proposal) => {
            let style = proposal.style;
            let reads_all = proposal.sureness != Sureness::Doubtful;
            Paging { finding: proposal.into_finding(), style: Some(style), reads_all, stops: false, total, pages }
        }
        None => {
            let finding = unknown::finding(&signs, &page.format);
            let reads_all = finding.sureness != Sureness::Doubtful;
            Paging { finding, style: None, reads_all, stops: false, total, pages }
        }
    }
}

impl Paging {
    /// Returns about how many requests a poll takes whose first page has so many items.
    pub fn requests(&self, count: usize) -> u64 {
        if self.style.is_none() || self.stops {
            return 1;
        }
        self.pages_of(count).unwrap_or(1).clamp(1, MOST_PAGES)
    }

    /// Returns how many pages there are, where the first has so many items, if the answer says so.
    pub fn pages_of(&self, count: usize) -> Option<u64> {
        self.pages.or_else(|| self.total.map(|total| total.div_ceil(count.max(1) as u64)))
    }

    /// Lets a poll end with the first page of which nothing is new, because the newest come first by this field.
    pub fn stop_at_known(&mut self, field: &str) {
        let Some(style) = self.style else { return };
        let setting = Setting::new(format!("pagination.{style}.stop"), "known");
        let settings = &mut self.finding.settings;
        if self.stops || settings.contains(&setting) {
            return;
        }
        settings.retain(|setting| setting.path != format!("pagination.{style}"));
        settings.push(setting);
        let because = ["; a poll stops where nothing is new, since the newest come first by `", field, "`"];
        self.finding.because.extend(because);
        self.stops = true;
    }
}

impl<'a> Signs<'a> {
    fn of(page: &'a Page<'_>, listing: &'a Listing) -> Self {
        let url = &page.answer.url;
        let members = Members::of(&page.value, &listing.expression);
        let in_body = members.0.iter().filter_map(|member| address(url, member.value.as_str()?));
        let in_headers = links(&page.answer.headers).into_iter().filter_map(|link| address(url, &link.target));
        let others = in_body.chain(in_headers).filter(|other| other.path() == url.path());
        Self {
            url,
            headers: &page.answer.headers,
            told: others.take(20).flat_map(|other| parameters(&other)).collect(),
            members,
            body: &page.value,
            asked: parameters(url),
            items: &listing.expression,
            rows: &listing.rows,
            count: listing.count as u64,
        }
    }

    /// Returns the style that the answer speaks for most clearly.
    fn proposal(&self) -> Option<Proposal> {
        let styles: [fn(&Signs<'_>) -> Option<Proposal>; 9] = [
            headers::link,
            next::in_body,
            headers::next,
            tokens::in_body,
            headers::link_of_last,
            next::in_last_body,
            tokens::in_last_body,
            counts::numbers,
            counts::offsets,
        ];
        styles.iter().find_map(|style| style(self))
    }

    /// Returns the value of a parameter that the answer was asked for with.
    fn asked(&self, name: &str) -> Option<&str> {
        self.asked.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Tells whether another address in the answer has this parameter.
    fn is_told(&self, name: &str) -> bool {
        self.told.iter().any(|(known, _)| known == name)
    }

    fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.get(name)?.to_str().ok().map(str::trim)
    }
}

impl Proposal {
    fn new(style: &'static str, found: impl Into<String>) -> Self {
        Self { style, keys: Vec::new(), found: found.into(), sureness: Sureness::Likely, because: String::new() }
    }

    fn key(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.keys.push((name, value.into()));
        self
    }

    fn because(mut self, sureness: Sureness, because: impl Into<String>) -> Self {
        (self.sureness, self.because) = (sureness, because.into());
        self
    }

    fn into_finding(self) -> Finding {
        let Self { style, keys, found, sureness, because } = self;
        let prefix = format!("pagination.{style}");
        let settings = if keys.is_empty() {
            vec![Setting::new(prefix, Value::Object(serde_json::Map::new()))]
        } else {
            keys.into_iter().map(|(key, value)| Setting::new(format!("{prefix}.{key}"), value)).collect()
        };
        Finding { about: About::Paging, settings, found, sureness, because }
    }
}

#[cfg(test)]
mod tests;
