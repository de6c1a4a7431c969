//! How each new or changed item is asked for by itself.

use super::connector::required_table;
use super::reader::Fields;
use super::request::request;
use super::response::response;
use super::text::Texts;
use crate::model::connector::Detail;

/// Reads `detail`.
pub(super) fn detail(texts: &Texts<'_>, fields: &Fields<'_>) -> Option<Detail> {
    let texts = texts.with_names(&["item"]);
    let request = required_table(fields, "request", "url").and_then(|fields| request(&texts, &fields));
    let (response, concurrency) = (response(fields), fields.count("concurrency"));
    Some(Detail { request: request?, response: response?, concurrency: usize::try_from(concurrency?).ok()? })
}
