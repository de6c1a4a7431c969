//! The keys of a connector that say how the pages after the first are found.

use super::{Key, Keys, Kind};

pub(super) static PAGINATION: Keys = Keys {
    what: "`pagination`",
    all: &[
        Key::new("link", Kind::Table(&LINK), "The header `Link` with `rel=\"next\"` (RFC 8288) names the next page."),
        Key::later("next_url", "The answer holds the address of the next page."),
        Key::later("cursor", "The answer holds what the next page is asked with."),
        Key::later("page", "Pages are numbered."),
        Key::later("offset", "Pages are asked by how many items are before them."),
    ],
    exclusive: &[&["link", "next_url", "cursor", "page", "offset"]],
};

static LINK: Keys = Keys {
    what: "`pagination.link`",
    all: &[Key::new(
        "max_pages",
        Kind::Count(1, 10_000),
        "The most pages of one poll; a poll that is cut off by it is not complete.",
    )
    .or("50")],
    exclusive: &[],
};
