//! A page's bytes → its items.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use url::Url;

use super::content::without_ignored;
use super::cursor::{self, ValueError, Watermark};
use super::decode::{Decoded, RawPage, decode, elements};
use super::error::{ItemProblem, PageError, Place};
use super::memo::{Identity, MOST_TEXTS, Meaning, Memo};
use super::paginate::Clues;
use crate::clock::Clock;
use crate::model::connector::{Connector, Response};
use crate::model::cursor::{CursorRules, CursorSource};
use crate::model::excerpt::{Excerpt, beginning};
use crate::model::expression::{Expression, ExpressionError};
use crate::model::fingerprint::{Canonical, Fingerprint, KeyHash};
use crate::model::item::{Item, Record};
use crate::model::json;

/// The longest key, in bytes.
pub const LONGEST_KEY: usize = 1024;

/// The most characters of a source's own error message that are repeated.
const LONGEST_REPORT: usize = 500;

/// The most levels of arrays and objects that a page may have: as many as are parsed.
const MOST_LEVELS: usize = 127;

/// What a page holds.
#[derive(Debug)]
pub(super) struct Extraction {
    pub items: Vec<Item>,
    /// One hash for each value that `response.items` gave, in order: of an item's key, or else of the whole value.
    pub rows: Vec<KeyHash>,
    /// What the body says about the pages after it.
    pub clues: Clues,
    /// The largest cursor value of all items, those that the filter leaves out included; or the answer's own.
    pub watermark: Watermark,
    /// For how long the page asks not to be asked for again, in its body.
    pub fresh_for: Option<Duration>,
    /// What the page's format is called.
    pub format: &'static str,
    /// How long it took to find out what the page says, as far as that comes before its items.
    pub decoding: Duration,
    /// What the items' texts came to, if they were told apart; of more than [`MOST_TEXTS`] only so many that it shows.
    pub meanings: Vec<(blake3::Hash, Meaning)>,
}

/// Returns the items of a page, which is that of this number, counted from 1, and was found at this address. An item is
/// not parsed if it is remembered what its text came to.
pub(super) fn extract(
    connector: &Connector,
    page: usize,
    url: &Url,
    content_type: Option<&str>,
    body: &Bytes,
    memo: &Memo,
    clock: &dyn Clock,
) -> Result<Extraction, PageError> {
    if let Some(extraction) = extract_texts(connector, content_type, body, memo, clock) {
        return Ok(extraction);
    }
    let began = clock.monotonic();
    let raw = RawPage { url: Some(url), content_type, body };
    let decoded = decode(&connector.response, raw, &connector.redactor)?;
    let decoding = clock.monotonic().saturating_sub(began);
    Ok(Extraction { decoding, ..extract_values(connector, page, decoded)? })
}

/// Returns the items of a page without parsing it as a whole; `None` if that cannot be done, or if anything is wrong
/// with it or with an item: then parsing it finds out what.
fn extract_texts(
    connector: &Connector,
    content_type: Option<&str>,
    body: &Bytes,
    memo: &Memo,
    clock: &dyn Clock,
) -> Option<Extraction> {
    let began = clock.monotonic();
    let needs_value =
        connector.response.error.is_some() || Clues::are_needed(connector) || cursor::is_in_answer(connector);
    let names = connector.response.items.listing().filter(|_| !needs_value)?;
    let texts = elements(connector.response.format.as_ref(), content_type, body, &names)?;
    let most_levels = MOST_LEVELS.checked_sub(names.len() + 1)?;
    let mut extraction = Extraction {
        items: Vec::with_capacity(texts.len()),
        rows: Vec::with_capacity(texts.len()),
        clues: Clues::default(),
        watermark: Watermark::default(),
        fresh_for: None,
        format: "JSON",
        decoding: clock.monotonic().saturating_sub(began),
        meanings: Vec::with_capacity(texts.len().min(MOST_TEXTS + 1)),
    };
    let mut canonical = Canonical::default();
    for text in texts {
        let text = text.get().as_bytes();
        let hash = blake3::hash(text);
        let meaning = match memo.get(&hash) {
            Some(meaning) => meaning.clone(),
            None => {
                let value = json::parse(text).ok().filter(|value| is_within(value, most_levels))?;
                understand(connector, &value, &mut canonical).ok()?
            }
        };
        if cursor::is_in_items(connector) {
            extraction.watermark.raise(meaning.cursor.as_ref()).ok()?;
        }
        let identity = meaning.identity.as_ref();
        extraction.rows.push(identity.map_or_else(|| row(hash.as_bytes()), |identity| identity.key_hash));
        let record = || Record::of_text(body.slice_ref(text));
        extraction.items.extend(identity.map(|identity| item(identity.clone(), record())));
        if extraction.meanings.len() <= MOST_TEXTS {
            extraction.meanings.push((hash, meaning));
        }
    }
    Some(extraction)
}

