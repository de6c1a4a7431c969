//! What a status is called.

use std::fmt;

use super::reason;

/// An HTTP status with its usual phrase.
#[derive(Debug, Clone, Copy)]
pub struct Status(pub u16);

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        match reason(self.0) {
            Some(phrase) => write!(f, " {phrase}"),
            None => Ok(()),
        }
    }
}
