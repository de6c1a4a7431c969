//! Where the next page is, and whether there is one. Each style of paging has its own file.
//!
//! A page is the last only where the source says so, or where counting leaves no doubt. Whatever else ends paging is a
//! [`Truncation`], and so is coming back to where paging has been: the same address, token or content again.

mod address;
mod clues;
mod count;
mod cursor;
mod link;
mod truncation;

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use url::Url;

use super::error::PageError;
use super::fetch::shown;
use super::request::PageRequest;
use crate::http::header::HeaderMap;
use crate::model::connector::Connector;
use crate::model::excerpt::Excerpt;
use crate::model::fingerprint::{BodyHash, KeyHash};
use crate::model::pagination::{PageParam, PagePosition, PageSize, PagingStyle, TokenSource};
use crate::model::template::TemplateContext;
use crate::model::time::Timestamp;

pub(super) use clues::Clues;
pub use link::{PageLink, links};
pub(super) use truncation::Truncation;

use count::{Count, Numbers, Offsets};

/// Leads from page to page, and never in a circle.
pub(super) struct Pager {
    connector: Arc<Connector>,
    cursor: Option<String>,
    now: Timestamp,
    /// The request of the connector's first page, wherever paging began.
    first: PageRequest,
    /// The request of the present page.
    request: PageRequest,
    at: At,
    /// How many pages were read.
    pages: usize,
    /// The pages that were read, by what tells them apart, with their numbers.
    visited: HashMap<String, usize>,
    /// The bodies and the rows of the pages that were read and not empty, with their numbers.
    contents: HashMap<[u8; 32], usize>,
    count: Count,
}

/// Which page is meant; it may hold secrets.
#[derive(Debug, Clone)]
enum At {
    First,
    Url(Url),
    Token(Value),
    Number(u64),
    Offset(u64),
}

/// A page that was read.
#[derive(Debug)]
pub(super) struct PageRead<'a> {
    /// Where it was found in the end.
    pub url: &'a Url,
    pub headers: &'a HeaderMap,
    /// What its body says about the next page.
    pub clues: Clues,
    /// One hash for each value that `response.items` gave, in order: of an item's key, or else of the whole value.
    pub rows: &'a [KeyHash],
    /// Of its bytes.
    pub body: BodyHash,
}

/// What follows a page that was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Advance {
    /// Nothing: it was the last, and nothing was missed.
    Last,
    /// The page that is the present one from now on.
    Next,
    /// There may be more, but paging stops. After [`Truncation::MaxPages`], the present page is the next one all the
    /// same: another poll can go on there.
    Stop(Truncation),
}

/// What a style of paging makes of a page.
#[derive(Debug)]
enum Step {
    Last,
    To(At),
    Stop(Truncation),
}

/// Returns the most pages that one poll of the connector reads.
pub(super) fn max_pages(connector: &Connector) -> usize {
    connector.pagination.max_pages.max(1)
}

impl Pager {
    /// Returns the pager of a poll that begins with this page, or with the first.
    pub fn new(
        connector: &Arc<Connector>,
        cursor: Option<&str>,
        now: Timestamp,
        from: Option<&PagePosition>,
    ) -> Result<Self, PageError> {
        let first = fill_in(connector, cursor, now, &At::First)?;
        let begins_with_first = from.is_none_or(|from| *from == PagePosition::First);
        let mut pager = Self {
            connector: Arc::clone(connector),
            cursor: cursor.map(str::to_owned),
            now,
            request: first.clone(),
            first,
            at: At::First,
            pages: 0,
            visited: HashMap::new(),
            contents: HashMap::new(),
            count: Count::beginning(begins_with_first),
        };
        if let Some(from) = from {
            pager.at = pager.place(from)?;
            pager.request = pager.request_of(&pager.at)?;
        }
        Ok(pager)
    }

    /// Returns where the connector's auth may go: the address of its first page.
    pub fn home(&self) -> &Url {
        &self.first.url
    }

    /// Returns the request of the present page.
    pub fn request(&self) -> &PageRequest {
        &self.request
    }

    /// Returns the request of a page that was remembered.
    pub fn request_at(&self, position: &PagePosition) -> Result<PageRequest, PageError> {
        self.request_of(&self.place(position)?)
    }

