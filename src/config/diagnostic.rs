//! Mistakes as people see them: path, line and column, the line itself with a caret, and what to do.

use std::collections::BTreeSet;
use std::fmt;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::mask::Masked;
use super::source::{Place, Source};

/// Everything that was found wrong with a configuration. No secret's value is in it.
#[derive(Clone, Default)]
pub struct Diagnostics {
    sources: Vec<Masked>,
    mistakes: Vec<Mistake>,
}

/// Whether something keeps the service from starting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    Error,
    Warning,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    pub severity: Severity,
    pub place: Option<Place>,
    pub message: String,
    pub help: Option<String>,
}

/// Puts mistakes in the order of their places, each once.
pub(super) fn sort(mistakes: &mut Vec<Mistake>) {
    mistakes.sort_by(|a, b| (a.place, a.severity, &a.message).cmp(&(b.place, b.severity, &b.message)));
    mistakes.dedup_by(|a, b| a.place == b.place && a.message == b.message);
}

impl Diagnostics {
    pub(super) fn new(sources: Vec<Source>, mut mistakes: Vec<Mistake>, secrets: &[Place]) -> Self {
        sort(&mut mistakes);
        let sources = sources.into_iter().enumerate().map(|(file, source)| {
            let hidden = secrets.iter().filter(|place| place.file == file).map(|place| place.start..place.end);
            Masked::new(source, hidden.collect())
        });
        Self { sources: sources.collect(), mistakes }
    }

    /// Returns how many mistakes keep the service from starting.
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    /// Returns how many things are allowed but probably not meant.
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    /// Tells whether nothing at all was found.
    pub fn is_empty(&self) -> bool {
        self.mistakes.is_empty()
    }

    /// Returns all of it as text for a terminal, by file and place, and at the end how many there are.
    pub fn render(&self, coloured: bool) -> String {
        let renderer = if coloured { Renderer::styled() } else { Renderer::plain() };
        let mut text = String::new();
        for mistake in &self.mistakes {
            text.push_str(&self.render_one(mistake, &renderer));
            text.push_str("\n\n");
        }
        if !self.is_empty() {
            text.push_str(&self.summary());
            text.push('\n');
        }
        text
    }

    /// Returns how many mistakes there are in how many files: "3 mistakes in 2 files".
    pub fn summary(&self) -> String {
        let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        let counts: Vec<String> = [(self.errors(), "mistake"), (self.warnings(), "warning")]
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| plural(count, word))
            .collect();
        let files: BTreeSet<usize> =
            self.mistakes.iter().filter_map(|mistake| mistake.place).map(|place| place.file).collect();
        match (counts.is_empty(), files.len()) {
            (true, _) => "no mistakes".to_owned(),
            (false, 0) => counts.join(" and "),
            (false, files) => format!("{} in {}", counts.join(" and "), plural(files, "file")),
        }
    }

    fn count(&self, severity: Severity) -> usize {
        self.mistakes.iter().filter(|mistake| mistake.severity == severity).count()
    }

    fn render_one(&self, mistake: &Mistake, renderer: &Renderer) -> String {
        let level = match mistake.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = annotate_snippets::Group::with_title(level.primary_title(&mistake.message));
        if let Some(place) = mistake.place {
            let source = &self.sources[place.file];
            let span = source.shown_span(place.start..place.end);
            let snippet = Snippet::source(source.text()).path(source.path());
            group = group.element(snippet.annotation(AnnotationKind::Primary.span(span)));
        }
        if let Some(help) = &mistake.help {
            group = group.element(Level::HELP.message(help));
        }
        renderer.render(&[group])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(false).trim_end())
    }
}

impl fmt::Debug for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}
