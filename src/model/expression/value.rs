//! Between `serde_json`'s values and jaq's.

use std::sync::Arc;

use jaq_json::{Num, Val};
use serde_json::Value;

use crate::model::json;

/// Integers of more digits are calculated with as floating-point numbers.
const MOST_DIGITS: usize = 400;

/// The most arrays, objects and scalars that the outputs of one run may consist of.
const MOST_VALUES: usize = 20_000_000;

pub(super) fn to_jaq(value: &Value) -> Val {
    match value {
        Value::Null => Val::Null,
        Value::Bool(bool) => Val::Bool(*bool),
        Value::Number(number) => Val::Num(to_jaq_number(number.as_str())),
        Value::String(text) => to_jaq_text(text),
        Value::Array(elements) => elements.iter().map(to_jaq).collect(),
        Value::Object(members) => {
            let members = members.iter().map(|(key, member)| (to_jaq_text(key), to_jaq(member)));
            Val::obj(members.collect())
        }
    }
}

fn to_jaq_text(text: &str) -> Val {
    Val::utf8_str(text.as_bytes().to_vec())
}

/// An integer becomes one that jq calculates with exactly; every other number stays the text that it is until then.
fn to_jaq_number(text: &str) -> Num {
    let is_plain = text != "-0" && text.len() <= MOST_DIGITS;
    let integer = is_plain.then(|| Num::from_str_radix(text, 10)).flatten();
    integer.unwrap_or_else(|| Num::Dec(text.to_owned().into()))
}

/// Turns jaq's values into `serde_json`'s, a bounded number of them.
pub(super) struct FromJaq {
    left: usize,
}

impl FromJaq {
    pub(super) fn new() -> Self {
        Self { left: MOST_VALUES }
    }

    pub(super) fn convert(&mut self, value: &Val) -> Result<Value, String> {
        self.left = self.left.checked_sub(1).ok_or_else(|| format!("more than {MOST_VALUES} values come out"))?;
        Ok(match value {
            Val::Null => Value::Null,
            Val::Bool(bool) => Value::Bool(*bool),
            Val::Num(number) => from_jaq_number(number),
            Val::TStr(text) | Val::BStr(text) => Value::String(String::from_utf8_lossy(text).into_owned()),
            Val::Arr(elements) => elements.iter().map(|element| self.convert(element)).collect::<Result<_, _>>()?,
            Val::Obj(members) => {
                let member = |(key, member): (&Val, &Val)| match key {
                    Val::TStr(key) => Ok((String::from_utf8_lossy(key).into_owned(), self.convert(member)?)),
                    key => Err(format!("the key of an object must be a string, and {} is none", brief(key))),
                };
                Value::Object(members.iter().map(member).collect::<Result<_, _>>()?)
            }
        })
    }
}

/// What JSON cannot express becomes what jq makes of it: `null` for NaN, the largest number for infinity. A calculated
/// number without a fraction is written without one.
fn from_jaq_number(number: &Num) -> Value {
    let written = |text: &str| json::number(text).map(Value::Number);
    match number {
        Num::Int(_) | Num::BigInt(_) => written(&number.to_string()),
        Num::Dec(text) => written(text).or_else(|| written(&shortest(text.parse().unwrap_or(f64::NAN)))),
        Num::Float(float) => written(&shortest(*float)),
    }
    .unwrap_or(Value::Null)
}

fn shortest(float: f64) -> String {
    let float = float.clamp(f64::MIN, f64::MAX);
    if float.abs() < 1e17 && float.fract() == 0.0 { format!("{float:.0}") } else { format!("{float:?}") }
}

/// Writes a value in few characters, for an error.
pub(super) fn brief(shown: impl std::fmt::Display) -> String {
    let mut text = Brief { head: String::new(), tail: String::new(), cut: false };
    // An error here would come from the value's own formatting; what was written until then still helps.
    let _ = std::fmt::write(&mut text, format_args!("{shown}"));
    if text.cut { format!("{}…{}", text.head, text.tail) } else { text.head + &text.tail }
}

/// Keeps the head and the tail of a text, so that a huge value is never held whole.
struct Brief {
    head: String,
    tail: String,
    cut: bool,
}

const HEAD: usize = 100;
const TAIL: usize = 80;

impl std::fmt::Write for Brief {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for c in text.chars() {
            if self.tail.is_empty() && self.head.len() < HEAD {
                self.head.push(c);
            } else {
                self.tail.push(c);
            }
            if self.tail.len() > 4 * TAIL {
                self.shorten_tail();
            }
        }
        if self.tail.len() > TAIL {
            self.shorten_tail();
        }
        Ok(())
    }
}

impl Brief {
    fn shorten_tail(&mut self) {
        let kept = self.tail.char_indices().map(|(at, _)| at).find(|at| self.tail.len() - at <= TAIL);
        self.tail.drain(..kept.unwrap_or(0));
        self.cut = true;
    }
}

/// Returns a value of jaq's for a JSON text, as `fromjson` does; nesting is bounded by `serde_json`.
pub(super) fn parse_json(text: &[u8]) -> Result<Val, serde_json::Error> {
    json::parse(text).map(|value| to_jaq(&value))
}

// A compiled program is shared between threads; jaq's values are not, and never leave the run they were made in.
const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<Arc<super::Program>>();
};
