//! How an answer is read.

use super::reader::{Fields, part_of_text, text, wrong_type};
use super::tree::{Entry, NodeValue};
use crate::model::connector::Response;
use crate::model::expression::Expression;
use crate::model::format::{CsvRules, HtmlField, HtmlRules, ResponseFormat, XmlRules};
use crate::model::selector::Selector;

/// The formats in the order of their words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Json,
    Ndjson,
    Csv,
    Xml,
    Feed,
    Html,
}

/// Reads `response`.
pub(super) fn response(fields: &Fields<'_>) -> Option<Response> {
    let fields = fields.table_or_empty("response")?;
    let (format, is_well) = format(&fields);
    let error = fields.expression("error");
    // Where the answer is one thing, and not a list of items, nothing is different in a feed.
    let is_usual = fields.entry("items").is_none() && fields.default("items") == Some(".[]");
    let items = match format {
        Some(ResponseFormat::Feed) if is_usual => Expression::parse(".items[]").ok(),
        _ => fields.expression("items"),
    };
    let items_by_default = is_usual && format.is_none();
    is_well.then_some(Response { format, items: items?, items_by_default, error })
}

/// Returns the format, if it is written or follows from rules that are, and whether nothing is wrong with it.
fn format(fields: &Fields<'_>) -> (Option<ResponseFormat>, bool) {
    use Name::{Csv, Feed, Html, Json, Ndjson, Xml};
    let written = fields.entry("format");
    let named = fields.choice("format", &[Json, Ndjson, Csv, Xml, Feed, Html]);
    let mut rules = [("csv", Csv), ("xml", Xml), ("html", Html)].into_iter();
    let rules = rules.find_map(|(key, name)| Some((fields.entry(key)?, name)));
    if let (Some((entry, name)), Some(named)) = (rules, named)
        && name != named
    {
        let message = format!("`{0}` needs format = \"{0}\"", entry.key);
        fields.report.error_with_help(entry.key_place, message, "leave out one of them");
        return (None, false);
    }
    let is_well = written.is_none() || named.is_some();
    let format = match named.or(rules.map(|(_, name)| name)) {
        None => return (None, is_well),
        Some(Json) => Some(ResponseFormat::Json),
        Some(Ndjson) => Some(ResponseFormat::Ndjson),
        Some(Feed) => Some(ResponseFormat::Feed),
        Some(Csv) => match fields.table("csv") {
            Some(rules) => csv(&rules).map(ResponseFormat::Csv),
            None => rules.is_none().then(|| ResponseFormat::Csv(CsvRules::default())),
        },
        Some(Xml) => match fields.table("xml") {
            Some(rules) => Some(ResponseFormat::Xml(xml(&rules))),
            None => rules.is_none().then(|| ResponseFormat::Xml(XmlRules::default())),
        },
        Some(Html) => match fields.table("html") {
            Some(rules) => html(&rules).map(ResponseFormat::Html),
            None => {
                if let (Some(entry), None) = (written, rules) {
                    let help = "write html = { items = \"li.entry\", fields = { title = \"h2\" } } beside it";
                    fields.report.error_with_help(entry.node.place, "HTML has no items without `html`", help);
                }
                None
            }
        },
    };
    let is_well = is_well && format.is_some();
    (format, is_well)
}

fn csv(fields: &Fields<'_>) -> Option<CsvRules> {
    let delimiter = fields.entry("delimiter").map(|entry| delimiter(fields, entry));
    let columns: Option<Vec<String>> = fields
        .entry("columns")
        .map(|_| fields.texts("columns").into_iter().map(|(column, _)| column.to_owned()).collect());
    if let (Some(entry), Some(columns)) = (fields.entry("columns"), &columns)
        && let Some((index, twice)) = columns.iter().enumerate().find(|(index, name)| columns[..*index].contains(name))
    {
        let message = format!("\"{twice}\" is named twice: column {} needs a name of its own", index + 1);
        fields.report.error(entry.node.place, message);
        return None;
    }
    if delimiter == Some(None) {
        return None;
    }
    Some(CsvRules { delimiter: delimiter.flatten(), columns })
}

fn delimiter(fields: &Fields<'_>, entry: &Entry) -> Option<u8> {
    match text(fields.report, &entry.node)?.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n') => Some(*byte),
        _ => {
            fields.report.error(entry.node.place, "a delimiter is one ASCII character, and no quote");
            None
        }
    }
}

fn xml(fields: &Fields<'_>) -> XmlRules {
    XmlRules { lists: fields.texts("lists").into_iter().map(|(name, _)| name.to_owned()).collect() }
}

fn html(fields: &Fields<'_>) -> Option<HtmlRules> {
    let items = fields.required("items").and_then(|entry| selector(fields, entry));
    let written = fields.required("fields").map_or(&[][..], |_| fields.entries("fields"));
    let known: Vec<_> =
        written.iter().filter_map(|entry| Some((entry.key.clone(), html_field(fields, entry)?))).collect();
    (known.len() == written.len() && !known.is_empty()).then_some(())?;
    Some(HtmlRules { items: items?, fields: known })
}

/// Reads a field: the selector of its text, or a table.
fn html_field(fields: &Fields<'_>, entry: &Entry) -> Option<HtmlField> {
    match &entry.node.value {
        NodeValue::Text(_) => Some(HtmlField { select: Some(selector(fields, entry)?), attribute: None, all: false }),
        NodeValue::Table(table) => {
            let fields = Fields::new(fields.report, table, entry.key_place, &super::keys::HTML_FIELD);
            let select = match fields.entry("select") {
                Some(entry) => Some(selector(&fields, entry)?),
                None => None,
            };
            let attribute = match fields.entry("attribute") {
                Some(entry) => Some(text(fields.report, &entry.node)?.to_ascii_lowercase()),
                None => None,
            };
            Some(HtmlField { select, attribute, all: fields.boolean("all")? })
        }
        _ => {
            wrong_type(
                fields.report,
                &entry.node,
                "a selector, or a table such as { select = \"a\", attribute = \"href\" }",
            );
            None
        }
    }
}

fn selector(fields: &Fields<'_>, entry: &Entry) -> Option<Selector> {
    match Selector::parse(text(fields.report, &entry.node)?) {
        Ok(selector) => Some(selector),
        Err(error) => {
            let place = part_of_text(fields.report, &entry.node, Some(error.span));
            fields.report.error(place, format!("this is not a CSS selector: {}", error.message));
            None
        }
    }
}
