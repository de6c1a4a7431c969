//! Walks over the terms of an expression.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::ops::Math;
use jaq_core::path::{Part, Path};

use super::ExpressionError;
use super::program::span_within;

/// Calls a function with a term and all terms within it.
pub(super) fn each<'s>(term: &Term<&'s str>, visit: &mut dyn FnMut(&Term<&'s str>)) {
    visit(term);
    children(term, &mut |child| each(child, visit));
}

/// Calls a function with the terms directly within a term.
fn children<'t, 's>(term: &'t Term<&'s str>, visit: &mut dyn FnMut(&'t Term<&'s str>)) {
    match term {
        Term::Id | Term::Recurse | Term::Num(_) | Term::Break(_) | Term::Var(_) | Term::Arr(None) => {}
        Term::Str(_, parts) => {
            for part in parts {
                if let StrPart::Term(term) = part {
                    visit(term);
                }
            }
        }
        Term::Arr(Some(inner)) | Term::Neg(inner) | Term::Label(_, inner) => visit(inner),
        Term::Obj(members) => {
            for (key, value) in members {
                visit(key);
                value.iter().for_each(&mut *visit);
            }
        }
        Term::BinOp(left, operator, right) => {
            visit(left);
            if let BinaryOp::Pipe(Some(pattern)) = operator {
                in_pattern(pattern, visit);
            }
            visit(right);
        }
        Term::Fold(_, source, pattern, arguments) => {
            visit(source);
            in_pattern(pattern, visit);
            arguments.iter().for_each(visit);
        }
        Term::TryCatch(inner, catch) => {
            visit(inner);
            catch.iter().map(|catch| &**catch).for_each(visit);
        }
        Term::IfThenElse(branches, otherwise) => {
            for (condition, then) in branches {
                visit(condition);
                visit(then);
            }
            otherwise.iter().map(|otherwise| &**otherwise).for_each(visit);
        }
        Term::Def(definitions, inner) => {
            definitions.iter().map(|definition| &definition.body).for_each(&mut *visit);
            visit(inner);
        }
        Term::Call(_, arguments) => arguments.iter().for_each(visit),
        Term::Path(inner, path) => {
            visit(inner);
            for (part, _) in &path.0 {
                match part {
                    Part::Index(index) => visit(index),
                    Part::Range(from, to) => from.iter().chain(to).for_each(&mut *visit),
                }
            }
        }
    }
}

fn in_pattern<'t, 's>(pattern: &'t Pattern<&'s str>, visit: &mut dyn FnMut(&'t Term<&'s str>)) {
    match pattern {
        Pattern::Var(_) => {}
        Pattern::Arr(elements) => {
            for element in elements {
                in_pattern(element, visit);
            }
        }
        Pattern::Obj(members) => {
            for (key, value) in members {
                visit(key);
                in_pattern(value, visit);
            }
        }
    }
}

/// Puts a check after whatever can make a value deeper or longer again and again.
pub(super) fn bound(term: Term<&str>) -> Term<&str> {
    let boxed = |term: Box<Term<_>>| Box::new(bound(*term));
    match term {
        Term::Str(format, parts) => {
            let part = |part| match part {
                StrPart::Term(term) => StrPart::Term(bound(term)),
                other => other,
            };
            checked(Term::Str(format, parts.into_iter().map(part).collect()))
        }
        Term::Arr(inner) => Term::Arr(inner.map(boxed)),
        Term::Neg(inner) => Term::Neg(boxed(inner)),
        Term::Label(name, inner) => Term::Label(name, boxed(inner)),
        Term::Obj(members) => {
            // A key that is a plain text names the member that is taken over: it has to stay one.
            let member = |(key, value): (Term<_>, Option<Term<_>>)| (key, value.map(bound));
            Term::Obj(members.into_iter().map(member).collect())
        }
        Term::BinOp(left, BinaryOp::Math(operator @ (Math::Add | Math::Mul)), right) => {
            Term::Call(function(operator), vec![bound(*left), bound(*right)])
        }
        Term::BinOp(left, BinaryOp::UpdateMath(operator @ (Math::Add | Math::Mul)), right) => {
            let operand = "$__operand";
            let update = Term::Call(function(operator), vec![Term::Id, Term::Var(operand)]);
            let update = Term::BinOp(boxed(left), BinaryOp::Update, Box::new(update));
            Term::BinOp(boxed(right), BinaryOp::Pipe(Some(Pattern::Var(operand))), Box::new(update))
        }
        Term::BinOp(left, operator, right) => Term::BinOp(boxed(left), operator, boxed(right)),
        Term::Fold(name, source, pattern, arguments) => {
            let argument = |(index, argument)| if index == 1 { checked(bound(argument)) } else { bound(argument) };
            Term::Fold(name, boxed(source), pattern, arguments.into_iter().enumerate().map(argument).collect())
        }
        Term::TryCatch(inner, catch) => Term::TryCatch(boxed(inner), catch.map(boxed)),
        Term::IfThenElse(branches, otherwise) => {
            let branches = branches.into_iter().map(|(condition, then)| (bound(condition), bound(then)));
            Term::IfThenElse(branches.collect(), otherwise.map(boxed))
        }
        Term::Def(definitions, inner) => {
            let definition = |definition: Def<_>| Def { body: bound(definition.body), ..definition };
            Term::Def(definitions.into_iter().map(definition).collect(), boxed(inner))
        }
        Term::Call(name, arguments) => {
            let call = Term::Call(name, arguments.into_iter().map(bound).collect());
            if GROWING.contains(&name) { checked(call) } else { call }
        }
        Term::Path(inner, path) => {
            let part = |(part, optional)| {
                let part = match part {
                    Part::Index(Term::Str(None, parts)) => Part::Index(Term::Str(None, parts)),
                    Part::Index(index) => Part::Index(bound(index)),
                    Part::Range(from, to) => Part::Range(from.map(bound), to.map(bound)),
                };
                (part, optional)
            };
            Term::Path(boxed(inner), Path(path.0.into_iter().map(part).collect()))
        }
        other => other,
    }
}

