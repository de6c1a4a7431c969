//! Texts with `{{ }}` in them.

use serde_json::Value;

use super::time::Timestamp;

/// A text with `{{ }}` in it, checked and ready to render.
#[derive(Clone)]
pub struct Template {
    source: Box<str>,
}

/// What a template can refer to.
#[derive(Debug, Clone, Copy)]
pub struct TemplateContext<'a> {
    /// `{{ params.… }}`
    pub params: &'a Value,
    /// `{{ cursor }}`
    pub cursor: Option<&'a str>,
    /// `{{ item.… }}`
    pub item: Option<&'a Value>,
    /// `{{ now }}`, in RFC 3339 form
    pub now: Timestamp,
    /// `{{ page }}`
    pub page: Option<u64>,
}

/// Why a template is wrong, or could not be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// What is wrong.
    pub message: String,
    /// Which bytes of the template are meant, where that is known.
    pub span: Option<std::ops::Range<usize>>,
}

impl Template {
    /// Parses a template.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        Ok(Self { source: source.into() })
    }

    /// Returns the template as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns the names that it refers to, such as `params.owner` or `cursor`, sorted.
    pub fn references(&self) -> Vec<String> {
        unimplemented!()
    }

    /// Returns the text with everything filled in. Referring to what is not there is an error.
    pub fn render(&self, _context: &TemplateContext<'_>) -> Result<String, TemplateError> {
        unimplemented!()
    }
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&self.source, f)
    }
}
