//! The keys of a connector that say how the pages after the first are found.

use super::{Key, Keys, Kind, Words};

pub(super) static PAGINATION: Keys = Keys {
    what: "`pagination`",
    all: &[
        Key::new("link", Kind::Table(&LINK), "The header `Link` with `rel=\"next\"` (RFC 8288) names the next page."),
        Key::new("next_url", Kind::Table(&NEXT_URL), "The answer holds the address of the next page."),
        Key::new("cursor", Kind::Table(&CURSOR), "The answer holds what the next page is asked with."),
        Key::new("page", Kind::Table(&PAGE), "Pages are numbered."),
        Key::new("offset", Kind::Table(&OFFSET), "Pages are asked by how many items are before them."),
    ],
    exclusive: &[&["link", "next_url", "cursor", "page", "offset"]],
};

static LINK: Keys = Keys { what: "`pagination.link`", all: &[MAX_PAGES, STOP, ORIGINS], exclusive: &[] };

static NEXT_URL: Keys = Keys {
    what: "`pagination.next_url`",
    all: &[
        Key::new(
            "value",
            Kind::Expression,
            "What gives the address of the next page, absolute or relative to this one; nothing on the last page.",
        ),
        Key::new("header", Kind::Text, "The header of the answer that holds the address of the next page."),
        MAX_PAGES,
        STOP,
        ORIGINS,
    ],
    exclusive: &[&["value", "header"]],
};

static CURSOR: Keys = Keys {
    what: "`pagination.cursor`",
    all: &[
        Key::new(
            "token",
            Kind::Expression,
            "What gives the token of the next page; nothing on the last page. Of an object, each member is a parameter.",
        ),
        Key::new("header", Kind::Text, "The header of the answer that holds the token of the next page."),
        Key::new("param", Kind::Text, "What carries the token; unless `request` has `{{ page }}` where it belongs."),
        IN,
        MORE,
        MAX_PAGES,
        STOP,
    ],
    exclusive: &[&["token", "header"]],
};

static PAGE: Keys = Keys {
    what: "`pagination.page`",
    all: &[
        Key::new(
            "param",
            Kind::Text,
            "What carries the number of the page; unless `request` has `{{ page }}` where it belongs.",
        ),
        IN,
        Key::new("start", Kind::Count(0, MOST_ITEMS), "The number of the first page.").or("1"),
        SIZE,
        SIZE_PARAM,
        Key::new("total_pages", Kind::Expression, "What gives the number of all pages."),
        TOTAL,
        MORE,
        MAX_PAGES,
        STOP,
    ],
    exclusive: &[],
};

static OFFSET: Keys = Keys {
    what: "`pagination.offset`",
    all: &[
        Key::new("param", Kind::Text, "What carries the offset; unless `request` has `{{ page }}` where it belongs."),
        IN,
        Key::new("start", Kind::Count(0, MOST_ITEMS), "The offset of the first item.").or("0"),
        SIZE,
        SIZE_PARAM,
        TOTAL,
        MORE,
        Key::new(
            "overlap",
            Kind::Count(0, MOST_ITEMS),
            "How many items of a page are asked for again with the next one, to notice that items have moved.",
        )
        .or("0"),
        MAX_PAGES,
        STOP,
    ],
    exclusive: &[],
};

const MOST_ITEMS: u64 = 1_000_000_000;

const MAX_PAGES: Key = Key::new(
    "max_pages",
    Kind::Count(1, 10_000),
    "The most pages of one poll; a poll that is cut off by it is not complete.",
)
.or("50");

const STOP: Key = Key::new(
    "stop",
    Kind::Choice(&STOPS),
    "What ends a poll early: \"known\" is a page whose items are all known and unchanged, where the newest come first.",
);

static STOPS: Words = Words { words: &["known"], later: &[] };

const ORIGINS: Key = Key::new(
    "origins",
    Kind::Texts,
    "Other origins, such as \"https://b.example\", that a next page may be on; it gets no credentials there.",
);

const IN: Key =
    Key::new("in", Kind::Choice(&PLACES), "Where parameters go; in a JSON body `a.b` is `b` in `a`.").or("query");

static PLACES: Words = Words { words: &["query", "body"], later: &[] };

const SIZE: Key = Key::new("size", Kind::Count(1, MOST_ITEMS), "How many items a page has if it is not the last.");

const SIZE_PARAM: Key = Key::new("size_param", Kind::Text, "What carries `size`; unless `request` says it already.");

const TOTAL: Key = Key::new("total", Kind::Expression, "What gives the number of all items.");

const MORE: Key = Key::new("more", Kind::Expression, "What is falsy on the last page.");
