//! What a subscription's receiver reads.

use crate::config::reader::Fields;
use crate::config::secret::Scope;
use crate::config::tree::Entry;
use crate::model::content::{BatchPolicy, Content, DeliveryFormat, TooLarge};
use crate::model::secret::Secret;

/// In the order of their names in the table of keys.
const FORMATS: [DeliveryFormat; 6] = [
    DeliveryFormat::Standard,
    DeliveryFormat::CloudEvents,
    DeliveryFormat::CloudEventsBinary,
    DeliveryFormat::CloudEventsBatch,
    DeliveryFormat::Form,
    DeliveryFormat::Raw,
];

/// Reads how events become the bodies of deliveries.
pub(super) fn content(scope: Scope<'_>, fields: &Fields<'_>, secrets: &mut Vec<Secret>) -> Option<Content> {
    let format = fields.choice("format", &FORMATS);
    let content = Content {
        format: format.unwrap_or(DeliveryFormat::Standard),
        body: fields.expression("body"),
        params: params(scope, fields),
        batch: batch(fields),
        max_body: fields.size("max_body")?,
        too_large: fields.choice("too_large", &[TooLarge::DeadLetter, TooLarge::WithoutPrevious])?,
    };
    secrets.extend(content.params.iter().map(|(_, value)| value.clone()));
    check_together(fields, format?);
    Some(content)
}

fn params(scope: Scope<'_>, fields: &Fields<'_>) -> Vec<(String, Secret)> {
    if let Some(entry) = fields.entry("params").filter(|_| fields.entry("body").is_none() && !fields.is_meant("body")) {
        let help = "write them as `.params.NAME` into a `body`, or leave them out";
        fields.report.error_with_help(entry.key_place, "there is no `body` that could use these params", help);
    }
    let found = |entry: &Entry| Some((entry.key.clone(), Secret::new(scope.secret(&entry.node)?.text)));
    fields.entries("params").iter().filter_map(found).collect()
}

fn batch(fields: &Fields<'_>) -> Option<BatchPolicy> {
    let batch = fields.table("batch")?;
    let (max, wait) = (batch.count("max"), batch.duration("wait"));
    Some(BatchPolicy { max: usize::try_from(max?).ok()?, wait: wait? })
}

/// Reports what the format cannot have beside it.
fn check_together(fields: &Fields<'_>, format: DeliveryFormat) {
    let name = fields.text("format").unwrap_or_default();
    let cannot = |entry: &Entry, help: &str| {
        let message = format!("the format \"{name}\" has no `{}`", entry.key);
        fields.report.error_with_help(entry.key_place, message, help);
    };
    let has_body = matches!(format, DeliveryFormat::Standard | DeliveryFormat::Form);
    if let Some(entry) = fields.entry("body").filter(|_| !has_body) {
        cannot(entry, "`body` replaces the event in the formats \"standard\" and \"form\"");
    }
    let joins =
        matches!(format, DeliveryFormat::Standard | DeliveryFormat::CloudEvents | DeliveryFormat::CloudEventsBatch);
    if let Some(entry) = fields.entry("batch").filter(|_| !joins) {
        cannot(entry, "events are joined in the formats \"standard\", \"cloudevents\" and \"cloudevents-batch\"");
    }
    let has_previous = !matches!(format, DeliveryFormat::CloudEventsBinary | DeliveryFormat::Raw);
    if let Some(entry) = fields.entry("too_large").filter(|_| !has_previous)
        && fields.text("too_large") == Some("without-previous")
    {
        let message = format!("the format \"{name}\" has no `previous` that could be left out");
        fields.report.warning(entry.node.place, message, None);
    }
}
