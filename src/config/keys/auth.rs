//! The keys of a connector that say how requests prove who they are from.

use super::{Key, Keys, Kind};

pub(super) static AUTH: Keys = Keys {
    what: "`auth`",
    all: &[
        Key::new("bearer", Kind::Table(&BEARER), "A token in the header `Authorization: Bearer …`."),
        Key::new("basic", Kind::Table(&BASIC), "A user name and password in the header `Authorization: Basic …`."),
        Key::new("header", Kind::Table(&NAME_AND_VALUE), "A secret in a header of the API's own."),
        Key::new("query", Kind::Table(&NAME_AND_VALUE), "A secret in the address, after `?`."),
        Key::later_secret("oauth2", "A token that is fetched with a client's id and secret."),
    ],
    exclusive: &[&["bearer", "basic", "header", "query", "oauth2"]],
};

static BEARER: Keys = Keys {
    what: "`auth.bearer`",
    all: &[Key::new("token", Kind::Secret, "The token; an empty one means that nothing is sent.")],
    exclusive: &[],
};

static BASIC: Keys = Keys {
    what: "`auth.basic`",
    all: &[
        Key::new("username", Kind::Template, "The user name."),
        Key::new("password", Kind::Secret, "The password; may be empty."),
    ],
    exclusive: &[],
};

static NAME_AND_VALUE: Keys = Keys {
    what: "`auth.header` or `auth.query`",
    all: &[
        Key::new("name", Kind::Text, "The name of the header or query parameter."),
        Key::new("value", Kind::Secret, "Its value; an empty one means that nothing is sent."),
    ],
    exclusive: &[],
};
