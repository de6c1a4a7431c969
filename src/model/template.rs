//! Texts with `{{ }}` in them.
//!
//! A template is minijinja's (Jinja's) language with the names of [`TemplateContext`] and the filters `default`, `first`,
//! `int`, `float`, `join`, `last`, `length`, `lower`, `replace`, `round`, `split`, `string`, `title`, `trim`, `upper` and
//! `urlencode`. Nothing is escaped unless a filter says so. Numbers render exactly as they were written. `null` counts as
//! not being there, and so `{{ item.parent }}` fails on it while `{{ item.parent | default("none") }}` does not.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, LazyLock};

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value as Rendered, filters};
use serde_json::{Number, Value};

use super::time::Timestamp;

/// The longest text that a template may render to, in bytes.
pub const LONGEST_RENDERED: usize = 1024 * 1024;

/// The longest text between `{{` and `}}` or `{%` and `%}`, in bytes: each operator in it takes some of the stack.
const LONGEST_EXPRESSION: usize = 500;

/// The most instructions that rendering may take.
const FUEL: u64 = 500_000;

/// What a template can refer to.
const NAMES: [&str; 5] = ["params", "cursor", "item", "now", "page"];

/// A text with `{{ }}` in it, checked and ready to render.
#[derive(Clone)]
pub struct Template {
    source: Arc<str>,
    /// Has no `{{`, `{%` or `{#`.
    is_literal: bool,
    references: Arc<[String]>,
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
    /// `{{ page }}`: a number, an offset or a token
    pub page: Option<&'a Value>,
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
    /// Parses a template. Referring to a name that no template has is an error.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        if let Some(span) = long_expression(source) {
            let message = format!("what stands between `{{{{` and `}}}}` has at most {LONGEST_EXPRESSION} bytes");
            return Err(TemplateError { message, span: Some(span) });
        }
        let is_literal = !["{{", "{%", "{#"].iter().any(|opening| source.contains(opening));
        let references = if is_literal { Vec::new() } else { references(source)? };
        Ok(Self { source: source.into(), is_literal, references: references.into() })
    }

    /// Returns the template as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns the names that it refers to, such as `params.owner` or `cursor`, sorted.
    pub fn references(&self) -> Vec<String> {
        self.references.to_vec()
    }

    /// Tells whether it refers to anything under this first name, such as `params` or `cursor`.
    pub fn refers_to(&self, root: &str) -> bool {
        self.references.iter().any(|reference| reference.split('.').next() == Some(root))
    }

    /// Returns the name that the whole template is, such as `cursor` of `{{ cursor }}`.
    pub fn only_name(&self) -> Option<&str> {
        let name = self.source.strip_prefix("{{")?.strip_suffix("}}")?.trim();
        self.references.iter().any(|reference| reference == name).then_some(name)
    }

    /// Returns the text with everything filled in, at most [`LONGEST_RENDERED`] bytes of it.
    ///
    /// Referring to what is not there is an error. No error contains a value: params may be secrets.
    pub fn render(&self, context: &TemplateContext<'_>) -> Result<String, TemplateError> {
        if self.is_literal {
            return Ok(self.source.to_string());
        }
        let fail = |error: minijinja::Error| explain_rendering(&self.source, &error);
        let mut text = Bounded { bytes: Vec::new() };
        let template = ENVIRONMENT.template_from_str(&self.source).map_err(fail)?;
        template.render_captured_to(self.values(context), &mut text).map_err(fail)?;
        String::from_utf8(text.bytes)
            .map_err(|_| TemplateError { message: "it renders no text".to_owned(), span: None })
    }

    /// Returns what the template can refer to, less what it does not.
    fn values(&self, context: &TemplateContext<'_>) -> Rendered {
        let mut values: BTreeMap<&str, Rendered> = BTreeMap::new();
        if self.refers_to("params") {
            values.insert("params", convert(context.params));
        }
        if let Some(item) = context.item.filter(|_| self.refers_to("item")) {
            values.insert("item", convert(item));
        }
        if let Some(cursor) = context.cursor {
            values.insert("cursor", cursor.into());
        }
        if let Some(page) = context.page.filter(|_| self.refers_to("page")) {
            values.insert("page", convert(page));
        }
        values.insert("now", context.now.to_string().into());
        values.into()
    }
}

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::empty();
    let mut syntax = SyntaxConfig::builder();
    syntax.keep_trailing_newline(true);
    environment.set_syntax(syntax.build().expect("Jinja's own delimiters are right"));
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_debug(true);
    environment.add_filter("default", filters::default);
    environment.add_filter("first", filters::first);
    environment.add_filter("float", filters::float);
    environment.add_filter("int", filters::int);
    environment.add_filter("join", filters::join);
    environment.add_filter("last", filters::last);
    environment.add_filter("length", filters::length);
    environment.add_filter("lower", filters::lower);
    environment.add_filter("replace", filters::replace);
    environment.add_filter("round", filters::round);
    environment.add_filter("split", filters::split);
    environment.add_filter("string", filters::string);
    environment.add_filter("title", filters::title);
    environment.add_filter("trim", filters::trim);
    environment.add_filter("upper", filters::upper);
    environment.add_filter("urlencode", filters::urlencode);
    for (name, is) in [("defined", true), ("undefined", false)] {
        environment.add_test(name, move |value: &Rendered| value.is_undefined() != is);
    }
    environment
});

