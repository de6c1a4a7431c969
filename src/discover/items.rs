//! Where in an answer its items are.

use super::{About, Finding, Listing, Page, Sureness, Undiscovered};

/// Returns the items of a page, and what was found out about where they are.
pub(super) fn find(page: &Page<'_>) -> Result<(Listing, Finding), Undiscovered> {
    let listing = Listing::of(page, ".[]").ok_or(Undiscovered::Bare("no list"))?;
    let finding = Finding {
        about: About::Items,
        settings: Vec::new(),
        found: format!("`{}`", listing.expression),
        sureness: Sureness::Likely,
        because: String::new(),
    };
    Ok((listing, finding))
}
