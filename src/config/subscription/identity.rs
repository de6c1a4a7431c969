//! What a subscription's deliveries prove who they are from with, beside their signature.

use super::OWN_HEADERS;
use crate::config::auth::auth;
use crate::config::params::ParamValues;
use crate::config::reader::Fields;
use crate::config::secret::Scope;
use crate::config::text::Texts;
use crate::config::tls::tls;
use crate::config::tree::NodeValue;
use crate::model::auth::Auth;
use crate::model::secret::Secret;
use crate::model::signing::Signing;
use crate::model::tls::Tls;

/// Reads `auth` and `tls`.
pub(super) fn identity(
    scope: Scope<'_>,
    fields: &Fields<'_>,
    signing: Option<&Signing>,
    secrets: &mut Vec<Secret>,
) -> (Option<Auth>, Option<Tls>) {
    let no_params = ParamValues::default();
    let mut texts = Texts::plain(scope, &no_params, fields.place);
    let written = fields.table("auth");
    let auth = written.as_ref().and_then(|fields| auth(&mut texts, fields));
    let tls = fields.table("tls").and_then(|fields| tls(&mut texts, &fields));
    if let (Some(written), Some(header)) = (&written, auth.as_ref().and_then(Auth::header)) {
        check_header(fields, written, header, signing);
    }
    secrets.append(&mut texts.secrets);
    (auth, tls)
}

/// Reports that what `auth` sends in this header would take the place of something else, or the other way round.
fn check_header(fields: &Fields<'_>, auth: &Fields<'_>, header: &str, signing: Option<&Signing>) {
    if let Some(own) = OWN_HEADERS.iter().find(|own| own.eq_ignore_ascii_case(header)) {
        let named = auth.entry("header").and_then(|entry| match &entry.node.value {
            NodeValue::Table(table) => table.entries.iter().find(|entry| entry.key == "name"),
            _ => None,
        });
        let place = named.map_or(auth.place, |entry| entry.node.place);
        fields.report.error(place, format!("the header `{own}` is set by pollhook itself"));
    }
    if let Some(entry) = fields.entries("headers").iter().find(|entry| entry.key.eq_ignore_ascii_case(header)) {
        let message = format!("`auth` sets the header `{}` as well", entry.key);
        fields.report.error_with_help(entry.key_place, message, "leave one of them out");
    }
    if let Some(Signing::Header(signature, _)) = signing
        && signature.header.eq_ignore_ascii_case(header)
    {
        let message = format!("`auth` and `signature` both set the header `{}`", signature.header);
        fields.report.error_with_help(auth.place, message, "write the signature into another header");
    }
}
