//! The formats that answers can have.

use super::selector::Selector;

/// The format of an answer, and how it is read.
#[derive(Debug, Clone, PartialEq)]
pub enum ResponseFormat {
    Json,
    /// A JSON value a line.
    Ndjson,
    /// Comma-separated values (RFC 4180): each row an object.
    Csv(CsvRules),
    Xml(XmlRules),
    /// RSS, Atom or JSON Feed, all through one item shape.
    Feed,
    Html(HtmlRules),
}

impl ResponseFormat {
    /// Returns what people call it, as the end of "the answer is …".
    pub fn name(&self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Ndjson => "NDJSON",
            Self::Csv(_) => "CSV",
            Self::Xml(_) => "XML",
            Self::Feed => "a feed",
            Self::Html(_) => "HTML",
        }
    }
}

/// How comma-separated values are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CsvRules {
    /// `None` finds out which of `,`, `;`, tab and `|` it is, from the first line.
    pub delimiter: Option<u8>,
    /// The names of the columns, where the first line does not tell them.
    pub columns: Option<Vec<String>>,
}

/// How XML is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct XmlRules {
    /// The names of elements that are always a list, even if there is one alone.
    pub lists: Vec<String>,
}

/// What is taken out of an HTML document.
#[derive(Debug, Clone, PartialEq)]
pub struct HtmlRules {
    pub items: Selector,
    /// What each item has, by name.
    pub fields: Vec<(String, HtmlField)>,
}

/// A field of an HTML item.
#[derive(Debug, Clone, PartialEq)]
pub struct HtmlField {
    /// Selects within the item; `None` is the item itself.
    pub select: Option<Selector>,
    /// The attribute that holds the value; `None` takes the text.
    pub attribute: Option<String>,
    /// Whether all elements count, as a list, and not the first alone.
    pub all: bool,
}
