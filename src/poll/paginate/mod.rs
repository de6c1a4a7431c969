//! Where the next page is, and whether there is one. Each style of paging has its own file.

mod clues;
mod link;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use url::Url;

use super::auth;
use super::error::{Excerpt, PageError};
use super::fetch::shown;
use super::request::PageRequest;
use crate::http::header::HeaderMap;
use crate::model::connector::Connector;
use crate::model::fingerprint::{BodyHash, KeyHash};
use crate::model::pagination::{PagePosition, PagingStyle};
use crate::model::time::Timestamp;

pub(super) use clues::Clues;

/// Leads from page to page, and never in a circle.
pub(super) struct Pager {
    connector: Arc<Connector>,
    /// The request of the connector's first page, wherever paging began.
    first: PageRequest,
    /// The request of the present page.
    request: PageRequest,
    at: At,
    /// How many pages were read.
    pages: usize,
    /// The pages that were read, by what tells their requests apart, with their numbers.
    visited: HashMap<String, usize>,
    /// The bodies and the rows of the pages that were read and not empty, with their numbers.
    contents: HashMap<[u8; 32], usize>,
}

/// Which page is meant; its address may hold secrets.
#[derive(Debug, Clone)]
enum At {
    First,
    Url(Url),
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
    /// Nothing: it was the last.
    Last,
    /// The page that is the present one from now on.
    Next,
    /// There may be more, but paging stops. After [`Truncation::MaxPages`], the present page is the next one all the
    /// same: another poll can go on there.
    Stop(Truncation),
}

/// Why paging stopped before the last page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Truncation {
    /// There are more pages than a poll may read.
    MaxPages { most: usize },
    /// A page leads to one that was read before.
    Circle { page: usize, earlier: usize },
    /// A page shows the very items of one that was read before.
    SameContent { page: usize, earlier: usize },
}

impl fmt::Display for Truncation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MaxPages { most } => write!(f, "there are more than {most} pages (max_pages)"),
            Self::Circle { page, earlier } => write!(f, "page {page} leads back to page {earlier}"),
            Self::SameContent { page, earlier } => write!(f, "page {page} shows the same as page {earlier}"),
        }
    }
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
        let first = PageRequest::first(connector, cursor, now)?;
        let mut pager = Self {
            connector: Arc::clone(connector),
            request: first.clone(),
            first,
            at: At::First,
            pages: 0,
            visited: HashMap::new(),
            contents: HashMap::new(),
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
        self.visited.insert(String::from(self.request.url.clone()), self.pages);
        if let Some(earlier) = self.same_content(page) {
            return Ok(Advance::Stop(Truncation::SameContent { page: self.pages, earlier }));
        }
        let next = match &self.connector.pagination.style {
            PagingStyle::NextUrl { .. } => self.next_url(page)?,
            _ => self.next_link(page.url, page.headers)?,
        };
        let Some(next) = next else { return Ok(Advance::Last) };
        let request = self.request_of(&next)?;
        let earlier = self.visited.get(request.url.as_str()).copied();
        self.at = next;
        self.request = request;
        Ok(match earlier {
            Some(earlier) => Advance::Stop(Truncation::Circle { page: self.pages, earlier }),
            None if self.pages >= max_pages(&self.connector) => {
                Advance::Stop(Truncation::MaxPages { most: max_pages(&self.connector) })
            }
            None => Advance::Next,
        })
    }

    /// Returns the page after one whose body is as it was when `next` was remembered; `None` if it is the last.
    pub fn next_of_unchanged(
        &self,
        url: &Url,
        headers: &HeaderMap,
        is_not_modified: bool,
        next: Option<&PagePosition>,
    ) -> Result<Option<PagePosition>, PageError> {
        let PagingStyle::Link = self.connector.pagination.style else { return Ok(next.cloned()) };
        match self.next_link(url, headers)? {
            Some(found) => Ok(self.keepable(&found)),
            // Servers may leave headers that did not change out of a 304.
            None if is_not_modified => Ok(next.cloned()),
            None => Ok(None),
        }
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

    fn next_link(&self, url: &Url, headers: &HeaderMap) -> Result<Option<At>, PageError> {
        let PagingStyle::Link = self.connector.pagination.style else { return Ok(None) };
        link::next_link(headers).map(|target| self.follow(url, &target)).transpose()
    }

    fn next_url(&self, page: &PageRead<'_>) -> Result<Option<At>, PageError> {
        match &page.clues.next {
            Some(serde_json::Value::String(target)) => self.follow(page.url, target).map(Some),
            Some(other) => Err(PageError::Link { excerpt: Excerpt::of_value(&self.connector.redactor, other) }),
            None => Ok(None),
        }
    }

    /// Returns the page that an address on a page leads to.
    fn follow(&self, url: &Url, target: &str) -> Result<At, PageError> {
        let Some(mut next) = link::resolve(url, target) else {
            return Err(PageError::Link { excerpt: Excerpt::of(&self.connector.redactor, target.as_bytes()) });
        };
        auth::forget_query_auth(&self.connector, &mut next);
        Ok(At::Url(next))
    }

    fn request_of(&self, at: &At) -> Result<PageRequest, PageError> {
        Ok(match at {
            At::First => self.first.clone(),
            At::Url(url) => self.first.to(url.clone()),
        })
    }

    fn keepable(&self, at: &At) -> Option<PagePosition> {
        match at {
            At::First => Some(PagePosition::First),
            At::Url(url) => {
                let text = shown(&self.connector, url);
                (text == url.as_str()).then_some(PagePosition::Url(text))
            }
        }
    }

    fn place(&self, position: &PagePosition) -> Result<At, PageError> {
        match position {
            PagePosition::Url(text) => match text.parse() {
                Ok(url) => Ok(At::Url(url)),
                Err(_) => Err(PageError::Link { excerpt: Excerpt::of(&self.connector.redactor, text.as_bytes()) }),
            },
            _ => Ok(At::First),
        }
    }
}
