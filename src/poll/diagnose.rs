//! Why a look finds nothing, or cannot read what it finds: which part of an expression stopped matching, and what was
//! there instead.

use serde_json::Value;

use super::cursor::{self, ValueError};
use super::decode::{Decoded, RawPage, decode};
use super::error::ItemProblem;
use super::extract::understand;
use super::memo::Meaning;
use super::walk::Visit;
use crate::model::connector::Connector;
use crate::model::cursor::{CursorRules, CursorSource};
use crate::model::expression::{Expression, Outcome, Part, Stop};
use crate::model::fingerprint::Canonical;
use crate::model::shape::Shape;

/// The most levels at which other arrays are looked for.
const DEEPEST_ARRAY: usize = 4;

/// The most other arrays that are named.
const MOST_ARRAYS: usize = 3;

/// The least part of two names that is the same for one to be suggested for the other.
const LEAST_LIKENESS: f64 = 0.5;

/// Returns sentences that explain why nothing came of the pages of a look, secrets taken out; none if the answers say
/// nothing about that.
pub(super) fn explain(connector: &Connector, pages: &[Visit]) -> Vec<String> {
    // A page that was not understood is the last one. Otherwise all are alike.
    let not_understood = pages.last().filter(|page| page.format.is_none());
    let Some(page) = not_understood.or(pages.first()) else { return Vec::new() };
    let raw = RawPage { url: None, content_type: page.content_type.as_deref(), body: &page.body };
    let Ok(Decoded { value, items, .. }) = decode(&connector.response, raw, &connector.redactor) else {
        return Vec::new();
    };
    let sentences = of_page(connector, items, &value);
    sentences.iter().map(|sentence| connector.redactor.redact(sentence)).collect()
}

/// Returns sentences about what is probably not meant, although items were found, secrets taken out.
pub(super) fn warn(connector: &Connector, pages: &[Visit]) -> Vec<String> {
    let expression = cursor_expression(connector).filter(|_| cursor::is_in_items(connector));
    let (Some(expression), Some(page)) = (expression, pages.first()) else { return Vec::new() };
    let raw = RawPage { url: None, content_type: page.content_type.as_deref(), body: &page.body };
    let Ok(Decoded { value, items, .. }) = decode(&connector.response, raw, &connector.redactor) else {
        return Vec::new();
    };
    let Ok(values) = items.outputs(&value) else { return Vec::new() };
    let has_none = |value: &Value| matches!(cursor::value_of_item(connector, value), Ok(None));
    let Some(first) = values.first().filter(|_| values.iter().all(|value| has_none(value))) else { return Vec::new() };
    let whole = format!("`cursor.value` ({}) gives nothing in any of {} items", expression.source(), values.len());
    let sentences = [whole].into_iter().chain(stopped(expression, first, "the first item"));
    sentences.map(|sentence| connector.redactor.redact(&sentence)).collect()
}

fn of_page(connector: &Connector, items: &Expression, value: &Value) -> Vec<String> {
    if let Err(ValueError::Expression(_) | ValueError::Kind(_)) = cursor::value_of_answer(connector, value) {
        let expression = cursor_expression(connector);
        return expression.and_then(|expression| stopped(expression, value, "the answer")).into_iter().collect();
    }
    if let Some(stop) = items.stop(value) {
        let mut sentences = vec![in_words(&stop, "the answer")];
        sentences.extend(parts_read(&stop));
        if stop.outcome != Outcome::Nothing {
            sentences.extend(other_arrays(value));
        }
        return sentences;
    }
    let Ok(values) = items.outputs(value) else { return Vec::new() };
    let mut canonical = Canonical::default();
    let meanings: Vec<_> = values.iter().map(|value| understand(connector, value, &mut canonical)).collect();
    if let Some(index) = meanings.iter().position(Result::is_err)
        && let Err(problem) = &meanings[index]
    {
        let well = meanings.iter().filter(|meaning| meaning.is_ok()).count();
        let mut sentences = of_item(connector, problem, index + 1, &values[index]);
        if well > 0 {
            sentences.push(format!("{well} of the {} items on this page are well", values.len()));
        }
        return sentences;
    }
    let is_left_out = |meaning: &Meaning| meaning.identity.is_none();
    let all_left_out = meanings.iter().flatten().all(is_left_out);
    match (&connector.item.filter, values.first()) {
        (Some(filter), Some(first)) if all_left_out => of_filter(filter, first),
        _ => Vec::new(),
    }
}

fn of_item(connector: &Connector, problem: &ItemProblem, number: usize, value: &Value) -> Vec<String> {
    let (written, mut candidates) = match problem {
        ItemProblem::Key { expression, .. } => (expression, connector.item.key.iter().collect::<Vec<_>>()),
        ItemProblem::Cursor { expression, .. } => (expression, Vec::new()),
        ItemProblem::Expression { expression, .. } => (expression, connector.item.key.iter().collect()),
        ItemProblem::LongKey(_) | ItemProblem::Data { .. } => return Vec::new(),
    };
    candidates.extend(&connector.item.filter);
    candidates.extend(cursor_expression(connector));
    let found = candidates.into_iter().find(|candidate| candidate.source() == written);
    found.and_then(|expression| stopped(expression, value, &format!("item {number}"))).into_iter().collect()
}

