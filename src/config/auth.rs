//! How requests of connectors and subscriptions prove who they are from.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::reader::{Fields, text};
use super::request::is_header_name;
use super::text::{Texts, url};
use crate::model::auth::{Auth, ClientAuth, OAuth2, OAuth2Grant, SigV4};
use crate::model::secret::Secret;

/// Reads `auth`; a secret that is empty means none.
pub(super) fn auth(texts: &mut Texts<'_>, fields: &Fields<'_>) -> Option<Auth> {
    if let Some(bearer) = fields.table("bearer") {
        let token = texts.secret(&bearer.required("token")?.node)?;
        return (!token.expose().is_empty()).then_some(Auth::Bearer { token });
    }
    if let Some(basic) = fields.table("basic") {
        let (username, password) = username_and_password(texts, &basic)?;
        // A source that shows what it was asked shows this.
        texts.secrets.push(Secret::new(STANDARD.encode(format!("{username}:{}", password.expose()))));
        let given = !username.is_empty() || !password.expose().is_empty();
        return given.then_some(Auth::Basic { username, password });
    }
    if let Some(header) = fields.table("header") {
        let (name, value) = name_and_value(texts, &header)?;
        if !is_header_name(&name) {
            let place = header.entry("name").map_or(header.place, |entry| entry.node.place);
            header.report.error(place, format!("`{name}` cannot be the name of a header"));
            return None;
        }
        return (!value.expose().is_empty()).then_some(Auth::Header { name, value });
    }
    if let Some(query) = fields.table("query") {
        let (name, value) = name_and_value(texts, &query)?;
        return (!value.expose().is_empty()).then_some(Auth::Query { name, value });
    }
    if let Some(digest) = fields.table("digest") {
        let (username, password) = username_and_password(texts, &digest)?;
        return Some(Auth::Digest { username, password });
    }
    if let Some(fields) = fields.table("oauth2") {
        return oauth2(texts, &fields).map(Box::new).map(Auth::OAuth2);
    }
    if let Some(fields) = fields.table("sigv4") {
        return sigv4(texts, &fields).map(Box::new).map(Auth::SigV4);
    }
    None
}

fn name_and_value(texts: &mut Texts<'_>, fields: &Fields<'_>) -> Option<(String, Secret)> {
    let (name, value) = (fields.required("name"), fields.required("value"));
    let value = value.and_then(|entry| texts.secret(&entry.node));
    let name = text(fields.report, &name?.node)?.to_owned();
    Some((name, value?))
}

fn username_and_password(texts: &mut Texts<'_>, fields: &Fields<'_>) -> Option<(String, Secret)> {
    fields.required("username");
    fields.required("password");
    let (username, password) = (filled_in(texts, fields, "username"), secret(texts, fields, "password"));
    Some((username?, password?))
}

/// Parameters of a token request that other keys stand for.
const OWN_PARAMETERS: [(&str, &str); 5] = [
    ("grant_type", "refresh_token"),
    ("client_id", "client_id"),
    ("client_secret", "client_secret"),
    ("refresh_token", "refresh_token"),
    ("scope", "scope"),
];

fn oauth2(texts: &mut Texts<'_>, fields: &Fields<'_>) -> Option<OAuth2> {
    let token_url = fields.required("token_url").and_then(|entry| {
        let written = filled_in(texts, fields, "token_url")?;
        url(fields.report, entry.node.place, &written)
    });
    fields.required("client_id");
    let client_id = public(texts, fields, "client_id");
    let client_secret = secret(texts, fields, "client_secret").filter(|secret| !secret.expose().is_empty());
    let refresh_token = secret(texts, fields, "refresh_token").filter(|token| !token.expose().is_empty());
    if fields.entry("client_secret").is_none() && fields.entry("refresh_token").is_none() {
        let help = "write `client_secret`, or `refresh_token` if somebody has allowed this client what it needs";
        let message = "`auth.oauth2` has nothing that a token could be had for";
        fields.report.error_with_help(fields.place, message, help);
        return None;
    }
    for entry in fields.entries("params") {
        if let Some((name, key)) = OWN_PARAMETERS.iter().find(|(name, _)| *name == entry.key) {
            let message = format!("the parameter `{name}` is set by pollhook itself");
            fields.report.error_with_help(entry.key_place, message, format!("see `auth.oauth2.{key}`"));
        }
    }
    let extra = fields.entries("params").iter().map(|entry| Some((entry.key.clone(), texts.filled_in(&entry.node)?)));
    let extra = extra.collect::<Option<_>>();
    let scope = filled_in(texts, fields, "scope").filter(|scope| !scope.is_empty());
    let client_auth = fields.choice("client_auth", &[ClientAuth::Basic, ClientAuth::Body]);
    Some(OAuth2 {
        token_url: token_url?,
        grant: refresh_token.map_or(OAuth2Grant::ClientCredentials, OAuth2Grant::RefreshToken),
        client_id: client_id?,
        client_secret,
        client_auth: client_auth?,
        scope,
        extra: extra?,
    })
}

fn sigv4(texts: &mut Texts<'_>, fields: &Fields<'_>) -> Option<SigV4> {
    for name in ["access_key_id", "secret_access_key", "region", "service"] {
        fields.required(name);
    }
    let access_key_id = public(texts, fields, "access_key_id");
    let secret_access_key = secret(texts, fields, "secret_access_key");
    let session_token = secret(texts, fields, "session_token").filter(|token| !token.expose().is_empty());
    let (region, service) = (filled_in(texts, fields, "region"), filled_in(texts, fields, "service"));
    Some(SigV4 {
        access_key_id: access_key_id?,
        secret_access_key: secret_access_key?,
        session_token,
        region: region?,
        service: service?,
    })
}

/// Returns a secret, if it is written.
fn secret(texts: &mut Texts<'_>, fields: &Fields<'_>, name: &str) -> Option<Secret> {
    texts.secret(&fields.entry(name)?.node)
}

/// Returns what is written where secrets are written, but is none.
fn public(texts: &mut Texts<'_>, fields: &Fields<'_>, name: &str) -> Option<String> {
    let known = texts.secrets.len();
    let value = secret(texts, fields, name);
    texts.secrets.truncate(known);
    value.map(|value| value.expose().to_owned())
}

/// Returns a text with the params filled in, if it is written.
fn filled_in(texts: &Texts<'_>, fields: &Fields<'_>, name: &str) -> Option<String> {
    texts.filled_in(&fields.entry(name)?.node)
}
