//! Texts with `{{ }}` in them: what they may refer to, and what they are once the params are filled in.

use serde_json::Value;

use super::keys::nearest;
use super::params::{ParamValues, scalar};
use super::reader::{Fields, part_of_text};
use super::report::Report;
use super::secret::Scope;
use super::tree::{Node, NodeValue};
use crate::model::secret::Secret;
use crate::model::template::{Template, TemplateContext, TemplateError};
use crate::model::time::Timestamp;

/// What is documented for `{{ }}` but not built yet.
const LATER: [&str; 3] = ["cursor", "item", "page"];

/// Reads the texts of one connector.
pub(super) struct Texts<'a> {
    pub scope: Scope<'a>,
    pub params: &'a ParamValues,
    /// The secrets that were found meanwhile.
    pub secrets: Vec<Secret>,
}

impl<'a> Texts<'a> {
    /// Returns the reader for a connector with these params.
    pub fn new(scope: Scope<'a>, params: &'a ParamValues) -> Self {
        Self { scope, params, secrets: params.secrets().collect() }
    }

    /// Returns a text, number or truth value as a template all of whose references exist.
    pub fn template(&self, node: &Node) -> Option<Template> {
        let source = match scalar(self.scope.report, node)? {
            Value::String(text) => text,
            other => other.to_string(),
        };
        let template = self.parsed(node, &source)?;
        self.check_references(node, &template).then_some(template)
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

    /// Returns the text of a template that depends on params only, and reports if it cannot be rendered. `None` also
    /// means that it depends on more, or on params whose value is not known.
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

    /// Returns the text of a secret, with the params filled in if it is a literal.
    pub fn secret(&mut self, node: &Node) -> Option<Secret> {
        let found = self.scope.secret(node)?;
        let text = if found.literal {
            let template = self.template(node)?;
            self.rendered(node, &template)?
        } else {
            found.text
        };
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
        let public = self.params.public();
        if references(template).iter().all(|name| name.starts_with("params.")) {
            render(template, &public).map_or_else(|_| template.source().into(), Value::from)
        } else {
            serde_json::json!([template.source(), public])
        }
    }

    fn is_settled(&self, template: &Template) -> bool {
        references(template).iter().all(|name| match name.strip_prefix("params.") {
            Some(param) => self.params.knows(param.split('.').next().unwrap_or(param)),
            None => name == "now",
        })
    }

    fn parsed(&self, node: &Node, source: &str) -> Option<Template> {
        Template::parse(source).map_err(|error| self.report_template_error(node, &error)).ok()
    }

    fn check_references(&self, node: &Node, template: &Template) -> bool {
        let mut good = true;
        for name in references(template) {
            good &= self.check_reference(node, &name);
        }
        good
    }

    fn check_reference(&self, node: &Node, name: &str) -> bool {
        let report = self.scope.report;
        let (root, rest) = name.split_once('.').unwrap_or((name, ""));
        let param = rest.split('.').next().unwrap_or_default();
        let (message, help) = match root {
            "now" => return true,
            "params" if self.params.declares(param) => return true,
            "params" => {
                let help = match nearest(param, self.params.names()) {
                    Some(suggestion) => format!("did you mean `params.{suggestion}`?"),
                    None => {
                        "declare it in `[params]` of a template, or give it in `params` of the connector".to_owned()
                    }
                };
                (format!("there is no param `{param}`"), help)
            }
            later if LATER.contains(&later) => {
                let message = format!("`{{{{ {later} }}}}` is not supported yet by this version of pollhook");
                (message, "there are `params` and `now`".to_owned())
            }
            _ => (format!("`{root}` is not known here"), "there are `params` and `now`".to_owned()),
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

fn references(template: &Template) -> Vec<String> {
    template.references()
}

/// Returns where a name stands in the text of a node.
fn find_name(node: &Node, name: &str) -> Option<std::ops::Range<usize>> {
    let NodeValue::Text(text) = &node.value else { return None };
    text.find(name).map(|start| start..start + name.len())
}

/// Reports an address that cannot be asked, and returns the one that can.
pub(super) fn checked_url(report: &Report, node: &Node, text: &str) -> Option<url::Url> {
    let message = match url::Url::parse(text) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            format!("an address begins with http:// or https://, not {}:", url.scheme())
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            let help = "people see addresses; give it as a header or as `auth` instead";
            report.error_with_help(node.place, "an address cannot have a user name or password in it", help);
            return None;
        }
        Ok(url) => return Some(url),
        Err(url::ParseError::RelativeUrlWithoutBase) => "an address begins with http:// or https://".to_owned(),
        Err(error) => format!("this is not an address: {error}"),
    };
    report.error(node.place, message);
    None
}