/// Says what the parts are that a filter looks at, in an item that it leaves out.
fn of_filter(filter: &Expression, first: &Value) -> Vec<String> {
    let reads = filter.reads();
    let missing = reads.iter().find_map(|path| path.stop(first).filter(|stop| stop.outcome == Outcome::Null));
    let mut sentences: Vec<String> =
        values_of(&reads, first).map(|values| format!("in the first item {values}")).into_iter().collect();
    sentences.extend(missing.map(|stop| in_words(&stop, "the first item")));
    sentences
}

fn cursor_expression(connector: &Connector) -> Option<&Expression> {
    match &connector.cursor {
        Some(CursorRules { value: CursorSource::Item(expression) | CursorSource::Answer(expression), .. }) => {
            Some(expression)
        }
        _ => None,
    }
}

/// Says where an expression stops finding anything in a value, or else what it gives.
fn stopped(expression: &Expression, value: &Value, name: &str) -> Option<String> {
    match expression.stop(value) {
        Some(stop) => Some(in_words(&stop, name)),
        None => {
            let outputs = expression.outputs(value).ok()?;
            let given = Shape(outputs.first()?).to_string();
            Some(match outputs.len() {
                1 => format!("in {name}, `{}` gives {given}", expression.source()),
                count => format!("in {name}, `{}` gives {count} values, first {given}", expression.source()),
            })
        }
    }
}

/// Says where an expression stopped, and what was there instead. `name` is what it was given.
fn in_words(stop: &Stop, name: &str) -> String {
    let Stop { before, found, count, written, part, outcome } = stop;
    let subject = match (before.as_str(), *count) {
        ("", _) => format!("{name} is"),
        (before, 1) if before.ends_with(']') => format!("`{before}` gives one value,"),
        (before, 1) => format!("`{before}` is there,"),
        (before, count) if matches!(outcome, Outcome::Failure(_)) => {
            format!("`{before}` gives {count} values, one of them")
        }
        (before, count) => format!("`{before}` gives {count} values, the first one"),
    };
    let head = format!("{subject} {}", Shape(found));
    match (part, found) {
        (Part::Member(member), Value::Object(members)) if members.contains_key(member) => {
            format!("{head}; its `{member}` is null")
        }
        (Part::Member(member), Value::Object(members)) => {
            let nearest = similar(member, members.keys()).map(|name| format!(": did you mean `{}`?", step(name)));
            format!("{head}; `{written}` is not there{}", nearest.unwrap_or_default())
        }
        (Part::Member(member), Value::Array(elements)) => {
            let has = |element: &Value| element.get(member).is_some();
            let meant = format!(": did you mean `{}[]{written}`?", if before.is_empty() { "." } else { before });
            let meant = elements.first().filter(|first| has(first)).map(|_| meant);
            format!("{head}; `{written}` is of objects only{}", meant.unwrap_or_default())
        }
        (Part::Member(_), _) => format!("{head}; `{written}` is of objects only"),
        (Part::Each, Value::Array(_) | Value::Object(_)) => format!("{head}, so there is nothing to take from it"),
        (Part::Each, _) => format!("{head}; `{written}` needs an array"),
        (Part::Other, _) => match outcome {
            Outcome::Nothing => format!("{head}; `{written}` gives nothing"),
            Outcome::Null => format!("{head}; `{written}` gives null"),
            Outcome::Failure(error) => format!("{head}; `{written}` fails: {error}"),
        },
    }
}

/// Says what the parts are that a part such as `select(.paid)` looks at.
fn parts_read(stop: &Stop) -> Option<String> {
    if stop.part != Part::Other || stop.outcome != Outcome::Nothing {
        return None;
    }
    let reads = Expression::parse(&stop.written).ok()?.reads();
    values_of(&reads, &stop.found).map(|values| format!("in the first one {values}"))
}

fn values_of(reads: &[Expression], value: &Value) -> Option<String> {
    let given = reads.iter().filter(|path| path.source() != ".").map(|path| {
        let output = path.first_output(value).ok().flatten().unwrap_or(Value::Null);
        format!("`{}` is {}", path.source(), Shape(&output))
    });
    let given: Vec<String> = given.collect();
    let (last, others) = given.split_last()?;
    Some(if others.is_empty() { last.clone() } else { format!("{} and {last}", others.join(", ")) })
}

/// Says where else there are arrays of objects.
fn other_arrays(value: &Value) -> Option<String> {
    let mut arrays = Vec::new();
    find_arrays(value, "", 0, &mut arrays);
    let named: Vec<String> =
        arrays.iter().take(MOST_ARRAYS).map(|(path, count)| format!("`{path}[]` (array of {count})")).collect();
    let (verb, list) = match named.split_last()? {
        (last, []) => ("is", last.clone()),
        (last, others) => ("are", format!("{} and {last}", others.join(", "))),
    };
    Some(format!("what could be items {verb} {list}"))
}

