//! HTML text → nodes, as browsers read it, within limits that keep the time it takes in proportion to its length.

use std::borrow::Cow;
use std::cell::{Cell, Ref, RefCell};

use html5ever::buffer_queue::BufferQueue;
use html5ever::interface::{ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};
use html5ever::tree_builder::{TreeBuilder, TreeBuilderOpts};
use html5ever::{Attribute, LocalName, QualName, TokenizerResult, local_name, ns};

use super::document::{Document, Id, Kind, Node};

/// The most levels of elements, as in browsers.
const MOST_LEVELS: usize = 512;

/// The most elements, texts and comments.
const MOST_NODES: usize = 250_000;

/// The most attributes of a tag.
const MOST_ATTRIBUTES: usize = 256;

/// The most characters that can part attributes from each other which a tag or comment may have. The parser compares
/// each attribute with all others of its tag, and it cannot be stopped within one.
const MOST_SEPARATORS: usize = 20_000;

/// The most nodes that are moved to another parent to repair what is nested wrongly.
const MOST_MOVES: usize = 5_000_000;

/// How many bytes are read before it is looked whether a limit is reached.
const CHUNK: usize = 4096;

/// Returns the nodes of a page.
pub(super) fn parse(text: &str) -> Result<Document, String> {
    let builder = TreeBuilder::new(Sink::new(), TreeBuilderOpts { scripting_enabled: false, ..Default::default() });
    let watched = Watched { builder, tokens: Cell::new(0), problem: Cell::new(None) };
    let tokenizer = Tokenizer::new(watched, TokenizerOpts::default());
    let input = BufferQueue::default();
    let (mut rest, mut tokens, mut separators) = (text, 0, 0);
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(end_of_chunk(rest));
        rest = after;
        input.push_back(StrTendril::from(chunk));
        while !matches!(tokenizer.feed(&input), TokenizerResult::Done) {}
        let problem = tokenizer.sink.problem.take().or_else(|| tokenizer.sink.builder.sink.problem.take());
        if let Some(problem) = problem {
            return Err(problem);
        }
        if tokenizer.sink.tokens.get() != tokens {
            (tokens, separators) = (tokenizer.sink.tokens.get(), 0);
        }
        let can_part = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'"' | b'\'');
        separators += chunk.bytes().filter(can_part).count();
        if separators > MOST_SEPARATORS {
            return Err("a tag or a comment in it does not end".to_owned());
        }
    }
    tokenizer.end();
    let sink = &tokenizer.sink.builder.sink;
    match sink.problem.take() {
        Some(problem) => Err(problem),
        None => Ok(Document::new(sink.nodes.take())),
    }
}

fn end_of_chunk(text: &str) -> usize {
    (CHUNK..text.len()).find(|end| text.is_char_boundary(*end)).unwrap_or(text.len())
}

/// Hands tokens to the tree builder, and counts them.
struct Watched {
    builder: TreeBuilder<Id, Sink>,
    tokens: Cell<usize>,
    problem: Cell<Option<String>>,
}

impl TokenSink for Watched {
    type Handle = Id;

    fn process_token(&self, token: Token, line_number: u64) -> TokenSinkResult<Id> {
        match &token {
            Token::ParseError(_) => {}
            Token::TagToken(tag) if tag.attrs.len() > MOST_ATTRIBUTES => {
                self.problem.set(Some(format!("a tag in it has more than {MOST_ATTRIBUTES} attributes")));
                return TokenSinkResult::Continue;
            }
            _ => self.tokens.set(self.tokens.get() + 1),
        }
        self.builder.process_token(token, line_number)
    }

    fn end(&self) {
        self.builder.end();
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&self) -> bool {
        self.builder.adjusted_current_node_present_but_not_in_html_namespace()
    }
}

/// Keeps the nodes that the tree builder makes.
struct Sink {
    nodes: RefCell<Vec<Node>>,
    moves: Cell<usize>,
    /// Which limit was reached.
    problem: Cell<Option<String>>,
}

impl Sink {
    fn new() -> Self {
        let sink = Self { nodes: RefCell::default(), moves: Cell::new(0), problem: Cell::new(None) };
        sink.add(Kind::Other, nameless());
        sink
    }

    fn add(&self, kind: Kind, name: QualName) -> Id {
        let mut nodes = self.nodes.borrow_mut();
        if nodes.len() == MOST_NODES {
            self.problem.set(Some(super::too_many("elements and texts", MOST_NODES)));
        }
        let id = Id::try_from(nodes.len()).unwrap_or(Document::ROOT);
        nodes.push(Node { kind, name, parent: None, previous: None, next: None, first: None, last: None });
        id
    }

    /// Puts a node into another one, before a sibling or as the last.
    fn put(&self, child: Id, parent: Id, before: Option<Id>) {
        self.detach(child);
        let mut nodes = self.nodes.borrow_mut();
        let previous = match before {
            Some(before) => nodes[before as usize].previous.replace(child),
            None => nodes[parent as usize].last.replace(child),
        };
        match previous {
            Some(previous) => nodes[previous as usize].next = Some(child),
            None => nodes[parent as usize].first = Some(child),
        }
        let node = &mut nodes[child as usize];
        (node.parent, node.previous, node.next) = (Some(parent), previous, before);
        if matches!(node.kind, Kind::Element(_)) {
            let ancestors = std::iter::successors(Some(parent), |id| nodes[*id as usize].parent);
            if ancestors.take(MOST_LEVELS + 1).count() > MOST_LEVELS {
                let problem = format!("its elements are nested more than {MOST_LEVELS} levels deep");
                self.problem.set(Some(problem));
            }
        }
    }

