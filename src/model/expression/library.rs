//! The functions that an expression may call: jq's, less everything that reads more than its input.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::LazyLock;

use jaq_core::box_iter::box_once;
use jaq_core::load::parse::{Def, Term};
use jaq_core::native::{Filter, Fun, bome, run, unary, v};
use jaq_core::{Error, Exn, Native, RunPtr};
use jaq_json::Val;
use jaq_std::ValT as _;

use super::bounds::{Budget, Kind};
use super::delete::delete_paths;
use super::terms;
use super::value::{brief, parse_json};

/// What reads the world, acts on it, builds without bounds, or does otherwise than in jq; the last two are defined anew
/// below.
const LEFT_OUT: &[&str] = &[
    "repeat",
    "recurse/1",
    "while",
    "until",
    "env",
    "now",
    "localtime",
    "strflocaltime",
    "halt",
    "halt_error",
    "debug",
    "debug_empty",
    "stderr",
    "stderr_empty",
    "range/3",
    "fromjson",
    "del",
    "delpaths",
];

/// What jq has and an expression cannot name.
const IMPURE: &[&str] = &[
    "env",
    "$ENV",
    "now",
    "localtime",
    "strflocaltime",
    "halt",
    "halt_error",
    "debug",
    "stderr",
    "input",
    "inputs",
    "input_filename",
    "input_line_number",
    "get_search_list",
    "import",
    "include",
    "$__loc__",
    "$__prog_args",
];

/// jq's loops, in which a value may grow without end.
const LOOPS: &str = "
def repeat(f): def rec: f, (__bounded | rec); rec;
def recurse(f): def rec: ., (f | __bounded | rec); rec;
def while(cond; update): def rec: if cond then ., (update | __bounded | rec) else {}[] as $x | . end; rec;
def until(cond; update): def rec: if cond then . else update | __bounded | rec end; rec;
";

/// What jaq lacks, or does otherwise than jq.
const OURS: &str = r#"
def del(f): delpaths([path(f)]);
def toarray: if isarray then . else [.] end;
def trimstr($text): ltrimstr($text) | rtrimstr($text);
def ascii: [.] | implode;
def __quoted: if isstring then "\"" + (split("\"") | join("\"\"")) + "\"" elif . == null then "" else tostring end;
def @csv: map(__quoted) | join(",");
def __tabbed: if . == null then "" else tostring end
  | split("\\") | join("\\\\") | split("\t") | join("\\t") | split("\n") | join("\\n") | split("\r") | join("\\r");
def @tsv: map(__tabbed) | join("\t");
"#;

/// All definitions, in an order in which each uses only those before it, or itself.
static DEFINITIONS: LazyLock<Vec<Def<&'static str>>> = LazyLock::new(|| {
    let jaq = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    let ours = jaq_core::load::parse(OURS, |parser| parser.defs()).expect("our definitions are right");
    let loops = jaq_core::load::parse(LOOPS, |parser| parser.defs()).expect("our definitions are right");
    let jaq = jaq.filter(|definition| !is_left_out(definition.name, definition.args.len()));
    loops.into_iter().chain(jaq).chain(ours).collect()
});

pub(super) fn is_impure(name: &str) -> bool {
    IMPURE.contains(&name)
}

fn is_left_out(name: &str, arity: usize) -> bool {
    LEFT_OUT.iter().any(|left_out| match left_out.split_once('/') {
        Some((left_out, left_out_arity)) => left_out == name && left_out_arity == arity.to_string(),
        None => *left_out == name,
    })
}

/// Returns the given definition after those of the library that it needs, in their order.
pub(super) fn definitions_for(main: Def<&str>) -> Vec<Def<&str>> {
    let mut needed = vec![false; DEFINITIONS.len()];
    let mut called: Vec<(&str, usize)> = calls(&main.body);
    let mut known = HashSet::new();
    while let Some(call) = called.pop() {
        if !known.insert(call) {
            continue;
        }
        for (position, definition) in DEFINITIONS.iter().enumerate() {
            if (definition.name, definition.args.len()) == call {
                needed[position] = true;
                called.extend(calls(&definition.body));
            }
        }
    }
    let library =
        DEFINITIONS.iter().zip(needed).filter(|(_, needed)| *needed).map(|(definition, _)| definition.clone());
    library.chain([main]).collect()
}

fn calls<'s>(term: &Term<&'s str>) -> Vec<(&'s str, usize)> {
    let mut calls = Vec::new();
    terms::each(term, &mut |term| match term {
        Term::Call(name, arguments) => calls.push((*name, arguments.len())),
        Term::Str(Some(format), _) => calls.push((*format, 0)),
        _ => {}
    });
    calls
}

/// Returns the functions that are not written in jq.
pub(super) fn functions() -> impl Iterator<Item = Fun<Kind>> {
    let jaq = jaq_core::funs::<Kind>().chain(jaq_std::funs()).chain(jaq_json::funs());
    jaq.filter(|(name, arguments, _)| !is_left_out(name, arguments.len()))
        .chain(ours().into_iter().map(run::<Kind>))
        .chain([bounded()])
}

/// Passes its input on unless that has grown too large; also where paths are asked for.
fn bounded() -> Fun<Kind> {
    let native = Native::<Kind>::new(|cv| {
        let checked = cv.0.data().budget.check(cv.1);
        bome(checked)
    });
    ("__bounded", v(0), native.with_paths(|cv| box_once(Ok(cv.1))).with_update(|cv, update| update(cv.1)))
}

fn ours() -> [Filter<RunPtr<Kind>>; 5] {
    [
        ("__plus", v(2), |mut cv| {
            let (right, left) = (cv.0.pop_var(), cv.0.pop_var());
            bome(Budget::plus(left, right))
        }),
        ("__times", v(2), |mut cv| {
            let (right, left) = (cv.0.pop_var(), cv.0.pop_var());
            bome(Budget::times(left, right))
        }),
        ("delpaths", v(1), |cv| unary(cv, delete_paths)),
        ("fromjson", v(0), |cv| {
            bome(cv.1.try_as_utf8_bytes().and_then(|text| {
                parse_json(text)
                    .map_err(|error| Error::str(format_args!("cannot parse {} as JSON: {error}", brief(&cv.1))))
            }))
        }),
        ("range", v(3), |mut cv| {
            let (by, to, from) = (cv.0.pop_var(), cv.0.pop_var(), cv.0.pop_var());
            let budget = cv.0.data().budget;
            let zero = Val::from(0_isize);
            let mut next = Some(Ok(from));
            Box::new(std::iter::from_fn(move || {
                budget.step(1);
                let current = match next.take()? {
                    Ok(current) => current,
                    Err(error) => return Some(Err(Exn::from(error))),
                };
                let goes_on = match by.cmp(&zero) {
                    Ordering::Greater => current < to,
                    Ordering::Less => current > to,
                    Ordering::Equal => current != to,
                };
                goes_on.then(|| {
                    next = Some(current.clone() + by.clone());
                    Ok(current)
                })
            }))
        }),
    ]
}
