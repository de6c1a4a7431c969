//! How a connector's requests prove who they are from.

use super::reader::Fields;
use super::text::Texts;
use crate::model::auth::Auth;

/// Reads `auth`; a secret that is empty means none.
pub(super) fn auth(texts: &mut Texts<'_>, fields: &Fields<'_>) -> Option<Auth> {
    if let Some(bearer) = fields.table("bearer") {
        let token = texts.secret(&bearer.required("token")?.node)?;
        return (!token.expose().is_empty()).then_some(Auth::Bearer { token });
    }
    if let Some(basic) = fields.table("basic") {
        let (username, password) = (basic.required("username"), basic.required("password"));
        let username = &username?.node;
        let template = texts.template(username)?;
        let username = texts.rendered(username, &template)?;
        let password = texts.secret(&password?.node)?;
        let given = !username.is_empty() || !password.expose().is_empty();
        return given.then_some(Auth::Basic { username, password });
    }
    if let Some(header) = fields.table("header") {
        let (name, value) = name_and_value(texts, &header)?;
        return (!value.expose().is_empty()).then_some(Auth::Header { name, value });
    }
    if let Some(query) = fields.table("query") {
        let (name, value) = name_and_value(texts, &query)?;
        return (!value.expose().is_empty()).then_some(Auth::Query { name, value });
    }
    None
}

fn name_and_value(texts: &mut Texts<'_>, fields: &Fields<'_>) -> Option<(String, crate::model::secret::Secret)> {
    let (name, value) = (fields.required("name"), fields.required("value"));
    let value = value.and_then(|entry| texts.secret(&entry.node));
    let name = super::reader::text(fields.report, &name?.node)?.to_owned();
    Some((name, value?))
}
