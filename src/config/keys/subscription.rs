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
        Key::new(
            "params",
            Kind::Map(&Kind::Secret),
            "What `body` finds at `.params`: keys and tokens that a receiver wants in the body.",
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
            "rate",
            Kind::Rate,
            "How many attempts are made in a time in the long run; without it as many as can be.",
        ),
        Key::new(
            "burst",
            Kind::Count(1, 100_000),
            "How many attempts of `rate` may follow each other at once after a quiet time; without it the rate's number.",
        ),
        Key::new(
            "order",
            Kind::Choice(&ORDERS),
            "What is sent strictly in order: nothing, the changes of each item, or all.",
        )
        .or("none"),
        Key::new(
            "when_blocked",
            Kind::Choice(&WHEN_BLOCKED),
            "With an order, what becomes of a delivery that is not acknowledged: it becomes a dead letter and the next goes on (\"skip\"), or it is attempted for ever and the others wait (\"wait\").",
        )
        .or("skip"),
        Key::new(
            "retry",
            Kind::Durations("10ms", "30d"),
            "The waits between attempts; an empty list means a single attempt.",
        )
        .or("[\"5s\", \"5m\", \"30m\", \"2h\", \"5h\", \"10h\", \"14h\", \"20h\", \"24h\"]"),
        Key::new(
            "give_up_after",
            Kind::Duration("1s", "366d"),
            "How long after a delivery was queued it is attempted again; without it as long as `retry` says.",
        ),
        Key::new(
            "give_up_on",
            Kind::Forms,
            "Statuses that make a dead letter at once, such as [400, 422] or [\"4xx\"]; a class leaves out 408, 425 and 429.",
        ),
        Key::new(
            "breaker",
            Kind::TableOrFalse(&BREAKER),
            "When nothing is sent for a while because the receiver fails.",
        ),
        Key::new(
            "disable_after",
            Kind::Forms,
            "After how long of failing without a single acknowledged attempt the subscription is disabled, from 1h to 366d, or false.",
        )
        .or("5d"),
        Key::new("auth", Kind::Table(&AUTH), "How deliveries prove who they are from, beside their signature."),
        Key::new("tls", Kind::Table(&TLS), "Certificates of your own."),
    ],
    exclusive: &[],
};

static ORDERS: Words = Words { words: &["none", "item", "all"], later: &[] };

static WHEN_BLOCKED: Words = Words { words: &["skip", "wait"], later: &[] };

static BREAKER: Keys = Keys {
    what: "`breaker`",
    all: &[
        Key::new(
            "failure_rate",
            Kind::Text,
            "The share of failed attempts at which nothing more is sent, from \"1%\" to \"100%\".",
        )
        .or("100%"),
        Key::new("attempts", Kind::Count(1, 1000), "How many of the last attempts are looked at.").or("10"),
        Key::new(
            "rest",
            Kind::Duration("1s", "1d"),
            "How long nothing is sent, before a single attempt is made; each further time in a row twice as long.",
        )
        .or("10s"),
        Key::new("longest_rest", Kind::Duration("1s", "1d"), "How long nothing is sent at most.").or("5m"),
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
        Key::new("wait", Kind::Duration("0s", "10m"), "How long the first event waits for others at most.").or("1s"),
    ],
    exclusive: &[],
};
