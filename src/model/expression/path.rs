//! Plain paths, run directly on a value.

use std::fmt::Write as _;
use std::ops::Range;

use serde_json::{Map, Value};

use super::stop::Part;

const MOST_STEPS: usize = 64;
const MOST_KEYS_NAMED: usize = 12;

static NULL: Value = Value::Null;

/// A path such as `.a.b[]`.
pub(super) struct Path {
    steps: Box<[Step]>,
}

struct Step {
    select: Select,
    /// With `?`: what cannot be selected from yields nothing instead of an error.
    optional: bool,
    /// Where in the expression it stands.
    span: Range<usize>,
}

enum Select {
    Member(Box<str>),
    Element(i64),
    Each,
}

/// The object that a member was last looked for in, and the step that looked; for the sake of the error.
type Looked<'a> = Option<(&'a Map<String, Value>, usize)>;

impl Path {
    /// Returns `None` for what is no plain path; jaq may still understand it.
    pub(super) fn parse(source: &str) -> Option<Self> {
        let mut reader = Reader { source, at: source.len() - source.trim_start().len() };
        let end = source.trim_end().len();
        let mut steps = Vec::new();
        let mut first = true;
        while first || reader.at < end {
            let start = reader.at;
            let dotted = reader.eat('.');
            if first && dotted && reader.at == end {
                break;
            }
            if first && !dotted {
                return None;
            }
            let select = reader.select(dotted)?;
            let step_end = reader.at;
            let mut optional = false;
            while reader.eat('?') {
                optional = true;
            }
            steps.push(Step { select, optional, span: start..step_end });
            first = false;
        }
        (steps.len() <= MOST_STEPS).then(|| Self { steps: steps.into() })
    }

    /// Returns the names of the members that lead to what the path iterates over in the end, if it does nothing else.
    pub(super) fn listing(&self) -> Option<Vec<&str>> {
        let (Step { select: Select::Each, .. }, steps) = self.steps.split_last()? else { return None };
        let names = steps.iter().map(|step| match &step.select {
            Select::Member(name) => Some(&**name),
            Select::Element(_) | Select::Each => None,
        });
        names.collect()
    }

    /// Returns where in the source each step ends, marks behind it included; the last one at `end`.
    pub(super) fn ends(&self, end: usize) -> Vec<usize> {
        let next = self.steps.iter().skip(1).map(|step| step.span.start).chain([end]);
        next.take(self.steps.len()).collect()
    }

    /// Returns what a path of one step takes.
    pub(super) fn part(&self) -> Part {
        match &*self.steps {
            [Step { select: Select::Member(name), .. }] => Part::Member(name.to_string()),
            [Step { select: Select::Each, .. }] => Part::Each,
            _ => Part::Other,
        }
    }

    pub(super) fn outputs<'a>(&self, source: &str, input: &'a Value) -> Result<Vec<&'a Value>, String> {
        let mut outputs = Vec::new();
        self.walk(source, 0, input, None, &mut outputs)?;
        Ok(outputs)
    }

    pub(super) fn take_outputs(&self, source: &str, mut input: Value) -> Result<Vec<Value>, String> {
        // Looking first keeps the moving free of errors, and costs little beside having parsed the input.
        let mut outputs = Vec::with_capacity(self.outputs(source, &input)?.len());
        move_out(&self.steps, &mut input, &mut outputs);
        Ok(outputs)
    }

    pub(super) fn delete_from(&self, source: &str, value: &mut Value) -> Result<(), String> {
        self.outputs(source, value)?;
        delete(&self.steps, value);
        Ok(())
    }

    fn walk<'a>(
        &self,
        source: &str,
        index: usize,
        value: &'a Value,
        looked: Looked<'a>,
        outputs: &mut Vec<&'a Value>,
    ) -> Result<(), String> {
        let Some(step) = self.steps.get(index) else {
            outputs.push(value);
            return Ok(());
        };
        match (&step.select, value) {
            (Select::Member(name), Value::Object(members)) => {
                let member = members.get(&**name).unwrap_or(&NULL);
                self.walk(source, index + 1, member, Some((members, index)), outputs)
            }
            (Select::Element(position), Value::Array(elements)) => {
                let element = element_index(*position, elements.len()).map_or(&NULL, |position| &elements[position]);
                self.walk(source, index + 1, element, None, outputs)
            }
            (Select::Member(_) | Select::Element(_), Value::Null) => {
                self.walk(source, index + 1, &NULL, looked, outputs)
            }
            (Select::Each, Value::Array(elements)) => {
                elements.iter().try_for_each(|element| self.walk(source, index + 1, element, None, outputs))
            }
            (Select::Each, Value::Object(members)) => {
                members.values().try_for_each(|member| self.walk(source, index + 1, member, None, outputs))
            }
            _ if step.optional => Ok(()),
            _ => Err(self.failure(source, index, value, looked)),
        }
    }

    fn failure(&self, source: &str, index: usize, value: &Value, looked: Looked<'_>) -> String {
        let step = &self.steps[index];
        let written = &source[step.span.clone()];
        let wanted = match step.select {
            Select::Each => format!("so `{written}` finds nothing to iterate over"),
            Select::Member(_) => format!("so `{written}` finds no member in it"),
            Select::Element(_) => format!("so `{written}` finds no element in it"),
        };
        let mut message = format!("{} is {}, {wanted}", self.name_before(source, index), kind(value));
        if let (Value::Null, Some((members, at))) = (value, looked) {
            let owner = self.name_before(source, at);
            write!(message, "; {owner} has {}", keys(members)).expect("writing to a string does not fail");
        }
        message
    }

    /// Names what the step is applied to.
    fn name_before(&self, source: &str, index: usize) -> String {
        match (self.steps.first(), index) {
            (Some(first), 1..) => format!("`{}`", &source[first.span.start..self.steps[index].span.start]),
            _ => "the value".to_owned(),
        }
    }
}

