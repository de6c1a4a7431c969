//! The example configuration and the ready-made connectors.

use std::path::Path;

use pollhook::config::{Environment, load};

#[test]
fn the_example_configuration_and_the_whole_catalogue_load_without_any_environment() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let configuration =
        load(&root.join("config.toml"), &Environment::default()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert!(configuration.warnings.is_empty(), "{}", configuration.warnings);
    assert!(!configuration.connectors.is_empty() && !configuration.subscriptions.is_empty());
    let names: Vec<&str> = configuration.catalog.templates.iter().map(|template| template.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "any-json",
            "crates-io",
            "github-issues",
            "github-releases",
            "hacker-news",
            "npm-package",
            "pypi-project",
            "statuspage-incidents",
            "usgs-earthquakes"
        ]
    );
    for template in &configuration.catalog.templates {
        assert!(template.title.is_some() && template.homepage.is_some(), "{}", template.name);
        for param in &template.params {
            assert!(param.description.is_some(), "{}: {}", template.name, param.name);
            assert!(param.example.is_some() || param.default.is_some(), "{}: {}", template.name, param.name);
        }
    }
}
