//! Every place in an answer where its items could be, the best first.

use serde_json::{Map, Value};

use super::columns::Columns;
use super::maps::{Lists, map};
use crate::discover::path::{Path, Step, plain};
use crate::discover::shape;

/// The most levels above a list.
const MOST_LEVELS: usize = 6;

/// The most places that are compared.
const MOST_CANDIDATES: usize = 100;

/// How many items of a list are looked at to tell what it is.
pub(super) const LOOKED_AT: usize = 50;

/// An object with more members than this is searched for no lists within its members: it is a map, or nothing known.
const MOST_MEMBERS: usize = 200;

/// The longest name on the way to a list, in bytes.
const LONGEST_NAME: usize = 200;

/// What lists of items are called, as [`plain`] has it.
const GOOD_NAMES: &[&str] = &[
    "data",
    "items",
    "item",
    "results",
    "result",
    "entries",
    "entry",
    "records",
    "value",
    "values",
    "hits",
    "rows",
    "features",
    "nodes",
    "edges",
    "list",
    "content",
    "objects",
    "documents",
    "docs",
    "events",
    "posts",
    "articles",
    "children",
    "collection",
    "elements",
    "member",
    "hydramember",
    "embedded",
    "resources",
    "recentchanges",
];

/// What lists beside the items are called.
const BAD_NAMES: &[&str] = &[
    "errors",
    "error",
    "links",
    "facets",
    "facetcounts",
    "included",
    "includes",
    "warnings",
    "warning",
    "aggregations",
    "aggs",
    "breadcrumbs",
    "schema",
    "meta",
    "metadata",
    "pagination",
    "paging",
    "suggestions",
    "debug",
    "notices",
    "context",
];

/// What lists beside the items or within an item are often called, and sometimes those of the items.
const POOR_NAMES: &[&str] = &[
    "link",
    "tags",
    "tag",
    "filters",
    "sort",
    "sorts",
    "columns",
    "fields",
    "labels",
    "related",
    "params",
    "headers",
    "options",
    "properties",
    "authors",
    "images",
    "keywords",
];

/// A place where the items could be.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub path: Path,
    pub kind: Kind,
    /// How many items there are.
    pub rows: usize,
    /// About how much of the answer it is.
    pub bytes: usize,
    pub score: i64,
}

/// How the items lie at a place.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// An array of objects.
    Objects,
    /// An array of objects of which each has its item at `node`, as GraphQL's connections do.
    Edges,
    /// Arrays, and this expression for the names of their columns; whether something says that they are.
    Table {
        names: String,
        rows: String,
        named: bool,
    },
    /// An array for each field, of which rows are made.
    Columns(Columns),
    /// Arrays without names.
    Arrays,
    Scalars,
    /// An object used as a map: whether each item has its key in itself.
    Map {
        own: bool,
        /// Whether no name looks like that of a field.
        keyish: bool,
    },
    /// An object with a list of objects by each of its names, which are dates or keys.
    Lists {
        are_dates: bool,
    },
    /// The value itself is the only item.
    Document,
    /// An array without elements.
    Empty,
    /// A `null` where an array would be.
    Null,
}

/// What was found in an answer.
#[derive(Debug)]
pub(super) struct Survey {
    /// The best first.
    pub candidates: Vec<Candidate>,
    /// How many arrays of objects are among them.
    pub lists: usize,
    /// About how long the answer is.
    pub bytes: usize,
}

impl Survey {
    /// Looks at every place of an answer that is not within an item.
    pub fn of(value: &Value) -> Self {
        let mut walk = Walk { candidates: Vec::new(), path: Path::default() };
        let bytes = walk.look(value);
        let mut candidates = walk.candidates;
        if let Value::Object(members) = value
            && !members.is_empty()
        {
            let score = document_score(members);
            candidates.push(Candidate { path: Path::default(), kind: Kind::Document, rows: 1, bytes, score });
        }
        for candidate in &mut candidates {
            if candidate.kind != Kind::Document {
                candidate.score += points(20 * candidate.bytes / bytes.max(1));
            }
        }
        candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.score));
        // What could not be anything but a part of the best one does not make that doubtful.
        let lists = candidates.iter().filter(|candidate| matches!(candidate.kind, Kind::Objects | Kind::Edges)).count();
        Self { candidates, lists, bytes }
    }
}

