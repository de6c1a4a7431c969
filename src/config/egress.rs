//! Where requests may go, and by which way.

use url::Url;

use super::reader::Fields;
use super::secret::Scope;
use crate::model::egress::{Destination, DestinationError, Egress, Proxy};

/// Reads `egress`. What is wrong is reported and left out.
pub(super) fn egress(scope: Scope<'_>, root: &Fields<'_>) -> Option<Egress> {
    let fields = root.table_or_empty("egress")?;
    let (allow, deny) = (destinations(&fields, "allow"), destinations(&fields, "deny"));
    let except = destinations(&fields, "no_proxy");
    let proxy = fields.entry("proxy").and_then(|entry| {
        let found = scope.secret_address(&entry.node)?;
        let url = proxy_url(&found.text).map_err(|(message, help)| {
            scope.report.error_with_help(entry.node.place, message, help);
        });
        Some(Proxy { url: url.ok()?, except })
    });
    if let Some(entry) = fields.entry("no_proxy").filter(|_| fields.entry("proxy").is_none()) {
        let help = Some("write `proxy` beside it, or leave it out".to_owned());
        scope.report.warning(entry.key_place, "`no_proxy` means nothing without `proxy`", help);
    }
    Some(Egress { allow, deny, proxy })
}

fn destinations(fields: &Fields<'_>, name: &str) -> Vec<Destination> {
    let parsed = fields.texts(name).into_iter().filter_map(|(text, node)| {
        let parsed = text.parse::<Destination>();
        parsed.map_err(|error| fields.report.error_with_help(node.place, error.to_string(), help(&error))).ok()
    });
    parsed.collect()
}

fn help(error: &DestinationError) -> String {
    match error {
        DestinationError::Url => "write only the host, such as \"hooks.example.com\" or \"10.1.2.3:8080\"".to_owned(),
        DestinationError::HostBits(network) => {
            format!("write \"{}\", or \"{}\" for the one address", network.trunc(), network.addr())
        }
        DestinationError::Port => {
            "a port is a number from 0 to 65535, such as in \"hooks.example.com:8443\"".to_owned()
        }
        DestinationError::Network | DestinationError::Host => {
            "write \"10.1.0.0/16\", \"10.1.2.3:8080\", \"hooks.example.com\" or \"*.example.com\"".to_owned()
        }
        DestinationError::Wildcard => "write each name, or the networks".to_owned(),
    }
}

/// Returns the address of a proxy, or what is wrong with it and what would be right. Nothing of it is repeated.
fn proxy_url(text: &str) -> Result<Url, (&'static str, &'static str)> {
    const HELP: &str =
        "write it as \"http://proxy.example.com:3128\", a user as \"http://user:password@proxy.example.com:3128\"";
    let url = Url::parse(text.trim()).map_err(|_| ("this is not the address of a proxy", HELP))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(("a proxy is spoken to with http or https", HELP));
    }
    let has_more = !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some();
    if has_more { Err(("the address of a proxy ends with its port", HELP)) } else { Ok(url) }
}
