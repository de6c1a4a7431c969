//! Objects whose names are keys, and not those of fields.

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::candidate::{Kind, LOOKED_AT};
use crate::discover::shape;

/// Lists of objects by names that are dates or keys: the names are others tomorrow, so no expression may have them in it.
#[derive(Debug)]
pub(super) struct Lists<'a> {
    pub rows: Vec<&'a Value>,
    pub are_dates: bool,
}

impl<'a> Lists<'a> {
    /// Returns the lists of an object, if it is made of such: of any number by dates, or of several by other keys.
    pub fn of(members: &'a Map<String, Value>) -> Option<Self> {
        let are_dates = !members.is_empty() && members.keys().all(|name| is_date(name));
        let are_keys = members.len() >= 2 && members.keys().all(|name| is_keyish(name));
        let lists = members.values().map(Value::as_array).collect::<Option<Vec<_>>>()?;
        let rows: Vec<&Value> = lists.into_iter().flatten().collect();
        let are_alike = || shape::alikeness(rows.iter().take(LOOKED_AT).copied()) >= 0.7;
        ((are_dates || are_keys) && are_alike()).then_some(Self { rows, are_dates })
    }
}

/// Tells whether a name is a day or a point in time.
fn is_date(name: &str) -> bool {
    shape::date(&Value::from(name)).is_some()
}

/// Returns how the items of an object that is used as a map lie, and what speaks for it.
pub(super) fn map(members: &Map<String, Value>) -> Option<(Kind, i64)> {
    if members.len() < 2 {
        return None;
    }
    let seen: IndexMap<&String, &Value> = members.iter().take(LOOKED_AT).collect();
    let keyish = seen.keys().filter(|name| is_keyish(name)).count() * 5 >= seen.len() * 4;
    let many = 3 * i64::from(members.len().ilog2().min(5));
    if seen.values().all(|value| value.as_object().is_some_and(|object| !object.is_empty())) {
        let is_own = |(name, value): (&&String, &&Value)| {
            let named = value.as_object().is_some_and(|object| object.values().any(|own| text_is(own, name)));
            usize::from(named)
        };
        let own = seen.iter().map(is_own).sum::<usize>() == seen.len();
        let alikeness = shape::alikeness(seen.values().copied());
        let is_named = own || keyish || members.len() >= 5;
        let is_map = alikeness >= 0.5 && is_named || alikeness >= 0.9 || own && keyish;
        let merit = i64::from(own) * 16 + i64::from(keyish) * 10 - i64::from(!is_named) * 6;
        return is_map.then(|| (Kind::Map { own, keyish }, 22 + many + merit + (10.0 * alikeness) as i64));
    }
    let first = shape::kind(seen.values().next()?);
    let alike = seen.values().all(|value| shape::kind(value) == first && !value.is_null());
    (keyish && alike && members.len() >= 3).then_some((Kind::Map { own: false, keyish }, 6 + many))
}

fn text_is(value: &Value, name: &str) -> bool {
    match value {
        Value::String(text) => text == name,
        Value::Number(number) => number.as_str() == name,
        _ => false,
    }
}

/// Tells whether a member's name is rather a key of a map than the name of a field: `BTC`, `1.0.2`, `3f2a`, `a/b`.
fn is_keyish(name: &str) -> bool {
    let has_lower = name.chars().any(char::is_lowercase);
    let odd = name.chars().any(|c| matches!(c, '.' | '/' | ':' | '-' | ' '));
    let digits = name.chars().filter(char::is_ascii_digit).count();
    (!has_lower && name.len() >= 2)
        || odd && !name.starts_with('@')
        || digits >= 2
        || name.starts_with(|c: char| c.is_ascii_digit())
}