impl Candidate {
    /// Returns the expression that gives the items.
    pub fn expression(&self) -> String {
        let each = self.path.then(Step::Each);
        match &self.kind {
            Kind::Edges => each.then(Step::Member("node".to_owned())).to_string(),
            Kind::Map { own: false, .. } if self.path.0.is_empty() => "to_entries[]".to_owned(),
            Kind::Map { own: false, .. } => format!("{} | to_entries[]", self.path),
            Kind::Columns(columns) => columns.expression(&self.path),
            // Where the value of each name stands in a row is found out once, which is many times faster than for each row.
            Kind::Table { names, rows, .. } => format!(
                "({names} | with_entries({{key: .value, value: .key}})) as $at | {rows} as $row | $at | map_values($row[.])"
            ),
            Kind::Lists { .. } => each.then(Step::Each).to_string(),
            Kind::Document => self.path.to_string(),
            Kind::Null => format!("{each}?"),
            Kind::Objects | Kind::Arrays | Kind::Scalars | Kind::Map { own: true, .. } | Kind::Empty => {
                each.to_string()
            }
        }
    }
}

struct Walk {
    candidates: Vec<Candidate>,
    path: Path,
}

impl Walk {
    /// Notes the places in a value, and returns about how long it is.
    fn look(&mut self, value: &Value) -> usize {
        if self.path.0.len() > MOST_LEVELS || self.candidates.len() >= MOST_CANDIDATES {
            return length(value);
        }
        match value {
            Value::Array(elements) => self.look_at_list(elements),
            Value::Object(members) => self.look_at_object(members),
            Value::Null if self.is_named_well() => {
                let score = 10 + self.placing();
                self.note(Kind::Null, 0, 4, score);
                4
            }
            other => length(other),
        }
    }

    fn look_at_list(&mut self, elements: &[Value]) -> usize {
        let at = self.candidates.len();
        let placing = self.placing();
        match list(elements) {
            Some((Kind::Empty, score)) => self.note(Kind::Empty, 0, 0, score + placing),
            Some((Kind::Table { named, .. }, score)) => {
                let kind = Kind::Table {
                    names: self.path.then(Step::Element(0)).to_string(),
                    rows: format!("{}[1:][]", self.path),
                    named,
                };
                self.note(kind, elements.len() - 1, 0, score + placing);
            }
            Some((kind, score)) => self.note(kind, elements.len(), 0, score + placing),
            None => {}
        }
        // A list of a few unlike things is an answer in parts, and its items can be in one of them.
        let is_in_parts = elements.len() <= 2 && shape::alikeness(elements) < 0.9;
        let parts = elements.iter().enumerate().map(|(index, element)| {
            if !is_in_parts {
                return length(element);
            }
            self.path.0.push(Step::Element(index));
            let bytes = self.look(element);
            self.path.0.pop();
            bytes
        });
        let bytes = 2 + parts.sum::<usize>();
        if let Some(candidate) = self.candidates.get_mut(at).filter(|candidate| candidate.path == self.path) {
            candidate.bytes = bytes;
        }
        bytes
    }