/// Tells whether a value has so many levels at most.
fn is_within(value: &Value, most: usize) -> bool {
    match value {
        Value::Array(elements) => most > 0 && elements.iter().all(|element| is_within(element, most - 1)),
        Value::Object(members) => most > 0 && members.values().all(|member| is_within(member, most - 1)),
        _ => true,
    }
}

/// Returns the items of a page's value.
fn extract_values(connector: &Connector, page: usize, decoded: Decoded<'_>) -> Result<Extraction, PageError> {
    let Decoded { format, value, items: expression, fresh_for } = decoded;
    check_reported_error(connector, &connector.response, &value)?;
    let clues = Clues::of(connector, &value)?;
    let mut watermark = cursor::value_of_answer(connector, &value).map_err(|error| answer_cursor(connector, error))?;
    // A failed expression leaves nothing to show, so that has to be set aside first.
    let excerpt = Excerpt::of_value(&connector.redactor, &value);
    let values = expression.into_outputs(value).map_err(|error| PageError::Response {
        setting: "response.items",
        expression: expression.source().to_owned(),
        error: error.message,
        excerpt,
    })?;
    let (mut items, mut rows) = (Vec::with_capacity(values.len()), Vec::with_capacity(values.len()));
    let mut canonical = Canonical::default();
    for (index, value) in values.into_iter().enumerate() {
        let meaning = understand(connector, &value, &mut canonical).map_err(|problem| PageError::Item {
            item: Place { page, position: index + 1, excerpt: Excerpt::of_value(&connector.redactor, &value) },
            problem: Box::new(problem),
        })?;
        if cursor::is_in_items(connector) {
            watermark.raise(meaning.cursor.as_ref())?;
        }
        match meaning.identity {
            Some(identity) => {
                rows.push(identity.key_hash);
                items.push(item(identity, value.into()));
            }
            None => {
                canonical.push(&value);
                rows.push(KeyHash(canonical.finish().0));
            }
        }
    }
    Ok(Extraction { items, rows, clues, watermark, fresh_for, format, decoding: Duration::ZERO, meanings: Vec::new() })
}

fn answer_cursor(connector: &Connector, error: ValueError) -> PageError {
    let expression = match &connector.cursor {
        Some(CursorRules { value: CursorSource::Answer(expression), .. }) => expression.source().to_owned(),
        _ => String::new(),
    };
    match error {
        ValueError::Expression(error) => PageError::Response {
            setting: "cursor.answer",
            expression,
            error: error.message,
            excerpt: Excerpt::default(),
        },
        ValueError::Kind(found) => PageError::AnswerCursor { expression, found },
    }
}

/// Returns what a value means to the connector's rules.
pub(super) fn understand(
    connector: &Connector,
    value: &Value,
    canonical: &mut Canonical,
) -> Result<Meaning, ItemProblem> {
    let cursor = cursor::value_of_item(connector, value).map_err(|error| {
        let expression = match &connector.cursor {
            Some(CursorRules { value: CursorSource::Item(expression), .. }) => expression.source().to_owned(),
            _ => String::new(),
        };
        match error {
            ValueError::Expression(error) => {
                ItemProblem::Expression { setting: "cursor.value", expression, error: error.message }
            }
            ValueError::Kind(found) => ItemProblem::Cursor { expression, found },
        }
    })?;
    Ok(Meaning { identity: identify(connector, value, canonical)?, cursor })
}

/// Returns what tells a row from others that has no key, because the filter leaves it out.
fn row(hash: &[u8; 32]) -> KeyHash {
    KeyHash(hash[..16].try_into().expect("16 of 32 bytes"))
}

