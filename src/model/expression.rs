//! jq expressions.

use std::borrow::Cow;

use serde_json::Value;

/// A jq expression, checked and ready to run. Running it reads nothing but its input.
#[derive(Clone)]
pub struct Expression {
    source: Box<str>,
}

/// Why an expression is wrong, or failed on a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExpressionError {
    /// What is wrong.
    pub message: String,
    /// Which bytes of the expression are meant, where that is known.
    pub span: Option<std::ops::Range<usize>>,
}

impl Expression {
    /// Parses and compiles an expression.
    pub fn parse(source: &str) -> Result<Self, ExpressionError> {
        Ok(Self { source: source.into() })
    }

    /// Returns the expression as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns all outputs for an input, in order; those of a plain path such as `.a.b[]` are borrowed from it.
    pub fn outputs<'a>(&self, _input: &'a Value) -> Result<Vec<Cow<'a, Value>>, ExpressionError> {
        unimplemented!()
    }

    /// Returns all outputs for an input that is no longer needed; a plain path moves them out of it.
    pub fn into_outputs(&self, _input: Value) -> Result<Vec<Value>, ExpressionError> {
        unimplemented!()
    }

    /// Tells whether the first output is there and neither `false` nor `null`.
    pub fn is_truthy(&self, _input: &Value) -> Result<bool, ExpressionError> {
        unimplemented!()
    }

    /// Removes what the expression points at from a value, as `del(…)` does.
    pub fn delete_from(&self, _value: &mut Value) -> Result<(), ExpressionError> {
        unimplemented!()
    }
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&self.source, f)
    }
}