    fn look_at_object(&mut self, members: &Map<String, Value>) -> usize {
        if let Some(Lists { rows, are_dates }) = Lists::of(members) {
            let score = lists_score(&rows) + self.placing();
            let bytes = 2 + members.iter().map(|(name, member)| name.len() + 4 + length(member)).sum::<usize>();
            self.note(Kind::Lists { are_dates }, rows.len(), bytes, score);
            return bytes;
        }
        let at = self.candidates.len();
        if let Some((kind, score)) = map(members) {
            let placing = self.placing();
            self.note(kind, members.len(), 0, score + placing);
        }
        if let Some((names, name)) = table(members) {
            let rows = self.path.then(Step::Member(name.to_owned()));
            let whole = Path(self.path.0.iter().chain(&names.0).cloned().collect());
            let names = if names.0.len() == 1 { whole.to_string() } else { format!("[{whole}]") };
            let elements = members[name].as_array().map_or(&[][..], |rows| rows);
            let kind = Kind::Table { names, rows: rows.then(Step::Each).to_string(), named: true };
            let bytes = elements.iter().map(length).sum();
            let score = 75 + self.placing();
            self.note(kind, elements.len(), bytes, score);
        } else if let Some(columns) = Columns::of(members) {
            let bytes = members.values().filter(|member| member.is_array()).map(length).sum();
            let (rows, score) = (columns.rows, columns.score + self.placing());
            self.note(Kind::Columns(columns), rows, bytes, score);
        }
        let searched = members.len() <= MOST_MEMBERS;
        let parts = members.iter().map(|(name, member)| {
            let bytes = if searched && name.len() <= LONGEST_NAME {
                self.path.0.push(Step::Member(name.clone()));
                let bytes = self.look(member);
                self.path.0.pop();
                bytes
            } else {
                length(member)
            };
            name.len() + 4 + bytes
        });
        let bytes = 2 + parts.sum::<usize>();
        let own = self.candidates.get_mut(at);
        if let Some(candidate) = own.filter(|candidate| candidate.path == self.path && candidate.bytes == 0) {
            candidate.bytes = bytes;
        }
        bytes
    }

    fn note(&mut self, kind: Kind, rows: usize, bytes: usize, score: i64) {
        self.candidates.push(Candidate { path: self.path.clone(), kind, rows, bytes, score });
    }

    /// Returns what speaks for a place by itself: how it is called, and how deep it lies.
    fn placing(&self) -> i64 {
        let deep = points(2 * self.path.0.len());
        let is_bad = self.path.names().any(|name| BAD_NAMES.contains(&&*plain(name)));
        let is_poor = self.path.names().any(|name| POOR_NAMES.contains(&&*plain(name)));
        let name = if is_bad {
            -40
        } else if is_poor {
            -15
        } else if self.is_named_well() {
            14
        } else {
            0
        };
        name - deep
    }

    fn is_named_well(&self) -> bool {
        GOOD_NAMES.contains(&&*self.path.plain_name())
    }
}

/// Returns how the items of an array lie, and what speaks for it.
fn list(elements: &[Value]) -> Option<(Kind, i64)> {
    let seen = &elements[..elements.len().min(LOOKED_AT)];
    let Some(first) = seen.first() else { return Some((Kind::Empty, 15)) };
    let many = 4 * i64::from(elements.len().ilog2().min(4));
    if seen.iter().all(Value::is_object) {
        let is_edge =
            |element: &Value| element["node"].is_object() && element.as_object().is_some_and(|e| e.len() <= 3);
        let kind = if seen.iter().all(is_edge) { Kind::Edges } else { Kind::Objects };
        return Some((kind, 40 + many + (10.0 * shape::alikeness(seen)) as i64 + merit(seen)));
    }
    if seen.iter().all(Value::is_array) {
        return match header(seen) {
            true => {
                let named = has_other_kinds_below(seen);
                let score = if named { 50 } else { 30 };
                Some((Kind::Table { names: String::new(), rows: String::new(), named }, score + many))
            }
            false if seen.iter().any(|row| row.as_array().is_some_and(|row| !row.is_empty())) => {
                Some((Kind::Arrays, 14 + many))
            }
            false => None,
        };
    }
    let scalars = seen.iter().filter(|element| !element.is_object() && !element.is_array()).count();
    if scalars == seen.len() && seen.iter().all(|element| shape::kind(element) == shape::kind(first)) {
        return (!first.is_null() && !first.is_boolean()).then_some((Kind::Scalars, 12 + many / 2));
    }
    let objects = seen.iter().filter(|element| element.is_object()).count();
    (objects * 10 >= seen.len() * 9).then_some((Kind::Objects, 25 + many))
}

/// Returns what speaks for the rows of several lists being items.
fn lists_score(rows: &[&Value]) -> i64 {
    let seen: Vec<Value> = rows.iter().take(LOOKED_AT).map(|row| (*row).clone()).collect();
    list(&seen).map_or(0, |(_, score)| score)
}

