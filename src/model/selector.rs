//! CSS selectors.
//!
//! Lists of selectors, the four combinators, types, ids, classes, attributes with all their comparisons, `:not()`, `:is()`,
//! `:first-child`, `:last-child`, `:only-child`, `:nth-child()` and their kin `of-type`, `:nth-last-child()`, `:empty` and
//! `:scope`. A selector is matched from the top of a tree to its leaves, in time that grows with the tree alone.

mod parser;

/// A list of CSS selectors, checked and ready to match.
#[derive(Debug, Clone, PartialEq)]
pub struct Selector {
    source: String,
    /// The steps of all selectors of the list, one after the other; each has a bit in [`Matched`].
    steps: Vec<Step>,
}

/// Why a selector is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SelectorError {
    /// What is wrong.
    pub message: String,
    /// Which bytes of the selector are meant.
    pub span: std::ops::Range<usize>,
}

/// The most steps of a selector, such as the three of `ul > li a`.
const MOST_STEPS: usize = 64;

/// One element of the way that a selector describes.
#[derive(Debug, Clone, PartialEq)]
struct Step {
    /// How it lies to the step before; `None` begins a selector.
    combinator: Option<Combinator>,
    tests: Vec<Test>,
    /// Whether it ends a selector.
    is_last: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Combinator {
    Descendant,
    Child,
    Next,
    Later,
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    Type(String),
    Id(String),
    Class(String),
    Attribute {
        name: String,
        comparison: Comparison,
        value: String,
        ignores_case: bool,
    },
    /// Passes if any of the alternatives does, or if none does.
    Any {
        alternatives: Vec<Vec<Test>>,
        wanted: bool,
    },
    Position {
        of_type: bool,
        from_end: bool,
        step: i64,
        offset: i64,
    },
    Empty,
    Scope,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Exists,
    Equals,
    Word,
    Dash,
    Prefix,
    Suffix,
    Substring,
}

/// An element that may be selected.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// In lower case.
    pub name: &'a str,
    /// Their names in lower case.
    pub attributes: &'a [(String, String)],
    pub position: Position,
    /// Whether nothing is in it but comments.
    pub is_empty: bool,
    /// Whether the search began with it.
    pub is_scope: bool,
}

/// Where an element stands among its siblings, each counted from 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    pub index: u32,
    pub index_from_end: u32,
    /// Among those of its type.
    pub type_index: u32,
    pub type_index_from_end: u32,
}

/// Which steps of a selector an element is at the end of, as bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Matched(u64);

/// What is known of the elements around one, before it is looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Around {
    /// Of all elements that it is in.
    pub ancestors: Matched,
    /// Of the one that it is directly in.
    pub parent: Matched,
    /// Of the sibling directly before it.
    pub previous: Matched,
    /// Of all siblings before it.
    pub earlier: Matched,
}

