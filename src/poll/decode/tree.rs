//! XML text → a tree of elements. No entity but the predefined ones is ever resolved, and nothing is fetched.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::errors::{Error, IllFormedError, SyntaxError};
use quick_xml::escape::{resolve_html5_entity, resolve_xml_entity};
use quick_xml::events::{BytesStart, Event};

use super::{MOST_LEVELS, MOST_VALUES, too_many};

/// An element.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Element {
    /// With its prefix, as written.
    pub name: String,
    pub attributes: Vec<(String, String)>,
    pub children: Vec<Node>,
}

/// What an element holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Element(Element),
    /// Not empty, and not followed by another text.
    Text(String),
}

/// How well-formed a document has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Wholly.
    Strict,
    /// As far as it can be guessed what was meant: feeds are written by hand, and by templates that escape nothing.
    Lenient,
}

impl Element {
    /// Returns the value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns the elements in this one.
    pub fn elements(&self) -> impl Iterator<Item = &Element> {
        self.children.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// Returns the elements of this name in this one.
    pub fn all<'e>(&'e self, name: &str) -> impl Iterator<Item = &'e Element> {
        self.elements().filter(move |element| element.name == name)
    }

    /// Returns the text directly in this element, without the whitespace around it.
    pub fn text(&self) -> Cow<'_, str> {
        let mut texts = self.children.iter().filter_map(|node| match node {
            Node::Text(text) => Some(text.as_str()),
            Node::Element(_) => None,
        });
        match (texts.next(), texts.next()) {
            (first, None) => Cow::Borrowed(first.unwrap_or_default().trim()),
            (first, Some(second)) => {
                let whole: String = first.into_iter().chain([second]).chain(texts).collect();
                Cow::Owned(whole.trim().to_owned())
            }
        }
    }

    fn push_text(&mut self, text: &str) {
        match self.children.last_mut() {
            Some(Node::Text(last)) => last.push_str(text),
            _ if text.is_empty() => {}
            _ => self.children.push(Node::Text(text.to_owned())),
        }
    }
}

/// Returns the root element of a document.
pub(super) fn parse(text: &str, form: Form) -> Result<Element, String> {
    let text = if text.contains('\r') { Cow::Owned(text.replace("\r\n", "\n")) } else { Cow::Borrowed(text) };
    let mut parser = Parser { text: &text, form, open: Vec::new(), root: None, values: 0 };
    let mut reader = Reader::from_str(&text);
    let config = reader.config_mut();
    config.check_end_names = form == Form::Strict;
    config.allow_unmatched_ends = form == Form::Lenient;
    config.allow_dangling_amp = form == Form::Lenient;
    loop {
        let at = reader.buffer_position();
        let end = match reader.read_event() {
            Ok(Event::Eof) => break,
            Ok(event) => parser.take(event),
            Err(error) => Err(explain(&error)),
        };
        end.map_err(|problem| parser.at_line(at, &problem))?;
        if form == Form::Lenient && parser.root.is_some() {
            // Whatever follows is an advertisement, or an error message.
            break;
        }
    }
    match parser.open.last() {
        Some(element) => Err(format!("it is cut off: <{}> is never closed", element.name)),
        None => parser.root.ok_or_else(|| "it has no element".to_owned()),
    }
}

struct Parser<'t> {
    text: &'t str,
    form: Form,
    /// The elements that are not closed yet, the innermost last.
    open: Vec<Element>,
    root: Option<Element>,
    values: usize,
}

