//! The keys of the service: everything but connectors and subscriptions.

use super::connector::CONNECTOR;
use super::subscription::SUBSCRIPTION;
use super::{Key, Keys, Kind};

/// The whole of `config.toml`.
pub(in crate::config) static ROOT: Keys = Keys {
    what: "the configuration",
    all: &[
        Key::new("server", Kind::Table(&SERVER), "The admin API, the dashboard and the metrics."),
        Key::new("store", Kind::Table(&STORE), "Where is kept what must survive."),
        Key::new("catalog", Kind::Table(&CATALOG), "Where the connector templates are."),
        Key::new("retention", Kind::Table(&RETENTION), "How long events and their deliveries are kept."),
        Key::new("connectors", Kind::Map(&Kind::Table(&CONNECTOR)), "The sources, by name."),
        Key::new("subscriptions", Kind::Map(&Kind::Table(&SUBSCRIPTION)), "Who is told of what, by name."),
        Key::new("hosts", Kind::Map(&Kind::Table(&HOST)), "Limits that all connectors of a host share, by host."),
        Key::new("egress", Kind::Table(&EGRESS), "Where requests may go, and by which way."),
    ],
    exclusive: &[],
};

static SERVER: Keys = Keys {
    what: "`server`",
    all: &[
        Key::new("listen", Kind::Text, "The address and port to listen on.").or("127.0.0.1:8787"),
        Key::new(
            "token",
            Kind::Secret,
            "What clients must prove to know; required unless `listen` is a loopback address.",
        ),
    ],
    exclusive: &[],
};

static STORE: Keys = Keys {
    what: "`store`",
    all: &[
        Key::new("sled", Kind::Table(&SLED), "An embedded store in a folder, for one instance."),
        Key::later_secret("postgres", "A PostgreSQL database that several instances share."),
        Key::later("redb", "An embedded store in one file."),
    ],
    exclusive: &[&["sled", "postgres", "redb"]],
};

static SLED: Keys = Keys {
    what: "`store.sled`",
    all: &[Key::new(
        "path",
        Kind::Text,
        "The store's folder, relative to the configuration file; made if it is missing.",
    )
    .or("data")],
    exclusive: &[],
};

static CATALOG: Keys = Keys {
    what: "`catalog`",
    all: &[Key::new(
        "path",
        Kind::Text,
        "The folder with the connector templates, relative to the configuration file.",
    )
    .or("connectors")],
    exclusive: &[],
};

/// One host of `[hosts]`.
pub(in crate::config) static HOST: Keys = Keys {
    what: "a host",
    all: &[
        Key::new("rate", Kind::Rate, "How many requests it is sent in a time at most, such as \"10/s\" or \"5000/h\"."),
        Key::new("concurrency", Kind::Count(1, 1000), "How many requests it is sent at once at most.").or("8"),
    ],
    exclusive: &[],
};

static EGRESS: Keys = Keys {
    what: "`egress`",
    all: &[
        Key::new(
            "allow",
            Kind::Texts,
            "Where subscriptions made over the API may lead beside public addresses: networks, addresses, names, names \
             below one as \"*.example.com\"; a port may follow, but not a network.",
        ),
        Key::new(
            "deny",
            Kind::Texts,
            "Where nothing may go, polls and configured subscriptions included, written in the same ways; it wins.",
        ),
        Key::new(
            "proxy",
            Kind::Secret,
            "An HTTP proxy for everything that leaves this machine, such as \"http://proxy.example.com:3128\", with http \
             or https, and perhaps with a user and a password.",
        ),
        Key::new("no_proxy", Kind::Texts, "Where requests go without the proxy, written in the same ways as `allow`."),
    ],
    exclusive: &[],
};

static RETENTION: Keys = Keys {
    what: "`retention`",
    all: &[
        Key::new("delivered", Kind::Duration("1m", "3650d"), "How long delivered events and their attempts are kept.")
            .or("7d"),
        Key::new("dead", Kind::Duration("1m", "3650d"), "How long dead letters are kept.").or("30d"),
    ],
    exclusive: &[],
};
