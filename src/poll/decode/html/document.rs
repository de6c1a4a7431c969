//! A parsed page: its nodes in one list, linked to each other.

use std::collections::HashMap;

use html5ever::QualName;

use crate::model::selector::{Around, Matched, Position, Selector, Subject};

/// The number of a node.
pub(super) type Id = u32;

/// The nodes of a page.
#[derive(Debug)]
pub(super) struct Document {
    pub nodes: Vec<Node>,
    /// Where each element stands, once all of them are there.
    positions: Vec<Position>,
}

/// An element, a text, or something else that holds its place.
#[derive(Debug)]
pub(super) struct Node {
    pub kind: Kind,
    pub name: QualName,
    pub parent: Option<Id>,
    pub previous: Option<Id>,
    pub next: Option<Id>,
    pub first: Option<Id>,
    pub last: Option<Id>,
}

/// What a node is.
#[derive(Debug)]
pub(super) enum Kind {
    Element(Vec<(String, String)>),
    Text(String),
    /// The page itself, a comment, or a processing instruction.
    Other,
}

/// The elements whose text is not for reading.
const SILENT: [&str; 4] = ["script", "style", "template", "noscript"];

/// The elements within lines: all others are apart from what is around them.
const INLINE: [&str; 33] = [
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em", "font", "i", "ins",
    "kbd", "label", "mark", "q", "ruby", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "time", "tt",
    "u", "var",
];

/// What is known of the elements in another, on the way through them.
struct Frame {
    around: Around,
    next: Option<Id>,
}

impl Document {
    /// The page itself.
    pub const ROOT: Id = 0;

    /// Returns a page of these nodes, the first of which is the page itself.
    pub fn new(nodes: Vec<Node>) -> Self {
        let mut document = Self { positions: Vec::new(), nodes };
        document.positions = document.find_positions();
        document
    }

    fn node(&self, id: Id) -> &Node {
        &self.nodes[id as usize]
    }

    /// Returns the value of an element's attribute.
    pub fn attribute(&self, id: Id, name: &str) -> Option<&str> {
        let Kind::Element(attributes) = &self.node(id).kind else { return None };
        attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns all elements of this name.
    pub fn elements_named<'d>(&'d self, name: &'d str) -> impl Iterator<Item = Id> + 'd {
        let numbered = (0_u32..).zip(&self.nodes);
        numbered.filter(move |(_, node)| &*node.name.local == name).map(|(id, _)| id)
    }

    fn children(&self, id: Id) -> impl Iterator<Item = Id> + '_ {
        std::iter::successors(self.node(id).first, |child| self.node(*child).next)
    }

    fn find_positions(&self) -> Vec<Position> {
        let mut positions = vec![Position::default(); self.nodes.len()];
        for (parent, _) in (0_u32..).zip(&self.nodes) {
            let is_element = |id: &Id| matches!(self.node(*id).kind, Kind::Element(_));
            let elements: Vec<Id> = self.children(parent).filter(is_element).collect();
            let mut types: HashMap<&str, u32> = HashMap::new();
            for (index, id) in (1_u32..).zip(&elements) {
                let of_type = types.entry(&self.node(*id).name.local).or_default();
                *of_type += 1;
                positions[*id as usize] = Position { index, type_index: *of_type, ..Position::default() };
            }
            types.clear();
            for (index, id) in (1_u32..).zip(elements.iter().rev()) {
                let of_type = types.entry(&self.node(*id).name.local).or_default();
                *of_type += 1;
                let position = &mut positions[*id as usize];
                (position.index_from_end, position.type_index_from_end) = (index, *of_type);
            }
        }
        positions
    }

    fn subject(&self, id: Id, is_scope: bool) -> Option<Subject<'_>> {
        let node = self.node(id);
        let Kind::Element(attributes) = &node.kind else { return None };
        let is_empty = || self.children(id).all(|child| matches!(self.node(child).kind, Kind::Other));
        let position = self.positions[id as usize];
        Some(Subject { name: &node.name.local, attributes, position, is_empty: is_empty(), is_scope })
    }

    /// Returns the elements in this one that are selected, in their order; `None` if there are no visits left.
    pub fn select(&self, selector: &Selector, scope: Id, visits_left: &mut usize) -> Option<Vec<Id>> {
        let own = self.subject(scope, true).map(|subject| selector.look(&subject, &Around::default()));
        let own = own.unwrap_or_default();
        let within = |ancestors: Matched, parent: Matched| Around { ancestors, parent, ..Around::default() };
        let mut frames = vec![Frame { around: within(own, own), next: self.node(scope).first }];
        let mut selected = Vec::new();
        while let Some(frame) = frames.last_mut() {
            let Some(id) = frame.next else {
                frames.pop();
                continue;
            };
            *visits_left = visits_left.checked_sub(1)?;
            frame.next = self.node(id).next;
            let Some(subject) = self.subject(id, false) else { continue };
            let matched = selector.look(&subject, &frame.around);
            if selector.selects(matched) {
                selected.push(id);
            }
            let around = within(frame.around.ancestors.or(matched), matched);
            frame.around.previous = matched;
            frame.around.earlier = frame.around.earlier.or(matched);
            frames.push(Frame { around, next: self.node(id).first });
        }
        Some(selected)
    }

    /// Returns what an element says, with single spaces; `None` if there are no visits left.
    pub fn text(&self, element: Id, visits_left: &mut usize) -> Option<String> {
        let mut text = String::new();
        let mut id = element;
        loop {
            *visits_left = visits_left.checked_sub(1)?;
            let node = self.node(id);
            let name = &*node.name.local;
            match &node.kind {
                Kind::Text(own) => text.push_str(own),
                Kind::Element(_) if !INLINE.contains(&name) => text.push(' '),
                Kind::Element(_) | Kind::Other => {}
            }
            let is_silent = id != element && SILENT.contains(&name);
            if let Some(first) = node.first.filter(|_| !is_silent) {
                id = first;
                continue;
            }
            loop {
                let node = self.node(id);
                if matches!(node.kind, Kind::Element(_)) && !INLINE.contains(&&*node.name.local) {
                    text.push(' ');
                }
                if id == element {
                    return Some(text.split_whitespace().collect::<Vec<_>>().join(" "));
                }
                if let Some(next) = node.next {
                    id = next;
                    break;
                }
                id = node.parent.unwrap_or(element);
            }
        }
    }
}