impl Parser<'_> {
    fn at_line(&self, at: u64, problem: &str) -> String {
        let before = usize::try_from(at).ok().and_then(|at| self.text.as_bytes().get(..at)).unwrap_or_default();
        format!("line {}: {problem}", memchr::memchr_iter(b'\n', before).count() + 1)
    }

    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::Start(tag) => self.start(&tag, false),
            Event::Empty(tag) => self.start(&tag, true),
            Event::End(tag) => {
                self.end(tag.name().as_ref());
                Ok(())
            }
            Event::Text(text) => self.push(&text.into_inner()),
            Event::CData(text) => self.push(&text.into_inner()),
            Event::GeneralRef(reference) => {
                let name = reference.into_inner();
                let resolved = resolve(&name, self.form)?;
                self.push(&resolved)
            }
            Event::DocType(doctype) => refuse_entities(&doctype),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::Eof => Ok(()),
        }
    }

    fn start(&mut self, tag: &BytesStart<'_>, is_empty: bool) -> Result<(), String> {
        let name = tag.name().as_ref().to_owned();
        if !name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            if self.form == Form::Strict {
                return Err(format!("<{name} is no element"));
            }
            return self.push(&format!("<{}{}>", &**tag, if is_empty { "/" } else { "" }));
        }
        if self.root.is_some() {
            return Err(format!("<{name}> follows the end of the document"));
        }
        if self.open.len() == MOST_LEVELS {
            return Err(format!("it is nested more than {MOST_LEVELS} levels deep"));
        }
        let attributes = self.attributes(tag)?;
        self.values += 1 + attributes.len();
        if self.values > MOST_VALUES {
            return Err(too_many("elements and attributes", MOST_VALUES));
        }
        self.open.push(Element { name, attributes, children: Vec::new() });
        if is_empty {
            self.close();
        }
        Ok(())
    }

    fn attributes(&self, tag: &BytesStart<'_>) -> Result<Vec<(String, String)>, String> {
        let mut attributes = Vec::new();
        match self.form {
            Form::Strict => {
                for attribute in tag.attributes() {
                    let attribute = attribute.map_err(|error| format!("in <{}>: {error}", tag.name().as_ref()))?;
                    attributes.push((attribute.key.as_ref().to_owned(), attribute_value(&attribute.value, self.form)?));
                }
            }
            Form::Lenient => {
                for attribute in tag.html_attributes().with_checks(false).flatten() {
                    attributes.push((attribute.key.as_ref().to_owned(), attribute_value(&attribute.value, self.form)?));
                }
            }
        }
        Ok(attributes)
    }

    fn push(&mut self, text: &str) -> Result<(), String> {
        match self.open.last_mut() {
            Some(element) => element.push_text(text),
            None if self.form == Form::Strict && !text.trim().is_empty() => {
                return Err("there is text outside of the document".to_owned());
            }
            None => {}
        }
        Ok(())
    }

    /// Closes the innermost element of this name, and all in it. If there is none, nothing is closed.
    fn end(&mut self, name: &str) {
        let Some(index) = self.open.iter().rposition(|element| element.name == name.trim()) else { return };
        while self.open.len() > index {
            self.close();
        }
    }

    /// Closes the innermost element.
    fn close(&mut self) {
        let Some(element) = self.open.pop() else { return };
        match self.open.last_mut() {
            Some(parent) => parent.children.push(Node::Element(element)),
            None => self.root = Some(element),
        }
    }
}

/// Returns an attribute's value with its references resolved and its line breaks as spaces.
fn attribute_value(written: &str, form: Form) -> Result<String, String> {
    let value = unescape(written, form)?;
    Ok(if value.contains(['\n', '\t']) { value.replace(['\n', '\t'], " ") } else { value })
}

/// Returns a text with the references of HTML in it resolved, as far as they are known.
pub(super) fn unescape_html(text: &str) -> String {
    unescape(text, Form::Lenient).unwrap_or_default()
}

fn unescape(written: &str, form: Form) -> Result<String, String> {
    let mut value = String::with_capacity(written.len());
    let mut rest = written;
    while let Some((before, after)) = rest.split_once('&') {
        value.push_str(before);
        // No name is longer than this, so a text of ampersands alone is not searched again and again.
        let nearby = &after.as_bytes()[..after.len().min(LONGEST_REFERENCE)];
        match memchr::memchr(b';', nearby) {
            Some(end) => {
                value.push_str(&resolve(&after[..end], form)?);
                rest = &after[end + 1..];
            }
            None if form == Form::Strict => return Err("an `&` is not escaped".to_owned()),
            None => {
                value.push('&');
                rest = after;
            }
        }
    }
    value.push_str(rest);
    Ok(value)
}

/// Returns what a reference such as `&amp;` stands for, given what is between `&` and `;`.
fn resolve(name: &str, form: Form) -> Result<String, String> {
    let found = match name.strip_prefix('#') {
        Some(number) => character(number, form).map(String::from),
        None if form == Form::Strict => resolve_xml_entity(name).map(str::to_owned),
        None => resolve_html5_entity(name).map(str::to_owned),
    };
    match found {
        Some(text) => Ok(text),
        None if form == Form::Lenient => Ok(format!("&{name};")),
        None => Err(format!("the entity &{name}; is not known")),
    }
}

/// How long what is between `&` and `;` may be, in bytes.
const LONGEST_REFERENCE: usize = 40;

