//! CSS selectors from their text.

use std::ops::Range;

use super::{Combinator, Comparison, MOST_STEPS, SelectorError, Step, Test};

/// The most levels of `:not()` and `:is()` in each other.
const MOST_NESTED: usize = 4;

/// Returns the steps of all selectors of a list.
pub(super) fn parse(source: &str) -> Result<Vec<Step>, SelectorError> {
    let mut parser = Parser { source, at: 0 };
    let mut steps = Vec::new();
    loop {
        parser.skip_whitespace();
        let mut combinator = None;
        loop {
            let start = parser.at;
            let tests = parser.compound(0)?;
            if steps.len() == MOST_STEPS {
                return Err(parser.error(start, format!("a selector may have {MOST_STEPS} steps")));
            }
            steps.push(Step { combinator, tests, is_last: false });
            combinator = parser.combinator();
            if combinator.is_none() {
                break;
            }
        }
        if let Some(step) = steps.last_mut() {
            step.is_last = true;
        }
        match parser.peek() {
            None => return Ok(steps),
            Some(',') => parser.at += 1,
            Some(c) => return Err(parser.unexpected(c)),
        }
    }
}

struct Parser<'s> {
    source: &'s str,
    at: usize,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        &self.source[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip_whitespace(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    /// Passes a text if it comes next.
    fn take(&mut self, text: &str) -> bool {
        let is_next = self.rest().starts_with(text);
        if is_next {
            self.at += text.len();
        }
        is_next
    }

    fn error(&self, start: usize, message: impl Into<String>) -> SelectorError {
        let length = self.source[start..].chars().next().map_or(0, char::len_utf8);
        let span: Range<usize> = start..self.at.max(start + length);
        SelectorError { message: message.into(), span }
    }

    fn unexpected(&self, c: char) -> SelectorError {
        self.error(self.at, format!("`{c}` is not expected here"))
    }

    /// Passes the combinator that leads to another step; `None` if none follows.
    fn combinator(&mut self) -> Option<Combinator> {
        let start = self.at;
        self.skip_whitespace();
        let combinator = match self.peek() {
            None | Some(',' | ')') => return None,
            Some('>') => Combinator::Child,
            Some('+') => Combinator::Next,
            Some('~') => Combinator::Later,
            Some(_) if self.at > start => return Some(Combinator::Descendant),
            Some(_) => return None,
        };
        self.at += 1;
        self.skip_whitespace();
        Some(combinator)
    }

    /// Reads what one element has to be.
    fn compound(&mut self, nested: usize) -> Result<Vec<Test>, SelectorError> {
        let start = self.at;
        let mut tests = Vec::new();
        if !self.take("*")
            && let Some(name) = self.identifier()
        {
            tests.push(Test::Type(name.to_ascii_lowercase()));
        }
        loop {
            let begun = self.at;
            if self.take("#") {
                tests.push(Test::Id(self.needed_identifier("an id")?));
            } else if self.take(".") {
                tests.push(Test::Class(self.needed_identifier("a class")?));
            } else if self.take("[") {
                tests.push(self.attribute()?);
            } else if self.take("::") {
                let message = "there are no pseudo-elements: text is taken without one, an attribute with `attribute`";
                self.identifier();
                return Err(self.error(begun, message));
            } else if self.take(":") {
                tests.extend(self.pseudo_class(begun, nested)?);
            } else if self.at == start {
                return Err(match self.peek() {
                    Some(c) => self.unexpected(c),
                    None => self.error(start, "an element is expected at the end"),
                });
            } else {
                return Ok(tests);
            }
        }
    }

    fn needed_identifier(&mut self, what: &str) -> Result<String, SelectorError> {
        let start = self.at;
        self.identifier().ok_or_else(|| self.error(start, format!("{what} needs a name")))
    }

    /// Reads a name, if one comes next; `\` takes any character into it.
    fn identifier(&mut self) -> Option<String> {
        let mut name = String::new();
        while let Some(c) = self.peek() {
            if c == '\\' {
                let escaped = self.rest().chars().nth(1)?;
                name.push(escaped);
                self.at += 1 + escaped.len_utf8();
            } else if c.is_alphanumeric() || matches!(c, '-' | '_') || (!c.is_ascii() && !c.is_whitespace()) {
                name.push(c);
                self.at += c.len_utf8();
            } else {
                break;
            }
        }
        Some(name).filter(|name| !name.is_empty())
    }

    /// Reads what follows `[`.
    fn attribute(&mut self) -> Result<Test, SelectorError> {
        self.skip_whitespace();
        let name = self.needed_identifier("an attribute")?.to_ascii_lowercase();
        self.skip_whitespace();
        let comparisons = [
            ("=", Comparison::Equals),
            ("~=", Comparison::Word),
            ("|=", Comparison::Dash),
            ("^=", Comparison::Prefix),
            ("$=", Comparison::Suffix),
            ("*=", Comparison::Substring),
        ];
        let comparison = comparisons.into_iter().find(|(text, _)| self.take(text)).map(|(_, comparison)| comparison);
        let (mut value, mut ignores_case) = (String::new(), false);
        if comparison.is_some() {
            self.skip_whitespace();
            value = self.attribute_value()?;
            self.skip_whitespace();
            ignores_case = self.take("i") || self.take("I");
            self.skip_whitespace();
        }
        if !self.take("]") {
            return Err(self.error(self.at, "`]` is expected here"));
        }
        Ok(Test::Attribute { name, comparison: comparison.unwrap_or(Comparison::Exists), value, ignores_case })
    }

    fn attribute_value(&mut self) -> Result<String, SelectorError> {
        let start = self.at;
        let Some(quote) = self.peek().filter(|c| matches!(c, '"' | '\'')) else {
            let length = self.rest().find([']', ' ', '"', '\'']).unwrap_or(self.rest().len());
            let value = self.rest()[..length].to_owned();
            self.at += length;
            return if value.is_empty() { Err(self.error(start, "a value is expected here")) } else { Ok(value) };
        };
        self.at += 1;
        let Some(length) = self.rest().find(quote) else {
            return Err(self.error(start, "this quote is never closed"));
        };
        let value = self.rest()[..length].to_owned();
        self.at += length + 1;
        Ok(value)
    }

    /// Reads what follows `:`.
    fn pseudo_class(&mut self, begun: usize, nested: usize) -> Result<Vec<Test>, SelectorError> {
        let name = self.needed_identifier("a pseudo-class")?.to_ascii_lowercase();
        let nth = |from_end, of_type, step, offset| Test::Position { of_type, from_end, step, offset };
        Ok(vec![match name.as_str() {
            "first-child" => nth(false, false, 0, 1),
            "last-child" => nth(true, false, 0, 1),
            "first-of-type" => nth(false, true, 0, 1),
            "last-of-type" => nth(true, true, 0, 1),
            "only-child" => return Ok(vec![nth(false, false, 0, 1), nth(true, false, 0, 1)]),
            "only-of-type" => return Ok(vec![nth(false, true, 0, 1), nth(true, true, 0, 1)]),
            "empty" => Test::Empty,
            "scope" => Test::Scope,
            "nth-child" | "nth-last-child" | "nth-of-type" | "nth-last-of-type" => {
                let argument = self.argument()?;
                let Some((step, offset)) = arithmetic(&argument) else {
                    let message = format!("`{}` is no position such as 2, odd or 3n+1", argument.trim());
                    return Err(self.error(begun, message));
                };
                nth(name.contains("last"), name.ends_with("of-type"), step, offset)
            }
            "not" | "is" | "where" => {
                if nested == MOST_NESTED || !self.take("(") {
                    return Err(self.error(begun, format!("`:{name}` takes selectors in brackets, not nested deeper")));
                }
                Test::Any { alternatives: self.alternatives(nested + 1)?, wanted: name != "not" }
            }
            _ => return Err(self.error(begun, format!("the pseudo-class `:{name}` is not supported"))),
        }])
    }

    /// Reads selectors of single elements, with commas, to the closing bracket.
    fn alternatives(&mut self, nested: usize) -> Result<Vec<Vec<Test>>, SelectorError> {
        let mut alternatives = Vec::new();
        loop {
            self.skip_whitespace();
            alternatives.push(self.compound(nested)?);
            self.skip_whitespace();
            if self.take(")") {
                return Ok(alternatives);
            }
            if !self.take(",") {
                return Err(self.error(self.at, "`,` or `)` is expected here; in brackets there are no combinators"));
            }
        }
    }

    /// Reads what is in brackets.
    fn argument(&mut self) -> Result<String, SelectorError> {
        let start = self.at;
        let end = if self.take("(") { self.rest().find(')') } else { None };
        let Some(length) = end else { return Err(self.error(start, "an argument in brackets is expected here")) };
        let argument = self.rest()[..length].to_owned();
        self.at += length + 1;
        Ok(argument)
    }
}

/// Returns step and offset of a position such as `2n+1`.
fn arithmetic(text: &str) -> Option<(i64, i64)> {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase();
    let number = |text: &str| text.parse::<i32>().ok().map(i64::from);
    match text.as_str() {
        "odd" => return Some((2, 1)),
        "even" => return Some((2, 0)),
        _ => {}
    }
    let Some((step, offset)) = text.split_once('n') else { return Some((0, number(&text)?)) };
    let step = match step {
        "" | "+" => 1,
        "-" => -1,
        step => number(step)?,
    };
    Some((step, if offset.is_empty() { 0 } else { number(offset)? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_shown_where_they_are() {
        let check = |source: &str, span: Range<usize>, message: &str| {
            let error = parse(source).expect_err("it is wrong");
            assert_eq!((error.span, error.message.as_str()), (span, message), "{source}");
        };
        check("", 0..0, "an element is expected at the end");
        check("a >", 3..3, "an element is expected at the end");
        check("a,, b", 2..3, "`,` is not expected here");
        check("a .", 3..3, "a class needs a name");
        check("a[b", 3..3, "`]` is expected here");
        check("a[b='c]", 4..5, "this quote is never closed");
        check(
            "a::text",
            1..7,
            "there are no pseudo-elements: text is taken without one, an attribute with `attribute`",
        );
        check("a:hover", 1..7, "the pseudo-class `:hover` is not supported");
        check("a:nth-child(x)", 1..14, "`x` is no position such as 2, odd or 3n+1");
        check("a:not(b c)", 8..9, "`,` or `)` is expected here; in brackets there are no combinators");
        check("a$", 1..2, "`$` is not expected here");
    }

    #[test]
    fn steps_are_bounded() {
        assert_eq!(parse(&"a ".repeat(64)).map(|steps| steps.len()), Ok(64));
        parse(&"a ".repeat(65)).expect_err("too many");
    }
}
