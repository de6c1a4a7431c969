//! The keys of a subscription.

use super::auth::{AUTH, TLS};
use super::signing::SIGNATURE;
use super::{Key, Keys, Kind, Words};
use crate::model::content::BatchPolicy;

/// One subscription.
pub(in crate::config) static SUBSCRIPTION: Keys = Keys {
    what: "a subscription",
    all: &[
        Key::new("url", Kind::Address, "Where events are POSTed, with http or https."),
        Key::new(
            "connectors",
            Kind::Texts,
            "The connectors it listens to, with `*` for any run of characters; without it all.",
        ),
        Key::new("events", Kind::Texts, "The events it wants, such as \"created\" or \"orders.*\"; without it all."),
        Key::new("filter", Kind::Expression, "Only events for which this is truthy are sent."),
        Key::new(
            "secret",
            Kind::SigningSecrets,
            "What deliveries are signed with: `whsec_…` (HMAC-SHA256) or `whsk_…` (ed25519), or any text where `signature` \
             says so; a list signs with each.",
        ),
        Key::new(
            "signature",
            Kind::Table(&SIGNATURE),
            "How deliveries are signed, for receivers with a way of their own.",
        ),
        Key::new("format", Kind::Choice(&DELIVERY_FORMATS), "How events are rendered.").or("standard"),
        Key::new(
            "body",
            Kind::Expression,
            "What takes the place of the event in the formats `standard` and `form`: the first output for the event's JSON.",
        ),
        Key::new("batch", Kind::Table(&BATCH), "Several events in one delivery; without it one each."),
        Key::new("max_body", Kind::Size("1KiB", "64MiB"), "The largest body that the receiver takes.").or("1MiB"),
        Key::new(
            "too_large",
            Kind::Choice(&TOO_LARGE),
            "What becomes of an event whose body is larger; without `previous` it may still be too large.",
        )
        .or("dead-letter"),
        Key::new("headers", Kind::Map(&Kind::Secret), "Headers beside those of the format."),
        Key::new("timeout", Kind::Duration("100ms", "5m"), "How long an attempt may take, to the end of the answer.")
            .or("15s"),
        Key::new("concurrency", Kind::Count(1, 1000), "The most attempts under way at once.").or("8"),
        Key::new(
            "retry",
            Kind::Durations("10ms", "30d"),
            "The waits between attempts; an empty list means a single attempt.",
        )
        .or("[\"5s\", \"5m\", \"30m\", \"2h\", \"5h\", \"10h\", \"14h\", \"20h\", \"24h\"]"),
        Key::later("rate", "How many deliveries are sent in a time at most."),
        Key::later("order", "Whether changes of an item, or all, are sent strictly one after the other."),
        Key::new("auth", Kind::Table(&AUTH), "How deliveries prove who they are from, beside their signature."),
        Key::new("tls", Kind::Table(&TLS), "Certificates of your own."),
    ],
    exclusive: &[],
};

static DELIVERY_FORMATS: Words =
    Words { words: &["standard", "cloudevents", "cloudevents-binary", "cloudevents-batch", "form", "raw"], later: &[] };

static TOO_LARGE: Words = Words { words: &["dead-letter", "without-previous"], later: &[] };

static BATCH: Keys = Keys {
    what: "`batch`",
    all: &[
        Key::new("max", Kind::Count(1, BatchPolicy::MOST as u64), "The most events of a delivery.").or("100"),
        Key::new("wait", Kind::Duration("0s", "1h"), "How long the first event waits for others at most.").or("1s"),
    ],
    exclusive: &[],
};
