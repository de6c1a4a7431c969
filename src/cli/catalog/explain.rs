//! One template, explained.

use serde_json::{Value, json};

use super::super::Global;
use super::super::check::counted;
use super::super::failure::Failure;
use super::super::output::{Colour, Output};
use super::live::loaded;
use super::shelf::Shelved;
use super::snippet::{snippet, toml};
use crate::config::Param;
use crate::model::change::ChangeKind;
use crate::model::connector::{Connector, ItemRules};
use crate::model::expression::Expression;

/// A template, and what a connector that uses it with its examples would do.
pub struct Explained<'a> {
    template: &'a Shelved,
    /// Nothing, if its params have no examples that it could be used with.
    connector: Option<std::sync::Arc<Connector>>,
}

/// How many blanks are before what is said of a label.
const INDENT: usize = 12;

impl<'a> Explained<'a> {
    /// Looks the template up, with its examples.
    pub fn new(template: &'a Shelved, global: &Global) -> Self {
        let examples: Vec<(&Param, Value)> = template
            .about
            .params
            .iter()
            .filter(|param| param.default.is_none())
            .map(|param| (param, param.example.clone().unwrap_or_else(|| "example".into())))
            .collect();
        Self {
            template,
            connector: loaded(&template.about.name, &examples, global).ok().map(|loaded| loaded.connector),
        }
    }

    /// Returns what programs are told of it.
    pub fn json(&self) -> Value {
        let mut json = self.template.json();
        if let Some(connector) = &self.connector {
            json["schedule"] = connector.schedule.to_string().into();
            json["events"] = json!(connector.changes.events.iter().map(|kind| kind.as_str()).collect::<Vec<_>>());
        }
        json["configuration"] = snippet(&self.template.about).into();
        json
    }

    /// Prints it for people.
    pub fn print(&self, output: &mut Output) -> Result<(), Failure> {
        let about = &self.template.about;
        let own = if self.template.own { " (yours)" } else { "" };
        let title = about.title.as_deref().unwrap_or_default();
        output.line(format!("{}  {title}{own}", output.paint(Colour::Bold, &about.name)).trim_end())?;
        if let Some(homepage) = &about.homepage {
            output.line(homepage)?;
        }
        output.line("")?;
        if !about.topics.is_empty() {
            labelled("topics", &about.topics.join(", "), output)?;
        }
        if let Some(connector) = &self.connector {
            facts(connector).iter().try_for_each(|(label, text)| labelled(label, text, output))?;
        }
        let checked = about.checked.as_deref().unwrap_or("not checked against a published answer");
        labelled("checked", checked, output)?;
        self.print_params(output)?;
        output.line("\nTo use it, add to the configuration:\n")?;
        output.line(snippet(about))?;
        output.line(format_args!("To try it with its examples: `pollhook catalog {} --test`", about.name))
    }

    fn print_params(&self, output: &mut Output) -> Result<(), Failure> {
        let params = &self.template.about.params;
        if params.is_empty() {
            return output.line("\nIt has no params.");
        }
        output.line(format!("\n{}", output.paint(Colour::Bold, "params")))?;
        let widest = params.iter().map(|param| param.name.len()).max().unwrap_or(0);
        for param in params {
            let description = param.description.as_deref().unwrap_or("no description");
            let name = output.paint(Colour::Green, format!("{:widest$}", param.name));
            output.paragraph(&format!("  {name}  {description} ({})", terms(param)), widest + 4)?;
        }
        Ok(())
    }
}

fn labelled(label: &str, text: &str, output: &mut Output) -> Result<(), Failure> {
    let width = INDENT - 2;
    let painted = output.paint(Colour::Dim, format!("{label:width$}"));
    output.paragraph(&format!("  {painted}{text}"), INDENT)
}

/// Returns on which terms a param is given.
fn terms(param: &Param) -> String {
    let mut terms = vec![if param.default.is_some() { "optional".to_owned() } else { "required".to_owned() }];
    if param.secret {
        terms.push("secret".to_owned());
    }
    if let Some(default) = param.default.as_ref().filter(|default| !param.secret && **default != "") {
        terms.push(format!("default {}", toml(default)));
    }
    if let Some(example) = param.example.as_ref().filter(|example| param.default.as_ref() != Some(*example)) {
        terms.push(format!("for example {}", toml(example)));
    }
    terms.join(", ")
}

/// Returns what a connector does, as labels and texts.
fn facts(connector: &Connector) -> Vec<(&'static str, String)> {
    let item = &connector.item;
    let items = source(&connector.response.items);
    let mut facts = vec![
        ("asks", shown_address(connector.request.url.source())),
        ("items", format!("{items} with the key {}", sources(&item.key))),
    ];
    if let Some(filter) = &item.filter {
        facts.push(("only", source(filter)));
    }
    let events: Vec<&str> = connector.changes.events.iter().map(|kind| kind.as_str()).collect();
    facts.push(("events", events.join(", ")));
    if connector.changes.events.contains(&ChangeKind::Updated) {
        facts.push(("updated", when_updated(item)));
    }
    facts.push(("schedule", connector.schedule.to_string()));
    let pages = counted(connector.pagination.max_pages, "page");
    let most = if connector.pagination.max_pages == 1 { "" } else { "at most " };
    let mut limits = vec![format!("{most}{pages} a poll")];
    limits.extend(connector.rate.map(|rate| format!("at most {rate}")));
    if connector.detail.is_some() {
        limits.push("and a request for each new item".to_owned());
    }
    facts.push(("limits", limits.join(", ")));
    facts
}

fn when_updated(item: &ItemRules) -> String {
    let is_in_key = |watched: &Expression| item.key.iter().any(|part| part.source() == watched.source());
    let watched = match item.watch.as_deref() {
        None => "anything of it".to_owned(),
        Some(all) if all.iter().all(is_in_key) => return "never: an item that has come stays as it is".to_owned(),
        Some([one]) => source(one),
        Some(several) => format!("one of {}", sources(several)),
    };
    let ignored = if item.ignore.is_empty() { String::new() } else { format!(" but {}", sources(&item.ignore)) };
    format!("when {watched}{ignored} changes")
}

fn sources(expressions: &[Expression]) -> String {
    expressions.iter().map(source).collect::<Vec<_>>().join(", ")
}

/// Returns an expression on one line.
fn source(expression: &Expression) -> String {
    expression.source().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns an address with `{name}` where it has a param's value, whatever is done to that, and on whatever condition.
fn shown_address(template: &str) -> String {
    let conditions: String =
        template.split("{%").map(|part| part.split_once("%}").map_or(part, |(_, rest)| rest)).collect();
    let mut parts = conditions.split("{{");
    let before = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| {
        let (inside, rest) = part.split_once("}}").unwrap_or((part, ""));
        let Some(param) = inside.trim().strip_prefix("params.") else { return format!("{{{{{inside}}}}}{rest}") };
        let name: String = param.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        format!("{{{name}}}{rest}")
    });
    std::iter::once(before).chain(rest).collect()
}
