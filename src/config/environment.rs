//! The environment variables that a configuration may refer to.

use std::collections::HashMap;

use url::Url;

use crate::model::secret::Redactor;

/// Environment variables by name. A parameter everywhere, so that tests choose it.
#[derive(Clone, Default)]
pub struct Environment {
    variables: HashMap<String, String>,
    has_stand_ins: bool,
}

/// What stands in for a secret: random enough to be taken out wherever it appears, and good as a key.
pub(super) const STAND_IN: &str = "whsec_c3RhbmQtaW4gZm9yIGEgc2VjcmV0IHRoYXQgaXM=";

/// What stands in for an address that is secret: one that leads nowhere (RFC 2606).
pub(super) const NOWHERE: &str = "https://stand-in.invalid/";

impl Environment {
    /// Returns the environment of this process, less what is not UTF-8.
    pub fn of_process() -> Self {
        let utf8 = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self { variables: std::env::vars_os().filter_map(utf8).collect(), has_stand_ins: false }
    }

    /// Returns the same, but with something in the place of secrets that are not to be had: for work that sends nothing.
    #[must_use]
    pub fn with_stand_ins(self) -> Self {
        Self { has_stand_ins: true, ..self }
    }

    /// Returns what stands in for a secret that is not to be had, if anything may.
    pub(super) fn stand_in(&self) -> Option<&'static str> {
        self.has_stand_ins.then_some(STAND_IN)
    }

    /// Tells whether this is no secret but stands in for one.
    pub(super) fn is_stand_in(text: &str) -> bool {
        text == STAND_IN
    }

    /// Tells whether an address stands in for a secret one.
    pub fn leads_nowhere(url: &Url) -> bool {
        url.as_str().starts_with(NOWHERE)
    }

    /// Tells whether something stands in for one of these secrets.
    pub fn stands_in_for(secrets: &Redactor) -> bool {
        secrets.redact(STAND_IN) != STAND_IN
    }

    /// Returns the same with one variable more, or another value of it.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Returns the value of a variable that is set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(variables: [(&str, &str); N]) -> Self {
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Self { variables, has_stand_ins: false }
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Environment({} variables)", self.variables.len())
    }
}
