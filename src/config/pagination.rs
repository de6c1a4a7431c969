//! How the pages after the first are found.

use super::reader::Fields;
use crate::model::pagination::{Pagination, PagingStyle};

/// Reads `pagination`.
pub(super) fn pagination(fields: Option<&Fields<'_>>) -> Option<Pagination> {
    let (style, max_pages) = match fields.and_then(|fields| fields.table("link")) {
        Some(link) => (PagingStyle::Link, usize::try_from(link.count("max_pages")?).ok()?),
        None => (PagingStyle::Single, 1),
    };
    Some(Pagination { style, max_pages, stop: None, origins: Vec::new() })
}
