//! Certificates and keys: read from their files, and refused if they cannot be used.

use std::fs::File;

use super::environment::Environment;
use super::reader::Fields;
use super::secret::plain;
use super::text::Texts;
use super::tree::{Entry, Node, NodeValue};
use crate::clock::SystemClock;
use crate::model::secret::Secret;
use crate::model::subscription::Origin;
use crate::model::tls::{Authorities, ClientIdentity, Tls, TlsVersion};

/// Reads `tls`.
pub(super) fn tls(texts: &mut Texts<'_>, fields: &Fields<'_>) -> Option<Tls> {
    // A template by itself has no files yet.
    let stand_in = texts.scope.environment?.stand_in();
    let mut entries = ["ca", "cert", "key"].into_iter().filter_map(|name| fields.entry(name));
    if let Some(stand_in) = stand_in.filter(|_| entries.any(|entry| is_out_of_reach(texts, &entry.node))) {
        texts.secrets.push(Secret::new(stand_in.to_owned()));
        return None;
    }
    let report = fields.report;
    let authorities = fields.entry("ca").map(|entry| {
        let pem = file(texts, &entry.node)?;
        Authorities::parse(&pem).map_err(|error| report.error(entry.node.place, error.to_string())).ok()
    });
    let identity = match (fields.entry("cert"), fields.entry("key")) {
        (None, None) => None,
        (Some(certificate), Some(key)) => Some(identity(texts, fields, certificate, key)),
        (Some(alone), None) | (None, Some(alone)) => {
            let message = format!("`{}` stands alone", alone.key);
            report.error_with_help(alone.key_place, message, "a client's certificate and its key go together");
            return None;
        }
    };
    let (authorities, identity) = (flattened(authorities)?, flattened(identity)?);
    let min_version = fields.choice("min_version", &[TlsVersion::V1_2, TlsVersion::V1_3])?;
    let is_usual = authorities.is_none() && identity.is_none() && min_version == TlsVersion::default();
    (!is_usual).then(|| Tls::new(authorities, identity, min_version))
}

/// Returns what was read, if anything was to be; `None` if something was wrong with it.
#[expect(clippy::option_option, reason = "not written and not readable are two different things")]
fn flattened<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    match read {
        Some(None) => None,
        Some(Some(read)) => Some(Some(read)),
        None => Some(None),
    }
}

fn identity(texts: &mut Texts<'_>, fields: &Fields<'_>, certificate: &Entry, key: &Entry) -> Option<ClientIdentity> {
    let report = fields.report;
    let (pem, key_pem) = (file(texts, &certificate.node), key_of(texts, &key.node));
    let identity = ClientIdentity::parse(&pem?, &key_pem?).map_err(|error| {
        let place = if error.is_of_key() { key.node.place } else { certificate.node.place };
        report.error(place, error.to_string());
    });
    let identity = identity.ok()?;
    if let Some(at) = identity.expires_at().filter(|at| *at <= SystemClock::shared().now()) {
        // No error: what does not need it need not stand still because of it.
        let help = "until there is a new one, every request that needs it fails".to_owned();
        report.warning(certificate.node.place, format!("this certificate expired at {at}"), Some(help));
    }
    Some(identity)
}

/// Tells whether a file cannot be opened here, or a secret is not to be had.
fn is_out_of_reach(texts: &Texts<'_>, node: &Node) -> bool {
    match &node.value {
        NodeValue::Table(_) => texts.scope.secret(node).is_some_and(|found| Environment::is_stand_in(&found.text)),
        NodeValue::Text(text) if !text.trim_start().starts_with("-----BEGIN") => {
            texts.filled_in(node).is_some_and(|path| File::open(texts.scope.folder.join(path)).is_err())
        }
        _ => false,
    }
}

/// Returns the text of a key: in a file that is named, or wherever secrets can be.
fn key_of(texts: &Texts<'_>, node: &Node) -> Option<Secret> {
    match &node.value {
        NodeValue::Text(text) if !text.trim_start().starts_with("-----BEGIN") => file(texts, node).map(Secret::new),
        _ => texts.scope.secret(node).map(|found| Secret::new(found.text)),
    }
}

/// Returns the text that is written here, or that of the file whose path is, relative to the configuration file.
fn file(texts: &Texts<'_>, node: &Node) -> Option<String> {
    let written = texts.filled_in(node)?;
    if written.trim_start().starts_with("-----BEGIN") {
        return Some(written);
    }
    if texts.scope.origin == Origin::Api {
        let help = "write its PEM text, from -----BEGIN on; files are named in the configuration file only";
        texts.scope.report.error_with_help(node.place, "over the API a certificate or key is given as it is", help);
        return None;
    }
    let path = texts.scope.folder.join(written);
    std::fs::read_to_string(&path)
        .map_err(|error| {
            let message = format!("the file `{}` cannot be read: {}", path.display(), plain(&error));
            texts.scope.report.error(node.place, message);
        })
        .ok()
}
