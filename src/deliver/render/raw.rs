//! The format `raw`: the item alone.

use super::recipe::RenderError;
use crate::model::event::Event;

/// Writes the item as the event has it; `null` for a removed item that was not kept.
#[expect(clippy::unnecessary_wraps, reason = "the formats are written by functions of one form")]
pub(super) fn write(event: &Event, out: &mut Vec<u8>) -> Result<(), RenderError> {
    out.extend_from_slice(event.data.get().as_bytes());
    Ok(())
}
