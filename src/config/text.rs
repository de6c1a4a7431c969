//! Texts with `{{ }}` in them: what they may refer to, and what they are once the params are filled in.

use serde_json::{Value, json};
use url::Url;

use super::keys::nearest;
use super::params::{ParamValues, scalar};
use super::reader::{Fields, enumeration, part_of_text};
use super::report::Report;
use super::secret::Scope;
use super::source::Place;
use super::tree::{Node, NodeValue};
use crate::model::secret::Secret;
use crate::model::template::{Template, TemplateContext, TemplateError};
use crate::model::time::Timestamp;

/// Reads the texts of one connector or subscription.
pub(super) struct Texts<'a> {
    pub scope: Scope<'a>,
    pub params: &'a ParamValues,
    /// Where the connector's name stands.
    place: Place,
    /// What these texts can refer to, beside `params` and `now`.
    names: &'static [&'static str],
    /// Whether texts are what they are: nothing is filled in.
    is_plain: bool,
    /// The secrets that were found meanwhile.
    pub secrets: Vec<Secret>,
}

impl<'a> Texts<'a> {
    /// Returns the reader for a connector with these params.
    pub fn new(scope: Scope<'a>, params: &'a ParamValues, place: Place) -> Self {
        Self { scope, params, place, names: &[], is_plain: false, secrets: params.secrets().collect() }
    }

    /// Returns the reader for a subscription, whose texts are no templates. It has no params.
    pub fn plain(scope: Scope<'a>, no_params: &'a ParamValues, place: Place) -> Self {
        Self { is_plain: true, ..Self::new(scope, no_params, place) }
    }

    /// Returns the reader for texts of the same connector that can refer to these names as well.
    pub fn with_names(&self, names: &'static [&'static str]) -> Self {
        Self { names, secrets: Vec::new(), ..*self }
    }

    /// Returns a text, number or truth value as a template all of whose references exist, and which can be rendered if
    /// all it depends on is known.
    pub fn template(&self, node: &Node) -> Option<Template> {
        let source = match scalar(self.scope.report, node)? {
            Value::String(text) => text,
            other => other.to_string(),
        };
        let template = Template::parse(&source).map_err(|error| self.report_template_error(node, &error)).ok()?;
        if !self.check_references(node, &template)
            || self.is_settled(&template) && self.rendered(node, &template).is_none()
        {
            return None;
        }
        Some(template)
    }

    /// Returns the entries of a table of templates; a list gives its name several times.
    pub fn templates(&self, fields: &Fields<'_>, name: &str) -> Vec<(String, Template)> {
        let mut templates = Vec::new();
        for entry in fields.entries(name) {
            for node in super::reader::one_or_list(&entry.node) {
                templates.extend(self.template(node).map(|template| (entry.key.clone(), template)));
            }
        }
        templates
    }

    /// Returns the text of a template that depends on known params only, and reports if it cannot be rendered.
    pub fn rendered(&self, node: &Node, template: &Template) -> Option<String> {
        if !self.is_settled(template) {
            return None;
        }
        let rendered = render(template, &self.params.all());
        if let Err(error) = &rendered {
            self.report_template_error(node, error);
        }
        rendered.ok()
    }

    /// Reports an address that cannot be asked once the params are filled in. If it stands in a template's file, this is
    /// said at the connector that gave the params.
    pub fn check_url(&self, node: &Node, rendered: &str) -> bool {
        if node.place.file == self.place.file {
            return url(self.scope.report, node.place, rendered).is_some();
        }
        let checked = parse_url(rendered).map_err(|(message, _)| {
            let help = "it is the template's `request.url` with the params filled in";
            self.scope.report.error_with_help(self.place, message, help);
        });
        checked.is_ok()
    }

    /// Returns a text, number or truth value as a text with the params filled in.
    pub fn filled_in(&self, node: &Node) -> Option<String> {
        if !self.is_plain {
            let template = self.template(node)?;
            return self.rendered(node, &template);
        }
        Some(match scalar(self.scope.report, node)? {
            Value::String(text) => text,
            other => other.to_string(),
        })
    }

    /// Returns the text of a secret, with the params filled in if it is a literal.
    pub fn secret(&mut self, node: &Node) -> Option<Secret> {
        let found = self.scope.secret(node)?;
        let text = if found.literal && !self.is_plain { self.filled_in(node)? } else { found.text };
        if text.contains(|c: char| c.is_control()) {
            self.scope.report.error(node.place, "this secret has a line break or another control character in it");
            return None;
        }
        let secret = Secret::new(text);
        self.secrets.push(secret.clone());
        Some(secret)
    }

    /// Returns what a template says for the digests: with params filled in, but no secrets.
    pub fn canonical(&self, template: &Template) -> Value {
        let references = template.references();
        let rendered = if references.iter().all(|name| root(name) == "params") {
            render(template, &self.params.public()).ok()
        } else {
            None
        };
        let used = || references.iter().filter_map(|name| name.split('.').nth(1));
        rendered.map_or_else(|| json!([template.source(), self.params.public_of(used())]), Value::from)
    }

    fn is_settled(&self, template: &Template) -> bool {
        template.references().iter().all(|name| match (root(name), name.split('.').nth(1)) {
            ("params", Some(param)) => self.params.knows(param),
            ("params", None) => self.params.knows_all(),
            (root, _) => root == "now",
        })
    }

    fn check_references(&self, node: &Node, template: &Template) -> bool {
        let mut good = true;
        for name in template.references() {
            good &= self.check_reference(node, &name);
        }
        good
    }

    fn check_reference(&self, node: &Node, name: &str) -> bool {
        let report = self.scope.report;
        let param = name.split('.').nth(1).unwrap_or_default();
        let (message, help) = match root(name) {
            "now" => return true,
            name if self.names.contains(&name) => return true,
            "params" if param.is_empty() || self.params.declares(param) => return true,
            "params" => {
                let help = match nearest(param, self.params.names()) {
                    Some(suggestion) => format!("did you mean `params.{suggestion}`?"),
                    None => {
                        "declare it in `[params]` of a template, or give it in `params` of the connector".to_owned()
                    }
                };
                (format!("there is no param `{param}`"), help)
            }
            elsewhere => {
                let message = format!("there is no `{{{{ {elsewhere} }}}}` here");
                (message, format!("there are {}", enumeration(["params", "now"].iter().chain(self.names).copied())))
            }
        };
        report.error_with_help(part_of_text(report, node, find_name(node, name)), message, help);
        false
    }

    fn report_template_error(&self, node: &Node, error: &TemplateError) {
        let report = self.scope.report;
        let redacted = crate::model::secret::Redactor::new(self.params.secrets()).redact(&error.message);
        let place = part_of_text(report, node, error.span.clone());
        report.error(place, format!("this template cannot be used: {redacted}"));
    }
}

