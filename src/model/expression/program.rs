//! Expressions that jaq runs.

use std::ops::Range;
use std::sync::OnceLock;

use jaq_core::load::lex::{self, Lexer};
use jaq_core::load::parse::{self, Def, Parser, Term};
use jaq_core::load::{Arena, File, Loader, span};
use jaq_core::{Compiler, Ctx, Filter, Vars, compile::Undefined};
use jaq_json::Val;
use serde_json::Value;

use super::ExpressionError;
use super::bounds::{Budget, Kind, MOST_OUTPUTS, Run};
use super::value::{FromJaq, brief, to_jaq};
use super::{library, terms};

/// Enough for the deepest nesting that fits into the longest expression.
const COMPILER_STACK: usize = 256 * 1024 * 1024;

/// What an expression is defined as, after the definitions that it needs.
const MAIN: &str = "__main";

/// A compiled expression.
pub(super) struct Program {
    filter: Filter<Kind>,
    /// `del(…)` of the same expression, compiled when first needed.
    delete: OnceLock<Result<Filter<Kind>, ExpressionError>>,
}

impl Program {
    pub(super) fn compile(source: &str) -> Result<Self, ExpressionError> {
        let filter = with_large_stack(|| compile(source, |term| term))?;
        Ok(Self { filter, delete: OnceLock::new() })
    }

    pub(super) fn outputs(&self, source: &str, input: &Value) -> Result<Vec<Value>, ExpressionError> {
        let mut outputs = Vec::new();
        let mut from_jaq = FromJaq::new();
        run(&self.filter, input, |output| {
            if outputs.len() == MOST_OUTPUTS {
                return Err(format!("more than {MOST_OUTPUTS} outputs"));
            }
            outputs.push(from_jaq.convert(&output)?);
            Ok(true)
        })
        .map_err(|message| run_error(source, &message))?;
        Ok(outputs)
    }

    pub(super) fn first_output(&self, source: &str, input: &Value) -> Result<Option<Value>, ExpressionError> {
        first_output(&self.filter, input).map_err(|message| run_error(source, &message))
    }

    pub(super) fn delete_from(&self, source: &str, value: &mut Value) -> Result<(), ExpressionError> {
        let compile = || with_large_stack(|| compile(source, |term| Term::Call("del", vec![term])));
        let delete = self.delete.get_or_init(compile).as_ref().map_err(Clone::clone)?;
        let left = first_output(delete, value).map_err(|message| run_error(source, &message))?;
        *value = left.unwrap_or(Value::Null);
        Ok(())
    }
}

fn first_output(filter: &Filter<Kind>, input: &Value) -> Result<Option<Value>, String> {
    let mut first = None;
    run(filter, input, |output| {
        first = Some(FromJaq::new().convert(&output)?);
        Ok(false)
    })?;
    Ok(first)
}

/// Runs a program, and hands each output over until `take` wants no more.
fn run(filter: &Filter<Kind>, input: &Value, mut take: impl FnMut(Val) -> Result<bool, String>) -> Result<(), String> {
    Budget::run(|budget| {
        let context = Ctx::<Kind>::new(Run { program: &filter.lut, budget }, Vars::new([]));
        for output in filter.id.run((context, to_jaq(input))) {
            let wants_more = match output {
                Ok(output) => take(output)?,
                Err(exception) => match exception.get_err() {
                    Ok(error) => return Err(brief(error)),
                    Err(_) => return Err("it breaks out of a label that is not there".to_owned()),
                },
            };
            if !wants_more {
                break;
            }
        }
        Ok(())
    })?
}

/// Says which expression failed, and why in jq's words.
fn run_error(source: &str, message: &str) -> ExpressionError {
    let iterated =
        message.strip_prefix("cannot use ").and_then(|rest| rest.strip_suffix(" as iterable (array or object)"));
    let reason = iterated.map_or_else(|| message.to_owned(), |value| format!("cannot iterate over {value}"));
    format!("{}: {reason}", brief(source.trim())).into()
}

pub(super) fn with_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("compile".to_owned()).stack_size(COMPILER_STACK);
        match thread.spawn_scoped(scope, work).expect("a thread can be started").join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn compile<'s>(
    source: &'s str,
    wrap: impl FnOnce(Term<&'s str>) -> Term<&'s str>,
) -> Result<Filter<Kind>, ExpressionError> {
    let tokens = Lexer::new(source).lex().map_err(|errors| lex_error(source, errors))?;
    let term = Parser::new(&tokens).parse(Parser::term).map_err(|errors| parse_error(source, errors))?;
    terms::refuse_depth(&term)?;
    terms::refuse_recursion(source, &term)?;

    let main = Def { name: MAIN, args: Vec::new(), body: wrap(terms::bound(term)) };
    let definitions = library::definitions_for(main);
    let arena = Arena::default();
    let modules = Loader::new(definitions)
        .load(&arena, File { code: MAIN, path: () })
        .unwrap_or_else(|_| unreachable!("the name of a definition is a program"));
    Compiler::default().with_funs(library::functions()).compile(modules).map_err(|files| {
        match files.into_iter().flat_map(|(_, errors)| errors).next() {
            Some((name, undefined)) => undefined_error(source, name, &undefined),
            None => "it cannot be compiled".to_owned().into(),
        }
    })
}

fn lex_error(source: &str, errors: Vec<lex::Error<&str>>) -> ExpressionError {
    let Some((expected, found)) = errors.into_iter().next() else { return "it cannot be read".to_owned().into() };
    let at = span(source, found).start;
    let end = at + found.chars().next().map_or(0, char::len_utf8);
    let message = match (expected.as_str(), &source[at..end]) {
        ("token", unknown) => format!("`{unknown}` means nothing here"),
        (expected, "") => format!("it ends where {} {expected} was expected", article(expected)),
        (expected, unknown) => format!("{} {expected} was expected, not `{unknown}`", article(expected)),
    };
    ExpressionError::at(message, at..end)
}

fn parse_error(source: &str, errors: Vec<parse::TError<'_, &str>>) -> ExpressionError {
    let Some((expected, found)) = errors.into_iter().next() else { return "it cannot be read".to_owned().into() };
    let expected = match expected {
        parse::Expect::Just(text) => format!("`{text}`"),
        parse::Expect::Term => "an expression".to_owned(),
        parse::Expect::Nothing => "its end".to_owned(),
        other => format!("{} {}", article(other.as_str()), other.as_str()),
    };
    let Some(found) = found else {
        let end = source.trim_end().len();
        return ExpressionError::at(format!("it ends where {expected} was expected"), end..end);
    };
    let at = span(source, found.as_str());
    ExpressionError::at(format!("{expected} was expected, not `{}`", brief(found.as_str())), at)
}

fn undefined_error(source: &str, name: &str, undefined: &Undefined) -> ExpressionError {
    let message = match undefined {
        Undefined::Filter(_) if library::is_impure(name) => {
            format!("`{name}` is not available: an expression reads nothing but its input")
        }
        Undefined::Filter(arity) => format!("the function `{name}/{arity}` is unknown"),
        Undefined::Var if library::is_impure(name) => {
            format!("`{name}` is not available: an expression reads nothing but its input")
        }
        Undefined::Var => format!("the variable `{name}` is unknown"),
        other => format!("the {} `{name}` is unknown", other.as_str()),
    };
    ExpressionError { message, span: span_within(source, name) }
}

/// Returns where a part of the source stands in it; `None` for a text from elsewhere.
pub(super) fn span_within(source: &str, part: &str) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(source.as_ptr().addr())?;
    (start + part.len() <= source.len()).then(|| start..start + part.len())
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}
