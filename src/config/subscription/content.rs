//! What a subscription's receiver reads.

use crate::config::reader::Fields;
use crate::model::content::{Content, DeliveryFormat};

/// Reads how events become the bodies of deliveries.
pub(super) fn content(fields: &Fields<'_>) -> Option<Content> {
    let format = fields.choice("format", &[DeliveryFormat::Standard])?;
    Some(Content { format, ..Content::default() })
}