    /// Returns the present page in a form that can be kept; `None` if it cannot be asked for without its secrets.
    pub fn position(&self) -> Option<PagePosition> {
        self.keepable(&self.at)
    }

    /// Goes on to the page after this one, which is the present one.
    pub fn advance(&mut self, page: &PageRead<'_>) -> Result<Advance, PageError> {
        self.pages += 1;
        self.visited.insert(self.mark(&self.at), self.pages);
        if let Some(earlier) = self.same_content(page) {
            return Ok(Advance::Stop(Truncation::SameContent { page: self.pages, earlier }));
        }
        let next = match self.step(page)? {
            Step::Last => return Ok(self.rows_moved().map_or(Advance::Last, Advance::Stop)),
            Step::Stop(truncation) => return Ok(Advance::Stop(truncation)),
            Step::To(next) => next,
        };
        let earlier = self.visited.get(&self.mark(&next)).copied();
        self.request = self.request_of(&next)?;
        self.at = next;
        Ok(match earlier {
            Some(earlier) => Advance::Stop(Truncation::Circle { page: self.pages, earlier }),
            None if self.pages >= max_pages(&self.connector) => {
                let max_pages = Truncation::MaxPages { most: max_pages(&self.connector) };
                Advance::Stop(self.rows_moved().unwrap_or(max_pages))
            }
            None => Advance::Next,
        })
    }

    /// Returns that rows moved while they were read, if they did, for a walk that ends with the page that was read last.
    pub fn rows_moved(&self) -> Option<Truncation> {
        self.count.moved_before().map(|page| Truncation::RowsMoved { page })
    }

    /// Returns the page after one whose body is as it was when `next` was remembered; `None` if it is the last.
    pub fn next_of_unchanged(
        &self,
        url: &Url,
        headers: &HeaderMap,
        is_not_modified: bool,
        next: Option<&PagePosition>,
    ) -> Result<Option<PagePosition>, PageError> {
        let found = match &self.connector.pagination.style {
            PagingStyle::Link => self.next_link(url, headers)?,
            PagingStyle::NextUrl { address: source @ TokenSource::Header(_) } => {
                self.next_url(url, cursor::token(source, None, headers))?
            }
            PagingStyle::Cursor { token: source @ TokenSource::Header(_), .. } => {
                cursor::token(source, None, headers).map(At::Token)
            }
            _ => return Ok(next.cloned()),
        };
        match found {
            Some(found) => Ok(self.keepable(&found)),
            // Servers may leave headers that did not change out of a 304.
            None if is_not_modified => Ok(next.cloned()),
            None => Ok(None),
        }
    }

    fn step(&mut self, page: &PageRead<'_>) -> Result<Step, PageError> {
        let to_page = |next: Option<At>| next.map_or(Step::Last, Step::To);
        Ok(match &self.connector.pagination.style {
            PagingStyle::Single => Step::Last,
            PagingStyle::Link => to_page(self.next_link(page.url, page.headers)?),
            PagingStyle::NextUrl { address } => {
                let next = cursor::token(address, page.clues.next.as_ref(), page.headers);
                to_page(self.next_url(page.url, next)?)
            }
            PagingStyle::Cursor { token: source, .. } => {
                let token = cursor::token(source, page.clues.next.as_ref(), page.headers);
                cursor::step(page, self.pages, &self.at, token)
            }
            PagingStyle::Page { start, size, .. } => {
                let rules = Numbers { start: *start, size: size.as_ref().map(|size| size.items) };
                let number = if let At::Number(number) = self.at { number } else { *start };
                self.count.after_number(&rules, number, page, self.pages)
            }
            PagingStyle::Offset { start, size, overlap, .. } => {
                let rules = Offsets { start: *start, size: size.items, overlap: *overlap };
                let offset = if let At::Offset(offset) = self.at { offset } else { *start };
                self.count.after_offset(&rules, offset, page, self.pages)
            }
        })
    }

    fn next_link(&self, url: &Url, headers: &HeaderMap) -> Result<Option<At>, PageError> {
        link::next_link(headers).map(|target| self.follow(url, &target)).transpose()
    }

