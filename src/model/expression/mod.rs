//! jq expressions.
//!
//! Plain paths (`.`, `.a.b`, `.["a b"]`, `.[0]`, `.orders[]`, `.a?`) run directly on the value. Everything else runs in
//! jaq, an implementation of jq, with these promises added:
//!
//! - **An expression reads nothing but its input.** There is no `env`, `$ENV`, `now`, `localtime`, `input`, `debug`, `halt`
//!   or `import`; naming one is an error when the expression is parsed.
//! - **A number that is not calculated with keeps its text**: `9007199254740993`, `1.0`, `1e400`, `-0`.
//! - **Members of an object keep their order**, also under `del`.
//! - **An expression ends.** It may take [`MOST_STEPS`] steps and have [`MOST_OUTPUTS`] outputs; a definition may not call
//!   itself; and how long texts and arrays, and how deep the results of `reduce`, may become is bounded. Beyond that it
//!   fails, as it does on a value of the wrong shape.

mod bounds;
mod delete;
mod library;
mod path;
mod program;
mod stop;
mod terms;
mod value;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

use path::Path;
use program::Program;

pub use bounds::{MOST_OUTPUTS, MOST_STEPS};
pub use stop::{Outcome, Part, Stop};

/// The longest expression, in bytes.
pub const LONGEST_EXPRESSION: usize = 8 * 1024;

/// A jq expression, checked and ready to run. Running it reads nothing but its input.
#[derive(Clone)]
pub struct Expression {
    source: Arc<str>,
    form: Form,
}

#[derive(Clone)]
enum Form {
    Path(Arc<Path>),
    Program(Arc<Program>),
}

/// Why an expression is wrong, or failed on a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExpressionError {
    /// What is wrong.
    pub message: String,
    /// Which bytes of the expression are meant, where that is known.
    pub span: Option<Range<usize>>,
}

impl ExpressionError {
    fn at(message: impl Into<String>, span: Range<usize>) -> Self {
        Self { message: message.into(), span: Some(span) }
    }
}

impl From<String> for ExpressionError {
    fn from(message: String) -> Self {
        Self { message, span: None }
    }
}

impl Expression {
    /// Parses and compiles an expression of at most [`LONGEST_EXPRESSION`] bytes.
    pub fn parse(source: &str) -> Result<Self, ExpressionError> {
        let form = if source.len() > LONGEST_EXPRESSION {
            let message =
                format!("an expression may have {LONGEST_EXPRESSION} bytes, and this one has {}", source.len());
            return Err(message.into());
        } else if let Some(path) = Path::parse(source) {
            Form::Path(Arc::new(path))
        } else {
            Form::Program(Arc::new(Program::compile(source)?))
        };
        Ok(Self { source: source.into(), form })
    }

    /// Returns the expression as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns the names of the members that lead to the elements which the expression gives: `data` and `items` for
    /// `.data.items[]`. `None` if it is anything else than such a path.
    pub fn listing(&self) -> Option<Vec<&str>> {
        match &self.form {
            Form::Path(path) => path.listing(),
            Form::Program(_) => None,
        }
    }

    /// Returns all outputs for an input, in order; those of a plain path such as `.a.b[]` are borrowed from it.
    pub fn outputs<'a>(&self, input: &'a Value) -> Result<Vec<Cow<'a, Value>>, ExpressionError> {
        match &self.form {
            Form::Path(path) => Ok(path.outputs(&self.source, input)?.into_iter().map(Cow::Borrowed).collect()),
            Form::Program(program) => Ok(program.outputs(&self.source, input)?.into_iter().map(Cow::Owned).collect()),
        }
    }

    /// Returns all outputs for an input that is no longer needed; a plain path moves them out of it.
    pub fn into_outputs(&self, input: Value) -> Result<Vec<Value>, ExpressionError> {
        match &self.form {
            Form::Path(path) => Ok(path.take_outputs(&self.source, input)?),
            Form::Program(program) => program.outputs(&self.source, &input),
        }
    }

    /// Returns the first output for an input; `None` if there is none. Later ones are not looked for.
    pub fn first_output(&self, input: &Value) -> Result<Option<Value>, ExpressionError> {
        match &self.form {
            Form::Path(path) => Ok(path.outputs(&self.source, input)?.first().map(|value| (*value).clone())),
            Form::Program(program) => program.first_output(&self.source, input),
        }
    }

    /// Tells whether the first output is there and neither `false` nor `null`.
    pub fn is_truthy(&self, input: &Value) -> Result<bool, ExpressionError> {
        let is_truthy = |value: &Value| !matches!(value, Value::Null | Value::Bool(false));
        match &self.form {
            Form::Path(path) => Ok(path.outputs(&self.source, input)?.first().is_some_and(|value| is_truthy(value))),
            Form::Program(program) => Ok(program.first_output(&self.source, input)?.as_ref().is_some_and(is_truthy)),
        }
    }

    /// Removes what the expression points at from a value, as `del(…)` does; the rest keeps its order.
    ///
    /// On an error the value is left as it was.
    pub fn delete_from(&self, value: &mut Value) -> Result<(), ExpressionError> {
        match &self.form {
            Form::Path(path) => Ok(path.delete_from(&self.source, value)?),
            Form::Program(program) => program.delete_from(&self.source, value),
        }
    }
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&self.source, f)
    }
}

#[cfg(test)]
mod tests;
