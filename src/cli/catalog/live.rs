//! A template tried now: the same poll without state that `pollhook try` makes.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::Global;
use super::super::check::counted;
use super::super::failure::Failure;
use super::super::output::Output;
use super::super::try_connector;
use super::shelf::Shelved;
use super::snippet::{toml, variable};
use crate::clock::SystemClock;
use crate::config::{Configuration, Diagnostics, Environment, Param, load_text, nearest};
use crate::http::HttpClient;
use crate::model::connector::Connector;
use crate::poll::{self, FetchContext, Look};
use crate::telemetry::Telemetry;

/// A connector that uses a template, in the configuration that it would be in.
pub struct Loaded {
    pub connector: Arc<Connector>,
    pub configuration: Configuration,
}

/// Polls once with these params, and shows what there is.
pub async fn test(
    template: &Shelved,
    given: &[String],
    limit: usize,
    as_json: bool,
    global: &Global,
    output: &mut Output,
) -> Result<(), Failure> {
    let params = params(template, given)?;
    let Loaded { connector, configuration } =
        loaded(&template.about.name, &params, global).map_err(Failure::Configuration)?;
    let http = HttpClient::with_egress(configuration.egress.clone())
        .map_err(|error| Failure::caused("cannot set up the HTTP client", error))?;
    let context =
        FetchContext::new(http, SystemClock::shared(), Telemetry::shared()).with_hosts(configuration.hosts.clone());
    let mut look = poll::look(&connector, &context).await;
    look.add_details(&connector, &context, limit).await;
    if as_json {
        print_json(&connector, &look, limit, output)?;
    } else {
        let shown = params.iter().filter(|(param, _)| !param.secret);
        let shown: Vec<String> = shown.map(|(param, value)| format!("{}={}", param.name, toml(value))).collect();
        let with = if shown.is_empty() { String::new() } else { format!(" with {}", shown.join(" ")) };
        output.paragraph(&format!("{}{with}", template.about.name), 2)?;
        output.line("")?;
        try_connector::show(&connector, &look, Vec::new(), limit, output)?;
        if let Some(problem) = &look.problem {
            output.error(&problem.to_string());
            for sentence in &look.explanation {
                output.note(sentence);
            }
        }
        if !look.items.is_empty() {
            let (items, pages) = (counted(look.items.len(), "item"), counted(look.pages.len(), "page"));
            output.line(format_args!("\n{items} on {pages}"))?;
            let name = &template.about.name;
            output.line(format_args!("To use it, see `pollhook catalog {name}`."))?;
        }
    }
    if look.problem.is_some() { Err(Failure::Said) } else { Ok(()) }
}

fn print_json(connector: &Connector, look: &Look, limit: usize, output: &mut Output) -> Result<(), Failure> {
    let now = SystemClock::shared().now();
    let whole = look.items.iter().take(limit.min(look.detailed.unwrap_or(usize::MAX)));
    let items: Result<Vec<Value>, Failure> = whole
        .map(|item| {
            let event = poll::created_event(connector, item, now)
                .map_err(|error| Failure::caused(format!("the item {} makes no event", item.key), error))?;
            Ok(json!({ "key": item.key, "data": event.data }))
        })
        .collect();
    let page = |page: &poll::Visit| json!({ "url": page.url, "status": page.status, "items": page.items });
    output.json(&json!({
        "pages": look.pages.iter().map(page).collect::<Vec<_>>(),
        "count": look.items.len(),
        "items": items?,
        "problem": look.problem.as_ref().map(ToString::to_string),
    }))
}

/// Returns the values of the params that are given, and of those that must be: their examples, and for secrets what their
/// environment variables hold.
fn params<'a>(template: &'a Shelved, given: &[String]) -> Result<Vec<(&'a Param, Value)>, Failure> {
    let declared = &template.about.params;
    let mut params: Vec<(&Param, Value)> = Vec::new();
    for text in given {
        let Some((name, value)) = text.split_once('=') else {
            return Err(Failure::Usage(format!("{text:?} gives no param a value: write PARAM=VALUE")));
        };
        let Some(param) = declared.iter().find(|param| param.name == name) else {
            let names = || declared.iter().map(|param| param.name.as_str());
            let help = match nearest(name, names()) {
                Some(nearest) => format!("did you mean {nearest}?"),
                None if declared.is_empty() => "it has none".to_owned(),
                None => format!("it has {}", names().collect::<Vec<_>>().join(", ")),
            };
            return Err(Failure::Usage(format!("{} has no param {name:?}; {help}", template.about.name)));
        };
        params.push((param, typed(param, value)));
    }
    let environment = Environment::of_process();
    for param in declared {
        if params.iter().any(|(given, _)| given.name == param.name) {
            continue;
        }
        let variable = variable(&template.about, param);
        let known = if param.secret { environment.get(&variable).map(Value::from) } else { None };
        match known.or_else(|| if param.default.is_none() { param.example.clone() } else { None }) {
            Some(value) => params.push((param, value)),
            None if param.default.is_some() => {}
            None => {
                let help = if param.secret { format!(", or set {variable}") } else { String::new() };
                let message = format!("the param {} is missing: add {}=…{help}", param.name, param.name);
                return Err(Failure::Usage(message));
            }
        }
    }
    Ok(params)
}

/// Returns a value of the kind that the param's example or default has.
fn typed(param: &Param, text: &str) -> Value {
    let kind = param.example.as_ref().or(param.default.as_ref());
    match kind {
        Some(Value::Number(_) | Value::Bool(_)) => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
        Some(Value::Array(_)) => text.split(',').map(Value::from).collect(),
        _ => text.into(),
    }
}

/// Loads a connector that uses a template with these params, in the configuration if that is right, or else by itself.
///
/// The error is what is wrong with it by itself.
pub fn loaded(template: &str, params: &[(&Param, Value)], global: &Global) -> Result<Loaded, Diagnostics> {
    let load = |text: &str, name: &str, environment: &Environment| -> Result<Option<Loaded>, Diagnostics> {
        let configuration = load_text(&global.config, text.to_owned(), environment)?;
        let found = configuration.connectors.iter().find(|connector| connector.name.as_str() == name).cloned();
        Ok(found.map(|connector| Loaded { connector, configuration }))
    };
    let own = std::fs::read_to_string(&global.config).unwrap_or_default();
    // A name that the configuration has already would be a mistake.
    let mut name = template.to_owned();
    while own.contains(&name) {
        name.push_str("-test");
    }
    let in_own = format!("{own}\n{}", using(template, &name, params));
    // Secrets of other connectors need not be there, and are not sent.
    for environment in [Environment::of_process(), Environment::of_process().with_stand_ins()] {
        if let Ok(Some(loaded)) = load(&in_own, &name, &environment) {
            return Ok(loaded);
        }
    }
    let alone = load(&using(template, template, params), template, &Environment::of_process())?;
    Ok(alone.expect("a configuration without a mistake has the connector that is written in it"))
}

fn using(template: &str, name: &str, params: &[(&Param, Value)]) -> String {
    let params: Vec<String> =
        params.iter().map(|(param, value)| format!("{} = {}\n", param.name, toml(value))).collect();
    format!("[connectors.{name}]\nuse = {}\n[connectors.{name}.params]\n{}", toml(&template.into()), params.concat())
}