    fn detach(&self, child: Id) {
        let mut nodes = self.nodes.borrow_mut();
        let node = &mut nodes[child as usize];
        let (parent, previous, next) = (node.parent.take(), node.previous.take(), node.next.take());
        let Some(parent) = parent else { return };
        match previous {
            Some(previous) => nodes[previous as usize].next = next,
            None => nodes[parent as usize].first = next,
        }
        match next {
            Some(next) => nodes[next as usize].previous = previous,
            None => nodes[parent as usize].last = previous,
        }
    }

    fn put_text(&self, text: &str, parent: Id, before: Option<Id>) {
        {
            let mut nodes = self.nodes.borrow_mut();
            let neighbour = match before {
                Some(before) => nodes[before as usize].previous,
                None => nodes[parent as usize].last,
            };
            if let Some(Kind::Text(known)) = neighbour.map(|id| &mut nodes[id as usize].kind) {
                known.push_str(text);
                return;
            }
        }
        let child = self.add(Kind::Text(text.to_owned()), nameless());
        self.put(child, parent, before);
    }

    fn put_either(&self, child: NodeOrText<Id>, parent: Id, before: Option<Id>) {
        match child {
            NodeOrText::AppendNode(child) => self.put(child, parent, before),
            NodeOrText::AppendText(text) => self.put_text(&text, parent, before),
        }
    }

    fn parent(&self, id: Id) -> Option<Id> {
        self.nodes.borrow()[id as usize].parent
    }
}

fn nameless() -> QualName {
    QualName::new(None, ns!(), local_name!(""))
}

fn plain(attributes: Vec<Attribute>) -> Vec<(String, String)> {
    let plain = |attribute: Attribute| {
        let name: LocalName = attribute.name.local;
        (name.to_ascii_lowercase().to_string(), attribute.value.to_string())
    };
    attributes.into_iter().map(plain).collect()
}

impl TreeSink for Sink {
    type Handle = Id;
    type Output = ();
    type ElemName<'a> = Ref<'a, QualName>;

    fn finish(self) {}

    fn parse_error(&self, _message: Cow<'static, str>) {}

    fn get_document(&self) -> Id {
        Document::ROOT
    }

    fn elem_name<'a>(&'a self, target: &'a Id) -> Ref<'a, QualName> {
        Ref::map(self.nodes.borrow(), |nodes| &nodes[*target as usize].name)
    }

    fn create_element(&self, name: QualName, attributes: Vec<Attribute>, _flags: ElementFlags) -> Id {
        self.add(Kind::Element(plain(attributes)), name)
    }

    fn create_comment(&self, _text: StrTendril) -> Id {
        self.add(Kind::Other, nameless())
    }

    fn create_pi(&self, _target: StrTendril, _data: StrTendril) -> Id {
        self.add(Kind::Other, nameless())
    }

    fn append(&self, parent: &Id, child: NodeOrText<Id>) {
        self.put_either(child, *parent, None);
    }

    fn append_based_on_parent_node(&self, element: &Id, previous: &Id, child: NodeOrText<Id>) {
        match self.parent(*element) {
            Some(parent) => self.put_either(child, parent, Some(*element)),
            None => self.put_either(child, *previous, None),
        }
    }

    fn append_doctype_to_document(&self, _name: StrTendril, _public_id: StrTendril, _system_id: StrTendril) {}

    fn get_template_contents(&self, target: &Id) -> Id {
        *target
    }

    fn same_node(&self, one: &Id, other: &Id) -> bool {
        one == other
    }

    fn set_quirks_mode(&self, _mode: QuirksMode) {}

    fn append_before_sibling(&self, sibling: &Id, child: NodeOrText<Id>) {
        if let Some(parent) = self.parent(*sibling) {
            self.put_either(child, parent, Some(*sibling));
        }
    }

    fn add_attrs_if_missing(&self, target: &Id, attributes: Vec<Attribute>) {
        let mut nodes = self.nodes.borrow_mut();
        let Kind::Element(known) = &mut nodes[*target as usize].kind else { return };
        for (name, value) in plain(attributes) {
            if known.len() < MOST_ATTRIBUTES && known.iter().all(|(known, _)| *known != name) {
                known.push((name, value));
            }
        }
    }

    fn remove_from_parent(&self, target: &Id) {
        self.detach(*target);
    }

    fn reparent_children(&self, node: &Id, new_parent: &Id) {
        loop {
            let Some(child) = self.nodes.borrow()[*node as usize].first else { return };
            self.moves.set(self.moves.get() + 1);
            if self.moves.get() > MOST_MOVES {
                self.problem.set(Some("its elements are nested wrongly too often".to_owned()));
                return;
            }
            self.put(child, *new_parent, None);
        }
    }
}