    fn next_url(&self, url: &Url, next: Option<Value>) -> Result<Option<At>, PageError> {
        match next {
            Some(Value::String(target)) => self.follow(url, &target).map(Some),
            Some(other) => Err(PageError::Link { excerpt: Excerpt::of_value(&self.connector.redactor, &other) }),
            None => Ok(None),
        }
    }

    fn follow(&self, url: &Url, target: &str) -> Result<At, PageError> {
        address::follow(&self.connector, self.home(), url, target)
    }

    /// Remembers what a page shows, and returns the number of an earlier one that showed the same.
    fn same_content(&mut self, page: &PageRead<'_>) -> Option<usize> {
        if page.rows.is_empty() {
            return None;
        }
        let mut rows = blake3::Hasher::new();
        for row in page.rows {
            rows.update(&row.0);
        }
        let contents = [page.body.0, *rows.finalize().as_bytes()];
        let earlier = contents.iter().find_map(|content| self.contents.get(content).copied());
        self.contents.extend(contents.map(|content| (content, self.pages)));
        earlier
    }

    fn request_of(&self, at: &At) -> Result<PageRequest, PageError> {
        match at {
            At::First => Ok(self.first.clone()),
            At::Url(url) => Ok(self.first.to(url.clone())),
            at => fill_in(&self.connector, self.cursor.as_deref(), self.now, at),
        }
    }

    /// Returns what tells a page from others.
    fn mark(&self, at: &At) -> String {
        match at {
            At::First => self.first.url.to_string(),
            At::Url(url) => url.to_string(),
            At::Token(token) => format!("token {token}"),
            At::Number(number) | At::Offset(number) => number.to_string(),
        }
    }

    fn keepable(&self, at: &At) -> Option<PagePosition> {
        let is_plain = |text: &String| self.connector.redactor.redact(text) == *text;
        match at {
            At::First => Some(PagePosition::First),
            At::Url(url) => {
                let text = shown(&self.connector, url);
                (text == url.as_str()).then_some(PagePosition::Url(text))
            }
            At::Token(token) => Some(token.to_string()).filter(is_plain).map(PagePosition::Token),
            At::Number(number) => Some(PagePosition::Number(*number)),
            At::Offset(offset) => Some(PagePosition::Offset(*offset)),
        }
    }

    fn place(&self, position: &PagePosition) -> Result<At, PageError> {
        let unreadable =
            |text: &str| PageError::Link { excerpt: Excerpt::of(&self.connector.redactor, text.as_bytes()) };
        Ok(match position {
            PagePosition::First => At::First,
            PagePosition::Url(text) => At::Url(text.parse().map_err(|_| unreadable(text))?),
            PagePosition::Token(text) => {
                At::Token(crate::model::json::parse(text.as_bytes()).map_err(|_| unreadable(text))?)
            }
            PagePosition::Number(number) => At::Number(*number),
            PagePosition::Offset(offset) => At::Offset(*offset),
        })
    }
}

/// Returns the request of a page that is not asked for by its address.
fn fill_in(connector: &Connector, cursor: Option<&str>, now: Timestamp, at: &At) -> Result<PageRequest, PageError> {
    let (param, size) = match &connector.pagination.style {
        PagingStyle::Single | PagingStyle::Link | PagingStyle::NextUrl { .. } => (&PageParam::Template, None),
        PagingStyle::Cursor { param, .. } => (param, None),
        PagingStyle::Page { param, size, .. } => (param, size.as_ref()),
        PagingStyle::Offset { param, size, .. } => (param, Some(size)),
    };
    let page = match (at, &connector.pagination.style) {
        (At::Token(token), _) => Some(token.clone()),
        (At::Number(number) | At::Offset(number), _) => Some(Value::from(*number)),
        (_, PagingStyle::Page { start, .. } | PagingStyle::Offset { start, .. }) => Some(Value::from(*start)),
        _ => None,
    };
    let mut additions = Vec::new();
    if let Some(PageSize { items, param: Some(param) }) = size {
        additions.push((param, Value::from(*items)));
    }
    additions.extend(page.clone().map(|page| (param, page)));
    let context = TemplateContext { params: &connector.params.0, cursor, item: None, now, page: page.as_ref() };
    PageRequest::new(&connector.request, &context, &additions)
}

#[cfg(test)]
mod tests;
