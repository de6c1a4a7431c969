//! Where an expression stops finding anything, and what it reads: told to people whose expression gives nothing.

use jaq_core::load::lex::{Lexer, StrPart};
use jaq_core::load::parse::{BinaryOp, Parser, Term};
use jaq_core::path::{self, Opt, Part as PathPart};
use serde_json::Value;

use super::path::Path;
use super::program::with_large_stack;
use super::{Expression, Form};

/// Where an expression stops finding anything in a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Stop {
    /// The expression up to there, as it was written; empty if it finds nothing from the beginning.
    pub before: String,
    /// What that gives: the value that the next part finds nothing in.
    pub found: Value,
    /// How many values it gives.
    pub count: usize,
    /// The next part as it was written: `.orders`, `[]`, `select(.paid)`.
    pub written: String,
    /// What the next part is.
    pub part: Part,
    /// What it gives.
    pub outcome: Outcome,
}

/// A part of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// It takes the member with this name.
    Member(String),
    /// It takes each element, or each member.
    Each,
    Other,
}

/// How a part of an expression finds nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It gives no value.
    Nothing,
    /// It gives `null` and nothing else.
    Null,
    /// It fails.
    Failure(String),
}

/// The functions whose arguments read what they themselves are given.
const PASSED_ON: [&str; 14] = [
    "select",
    "test",
    "match",
    "startswith",
    "endswith",
    "contains",
    "inside",
    "has",
    "split",
    "ltrimstr",
    "rtrimstr",
    "index",
    "IN",
    "error",
];

impl Expression {
    /// Returns the expressions that this one continues, the shortest first, and itself as the last: `.a`, `.a[]` and
    /// `.a[] | .b` of the latter.
    pub fn prefixes(&self) -> Vec<Self> {
        let source = &*self.source;
        let bars = source.match_indices('|').map(|(at, _)| at);
        let mut prefixes = Vec::new();
        let mut start = 0;
        for end in bars.chain([source.len()]) {
            // A bar that assigns, or stands within something, ends nothing.
            if source[end..].starts_with("|=") {
                continue;
            }
            let Ok(prefix) = Self::parse(source[..end].trim_end()) else { continue };
            let stage = &source[start..end];
            let ends = Path::parse(stage).map(|path| path.ends(stage.trim_end().len())).unwrap_or_default();
            let (_, within) = ends.split_last().unwrap_or((&0, &[]));
            prefixes.extend(within.iter().filter_map(|end| Self::parse(&source[..start + end]).ok()));
            prefixes.push(prefix);
            start = end + 1;
        }
        prefixes
    }

    /// Returns where the expression stops finding anything in a value; `None` if it finds something.
    pub fn stop(&self, value: &Value) -> Option<Stop> {
        let mut before = String::new();
        let mut found = vec![std::borrow::Cow::Borrowed(value)];
        for prefix in self.prefixes() {
            let outcome = match prefix.outputs(value) {
                Err(error) => Outcome::Failure(without(prefix.source(), &error.message)),
                Ok(outputs) if outputs.is_empty() => Outcome::Nothing,
                Ok(outputs) if outputs.iter().all(|output| output.is_null()) => Outcome::Null,
                Ok(outputs) => {
                    found = outputs;
                    prefix.source().clone_into(&mut before);
                    continue;
                }
            };
            let written = prefix.source()[before.len()..].trim().trim_start_matches('|').trim().to_owned();
            // What follows a path continues it: alone, `[]` would make an array.
            let alone = if written.starts_with('[') { format!(".{written}") } else { written.clone() };
            let fails = |value: &Value| Self::parse(&alone).is_ok_and(|part| part.outputs(value).is_err());
            let at = match &outcome {
                Outcome::Failure(_) => found.iter().position(|value| fails(value)).unwrap_or(0),
                Outcome::Nothing | Outcome::Null => 0,
            };
            let count = found.len();
            let found = found.swap_remove(at).into_owned();
            let part = Path::parse(&alone).map_or(Part::Other, |path| path.part());
            return Some(Stop { before, found, count, written, part, outcome });
        }
        None
    }

