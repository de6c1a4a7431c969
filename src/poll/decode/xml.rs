//! XML → JSON, the same way whatever else is in the document.
//!
//! The value is an object with the root element as its one member. An element that has neither attributes nor elements
//! in it is its text. Any other is an object: its attributes are members named `@name`, the elements in it members of
//! their own names, and its text, if it has any, the member `#text`. Several elements of one name in the same element
//! are an array; one alone is not, unless the rules name it.
//!
//! Names keep their prefixes as they are written; declarations of namespaces are left out, and so is the whitespace
//! around texts. What an element becomes depends on nothing outside of it, so that no item looks changed because of
//! another one.

use serde_json::{Map, Value};

use super::tree::{self, Element, Form};
use crate::model::format::XmlRules;

/// Returns the value of a well-formed document.
pub(super) fn decode(text: &str, rules: &XmlRules) -> Result<Value, String> {
    let root = tree::parse(text, Form::Strict)?;
    let mut document = Map::new();
    let value = value(&root, &rules.lists);
    let value = if rules.lists.contains(&root.name) { Value::Array(vec![value]) } else { value };
    document.insert(root.name.clone(), value);
    Ok(Value::Object(document))
}

/// Returns what an element becomes.
pub(super) fn value(element: &Element, lists: &[String]) -> Value {
    let text = element.text();
    let is_declaration = |name: &str| name == "xmlns" || name.starts_with("xmlns:");
    let mut members = Map::new();
    for (name, value) in element.attributes.iter().filter(|(name, _)| !is_declaration(name)) {
        members.insert(format!("@{name}"), Value::String(value.clone()));
    }
    for child in element.elements() {
        let value = value(child, lists);
        match members.get_mut(&child.name) {
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
            None if lists.contains(&child.name) => {
                members.insert(child.name.clone(), Value::Array(vec![value]));
            }
            None => {
                members.insert(child.name.clone(), value);
            }
        }
    }
    if members.is_empty() {
        return Value::String(text.into_owned());
    }
    if !text.is_empty() {
        members.insert("#text".to_owned(), Value::String(text.into_owned()));
    }
    Value::Object(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lists: &[&str], text: &str, expected: Result<&str, &str>) {
        let rules = XmlRules { lists: lists.iter().map(|name| (*name).to_owned()).collect() };
        let decoded = decode(text, &rules).map(|value| value.to_string());
        assert_eq!(decoded.as_deref().map_err(String::as_str), expected, "{text}");
    }

    #[test]
    fn elements_become_objects_texts_and_arrays() {
        check(&[], "<a/>", Ok(r#"{"a":""}"#));
        check(&[], "<a> x <!-- y --> </a>", Ok(r#"{"a":"x"}"#));
        check(&[], "<a b='1'>x</a>", Ok(r##"{"a":{"@b":"1","#text":"x"}}"##));
        check(&[], "<a xmlns='u' xmlns:p='v'><p:b>1</p:b></a>", Ok(r#"{"a":{"p:b":"1"}}"#));
        check(&[], "<a><b>1</b><c/><b>2</b><b>3</b></a>", Ok(r#"{"a":{"b":["1","2","3"],"c":""}}"#));
        check(&[], "<a>x <b>y</b> z</a>", Ok(r##"{"a":{"b":"y","#text":"x  z"}}"##));
    }

    #[test]
    fn named_elements_are_always_lists() {
        check(&["b"], "<a><b>1</b></a>", Ok(r#"{"a":{"b":["1"]}}"#));
        check(&["b"], "<a><b>1</b><b><b/></b></a>", Ok(r#"{"a":{"b":["1",{"b":[""]}]}}"#));
        check(&["a"], "<a/>", Ok(r#"{"a":[""]}"#));
    }
}
