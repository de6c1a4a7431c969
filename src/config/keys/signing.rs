//! The keys that say what a subscription's deliveries are signed with, and how.

use super::{Key, Keys, Kind, Words};

/// An entry of a subscription's `secret`.
pub(in crate::config) static SIGNING_SECRET: Keys = Keys {
    what: "a secret to sign with",
    all: &[
        Key::new("env", Kind::Text, "The environment variable that holds it."),
        Key::new(
            "file",
            Kind::Text,
            "The file that holds it, relative to the configuration file; its last newline does not count.",
        ),
        Key::new("value", Kind::Secret, "The secret itself."),
        Key::new(
            "until",
            Kind::Text,
            "When it is no longer used, such as \"2026-12-01T00:00:00Z\"; a date means its beginning in UTC. Without it always.",
        ),
    ],
    exclusive: &[&["env", "file", "value"]],
};

/// A subscription's `signature`.
pub(super) static SIGNATURE: Keys = Keys {
    what: "`signature`",
    all: &[
        Key::new(
            "style",
            Kind::Choice(&STYLES),
            "As Standard Webhooks says, or as GitHub does: `X-Hub-Signature-256: sha256=…`.",
        ),
        Key::new("header", Kind::Text, "The header that carries an HMAC of the body, where `style` does not say it."),
        Key::new("prefix", Kind::Text, "What stands before the HMAC, such as \"sha256=\"; without it nothing."),
        Key::new("algorithm", Kind::Choice(&ALGORITHMS), "The hash that the HMAC is made with.").or("sha256"),
        Key::new("encoding", Kind::Choice(&ENCODINGS), "How the HMAC is written.").or("hex"),
    ],
    exclusive: &[&["style", "header"], &["style", "prefix"], &["style", "algorithm"], &["style", "encoding"]],
};

static STYLES: Words = Words { words: &["standard", "github"], later: &[] };

static ALGORITHMS: Words = Words { words: &["sha1", "sha256", "sha512"], later: &[] };

static ENCODINGS: Words = Words { words: &["hex", "base64"], later: &[] };
