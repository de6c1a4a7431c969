//! The keys of a connector that say how each new or changed item is asked for by itself.

use super::connector::REQUEST;
use super::response::{CSV_RULES, ERROR, FORMAT, HTML_RULES, RULES, XML_RULES};
use super::{Key, Keys, Kind};

pub(super) static DETAIL: Keys = Keys {
    what: "`detail`",
    all: &[
        Key::new("request", Kind::Table(&REQUEST), "The request for one item, which `{{ item }}` stands for."),
        Key::new("response", Kind::Table(&DETAIL_RESPONSE), "How its answer is read."),
        Key::new("concurrency", Kind::Count(1, 100), "The most of these requests at once.").or("4"),
    ],
    exclusive: &[],
};

static DETAIL_RESPONSE: Keys = Keys {
    what: "`detail.response`",
    all: &[
        FORMAT,
        Key::new(
            "items",
            Kind::Expression,
            "Gives what is laid over the item: members over members, anything else in its place.",
        )
        .or("."),
        ERROR,
        CSV_RULES,
        XML_RULES,
        HTML_RULES,
    ],
    exclusive: RULES,
};