/// Returns where an expression stands that is too long, if there is one.
fn long_expression(source: &str) -> Option<std::ops::Range<usize>> {
    let mut from = 0;
    while let Some(opening) = ["{{", "{%"].iter().filter_map(|opening| source[from..].find(opening)).min() {
        let start = from + opening;
        let (mut quote, mut escaped, mut open) = (None, false, 0_usize);
        let inside = source[start + 2..].char_indices().find(|&(at, c)| {
            let rest = &source[start + 2 + at..];
            match (quote, c) {
                (Some(_), _) if escaped => escaped = false,
                (Some(_), '\\') => escaped = true,
                (Some(quoted), c) if c == quoted => quote = None,
                (Some(_), _) => {}
                (None, '"' | '\'') => quote = Some(c),
                (None, '(' | '[' | '{') => open += 1,
                (None, _) if open == 0 && (rest.starts_with("}}") || rest.starts_with("%}")) => return true,
                (None, ')' | ']' | '}') => open = open.saturating_sub(1),
                _ => {}
            }
            false
        });
        let end = inside.map_or(source.len(), |(at, _)| start + 2 + at);
        if end - start > LONGEST_EXPRESSION {
            return Some(start..end);
        }
        from = end;
    }
    None
}

fn references(source: &str) -> Result<Vec<String>, TemplateError> {
    let template = ENVIRONMENT.template_from_str(source).map_err(|error| explain_parsing(source, &error))?;
    let mut references: Vec<_> = template.undeclared_variables(true).into_iter().collect();
    references.sort();
    for reference in &references {
        let root = reference.split('.').next().unwrap_or(reference);
        if !NAMES.contains(&root) {
            let message = format!("`{root}` is unknown: a template can refer to {}", NAMES.join(", "));
            return Err(TemplateError { message, span: source.find(root).map(|at| at..at + root.len()) });
        }
    }
    Ok(references)
}

/// Says what is wrong with a template; what it says comes from the template alone.
fn explain_parsing(source: &str, error: &minijinja::Error) -> TemplateError {
    let message = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    TemplateError { message, span: span(source, error) }
}

/// Says what could not be rendered, quoting the template and never a value.
fn explain_rendering(source: &str, error: &minijinja::Error) -> TemplateError {
    let span = span(source, error);
    let part = span.clone().map_or("it", |span| source[span].trim());
    let message = match error.kind() {
        ErrorKind::UndefinedError => format!("`{part}` is not there"),
        ErrorKind::OutOfFuel => "it takes too long to render".to_owned(),
        ErrorKind::WriteFailure => format!("it renders to more than {LONGEST_RENDERED} bytes"),
        ErrorKind::UnknownFilter | ErrorKind::UnknownTest => {
            let name = error.detail().unwrap_or("a filter is unknown");
            format!("`{part}` cannot be rendered: {name}")
        }
        kind => format!("`{part}` cannot be rendered: {kind}"),
    };
    TemplateError { message, span }
}

fn span(source: &str, error: &minijinja::Error) -> Option<std::ops::Range<usize>> {
    error.range().filter(|span| source.get(span.clone()).is_some())
}

fn convert(value: &Value) -> Rendered {
    match value {
        Value::Null => Rendered::UNDEFINED,
        Value::Bool(bool) => (*bool).into(),
        Value::Number(number) => convert_number(number),
        Value::String(text) => text.as_str().into(),
        Value::Array(elements) => elements.iter().map(convert).collect(),
        Value::Object(members) => {
            let members = members.iter().map(|(key, member)| (key.clone(), convert(member)));
            members.collect::<BTreeMap<_, _>>().into()
        }
    }
}

/// A number that minijinja would write otherwise than it was written becomes a text.
fn convert_number(number: &Number) -> Rendered {
    let text = number.as_str();
    let integer = text.parse::<i128>().ok().map(Rendered::from);
    let number = integer.or_else(|| text.parse::<f64>().ok().filter(|float| float.is_finite()).map(Rendered::from));
    number.filter(|number| number.to_string() == text).unwrap_or_else(|| text.into())
}

/// Takes so many bytes and no more.
struct Bounded {
    bytes: Vec<u8>,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > LONGEST_RENDERED {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&self.source, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(source: &str) -> Result<String, TemplateError> {
        let params = super::super::json::parse(
            br#"{"owner":"rust lang/x","secret":"hunter2","big":9007199254740993,"one":1.0,"e":1E5,"tenth":0.1000,
                 "none":null,"list":["a","b"],"on":true,"minus":-0}"#,
        )
        .expect("JSON");
        let item = serde_json::json!({"id": "a&b", "a b": 2});
        let context = TemplateContext {
            params: &params,
            cursor: Some("2026-01-01"),
            item: Some(&item),
            now: Timestamp::parse("2026-11-20T12:00:00Z").expect("a time"),
            page: None,
        };
        Template::parse(source)?.render(&context)
    }