/// Returns what kind of value it is, with its article.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn keys(members: &Map<String, Value>) -> String {
    if members.is_empty() {
        return "no keys".to_owned();
    }
    let shorten = |key: &String| match key.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &key[..end]),
        None => key.clone(),
    };
    let named: Vec<_> = members.keys().take(MOST_KEYS_NAMED).map(shorten).collect();
    let rest = match members.len().saturating_sub(MOST_KEYS_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("the keys: {}{rest}", named.join(", "))
}

fn element_index(position: i64, length: usize) -> Option<usize> {
    let from_start = if position < 0 { i64::try_from(length).ok()?.checked_add(position)? } else { position };
    usize::try_from(from_start).ok().filter(|index| *index < length)
}

/// Moves out what [`Path::walk`] found; what it refused is passed over, being optional.
fn move_out(steps: &[Step], value: &mut Value, outputs: &mut Vec<Value>) {
    let Some((step, rest)) = steps.split_first() else {
        outputs.push(value.take());
        return;
    };
    match (&step.select, value) {
        (Select::Member(name), Value::Object(members)) => match members.get_mut(&**name) {
            Some(member) => move_out(rest, member, outputs),
            None => move_out(rest, &mut Value::Null, outputs),
        },
        (Select::Element(position), Value::Array(elements)) => match element_index(*position, elements.len()) {
            Some(position) => move_out(rest, &mut elements[position], outputs),
            None => move_out(rest, &mut Value::Null, outputs),
        },
        (Select::Member(_) | Select::Element(_), Value::Null) => move_out(rest, &mut Value::Null, outputs),
        (Select::Each, Value::Array(elements)) if rest.is_empty() => outputs.append(elements),
        (Select::Each, Value::Array(elements)) => {
            for element in elements {
                move_out(rest, element, outputs);
            }
        }
        (Select::Each, Value::Object(members)) => {
            for member in members.values_mut() {
                move_out(rest, member, outputs);
            }
        }
        _ => {}
    }
}

fn delete(steps: &[Step], value: &mut Value) {
    match (steps, value) {
        ([], value) => *value = Value::Null,
        ([last], value) => match (&last.select, value) {
            (Select::Member(name), Value::Object(members)) => {
                members.shift_remove(&**name);
            }
            (Select::Element(position), Value::Array(elements)) => {
                if let Some(position) = element_index(*position, elements.len()) {
                    elements.remove(position);
                }
            }
            (Select::Each, Value::Array(elements)) => elements.clear(),
            (Select::Each, Value::Object(members)) => members.clear(),
            _ => {}
        },
        ([step, rest @ ..], value) => match (&step.select, value) {
            (Select::Member(name), Value::Object(members)) => {
                if let Some(member) = members.get_mut(&**name) {
                    delete(rest, member);
                }
            }
            (Select::Element(position), Value::Array(elements)) => {
                if let Some(position) = element_index(*position, elements.len()) {
                    delete(rest, &mut elements[position]);
                }
            }
            (Select::Each, Value::Array(elements)) => elements.iter_mut().for_each(|element| delete(rest, element)),
            (Select::Each, Value::Object(members)) => members.values_mut().for_each(|member| delete(rest, member)),
            _ => {}
        },
    }
}

struct Reader<'s> {
    source: &'s str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.source[self.at..]
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.rest().starts_with(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn select(&mut self, dotted: bool) -> Option<Select> {
        if self.eat('[') {
            let (inside, length) = self.bracketed()?;
            self.at += length;
            return Some(inside);
        }
        if !dotted {
            return None;
        }
        if self.rest().starts_with('"') {
            let (name, length) = string(self.rest())?;
            self.at += length;
            return Some(Select::Member(name.into()));
        }
        let rest = self.rest();
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        if length == 0 || rest.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let name = rest[..length].into();
        self.at += length;
        Some(Select::Member(name))
    }

    /// Reads what follows `[`, with the `]`, and returns how long that is.
    fn bracketed(&self) -> Option<(Select, usize)> {
        let rest = self.rest();
        let inside = rest.trim_start();
        let skipped = rest.len() - inside.len();
        let (select, length) = if inside.starts_with(']') {
            (Select::Each, 0)
        } else if inside.starts_with('"') {
            let (name, length) = string(inside)?;
            (Select::Member(name.into()), length)
        } else {
            let length = inside.find(|c: char| c != '-' && !c.is_ascii_digit())?;
            (Select::Element(inside[..length].parse().ok()?), length)
        };
        let after = inside[length..].trim_start();
        after.starts_with(']').then(|| (select, skipped + inside.len() - after.len() + 1))
    }
}

/// Reads a string literal that has no interpolation, and returns its length in the source.
fn string(source: &str) -> Option<(String, usize)> {
    let mut texts = serde_json::Deserializer::from_str(source).into_iter::<String>();
    let text = texts.next()?.ok()?;
    Some((text, texts.byte_offset()))
}
