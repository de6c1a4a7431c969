//! All templates: those that are ready-made, and those of the configured folder, which go before.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::Global;
use super::super::output::Output;
use crate::config::{CatalogTemplate, Environment, load, load_text, nearest, ready_made};

/// All templates.
pub struct Shelf {
    /// By name, each once.
    pub templates: Vec<Shelved>,
}

/// A template, and whose it is.
pub struct Shelved {
    pub about: CatalogTemplate,
    /// Whether it is the user's: it lies in the folder, and is not just a copy of a ready-made one.
    pub own: bool,
}

/// What templates without topics are listed under.
const OTHER: &str = "other";

/// How many names are told that are like one that is not there.
const MOST_NEAREST: usize = 3;

impl Shelf {
    /// Returns what there is. A configuration with mistakes, or none, is no hindrance.
    pub fn open(global: &Global, output: &mut Output) -> Self {
        let ready_made = ready_made();
        let is_copy =
            |one: &CatalogTemplate| ready_made.iter().any(|other| (&other.name, &other.text) == (&one.name, &one.text));
        let in_folder = in_folder(global, output).into_iter().map(|about| Shelved { own: !is_copy(&about), about });
        let mut templates: BTreeMap<String, Shelved> =
            in_folder.map(|template| (template.about.name.clone(), template)).collect();
        for about in ready_made {
            templates.entry(about.name.clone()).or_insert(Shelved { about, own: false });
        }
        Self { templates: templates.into_values().collect() }
    }

    /// Returns the template of this name.
    pub fn get(&self, name: &str) -> Option<&Shelved> {
        self.templates.iter().find(|template| template.about.name == name)
    }

    /// Returns the templates that have all of these words somewhere, those that are most about them first.
    pub fn search(&self, words: &[String]) -> Vec<&Shelved> {
        let words: Vec<String> =
            words.iter().flat_map(|words| words.split_whitespace()).map(str::to_lowercase).collect();
        let scored = self.templates.iter().filter_map(|template| {
            let scores: Option<Vec<u32>> = words.iter().map(|word| template.score(word)).collect();
            Some((scores?.into_iter().sum::<u32>(), template))
        });
        let mut found: Vec<(u32, &Shelved)> = scored.collect();
        // They are sorted by name already.
        found.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
        found.into_iter().map(|(_, template)| template).collect()
    }

    /// Returns the names that a misspelt one, or a part of one, may stand for.
    pub fn nearest(&self, wanted: &str) -> Vec<&str> {
        let names = || self.templates.iter().map(|template| template.about.name.as_str());
        if let Some(name) = nearest(&wanted.replace(' ', "-"), names()) {
            return vec![name];
        }
        let parts: Vec<&str> = names().flat_map(|name| name.split('-')).collect();
        let parts: Vec<&str> =
            wanted.split([' ', '-']).filter_map(|word| nearest(word, parts.iter().copied())).collect();
        let has_part = |name: &&str| parts.iter().any(|part| name.split('-').any(|one| one == *part));
        names().filter(has_part).take(MOST_NEAREST).collect()
    }

    /// Returns the templates by the first of their topics.
    pub fn by_topic(&self) -> BTreeMap<&str, Vec<&Shelved>> {
        let mut topics = BTreeMap::<&str, Vec<&Shelved>>::new();
        for template in &self.templates {
            topics.entry(template.about.topics.first().map_or(OTHER, String::as_str)).or_default().push(template);
        }
        topics
    }
}

impl Shelved {
    /// Returns how much a template is about a word, which is in lower case; `None` if it does not have it.
    fn score(&self, word: &str) -> Option<u32> {
        let about = &self.about;
        let words_of = |text: &str| text.to_lowercase().split(|c: char| !c.is_alphanumeric()).any(|one| one == word);
        let has = |text: &str| text.to_lowercase().contains(word);
        let title = about.title.as_deref().unwrap_or_default();
        let places = [
            (words_of(&about.name), 16),
            (words_of(title), 12),
            (about.topics.iter().any(|topic| words_of(topic)), 8),
            (has(&about.name) || has(title), 6),
            (about.topics.iter().any(|topic| has(topic)), 4),
            (about.params.iter().any(|param| has(&param.name)), 2),
            (about.matches.iter().any(|address| has(address)), 1),
        ];
        let score: u32 = places.iter().filter(|(is_there, _)| *is_there).map(|(_, weight)| weight).sum();
        (score > 0).then_some(score)
    }

    /// Returns what programs are told of it.
    pub fn json(&self) -> Value {
        let about = &self.about;
        let params: Vec<Value> = about
            .params
            .iter()
            .map(|param| {
                let default = if param.secret { None } else { param.default.as_ref() };
                json!({
                    "name": param.name,
                    "description": param.description,
                    "example": param.example,
                    "default": default,
                    "required": param.default.is_none(),
                    "secret": param.secret,
                })
            })
            .collect();
        json!({
            "name": about.name,
            "title": about.title,
            "homepage": about.homepage,
            "topics": about.topics,
            "matches": about.matches,
            "checked": about.checked,
            "own": self.own,
            "params": params,
        })
    }
}

/// Returns the templates of the configured folder, or of the one that is there without a configuration.
fn in_folder(global: &Global, output: &mut Output) -> Vec<CatalogTemplate> {
    let without = || load_text(&global.config, String::new(), &Environment::default());
    if !global.config.exists() {
        return without().map(|configuration| configuration.catalog.templates).unwrap_or_default();
    }
    // A secret that is not to be had is no reason not to show templates.
    if let Ok(configuration) = load(&global.config, &Environment::of_process().with_stand_ins()) {
        return configuration.catalog.templates;
    }
    let file = global.config.display();
    output.say(&format!(
        "warning: {file} or its templates have mistakes, so some templates may be missing; `pollhook check` tells them"
    ));
    without().map(|configuration| configuration.catalog.templates).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shelf() -> Shelf {
        let shelved = |about| Shelved { about, own: false };
        Shelf { templates: ready_made().into_iter().map(shelved).collect() }
    }

    #[track_caller]
    fn first_found(words: &str, expected: &str) {
        let shelf = shelf();
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        assert_eq!(shelf.search(&words).first().map(|found| found.about.name.as_str()), Some(expected), "{words:?}");
    }

    #[test]
    fn names_go_before_titles_and_these_before_topics_and_addresses() {
        first_found("github releases", "github-releases");
        first_found("pypi", "pypi-project");
        first_found("GitHub Issues", "github-issues");
        first_found("quakes usgs", "usgs-earthquakes");
        first_found("npmjs", "npm-package");
    }

    #[test]
    fn all_words_must_be_there() {
        assert!(shelf().search(&["github".to_owned(), "earthquakes".to_owned()]).is_empty());
    }

    #[test]
    fn a_misspelt_name_or_part_of_one_is_recognised() {
        assert_eq!(shelf().nearest("github-relases"), ["github-releases"]);
        assert_eq!(shelf().nearest("crates io"), ["crates-io"]);
        assert!(shelf().nearest("earthquaks").contains(&"usgs-earthquakes"));
        assert!(shelf().nearest("xylophone").is_empty());
    }
}
