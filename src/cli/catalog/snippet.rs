//! A configuration that uses a template, to be pasted.

use serde_json::Value;

use crate::config::{CatalogTemplate, Param};

/// Returns a connector that uses the template, with an example for each param that must be given. The others stand beside
/// it as comments.
pub fn snippet(template: &CatalogTemplate) -> String {
    let name = &template.name;
    let mut lines = vec![format!("[connectors.{name}]"), format!("use = {}", toml(&Value::from(name.as_str())))];
    if !template.params.is_empty() {
        lines.extend([String::new(), format!("[connectors.{name}.params]")]);
    }
    let widest = template.params.iter().map(|param| param.name.len()).max().unwrap_or(0);
    lines.extend(template.params.iter().map(|param| {
        let comment = if param.default.is_some() { "# " } else { "" };
        format!("{comment}{:widest$} = {}", param.name, value(template, param))
    }));
    lines.join("\n") + "\n"
}

/// Returns the environment variable that a secret param of a template would be in: `GITHUB_TOKEN`.
pub fn variable(template: &CatalogTemplate, param: &Param) -> String {
    let whose = template.name.split('-').next().unwrap_or_default();
    format!("{whose}_{}", param.name).to_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_")
}

/// Returns a value as TOML writes it, which for texts, numbers, truth values and lists of those is as JSON does.
pub fn toml(value: &Value) -> String {
    value.to_string()
}

fn value(template: &CatalogTemplate, param: &Param) -> String {
    if param.secret {
        return format!("{{ env = \"{}\" }}", variable(template, param));
    }
    let shown = param.example.as_ref().or(param.default.as_ref());
    shown.map_or_else(|| "\"\"".to_owned(), toml)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, load_text, ready_made};

    #[test]
    fn the_snippet_of_every_template_loads_as_it_is_printed() {
        let folder = tempfile::tempdir().expect("a folder");
        for template in ready_made() {
            let secrets = template.params.iter().filter(|param| param.secret);
            let environment = secrets.fold(Environment::default(), |environment, param| {
                environment.with(&variable(&template, param), "a secret of some length")
            });
            let text = snippet(&template);
            let all = text.replace("\n# ", "\n");
            for text in [text, all] {
                let loaded = load_text(&folder.path().join("config.toml"), text.clone(), &environment);
                let configuration = loaded.unwrap_or_else(|mistakes| panic!("{}\n{text}\n{mistakes}", template.name));
                assert_eq!(configuration.connectors[0].name.as_str(), template.name);
            }
        }
    }

    #[test]
    fn a_secret_is_in_a_variable_with_the_name_of_whose_it_is() {
        let templates = ready_made();
        let template = templates.iter().find(|template| template.name == "github-releases").expect("it is ready-made");
        let expected = "[connectors.github-releases]\n\
            use = \"github-releases\"\n\n\
            [connectors.github-releases.params]\n\
            owner = \"rust-lang\"\n\
            repo  = \"rust\"\n\
            # token = { env = \"GITHUB_TOKEN\" }\n";
        assert_eq!(snippet(template), expected);
    }
}
