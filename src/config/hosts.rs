//! What all connectors of a host share.

use std::collections::HashMap;

use super::keys::HOST;
use super::reader::Fields;
use crate::model::limits::{HostLimits, HostName, HostNameError};

/// Reads `hosts`. What is wrong is reported and left out.
pub(super) fn hosts(root: &Fields<'_>) -> HashMap<HostName, HostLimits> {
    let mut hosts = HashMap::new();
    for entry in root.entries("hosts") {
        let name = entry.key.parse::<HostName>();
        if let Err(error) = &name {
            let help = match error {
                HostNameError::Address => "write only the host, such as [hosts.\"api.github.com\"]",
                HostNameError::Host => "write it as addresses do, such as \"api.github.com\" or \"localhost:8080\"",
            };
            root.report.error_with_help(entry.key_place, error.to_string(), help);
        }
        let Some(fields) = Fields::of_entry(root.report, entry, &HOST) else { continue };
        let limits = HostLimits {
            rate: fields.rate("rate"),
            concurrency: fields.count("concurrency").and_then(|count| usize::try_from(count).ok()),
        };
        let Ok(name) = name else { continue };
        if hosts.contains_key(&name) {
            let help = "http and https, and the ports 80 and 443, share their limits; leave one of them out";
            root.report.error_with_help(entry.key_place, format!("the host `{name}` is written twice"), help);
        }
        hosts.insert(name, limits);
    }
    hosts
}