fn item(Identity { key, key_hash, fingerprint }: Identity, record: Record) -> Item {
    Item { key, key_hash, fingerprint, record }
}

/// Fails if an answer reports a failure.
pub(super) fn check_reported_error(connector: &Connector, response: &Response, value: &Value) -> Result<(), PageError> {
    let Some(expression) = &response.error else { return Ok(()) };
    let outputs = expression.outputs(value).map_err(|error| PageError::Response {
        setting: "response.error",
        expression: expression.source().to_owned(),
        error: error.message,
        excerpt: Excerpt::of_value(&connector.redactor, value),
    })?;
    match outputs.first().map(AsRef::as_ref) {
        None | Some(Value::Null | Value::Bool(false)) => Ok(()),
        Some(report) => {
            let text = report.as_str().map_or_else(|| report.to_string(), str::to_owned);
            let message = beginning(&connector.redactor, text.as_bytes(), LONGEST_REPORT);
            Err(PageError::Reported { message })
        }
    }
}

/// Returns an item's identity; `None` if the filter leaves it out.
fn identify(connector: &Connector, value: &Value, canonical: &mut Canonical) -> Result<Option<Identity>, ItemProblem> {
    if let Some(filter) = &connector.item.filter
        && !filter.is_truthy(value).map_err(|error| failed("item.filter", filter, error))?
    {
        return Ok(None);
    }
    let key = key(&connector.item.key, value)?;
    if key.len() > LONGEST_KEY {
        return Err(ItemProblem::LongKey(key.len()));
    }
    let fingerprint = fingerprint(connector, value, canonical)?;
    Ok(Some(Identity { key_hash: KeyHash::of(&key), key: key.into(), fingerprint }))
}

fn failed(setting: &'static str, expression: &Expression, error: ExpressionError) -> ItemProblem {
    ItemProblem::Expression { setting, expression: expression.source().to_owned(), error: error.message }
}

/// Returns the key of an item's value.
pub(super) fn key(expressions: &[Expression], value: &Value) -> Result<String, ItemProblem> {
    if let [expression] = expressions {
        return Ok(match &*key_part(expression, value)? {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.as_str().to_owned(),
            other => other.to_string(),
        });
    }
    let parts = expressions.iter().map(|expression| Ok(key_part(expression, value)?.into_owned()));
    Ok(Value::Array(parts.collect::<Result<_, ItemProblem>>()?).to_string())
}

/// Returns the one value of a key expression, which identifies something.
fn key_part<'a>(expression: &Expression, value: &'a Value) -> Result<Cow<'a, Value>, ItemProblem> {
    let mut outputs = expression.outputs(value).map_err(|error| failed("item.key", expression, error))?;
    let found = match (outputs.len(), outputs.first().map(AsRef::as_ref)) {
        (1, Some(Value::Null)) => "null",
        (1, Some(Value::Array(_))) => "an array",
        (1, Some(Value::Object(_))) => "an object",
        (1, Some(Value::String(text))) if text.is_empty() => "an empty text",
        (1, _) => return Ok(outputs.swap_remove(0)),
        (0, _) => "nothing",
        _ => "several values",
    };
    Err(ItemProblem::Key { expression: expression.source().to_owned(), found })
}

/// Returns the fingerprint of an item's record.
pub(super) fn fingerprint_of(connector: &Connector, value: &Value) -> Result<Fingerprint, ItemProblem> {
    fingerprint(connector, value, &mut Canonical::default())
}

fn fingerprint(connector: &Connector, value: &Value, canonical: &mut Canonical) -> Result<Fingerprint, ItemProblem> {
    let rules = &connector.item;
    let counting = without_ignored(rules, value).map_err(|(ignored, error)| failed("item.ignore", ignored, error))?;
    match &rules.watch {
        None => canonical.push(&counting),
        Some(watched) => {
            for expression in watched {
                let outputs = expression.outputs(&counting).map_err(|error| failed("item.watch", expression, error))?;
                // Counted, so that the outputs of one expression cannot pass for those of the next.
                canonical.push(&Value::from(outputs.len()));
                for output in &outputs {
                    canonical.push(output);
                }
            }
        }
    }
    Ok(canonical.finish())
}

#[cfg(test)]
mod tests;
