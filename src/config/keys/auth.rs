//! The keys that say how requests of connectors and subscriptions prove who they are from.

use super::{Key, Keys, Kind, Words};

pub(super) static AUTH: Keys = Keys {
    what: "`auth`",
    all: &[
        Key::new("bearer", Kind::Table(&BEARER), "A token in the header `Authorization: Bearer …`."),
        Key::new("basic", Kind::Table(&BASIC), "A user name and password in the header `Authorization: Basic …`."),
        Key::new("header", Kind::Table(&NAME_AND_VALUE), "A secret in a header of any name."),
        Key::new("query", Kind::Table(&NAME_AND_VALUE), "A secret in the address, after `?`."),
        Key::new(
            "oauth2",
            Kind::Table(&OAUTH2),
            "An access token that a token endpoint gives for a client's secret or a refresh token (RFC 6749).",
        ),
        Key::new("digest", Kind::Table(&DIGEST), "A user name and password that are not sent themselves (RFC 7616)."),
        Key::new("sigv4", Kind::Table(&SIGV4), "A signature of each request, as AWS wants it (Signature Version 4)."),
    ],
    exclusive: &[&["bearer", "basic", "header", "query", "oauth2", "digest", "sigv4"]],
};

/// `tls`.
pub(super) static TLS: Keys = Keys {
    what: "`tls`",
    all: &[
        Key::new(
            "ca",
            Kind::FilledIn,
            "Authorities that are trusted beside the usual ones: a PEM file, relative to the configuration file, or PEM.",
        ),
        Key::new(
            "cert",
            Kind::FilledIn,
            "The client's own certificate and those that lead to its authority: a PEM file, or PEM.",
        ),
        Key::new("key", Kind::Forms, "The key of `cert`: a PEM file, PEM, or PEM as { env = … } or { file = … }."),
        Key::new("min_version", Kind::Choice(&TLS_VERSIONS), "The oldest version of TLS that is spoken.").or("1.2"),
    ],
    exclusive: &[],
};

static TLS_VERSIONS: Words = Words { words: &["1.2", "1.3"], later: &[] };

static OAUTH2: Keys = Keys {
    what: "`auth.oauth2`",
    all: &[
        Key::new("token_url", Kind::FilledIn, "The address of the token endpoint, with http or https."),
        Key::new("client_id", Kind::Secret, "The client's id."),
        Key::new("client_secret", Kind::Secret, "The client's secret."),
        Key::new(
            "refresh_token",
            Kind::Secret,
            "The first refresh token; what the endpoint replaces it with is kept in the store.",
        ),
        Key::new("scope", Kind::FilledIn, "What the token is to allow, separated by spaces."),
        Key::new(
            "client_auth",
            Kind::Choice(&CLIENT_AUTH),
            "Whether id and secret are sent in the header `Authorization: Basic …` or in the body.",
        )
        .or("basic"),
        Key::new("params", Kind::Map(&Kind::FilledIn), "Further parameters of the token request, such as `audience`."),
    ],
    exclusive: &[],
};

static CLIENT_AUTH: Words = Words { words: &["basic", "body"], later: &[] };

static DIGEST: Keys = Keys {
    what: "`auth.digest`",
    all: &[
        Key::new("username", Kind::FilledIn, "The user name."),
        Key::new("password", Kind::Secret, "The password; may be empty."),
    ],
    exclusive: &[],
};

static SIGV4: Keys = Keys {
    what: "`auth.sigv4`",
    all: &[
        Key::new("access_key_id", Kind::Secret, "The id of the access key."),
        Key::new("secret_access_key", Kind::Secret, "The access key's secret."),
        Key::new("session_token", Kind::Secret, "What came with temporary keys."),
        Key::new("region", Kind::FilledIn, "The region of the service, such as \"eu-west-1\"."),
        Key::new(
            "service",
            Kind::FilledIn,
            "The service that is asked or delivered to, such as \"execute-api\" or \"s3\".",
        ),
    ],
    exclusive: &[],
};

static BEARER: Keys = Keys {
    what: "`auth.bearer`",
    all: &[Key::new("token", Kind::Secret, "The token; an empty one means that nothing is sent.")],
    exclusive: &[],
};

static BASIC: Keys = Keys {
    what: "`auth.basic`",
    all: &[
        Key::new("username", Kind::FilledIn, "The user name."),
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
