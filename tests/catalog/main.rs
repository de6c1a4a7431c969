//! The ready-made templates: what each must have, and that it makes of its API's answers what it should.

mod commands;
#[path = "../support/configuration.rs"]
mod configuration;
mod fixture;
mod pipeline;
#[expect(dead_code, reason = "the tests of faults use all of it")]
#[path = "../support/source.rs"]
mod source;

use pollhook::config::{CatalogTemplate, Configuration, Environment, load, ready_made};

use fixture::{Fixture, root};

/// What templates are listed under. Whoever needs another one adds it here.
const TOPICS: [&str; 15] = [
    "any API",
    "chat and tickets",
    "cloud",
    "code hosting",
    "container images",
    "filings and open data",
    "news and media",
    "package registries",
    "payments",
    "questions and forums",
    "science and space",
    "security",
    "social timelines",
    "status pages",
    "weather and earth",
];

fn example() -> Configuration {
    load(&root().join("config.toml"), &Environment::default()).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

#[test]
fn the_example_configuration_and_the_whole_catalogue_load_without_any_environment() {
    let configuration = example();
    assert!(configuration.warnings.is_empty(), "{}", configuration.warnings);
    assert!(!configuration.connectors.is_empty() && !configuration.subscriptions.is_empty());
}

#[test]
fn the_catalogue_is_built_in_as_it_is_in_the_repository() {
    let texts = |templates: Vec<CatalogTemplate>| -> Vec<(String, String)> {
        templates.into_iter().map(|template| (template.name, template.text)).collect()
    };
    assert_eq!(texts(ready_made()), texts(example().catalog.templates));
}

#[test]
fn every_template_has_a_fixture_and_all_that_people_need_to_choose_and_use_it() {
    let templates = example().catalog.templates;
    let fixtures: Vec<String> = Fixture::all().into_iter().map(|fixture| fixture.name).collect();
    let mut problems: Vec<String> = templates
        .iter()
        .flat_map(|template| missing_in(template).into_iter().map(|missing| format!("{}: {missing}", template.name)))
        .collect();
    let lonely = fixtures.iter().filter(|name| templates.iter().all(|template| template.name != **name));
    problems.extend(lonely.map(|name| format!("{name}: the fixture has no template")));
    let untried = templates.iter().filter(|template| !fixtures.contains(&template.name));
    problems.extend(untried.map(|template| format!("{}: the template has no fixture", template.name)));
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

/// Returns what people miss who look the template up.
fn missing_in(template: &CatalogTemplate) -> Vec<String> {
    let mut missing = Vec::new();
    let mut need = |is_there: bool, what: &str| {
        if !is_there {
            missing.push(what.to_owned());
        }
    };
    need(template.title.as_ref().is_some_and(|title| !title.is_empty()), "no `title`");
    need(template.homepage.as_ref().is_some_and(|homepage| homepage.starts_with("https://")), "no `homepage`");
    need(!template.topics.is_empty(), "no `topics`");
    need(template.text.lines().any(|line| line.starts_with("# ")), "no comment that says which habits are left out");
    let scheduled = ["every", "schedule"].iter().any(|key| {
        template.text.lines().any(|line| line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('=')))
    });
    need(scheduled, "neither `every` nor `schedule`");
    let unknown = template.topics.iter().filter(|topic| !TOPICS.contains(&topic.as_str()));
    missing.extend(unknown.map(|topic| format!("{topic:?} is none of the topics in tests/catalog/main.rs")));
    for param in &template.params {
        if param.description.is_none() {
            missing.push(format!("the param `{}` has no `description`", param.name));
        }
        // An empty default stands for nothing: it shows nobody what could be there. That of a secret is no example either.
        if param.example.is_none() && !param.secret {
            missing.push(format!("the param `{}` has no `example`", param.name));
        }
    }
    missing.extend(unknown_in_matches(template));
    missing
}

/// Returns which params the addresses of a template name that it does not have.
fn unknown_in_matches(template: &CatalogTemplate) -> Vec<String> {
    let named = template
        .matches
        .iter()
        .flat_map(|address| address.split('{').skip(1).filter_map(|rest| rest.split([':', '}']).next()));
    let unknown = named.filter(|name| template.params.iter().all(|param| param.name != **name));
    unknown.map(|name| format!("`matches` names the param `{name}`, which it does not have")).collect()
}

#[test]
fn the_first_connector_of_the_readme_loads_as_it_is_printed() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("the README");
    let example = readme.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let catalog = format!("catalog.path = \"{}\"\n", root().join("connectors").display());
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let environment = Environment::from([("SHOP_TOKEN", "a token"), ("ERP_SECRET", secret)]);
    let configuration = configuration::load_files(&[("config.toml", &(catalog + example))], &environment);
    let names: Vec<&str> = configuration.connectors.iter().map(|connector| connector.name.as_str()).collect();
    assert_eq!(names, ["rust-releases", "orders"]);
    assert_eq!(configuration.subscriptions.len(), 1);
}
