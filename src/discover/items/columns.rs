//! Lists of values that lie side by side, one for each field: columns, of which rows are made.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::discover::path::{Path, Step};
use crate::discover::{path, shape};

/// With fewer values than this, lists are as long as each other by chance.
const FEWEST_ROWS: usize = 3;

/// The most members of an object whose lists are columns.
const MOST_MEMBERS: usize = 200;

/// How many values of a column are looked at to tell what it is.
const LOOKED_AT: usize = 50;

/// The columns of an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Columns {
    /// The name of the first one.
    first: String,
    pub count: usize,
    /// How many values each has.
    pub rows: usize,
    /// Whether the object has members that are none.
    has_others: bool,
    /// Whether they are too many and too long to be as long as each other by chance, and one of them tells the rows apart.
    pub are_sure: bool,
    /// What speaks for their rows being items.
    pub score: i64,
}

impl Columns {
    /// Returns the columns of an object: its lists, if all of them are of plain values, of a kind each, and equally long.
    pub fn of(members: &Map<String, Value>) -> Option<Self> {
        if members.len() > MOST_MEMBERS {
            return None;
        }
        let lists: Vec<(&String, &Vec<Value>)> =
            members.iter().filter_map(|(name, member)| Some((name, member.as_array()?))).collect();
        let [(first, values), others @ ..] = &lists[..] else { return None };
        let (count, rows) = (lists.len(), values.len());
        let is_one = |values: &[Value]| values.len() == rows && is_of_one_kind(&values[..rows.min(LOOKED_AT)]);
        let besides = members.len() - count;
        if others.is_empty() || rows < FEWEST_ROWS || besides > count || !lists.iter().all(|(_, list)| is_one(list)) {
            return None;
        }
        let are_many = rows >= 10 || rows >= 4 && count >= 3;
        let besides_are_plain = members.values().all(|member| !member.is_object());
        let identify = lists.iter().any(|(name, list)| identifies(name, &list[..rows.min(LOOKED_AT)]));
        let are_sure = are_many && identify && besides_are_plain && besides * 2 <= count;
        let many = 4 * i64::from(rows.ilog2().min(4));
        let score = if are_sure { 74 + many } else { many / 2 };
        Some(Self { first: (*first).clone(), count, rows, has_others: besides > 0, are_sure, score })
    }

    /// Returns the expression that makes an item of each row of the columns at a path.
    pub fn expression(&self, path: &Path) -> String {
        let first = Path::default().then(Step::Member(self.first.clone()));
        let place = if path.0.is_empty() { String::new() } else { format!("{path} | ") };
        let value = if self.has_others { "arrays[$i]" } else { ".[$i]" };
        format!("{place}range({first} | length) as $i | map_values({value})")
    }
}

/// Tells whether values are all texts, all numbers or all truth values, besides those that are `null`.
fn is_of_one_kind(values: &[Value]) -> bool {
    let mut kinds = values.iter().filter(|value| !value.is_null()).map(shape::kind);
    let Some(first) = kinds.next() else { return true };
    values.iter().all(|value| !value.is_array() && !value.is_object()) && kinds.all(|kind| kind == first)
}

/// Tells whether a column tells rows apart, and is one by which they are told apart: an id or a time.
fn identifies(name: &str, values: &[Value]) -> bool {
    let texts: HashSet<String> = values.iter().map(Value::to_string).collect();
    let is_named =
        shape::says_id(name) || ["number", "name", "code", "key"].iter().any(|end| path::plain(name).ends_with(end));
    let is_time = || values.iter().all(|value| shape::date(value).or_else(|| shape::epoch(value)).is_some());
    texts.len() == values.len() && !values.iter().any(Value::is_null) && (is_named || is_time())
}