fn character(number: &str, form: Form) -> Option<char> {
    let code = match number.strip_prefix(['x', 'X']) {
        Some(digits) => u32::from_str_radix(digits, 16).ok()?,
        None => number.parse().ok()?,
    };
    match code {
        // What Windows once had there is what is meant.
        0x80..=0x9f if form == Form::Lenient => {
            let byte = [u8::try_from(code).ok()?];
            encoding_rs::WINDOWS_1252.decode_without_bom_handling(&byte).0.chars().next()
        }
        0 => None,
        code => char::from_u32(code),
    }
}

fn refuse_entities(doctype: &str) -> Result<(), String> {
    let declares = doctype.to_ascii_uppercase().contains("<!ENTITY");
    if declares { Err("its DOCTYPE declares entities, which are never resolved".to_owned()) } else { Ok(()) }
}

fn explain(error: &Error) -> String {
    match error {
        Error::Syntax(SyntaxError::InvalidBangMarkup) => "<! begins nothing that is known".to_owned(),
        Error::Syntax(error) => format!("it is cut off: {error}"),
        Error::IllFormed(IllFormedError::MismatchedEndTag { expected, found }) => {
            format!("</{found}> stands where </{expected}> is expected")
        }
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a tree in a short form: `name[attribute=value](children)`, texts in quotes.
    fn shown(element: &Element) -> String {
        let attributes = element.attributes.iter().map(|(name, value)| format!("[{name}={value}]"));
        let children = element.children.iter().map(|node| match node {
            Node::Element(element) => shown(element),
            Node::Text(text) => format!("{text:?}"),
        });
        let children: Vec<String> = children.collect();
        let inner = if children.is_empty() { String::new() } else { format!("({})", children.join(" ")) };
        format!("{}{}{inner}", element.name, attributes.collect::<String>())
    }

    #[track_caller]
    fn check(form: Form, text: &str, expected: Result<&str, &str>) {
        let parsed = parse(text, form).map(|element| shown(&element));
        assert_eq!(parsed.as_deref().map_err(String::as_str), expected, "{text}");
    }

    #[test]
    fn what_is_well_formed_is_read_either_way() {
        for form in [Form::Strict, Form::Lenient] {
            let check = |text: &str, expected: &str| check(form, text, Ok(expected));
            check("<a/>", "a");
            check(
                "\n<?xml version='1.0'?><!DOCTYPE a SYSTEM 'x'><a b='1' c=\"&lt;&#x41;\n\"><?pi?><!-- x --></a>\n",
                "a[b=1][c=<A ]",
            );
            check("<x:a>1 &amp; <b>2</b><![CDATA[<3>]]>&#52;</x:a>", r#"x:a("1 & " b("2") "<3>4")"#);
            check("<a>\r\n</a>", r#"a("\n")"#);
        }
    }

    #[test]
    fn what_is_not_well_formed_is_refused_or_guessed() {
        let both = |text: &str, strict: &str, lenient: Result<&str, &str>| {
            check(Form::Strict, text, Err(strict));
            check(Form::Lenient, text, lenient);
        };
        both("<a>&nbsp;&x;</a>", "line 1: the entity &nbsp; is not known", Ok(r#"a("\u{a0}&x;")"#));
        both("<a>&#0;&#147;</a>", "line 1: the entity &#0; is not known", Ok("a(\"&#0;“\")"));
        both("<a>\n<b></a>", "line 2: </a> stands where </b> is expected", Ok(r#"a("\n" b)"#));
        both("<a></b></a>", "line 1: </b> stands where </a> is expected", Ok("a"));
        both("<a>1 < 2 > 1</a>", "line 1: < is no element", Ok(r#"a("1 < 2 > 1")"#));
        both("<a/>junk", "line 1: there is text outside of the document", Ok("a"));
        both("<a/><b/>", "line 1: <b> follows the end of the document", Ok("a"));
        both("<a b='x & y'/>", "line 1: an `&` is not escaped", Ok("a[b=x & y]"));
        both("<a><b>1", "it is cut off: <b> is never closed", Err("it is cut off: <b> is never closed"));
        both("", "it has no element", Err("it has no element"));
    }

    #[test]
    fn what_could_grow_is_refused() {
        let entities = "<!DOCTYPE a [<!entity b 'c'>]><a>&b;</a>";
        let deep = "<a>".repeat(128);
        for form in [Form::Strict, Form::Lenient] {
            check(form, entities, Err("line 1: its DOCTYPE declares entities, which are never resolved"));
            check(form, &deep, Err("line 1: it is nested more than 127 levels deep"));
        }
    }
}
