//! How the pages after the first are found.

use serde::{Deserialize, Serialize};

use super::expression::Expression;

/// How the pages of a poll are walked.
#[derive(Debug, Clone)]
pub struct Pagination {
    pub style: PagingStyle,
    /// The most pages of one poll; at least 1.
    pub max_pages: usize,
    /// What ends a poll before the last page, on purpose.
    pub stop: Option<StopRule>,
    /// Origins such as `https://b.example` that a next page may be on, beside that of the first page; it gets no
    /// credentials there.
    pub origins: Vec<String>,
}

/// Where the next page comes from.
#[derive(Debug, Clone)]
pub enum PagingStyle {
    /// There is one page.
    Single,
    /// The `Link` header with `rel="next"` (RFC 8288).
    Link,
    /// The answer holds the address of the next page, absolute or relative; nothing, `null`, `false` or an empty text ends
    /// the poll.
    NextUrl { address: TokenSource },
    /// The answer holds what the next page is asked with; nothing, `null`, `false` or an empty text ends the poll.
    Cursor { token: TokenSource, param: PageParam, more: Option<Expression> },
    /// Pages are numbered.
    Page {
        /// The number of the first page.
        start: u64,
        param: PageParam,
        size: Option<PageSize>,
        /// Gives the number of all pages.
        total_pages: Option<Expression>,
        /// Gives the number of all items.
        total: Option<Expression>,
        /// Falsy on the last page.
        more: Option<Expression>,
    },
    /// Pages are asked by how many items are before them.
    Offset {
        /// How many items are before the first page.
        start: u64,
        param: PageParam,
        size: PageSize,
        /// Gives the number of all items.
        total: Option<Expression>,
        /// Falsy on the last page.
        more: Option<Expression>,
        /// How many items of a page are asked for again with the next one, to notice that rows have moved.
        overlap: u64,
    },
}

/// Where the token or the address of the next page stands in an answer.
#[derive(Debug, Clone)]
pub enum TokenSource {
    /// In the body.
    Body(Expression),
    /// In this header.
    Header(String),
}

/// How many items a page has when it is not the last, and what asks for so many.
#[derive(Debug, Clone)]
pub struct PageSize {
    /// At least 1.
    pub items: u64,
    /// `None` if the request says it already, or cannot.
    pub param: Option<PageParam>,
}

/// Where a page's number, offset or token goes in its request. It is `{{ page }}` in any template as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageParam {
    /// A parameter of the address.
    Query(String),
    /// A field of a form, or a member of a JSON body under these names.
    Body(Vec<String>),
    /// Only where a template says `{{ page }}`.
    Template,
}

/// What ends a poll before the last page, on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopRule {
    /// A whole page is known and unchanged: the newest come first, and what follows is older.
    Known,
}

/// Which page is meant, in a form that can be kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PagePosition {
    First,
    /// An address, without secrets.
    Url(String),
    /// What it is asked with, as JSON.
    Token(String),
    Number(u64),
    Offset(u64),
}