/// Tells whether the first of some rows has the names of the columns: texts, all different, with other values below them.
fn header(rows: &[Value]) -> bool {
    let Some((Value::Array(head), rest)) = rows.split_first() else { return false };
    let names: std::collections::HashSet<&str> = head.iter().filter_map(Value::as_str).collect();
    let is_name = |name: &&str| !name.is_empty() && name.len() <= 60 && !name.starts_with(|c: char| c.is_ascii_digit());
    let other = |row: &Value| row.as_array().is_some_and(|row| row.len() == head.len() && row != head);
    head.len() >= 2
        && names.len() == head.len()
        && names.iter().all(is_name)
        && !rest.is_empty()
        && rest.iter().all(other)
}

/// Tells whether some column of rows, whose first one is all texts, has no text below it: then that one is no row.
fn has_other_kinds_below(rows: &[Value]) -> bool {
    let Some((Value::Array(head), rest)) = rows.split_first() else { return false };
    let is_other = |index: &usize| rest.iter().all(|row| row.get(index).is_some_and(|value| !value.is_string()));
    rest.len() >= 2 && (0..head.len()).any(|index| is_other(&index))
}

/// Returns what speaks for rows being items: that they have something like an id, and dates.
fn merit(rows: &[Value]) -> i64 {
    let first = rows[0].as_object();
    let has_id = first.is_some_and(|first| first.keys().any(|name| shape::says_id(name)));
    let has_date = first.is_some_and(|first| first.values().any(|value| shape::date(value).is_some()));
    i64::from(has_id) * 12 + i64::from(has_date) * 6
}

/// What the names of a table's columns are called, as [`plain`] has it. ClickHouse has them in `meta`.
const NAMES_OF_COLUMNS: &[&str] =
    &["columns", "columnnames", "cols", "fields", "fieldnames", "headers", "header", "schema", "names", "meta"];

/// Returns the path of the names of columns, and the name of the member with the rows, of an object that is a table.
fn table(members: &Map<String, Value>) -> Option<(Path, &str)> {
    let (rows, first) = ["rows", "data", "values", "results", "result", "records"].iter().find_map(|name| {
        let rows = members.get(*name)?.as_array()?;
        Some((*name, rows.first()?.as_array()?)).filter(|_| rows.iter().take(LOOKED_AT).all(Value::is_array))
    })?;
    let fits = |names: &[Value]| names.len() == first.len() && !names.is_empty();
    let named = members.iter().filter(|(name, _)| NAMES_OF_COLUMNS.contains(&&*plain(name)));
    named.into_iter().find_map(|(name, names)| {
        let names = names.as_array().filter(|names| fits(names))?;
        let path = Path::of([name.as_str()]);
        if names.iter().all(Value::is_string) {
            return Some((path, rows));
        }
        let member = ["name", "id", "key", "label"]
            .iter()
            .find(|member| names.iter().all(|name| name.get(**member).is_some_and(Value::is_string)))?;
        Some((path.then(Step::Each).then(Step::Member((*member).to_owned())), rows))
    })
}

/// Returns what speaks for an object being the only item itself.
fn document_score(members: &Map<String, Value>) -> i64 {
    let is_scalar = |value: &&Value| !value.is_array() && !value.is_object() && !value.is_null();
    let scalars = members.values().filter(is_scalar).count().min(15);
    let has_id = members.iter().any(|(name, value)| is_scalar(&value) && shape::says_own_id(name));
    8 + points(5 * scalars) + i64::from(has_id) * 25
}

fn points(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Returns about how long a value is as JSON.
fn length(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 4,
        Value::Number(number) => number.as_str().len(),
        Value::String(text) => text.len() + 2,
        Value::Array(elements) => 2 + elements.iter().map(|element| 1 + length(element)).sum::<usize>(),
        Value::Object(members) => {
            2 + members.iter().map(|(name, member)| 4 + name.len() + length(member)).sum::<usize>()
        }
    }
}
