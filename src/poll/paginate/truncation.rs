//! Why paging stops before the last page.

use std::fmt;

/// Why paging stopped, or why what it found is not everything. Pages are counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::poll) enum Truncation {
    /// There are more pages than a poll may read.
    MaxPages { most: usize },
    /// A page leads to one that was read before.
    Circle { page: usize, earlier: usize },
    /// A page shows the very items of one that was read before.
    SameContent { page: usize, earlier: usize },
    /// The source says that there is more after a page, but not where.
    LeadsNowhere { page: usize },
    /// The source says that it has more rows than its pages show.
    FewerThanTotal { rows: u64, total: u64 },
    /// Rows moved to earlier pages while they were read. Paging went on, but may have missed some.
    RowsMoved { page: usize },
}

impl fmt::Display for Truncation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MaxPages { most } => write!(f, "there are more than {most} pages (max_pages)"),
            Self::Circle { page, earlier } => write!(f, "page {page} leads back to page {earlier}"),
            Self::SameContent { page, earlier } => write!(f, "page {page} shows the same as page {earlier}"),
            Self::LeadsNowhere { page } => {
                write!(f, "the source says that there is more after page {page}, but not where")
            }
            Self::FewerThanTotal { rows, total } => {
                write!(f, "the source says that there are {total} items in all, and its pages have {rows}")
            }
            Self::RowsMoved { page } => {
                write!(f, "rows moved before page {page} was read, so that some may have been missed")
            }
        }
    }
}