impl Matched {
    /// Returns what either has.
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Selector {
    /// Parses a list of selectors.
    pub fn parse(source: &str) -> Result<Self, SelectorError> {
        parser::parse(source).map(|steps| Self { source: source.to_owned(), steps })
    }

    /// Returns the selector as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns which steps an element is at the end of.
    pub fn look(&self, subject: &Subject<'_>, around: &Around) -> Matched {
        let mut matched = 0;
        for (index, step) in self.steps.iter().enumerate() {
            let before = match step.combinator {
                None => u64::MAX,
                Some(Combinator::Descendant) => around.ancestors.0,
                Some(Combinator::Child) => around.parent.0,
                Some(Combinator::Next) => around.previous.0,
                Some(Combinator::Later) => around.earlier.0,
            };
            let is_reached = step.combinator.is_none() || before & (1 << (index - 1)) != 0;
            if is_reached && step.tests.iter().all(|test| test.passes(subject)) {
                matched |= 1 << index;
            }
        }
        Matched(matched)
    }

    /// Tells whether an element is selected.
    pub fn selects(&self, matched: Matched) -> bool {
        self.steps.iter().enumerate().any(|(index, step)| step.is_last && matched.0 & (1 << index) != 0)
    }
}

impl Test {
    fn passes(&self, subject: &Subject<'_>) -> bool {
        let attribute = |name: &str| {
            let mut values = subject.attributes.iter().filter(|(known, _)| known == name);
            values.next().map(|(_, value)| value.as_str())
        };
        match self {
            Self::Type(name) => subject.name == name,
            Self::Id(id) => attribute("id") == Some(id),
            Self::Class(class) => {
                attribute("class").is_some_and(|classes| classes.split_ascii_whitespace().any(|one| one == class))
            }
            Self::Attribute { name, comparison, value, ignores_case } => attribute(name).is_some_and(|found| {
                if *ignores_case {
                    comparison.holds(&found.to_lowercase(), &value.to_lowercase())
                } else {
                    comparison.holds(found, value)
                }
            }),
            Self::Any { alternatives, wanted } => {
                let passes = |tests: &Vec<Self>| tests.iter().all(|test| test.passes(subject));
                alternatives.iter().any(passes) == *wanted
            }
            Self::Position { of_type, from_end, step, offset } => {
                let Position { index, index_from_end, type_index, type_index_from_end } = subject.position;
                let at = match (of_type, from_end) {
                    (false, false) => index,
                    (false, true) => index_from_end,
                    (true, false) => type_index,
                    (true, true) => type_index_from_end,
                };
                let distance = i64::from(at) - offset;
                if *step == 0 { distance == 0 } else { distance % step == 0 && distance / step >= 0 }
            }
            Self::Empty => subject.is_empty,
            Self::Scope => subject.is_scope,
        }
    }
}

impl Comparison {
    fn holds(self, found: &str, value: &str) -> bool {
        match self {
            Self::Exists => true,
            Self::Equals => found == value,
            Self::Word => !value.is_empty() && found.split_ascii_whitespace().any(|word| word == value),
            Self::Dash => found.strip_prefix(value).is_some_and(|rest| rest.is_empty() || rest.starts_with('-')),
            Self::Prefix => !value.is_empty() && found.starts_with(value),
            Self::Suffix => !value.is_empty() && found.ends_with(value),
            Self::Substring => !value.is_empty() && found.contains(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_look_at_one_element() {
        let attributes: Vec<(String, String)> =
            [("id", "x"), ("class", "a b-c"), ("lang", "en-GB"), ("href", "/One.PDF"), ("data", "")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec();
        let position = Position { index: 3, index_from_end: 1, type_index: 2, type_index_from_end: 1 };
        let subject = Subject { name: "a", attributes: &attributes, position, is_empty: false, is_scope: true };
        let check = |source: &str, expected: bool| {
            let selector = Selector::parse(source).expect("a selector");
            let matched = selector.look(&subject, &Around::default());
            assert_eq!(selector.selects(matched), expected, "{source}");
        };
        for source in [
            "a",
            "A",
            "*",
            "#x",
            ".a",
            "a.b-c#x",
            "[data]",
            "[lang|=en]",
            "[class~='a']",
            "[href^='/One']",
            "[href $= .pdf i]",
            "[href*=\"ne\"]",
            "[data='']",
            ":not(b)",
            ":not(.z, #y)",
            ":is(b, .a)",
            ":last-child",
            ":nth-child(3)",
            ":nth-child(odd)",
            ":nth-child(2n + 1)",
            ":nth-child(-n+3)",
            ":nth-last-child(1)",
            ":nth-of-type(even)",
            ":last-of-type",
            ":scope",
            "b, a",
            ".b\\-c",
        ] {
            check(source, true);
        }
        for source in [
            "b",
            "#y",
            ".b",
            "[href$=.pdf]",
            "[title]",
            "[data*='']",
            "[class~='']",
            "[lang|=e]",
            ":not(.a)",
            ":first-child",
            ":only-child",
            ":nth-child(2n)",
            ":nth-child(-n+2)",
            ":nth-child(n+4)",
            ":empty",
            ":first-of-type",
            "b a",
            "b > a",
            "b + a",
            "b ~ a",
            "b, i",
        ] {
            check(source, false);
        }
    }

    #[test]
    fn combinators_look_at_what_is_around() {
        let subject =
            |name| Subject { name, attributes: &[], position: Position::default(), is_empty: true, is_scope: false };
        let selector = Selector::parse("ul > li a, p + b").expect("a selector");
        let list = selector.look(&subject("ul"), &Around::default());
        let item = selector.look(&subject("li"), &Around { ancestors: list, parent: list, ..Around::default() });
        let deep = Around { ancestors: list.or(item), ..Around::default() };
        assert!(selector.selects(selector.look(&subject("a"), &deep)));
        assert!(!selector.selects(selector.look(&subject("a"), &Around { ancestors: list, ..Around::default() })));
        let paragraph = selector.look(&subject("p"), &Around::default());
        assert!(selector.selects(selector.look(&subject("b"), &Around { previous: paragraph, ..Around::default() })));
        assert!(!selector.selects(selector.look(&subject("b"), &Around { earlier: paragraph, ..Around::default() })));
    }
}