/// What makes a text longer, or an array of it.
const GROWING: &[&str] =
    &["tojson", "explode", "join", "gsub", "sub", "add", "@json", "@uri", "@base64", "@html", "@sh", "@csv", "@tsv"];

fn checked(term: Term<&str>) -> Term<&str> {
    match &term {
        Term::Str(_, parts) if !parts.iter().any(|part| matches!(part, StrPart::Term(_))) => term,
        _ => Term::BinOp(Box::new(term), BinaryOp::Pipe(None), Box::new(Term::Call("__bounded", Vec::new()))),
    }
}

fn function(operator: Math) -> &'static str {
    if operator == Math::Mul { "__times" } else { "__plus" }
}

/// The deepest nesting of an expression. jaq's stack grows with it, also where nothing counts the steps.
const MOST_NESTED: usize = 256;

/// Refuses what is nested too deeply. Operators of one chain, parts of one path or text, and members of one object count
/// as nested, because that is how jaq runs them.
pub(super) fn refuse_depth(term: &Term<&str>) -> Result<(), ExpressionError> {
    if depth(term) > MOST_NESTED {
        return Err(format!("it is nested too deeply: {MOST_NESTED} levels are the most").into());
    }
    Ok(())
}

fn depth(term: &Term<&str>) -> usize {
    let mut deepest = 0;
    children(term, &mut |child| deepest = deepest.max(depth(child)));
    let own = match term {
        Term::Str(_, parts) => parts.len(),
        Term::Obj(members) => members.len(),
        Term::Path(_, path) => path.0.len(),
        Term::IfThenElse(branches, _) => branches.len(),
        Term::Def(definitions, _) => definitions.len(),
        _ => 1,
    };
    deepest + own.max(1)
}

/// A name that a call may mean, and whether calling it is recursion.
struct Scope<'s> {
    name: &'s str,
    arity: usize,
    is_open: bool,
}

/// Refuses definitions that call themselves: nothing bounds how deeply they would nest.
pub(super) fn refuse_recursion(source: &str, term: &Term<&str>) -> Result<(), ExpressionError> {
    find_recursion(term, &mut Vec::new()).map_or(Ok(()), |name| {
        let message = format!("`{name}` calls itself: use `recurse`, `while`, `until` or `reduce` instead");
        Err(ExpressionError { message, span: span_within(source, name) })
    })
}

fn find_recursion<'s>(term: &Term<&'s str>, scopes: &mut Vec<Scope<'s>>) -> Option<&'s str> {
    match term {
        Term::Call(name, arguments) => {
            let meant = scopes.iter().rfind(|scope| scope.name == *name && scope.arity == arguments.len());
            if meant.is_some_and(|scope| scope.is_open) {
                return Some(name);
            }
        }
        Term::Def(definitions, inner) => {
            let outer = scopes.len();
            for definition in definitions {
                let here = scopes.len();
                scopes.push(Scope { name: definition.name, arity: definition.args.len(), is_open: true });
                scopes.extend(definition.args.iter().map(|name| Scope { name, arity: 0, is_open: false }));
                let found = find_recursion(&definition.body, scopes);
                if found.is_some() {
                    return found;
                }
                scopes.truncate(here + 1);
                scopes[here].is_open = false;
            }
            let found = find_recursion(inner, scopes);
            scopes.truncate(outer);
            return found;
        }
        _ => {}
    }
    let mut found = None;
    children(term, &mut |child| found = found.or_else(|| find_recursion(child, scopes)));
    found
}