    fn check(source: &str, expected: &str) {
        assert_eq!(render(source).map_err(|error| error.message).as_deref(), Ok(expected), "{source}");
    }

    fn check_error(source: &str, message: &str, at: &str) {
        let error = render(source).expect_err("a mistake");
        assert_eq!((error.message.as_str(), error.span.map(|span| &source[span])), (message, Some(at)), "{source}");
    }

    #[test]
    fn expressions_that_would_take_too_much_of_the_stack_are_refused() {
        let check = |inside: &str, is_good: bool| {
            let source = format!("a {{{{ params }}}} {{{{ {inside} }}}}");
            let is_long = |error: &TemplateError| error.message.contains("at most 500 bytes");
            assert_eq!(Template::parse(&source).err().is_some_and(|error| is_long(&error)), !is_good, "{inside}");
        };
        check(&format!("params{}", ".a".repeat(200)), true);
        for (before, part, after) in [
            ("params", ".a", ""),
            ("", "-", "1"),
            ("1", " ~ 1", ""),
            ("1", "|lower", ""),
            ("'}}' ~ {'a': {}}", " ~ 1", ""),
        ] {
            check(&format!("{before}{}{after}", part.repeat(5000)), false);
        }
        check(&"(".repeat(5000), false);
        assert!(Template::parse(&"{{ params.a }} text, ".repeat(1000)).is_ok());
    }

    #[test]
    fn names_are_filled_in_and_the_rest_is_kept() {
        check("no names, { just } text\n", "no names, { just } text\n");
        check("{{ params.owner }}\n", "rust lang/x\n");
        check("<{{ params.owner | urlencode }}>", "<rust%20lang/x>");
        check("since={{ cursor }}&id={{ item.id }}", "since=2026-01-01&id=a&b");
        check("{{ now }}", "2026-11-20T12:00:00.000Z");
        check("{{ item['a b'] + 1 }}", "3");
        check("{{ page | default(1) }}{{ params.none | default('-') }}", "1-");
        check("{% if params.on %}{{ params.list | join('+') }}{% endif %}", "a+b");
        check("{% for x in params.list %}{{ x | upper }}{% endfor %}", "AB");
    }

    #[test]
    fn numbers_render_as_they_were_written() {
        check("{{ params.big }} {{ params.one }} {{ params.e }}", "9007199254740993 1.0 1E5");
        check("{{ params.tenth }} {{ params.minus }}", "0.1000 -0");
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        check_error("x{{ params.ownr }}", "`params.ownr` is not there", "params.ownr");
        check_error("{{ params.none }}", "`params.none` is not there", "params.none");
        check_error("{{ page }}", "`page` is not there", "page");
        check_error(
            "{{ parms.x }}",
            "`parms` is unknown: a template can refer to params, cursor, item, now, page",
            "parms",
        );
    }

    #[test]
    fn errors_never_contain_a_value() {
        for source in [
            "{{ params.secret | int }}",
            "{{ params.secret + 1 }}",
            "{{ params.secret.x.y }}",
            "{{ params[params.secret] }}",
            "{{ params.secret() }}",
            "{{ params.secret | round }}",
            "{% for x in params.secret.y %}{% endfor %}",
        ] {
            let error = render(source).expect_err("a mistake");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{source}: {error}");
        }
    }

    #[test]
    fn mistakes_are_found_when_parsing_and_have_a_place() {
        for (source, at) in [("a {{ params.x", ""), ("{% if %}", "%}"), ("{{ params.owner | nothing }}", "nothing")] {
            let error = render(source).expect_err("a mistake");
            assert!(error.span.is_some_and(|span| source[span].contains(at)), "{source}: {}", error.message);
        }
    }

    #[test]
    fn rendering_is_bounded() {
        let error =
            render("{% for a in params.list * 1000 %}{{ params.owner * 1000 }}{% endfor %}").expect_err("too long");
        assert_eq!(error.message, "it renders to more than 1048576 bytes");
        let many = "{% for a in params.list * 1000 %}{% for b in params.list * 1000 %}{% endfor %}{% endfor %}";
        assert_eq!(render(many).expect_err("too slow").message, "it takes too long to render");
    }

    #[test]
    fn references_are_dotted_names() {
        let template = Template::parse("{{ params.owner }}{{ cursor }}{% for x in item.a.b %}{{ x }}{% endfor %}");
        assert_eq!(template.expect("a template").references(), ["cursor", "item.a.b", "params.owner"]);
        let only_name = |source| Template::parse(source).expect("a template").only_name().map(str::to_owned);
        assert_eq!(only_name("{{ cursor }}").as_deref(), Some("cursor"));
        for other in ["{{ cursor }} ", "{{ cursor | int }}", "{{ cursor }}{{ page }}", "cursor", "{{ 'cursor' }}"] {
            assert_eq!(only_name(other), None, "{other}");
        }
    }
}
