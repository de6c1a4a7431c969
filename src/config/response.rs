//! How an answer is read.

use super::reader::Fields;
use crate::model::connector::Response;
use crate::model::format::ResponseFormat;

/// Reads `response`.
pub(super) fn response(fields: &Fields<'_>) -> Option<Response> {
    let fields = fields.table_or_empty("response")?;
    let format = fields.choice("format", &[()]).map(|()| ResponseFormat::Json);
    let (items, error) = (fields.expression("items"), fields.expression("error"));
    Some(Response { format, items: items?, error })
}