fn render(template: &Template, params: &Value) -> Result<String, TemplateError> {
    let context = TemplateContext { params, cursor: None, item: None, now: Timestamp::EPOCH, page: None };
    template.render(&context)
}

/// Returns the first word of a dotted name.
fn root(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

/// Returns where a name stands between `{{ }}` or `{% %}` in the text of a node.
fn find_name(node: &Node, name: &str) -> Option<std::ops::Range<usize>> {
    let NodeValue::Text(text) = &node.value else { return None };
    let is_inside = |start: usize| {
        let last = |marks: [&str; 2]| marks.iter().filter_map(|mark| text[..start].rfind(mark)).max();
        last(["{{", "{%"]) > last(["}}", "%}"])
    };
    let mut starts = text.match_indices(name).map(|(start, _)| start);
    starts.find(|start| is_inside(*start)).map(|start| start..start + name.len())
}

/// Returns an address that can be asked.
pub(super) fn url(report: &Report, place: Place, text: &str) -> Option<Url> {
    let parsed = parse_url(text).map_err(|(message, help)| match help {
        Some(help) => report.error_with_help(place, message, help),
        None => report.error(place, message),
    });
    parsed.ok()
}

/// Returns an address that can be asked, or what is wrong with it and what to do.
fn parse_url(text: &str) -> Result<Url, (String, Option<&'static str>)> {
    match Url::parse(text) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            Err((format!("an address begins with http:// or https://, not {}:", url.scheme()), None))
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            let help = "people see addresses; give it as a header or as `auth` instead";
            Err(("an address cannot have a user name or password in it".to_owned(), Some(help)))
        }
        Ok(url) => Ok(url),
        Err(url::ParseError::RelativeUrlWithoutBase) => {
            Err(("an address begins with http:// or https://".to_owned(), None))
        }
        Err(error) => Err((format!("this is not an address: {error}"), None)),
    }
}
