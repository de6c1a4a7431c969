//! What a subscription's deliveries are signed with.

use crate::config::reader::{Fields, one_or_list};
use crate::config::secret::Scope;
use crate::model::secret::{Secret, SigningSecret};
use crate::model::signing::{Signing, Timed};

/// Reads the secrets and how they sign. What is wrong with one of them is reported, and it is left out.
pub(super) fn signing(scope: Scope<'_>, fields: &Fields<'_>, secrets: &mut Vec<Secret>) -> Option<Signing> {
    let nodes = fields.entry("secret").map_or(&[][..], |entry| one_or_list(&entry.node));
    let mut signing = Vec::new();
    for node in nodes {
        let Some(found) = scope.secret(node) else { continue };
        match SigningSecret::parse(&found.text) {
            Ok(secret) => signing.push(Timed::always(secret)),
            Err(error) => {
                let help = "make one with: echo \"whsec_$(openssl rand -base64 32)\"";
                fields.report.error_with_help(node.place, error.to_string(), help);
            }
        }
        secrets.push(Secret::new(found.text));
    }
    Some(Signing::Standard(signing))
}