fn find_arrays(value: &Value, path: &str, level: usize, arrays: &mut Vec<(String, usize)>) {
    match value {
        Value::Array(elements) if elements.first().is_some_and(Value::is_object) => {
            arrays.push((if path.is_empty() { ".".to_owned() } else { path.to_owned() }, elements.len()));
        }
        Value::Object(members) if level < DEEPEST_ARRAY => {
            for (name, member) in members {
                find_arrays(member, &format!("{path}{}", step(name)), level + 1, arrays);
            }
        }
        _ => {}
    }
}

/// Returns a member's name as a step of a path.
fn step(name: &str) -> String {
    let is_word = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_word && name.starts_with(|c: char| !c.is_ascii_digit()) {
        format!(".{name}")
    } else {
        format!(".[{}]", Value::from(name))
    }
}

/// Returns the name that was probably meant by one that is not there.
fn similar<'a>(wanted: &str, names: impl Iterator<Item = &'a String>) -> Option<&'a String> {
    let plain =
        |name: &str| -> String { name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect() };
    let wanted = plain(wanted);
    let likeness = |name: &str| {
        let name = plain(name);
        // `orders` for `order_list`, `id` for `order_id`.
        let stem = wanted.trim_end_matches('s');
        let is_part = stem.len() > 1 && (name.starts_with(stem) || name.ends_with(&wanted) || wanted.ends_with(&name));
        let bonus = if is_part && !name.is_empty() { 0.5 } else { 0.0 };
        bonus + strsim::normalized_damerau_levenshtein(&wanted, &name)
    };
    let scored = names.map(|name| (likeness(name), name)).filter(|(likeness, _)| *likeness >= LEAST_LIKENESS);
    scored.max_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_there_instead_is_told() {
        let check = |expression: &str, value: Value, expected: &str| {
            let expression = Expression::parse(expression).expect("an expression");
            let stop = expression.stop(&value).expect("it finds nothing");
            assert_eq!(in_words(&stop, "the answer"), expected);
        };
        check(
            ".data.orders[]",
            json!({"data": {"order_list": [1, 2], "total": 2}}),
            "`.data` is there, an object with `order_list` (array of 2) and `total` (number); `.orders` is not there: \
             did you mean `.order_list`?",
        );
        check(
            ".orders[]",
            json!([{"id": 1}]),
            "the answer is an array of 1 object with `id` (number); `.orders` is of objects only",
        );
        check(
            ".id",
            json!([{"id": 1}]),
            "the answer is an array of 1 object with `id` (number); `.id` is of objects only: did you mean `.[].id`?",
        );
        check(
            ".orders[]",
            json!({"orders": []}),
            "`.orders` is there, an empty array, so there is nothing to take from it",
        );
        check(".orders[]", json!({"orders": 7}), "`.orders` is there, the number 7; `[]` needs an array");
        check(
            ".orders[]",
            json!({"orders": null}),
            "the answer is an object with `orders` (null); its `orders` is null",
        );
        check(
            ".a[].b.c",
            json!({"a": [{"b": {"d": 1}}, {"b": {"d": 2}}]}),
            "`.a[].b` gives 2 values, the first one an object with `d` (number); `.c` is not there",
        );
        check(
            ".a[] | tonumber",
            json!({"a": ["x"]}),
            "`.a[]` gives one value, the text \"x\"; `tonumber` fails: \"cannot parse \\\"x\\\" as JSON: \
             expected value at line 1 column 1\"",
        );
    }

    #[test]
    fn names_that_were_probably_meant_are_found() {
        let check = |wanted: &str, names: &[&str], expected: Option<&str>| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(similar(wanted, names.iter()).map(String::as_str), expected, "{wanted}");
        };
        check("orders", &["total", "order_list"], Some("order_list"));
        check("id", &["order_id", "name"], Some("order_id"));
        check("updatedAt", &["created_at", "updated_at"], Some("updated_at"));
        check("itmes", &["items", "total"], Some("items"));
        check("orders", &["total", "page"], None);
    }

    #[test]
    fn arrays_that_could_be_items_are_named() {
        let value = json!({"meta": {"n": [1]}, "data": {"a b": [{}, {}], "list": [{"x": 1}]}});
        let expected = "what could be items are `.data.[\"a b\"][]` (array of 2) and `.data.list[]` (array of 1)";
        assert_eq!(other_arrays(&value).as_deref(), Some(expected));
        assert_eq!(other_arrays(&json!([{"id": 1}])).as_deref(), Some("what could be items is `.[]` (array of 1)"));
        assert_eq!(other_arrays(&json!({"a": [1]})), None);
    }

    #[test]
    fn a_filter_is_explained_by_what_it_looks_at() {
        let filter = Expression::parse(".status == \"open\" and .total > 5").expect("an expression");
        let sentences = of_filter(&filter, &json!({"status": "closed", "amount": 7}));
        assert_eq!(
            sentences,
            [
                "in the first item `.status` is the text \"closed\" and `.total` is null",
                "the first item is an object with `status` (text) and `amount` (number); `.total` is not there",
            ]
        );
    }
}