    /// Returns the paths of its input that the expression reads, as far as that can be told: `.a` and `.b.c` of
    /// `.a > 1 and (.b.c | test("x"))`.
    pub fn reads(&self) -> Vec<Self> {
        let Form::Program(_) = &self.form else { return vec![self.clone()] };
        let mut paths = with_large_stack(|| {
            let mut paths = Vec::new();
            if let Ok(tokens) = Lexer::new(&self.source).lex()
                && let Ok(term) = Parser::new(&tokens).parse(Parser::term)
            {
                collect(&term, &mut paths);
            }
            paths
        });
        let mut seen = std::collections::HashSet::new();
        paths.retain(|path| seen.insert(path.clone()));
        paths.iter().filter_map(|path| Self::parse(path).ok()).collect()
    }
}

/// Returns a failure's message without the expression that it names first.
fn without(source: &str, message: &str) -> String {
    let rest = message.strip_prefix(source.trim()).and_then(|rest| rest.strip_prefix(": "));
    rest.unwrap_or(message).to_owned()
}

fn collect(term: &Term<&str>, paths: &mut Vec<String>) {
    match term {
        Term::Path(inner, path) => match &**inner {
            Term::Id => paths.extend(written(path)),
            inner => collect(inner, paths),
        },
        // What stands behind a bar reads what stands before it.
        Term::BinOp(left, BinaryOp::Pipe(None), _) => collect(left, paths),
        Term::BinOp(left, _, right) => {
            collect(left, paths);
            collect(right, paths);
        }
        Term::Neg(inner) | Term::Arr(Some(inner)) | Term::TryCatch(inner, _) => collect(inner, paths),
        Term::Str(_, parts) => {
            for part in parts {
                if let StrPart::Term(term) = part {
                    collect(term, paths);
                }
            }
        }
        Term::IfThenElse(branches, otherwise) => {
            for (condition, then) in branches {
                collect(condition, paths);
                collect(then, paths);
            }
            if let Some(otherwise) = otherwise {
                collect(otherwise, paths);
            }
        }
        Term::Call(name, arguments) if PASSED_ON.contains(name) => {
            for argument in arguments {
                collect(argument, paths);
            }
        }
        Term::Call("any" | "all", arguments) if arguments.len() == 2 => collect(&arguments[0], paths),
        _ => {}
    }
}

/// Returns a path as it would be written, as far as its parts are written out; `None` if none is.
fn written(path: &path::Path<Term<&str>>) -> Option<String> {
    let mut text = String::new();
    for (part, optional) in &path.0 {
        match part {
            PathPart::Index(Term::Str(None, parts)) => {
                let name = match &parts[..] {
                    [] => "",
                    [StrPart::Str(name)] => name,
                    _ => break,
                };
                let is_word = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                if is_word && !name.starts_with(|c: char| c.is_ascii_digit()) {
                    text.extend([".", name]);
                } else {
                    bracketed(&mut text, &Value::from(name));
                }
            }
            PathPart::Index(Term::Num(position)) => bracketed(&mut text, position),
            PathPart::Range(None, None) => bracketed(&mut text, &""),
            _ => break,
        }
        if matches!(optional, Opt::Optional) {
            text.push('?');
        }
    }
    (!text.is_empty()).then_some(text)
}

