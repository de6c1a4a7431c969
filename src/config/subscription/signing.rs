//! What a subscription's deliveries are signed with.

use super::OWN_HEADERS;
use crate::config::keys::SIGNING_SECRET;
use crate::config::reader::{Fields, one_or_list, wrong_type};
use crate::config::request::is_header_name;
use crate::config::secret::Scope;
use crate::config::tree::{Entry, Node, NodeValue};
use crate::model::secret::{Secret, SigningSecret};
use crate::model::signing::{HeaderSignature, HmacAlgorithm, SignatureEncoding, Signing, Timed};
use crate::model::time::Timestamp;

/// Reads the secrets and how they sign. What is wrong with one of them is reported, and it is left out.
pub(super) fn signing(scope: Scope<'_>, fields: &Fields<'_>, secrets: &mut Vec<Secret>) -> Option<Signing> {
    let entry = fields.entry("secret");
    let found: Vec<(&Node, Timed<Secret>)> = entry.map_or_else(Vec::new, |entry| timed(scope, entry));
    secrets.extend(found.iter().map(|(_, timed)| timed.secret.clone()));
    if let Some(ended) = found.iter().map(|(_, timed)| timed.until).max().flatten()
        && found.iter().all(|(_, timed)| timed.until.is_some())
        && let Some(entry) = entry
    {
        let message = format!("all secrets of this subscription end, the last one at {ended}");
        let help = "nothing is sent unsigned: write another secret beside them before that".to_owned();
        fields.report.warning(entry.key_place, message, Some(help));
    }
    let signature = match fields.entry("signature") {
        Some(entry) => signature(fields, entry)?,
        None => None,
    };
    Some(match signature {
        None => Signing::Standard(found.into_iter().filter_map(|found| standard(scope, found)).collect()),
        Some(signature) => Signing::Header(signature, found.into_iter().map(|found| plain(scope, found)).collect()),
    })
}

fn timed<'n>(scope: Scope<'_>, entry: &'n Entry) -> Vec<(&'n Node, Timed<Secret>)> {
    let nodes = one_or_list(&entry.node);
    if nodes.is_empty() {
        let help = "leave `secret` out if deliveries are not to be signed";
        scope.report.error_with_help(entry.node.place, "there is no secret in this list", help);
    }
    nodes.iter().filter_map(|node| Some((node, secret(scope, node)?))).collect()
}

/// Reads a secret that may have an end.
fn secret(scope: Scope<'_>, node: &Node) -> Option<Timed<Secret>> {
    let NodeValue::Table(table) = &node.value else {
        return scope.secret(node).map(|found| Timed::always(Secret::new(found.text)));
    };
    let fields = Fields::new(scope.report, table, node.place, &SIGNING_SECRET);
    let text = match fields.entry("value") {
        Some(value) if matches!(value.node.value, NodeValue::Table(_)) => {
            wrong_type(scope.report, &value.node, "a text");
            None
        }
        Some(value) => scope.secret(&value.node).map(|found| found.text),
        None if !scope.may_name_places(node) => None,
        None => scope.named(&fields),
    };
    let until = match fields.entry("until") {
        Some(until) => Some(time(scope, &until.node)?),
        None => None,
    };
    Some(Timed { secret: Secret::new(text?), until })
}

fn time(scope: Scope<'_>, node: &Node) -> Option<Timestamp> {
    let (NodeValue::Text(text) | NodeValue::Date(text)) = &node.value else {
        wrong_type(scope.report, node, "a time such as \"2026-12-01T00:00:00Z\"");
        return None;
    };
    let time = Timestamp::parse(text).or_else(|_| Timestamp::parse(&format!("{text}T00:00:00Z")));
    time.map_err(|error| {
        let help = "write a date, or a time with its offset from UTC, which is `Z` or such as `+01:00`";
        scope.report.error_with_help(node.place, error.to_string(), help);
    })
    .ok()
}

fn standard(scope: Scope<'_>, (node, timed): (&Node, Timed<Secret>)) -> Option<Timed<SigningSecret>> {
    match SigningSecret::parse(timed.secret.expose()) {
        Ok(secret) => Some(Timed { secret, until: timed.until }),
        Err(error) => {
            let help = "make one with: echo \"whsec_$(openssl rand -base64 32)\"";
            scope.report.error_with_help(node.place, error.to_string(), help);
            None
        }
    }
}

fn plain(scope: Scope<'_>, (node, timed): (&Node, Timed<Secret>)) -> Timed<Secret> {
    if timed.secret.expose().is_empty() {
        scope.report.error(node.place, "this secret is empty, so that everybody could sign with it");
    }
    timed
}

/// Reads how an HMAC is written into a header; `Some(None)` means as Standard Webhooks says.
#[expect(clippy::option_option, reason = "the outer one says whether all is right, as everywhere here")]
fn signature(fields: &Fields<'_>, entry: &Entry) -> Option<Option<HeaderSignature>> {
    let signature = fields.table("signature")?;
    if fields.entry("secret").is_none() && !fields.is_meant("secret") {
        let help = "write `secret` beside it, or leave `signature` out";
        fields.report.error_with_help(entry.key_place, "there is no secret to sign with", help);
    }
    let (written, place) = match signature.entry("style") {
        // The other word is "standard".
        Some(style) if signature.choice("style", &[false, true])? => (HeaderSignature::github(), style.node.place),
        Some(_) => return Some(None),
        None => {
            let header = signature.required("header")?;
            (own(&signature, header)?, header.node.place)
        }
    };
    if fields.entries("headers").iter().any(|other| other.key.eq_ignore_ascii_case(&written.header)) {
        let message = format!("the header `{}` is set in `headers` as well", written.header);
        fields.report.error(place, message);
    }
    Some(Some(written))
}

fn own(signature: &Fields<'_>, header: &Entry) -> Option<HeaderSignature> {
    let name = signature.text("header")?;
    if !is_header_name(name) {
        signature.report.error(header.node.place, format!("`{name}` cannot be the name of a header"));
    } else if OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
        signature.report.error(header.node.place, format!("the header `{name}` is set by pollhook itself"));
    }
    if let Some(prefix) = signature.entry("prefix")
        && let NodeValue::Text(text) = &prefix.node.value
        && !text.chars().all(|c| matches!(c, ' '..='~'))
    {
        signature.report.error(prefix.node.place, "this prefix has characters that a header cannot have");
    }
    let algorithms = [HmacAlgorithm::Sha1, HmacAlgorithm::Sha256, HmacAlgorithm::Sha512];
    Some(HeaderSignature {
        header: name.to_owned(),
        prefix: signature.text("prefix").unwrap_or_default().to_owned(),
        algorithm: signature.choice("algorithm", &algorithms)?,
        encoding: signature.choice("encoding", &[SignatureEncoding::Hex, SignatureEncoding::Base64])?,
    })
}
