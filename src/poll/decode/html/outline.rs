//! The elements of a page, for whoever has to find out how to read it.

use super::document::{Document, Id, Kind};
use super::{base, parse};
use url::Url;

/// An element of a page.
#[derive(Debug)]
pub struct OutlineElement {
    /// In small letters.
    pub name: String,
    pub attributes: Vec<(String, String)>,
    /// The index of the element that it is in.
    pub parent: Option<usize>,
    /// The text that is in it and in no element within it, with single spaces.
    pub text: String,
}

/// The elements of a page, each before those in it.
#[derive(Debug)]
pub struct Outline {
    pub elements: Vec<OutlineElement>,
    /// What addresses in it are relative to, if that is known.
    pub base: Option<Url>,
}

impl OutlineElement {
    /// Returns the value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns its classes.
    pub fn classes(&self) -> impl Iterator<Item = &str> {
        self.attribute("class").unwrap_or_default().split_ascii_whitespace()
    }
}

/// Returns the elements of a page that was found at this address.
pub(in crate::poll::decode) fn outline(text: &str, url: Option<&Url>) -> Result<Outline, String> {
    let document = parse::parse(text)?;
    let base = base(&document, url);
    let mut elements: Vec<OutlineElement> = Vec::new();
    let mut open: Vec<(Option<Id>, Option<usize>)> = vec![(document.nodes[Document::ROOT as usize].first, None)];
    while let Some((next, parent)) = open.last_mut() {
        let Some(id) = *next else {
            open.pop();
            continue;
        };
        let (node, parent) = (&document.nodes[id as usize], *parent);
        *next = node.next;
        match &node.kind {
            Kind::Element(attributes) => {
                let name = node.name.local.to_string();
                elements.push(OutlineElement { name, attributes: attributes.clone(), parent, text: String::new() });
                open.push((node.first, Some(elements.len() - 1)));
            }
            Kind::Text(text) => {
                if let Some(element) = parent.and_then(|parent| elements.get_mut(parent)) {
                    for word in text.split_whitespace() {
                        if !element.text.is_empty() {
                            element.text.push(' ');
                        }
                        element.text.push_str(word);
                    }
                }
            }
            Kind::Other => {}
        }
    }
    Ok(Outline { elements, base })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_element_comes_before_those_in_it() {
        let outline = outline("<body class='a b'>x<p>y <b>z</b>\n w</p><i id=q></i>", None).expect("a page");
        let shown =
            outline.elements.iter().map(|element| (element.name.as_str(), element.parent, element.text.as_str()));
        let expected = [
            ("html", None, ""),
            ("head", Some(0), ""),
            ("body", Some(0), "x"),
            ("p", Some(2), "y w"),
            ("b", Some(3), "z"),
            ("i", Some(2), ""),
        ];
        assert_eq!(shown.collect::<Vec<_>>(), expected);
        assert_eq!(outline.elements[2].classes().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(outline.elements[5].attribute("id"), Some("q"));
    }
}