fn bracketed(text: &mut String, inside: &dyn std::fmt::Display) {
    let dot = if text.is_empty() { "." } else { "" };
    text.extend([dot, "[", &inside.to_string(), "]"]);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn expression(source: &str) -> Expression {
        Expression::parse(source).expect("an expression")
    }

    #[test]
    fn prefixes_are_expressions_that_this_one_continues() {
        let check = |source: &str, expected: &[&str]| {
            let prefixes = expression(source).prefixes();
            assert_eq!(prefixes.iter().map(Expression::source).collect::<Vec<_>>(), expected);
        };
        check(".", &["."]);
        check(".data.orders[]", &[".data", ".data.orders", ".data.orders[]"]);
        check(".a?.[\"b c\"][0]", &[".a?", ".a?.[\"b c\"]", ".a?.[\"b c\"][0]"]);
        check(".a[] | .b.c", &[".a", ".a[]", ".a[] | .b", ".a[] | .b.c"]);
        check(".a | select(.b | not) | .c", &[".a", ".a | select(.b | not)", ".a | select(.b | not) | .c"]);
        check(".a as $x | .b | $x", &[".a as $x | .b", ".a as $x | .b | $x"]);
        check(".a |= 1 | .b", &[".a |= 1", ".a |= 1 | .b"]);
        check("\"a | b\"", &["\"a | b\""]);
        check("if .a | .b then .c else .d end", &["if .a | .b then .c else .d end"]);
        check(".a // .b", &[".a // .b"]);
    }

    #[test]
    fn an_expression_stops_where_nothing_is_found() {
        let check = |source: &str, value: Value, expected: Option<(&str, Value, usize, &str, Part, Outcome)>| {
            let stop = expression(source).stop(&value);
            let stop = stop.map(|stop| (stop.before, stop.found, stop.count, stop.written, stop.part, stop.outcome));
            let expected = expected.map(|(before, found, count, written, part, outcome)| {
                (before.to_owned(), found, count, written.to_owned(), part, outcome)
            });
            assert_eq!(stop, expected, "{source}");
        };
        let member = |name: &str| Part::Member(name.to_owned());
        check(".a", json!({"a": 1}), None);
        check(
            ".data.orders[]",
            json!({"data": {"order_list": []}}),
            Some((".data", json!({"order_list": []}), 1, ".orders", member("orders"), Outcome::Null)),
        );
        check(".a[]", json!({"a": []}), Some((".a", json!([]), 1, "[]", Part::Each, Outcome::Nothing)));
        check(".a[].b", json!({"a": [{"c": 1}]}), Some((".a[]", json!({"c": 1}), 1, ".b", member("b"), Outcome::Null)));
        check(
            ".a[] | select(.b > 1) | .c",
            json!({"a": [{"b": 0}, {"b": 1}]}),
            Some((".a[]", json!({"b": 0}), 2, "select(.b > 1)", Part::Other, Outcome::Nothing)),
        );
        let stop = expression(".a[].b").stop(&json!({"a": [{"b": 1}, "x"]})).expect("it fails");
        assert_eq!((stop.found, stop.count, &*stop.written), (json!("x"), 2, ".b"));
        assert!(matches!(stop.outcome, Outcome::Failure(_)));
        let stop = expression(".a[]").stop(&json!({"a": 7})).expect("it fails");
        assert_eq!((&*stop.before, stop.found, stop.part), (".a", json!(7), Part::Each));
    }

    #[test]
    fn what_is_read_of_the_input_is_told_from_what_is_read_of_its_parts() {
        let check = |source: &str, expected: &[&str]| {
            let reads = expression(source).reads();
            assert_eq!(reads.iter().map(Expression::source).collect::<Vec<_>>(), expected, "{source}");
        };
        check(".paid", &[".paid"]);
        check(".a > 1 and (.b.c | test(\"x\"))", &[".a", ".b.c"]);
        check("select(.a == .b)", &[".a", ".b"]);
        check("(.labels | any(.name == \"bug\")) or .urgent", &[".labels", ".urgent"]);
        check("any(.labels[]; .name == \"bug\")", &[".labels[]"]);
        check(".a.\"b c\"? != null and .a.\"b c\"? != 1", &[".a[\"b c\"]?"]);
        check("if .draft then false else .state == \"open\" end", &[".draft", ".state"]);
        check("1 == 1", &[]);
    }
}
