//! Where mistakes are collected while a configuration is read.

use std::cell::{Ref, RefCell};

use super::diagnostic::{Diagnostics, Mistake, Severity, sort};
use super::source::{Place, Source};

/// All files read so far and all mistakes found in them.
#[derive(Debug, Default)]
pub(super) struct Report {
    sources: RefCell<Vec<Source>>,
    mistakes: RefCell<Vec<Mistake>>,
    secrets: RefCell<Vec<Place>>,
}

impl Report {
    /// Adds a file and returns its number.
    pub fn add_source(&self, path: String, text: String) -> usize {
        let mut sources = self.sources.borrow_mut();
        sources.push(Source { path, text, broken: false });
        sources.len() - 1
    }

    /// Returns the text of a file.
    pub fn text(&self, file: usize) -> String {
        self.sources.borrow()[file].text.clone()
    }

    /// Returns what is written at a place.
    pub fn written(&self, place: Place) -> Ref<'_, str> {
        Ref::map(self.sources.borrow(), |sources| sources[place.file].text.get(place.start..place.end).unwrap_or(""))
    }

    /// Notes that a secret stands at a place, so that it is never shown.
    pub fn hide(&self, place: Place) {
        self.secrets.borrow_mut().push(place);
    }

    /// Notes that a file is not TOML.
    pub fn mark_broken(&self, file: usize) {
        self.sources.borrow_mut()[file].broken = true;
    }

    /// Adds a mistake.
    pub fn error(&self, place: Place, message: impl Into<String>) {
        self.add(Severity::Error, Some(place), message.into(), None);
    }

    /// Adds a mistake and what to do about it.
    pub fn error_with_help(&self, place: Place, message: impl Into<String>, help: impl Into<String>) {
        self.add(Severity::Error, Some(place), message.into(), Some(help.into()));
    }

    /// Adds a mistake that lies in no text, such as a file that is not there.
    pub fn error_nowhere(&self, message: impl Into<String>, help: impl Into<String>) {
        self.add(Severity::Error, None, message.into(), Some(help.into()));
    }

    /// Adds something that is allowed but probably not meant.
    pub fn warning(&self, place: Place, message: impl Into<String>, help: Option<String>) {
        self.add(Severity::Warning, Some(place), message.into(), help);
    }

    /// Returns how many mistakes there are so far, warnings not counted.
    pub fn errors(&self) -> usize {
        self.mistakes.borrow().iter().filter(|mistake| mistake.severity == Severity::Error).count()
    }

    /// Returns all mistakes, each once, by file and place.
    pub fn into_diagnostics(self) -> Diagnostics {
        Diagnostics::new(self.sources.into_inner(), self.mistakes.into_inner(), &self.secrets.into_inner())
    }

    /// Returns all mistakes, each once, in the order of their places, and the places of secrets.
    pub fn into_parts(self) -> (Vec<Mistake>, Vec<Place>) {
        let mut mistakes = self.mistakes.into_inner();
        sort(&mut mistakes);
        (mistakes, self.secrets.into_inner())
    }

    fn add(&self, severity: Severity, place: Option<Place>, message: String, help: Option<String>) {
        self.mistakes.borrow_mut().push(Mistake { severity, place, message, help });
    }
}
