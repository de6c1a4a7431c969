//! What is observed of how requests prove who they are from.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::model::auth::Party;
use crate::model::quantity::format_duration;

/// What is observed of how requests prove who they are from.
#[derive(Debug)]
pub struct AuthTelemetry {
    tokens: Family<[(&'static str, String); 1], Counter>,
}

impl AuthTelemetry {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let tokens = Family::default();
        registry.register(
            "access_tokens",
            "Access tokens that were given, by the connector or subscription that was the first to want them",
            tokens.clone(),
        );
        Self { tokens }
    }

    /// A token endpoint gave an access token, which is used for so long.
    pub fn token_given(&self, party: &Party, used_for: Duration) {
        self.tokens.get_or_create(&[(party.kind(), party.to_string())]).inc();
        let used_for = format_duration(used_for);
        match party {
            Party::Connector(connector) => {
                tracing::debug!(%connector, %used_for, "{party}: there is a new access token, for {used_for}");
            }
            Party::Subscription(subscription) => {
                tracing::debug!(%subscription, %used_for, "{party}: there is a new access token, for {used_for}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Telemetry;

    #[test]
    fn tokens_are_counted_by_who_wanted_them_first() {
        let telemetry = Telemetry::shared();
        telemetry.auth.token_given(&Party::Connector("orders".parse().expect("a name")), Duration::from_secs(60));
        telemetry.auth.token_given(&Party::Subscription("erp".parse().expect("a name")), Duration::from_secs(60));
        let metrics = telemetry.metrics();
        for line in [
            r#"pollhook_access_tokens_total{connector="orders"} 1"#,
            r#"pollhook_access_tokens_total{subscription="erp"} 1"#,
        ] {
            assert!(metrics.contains(line), "{line} is not in\n{metrics}");
        }
    }
}
