//! How a command ends that did not do what it was asked.

use std::process::ExitCode;

use super::output::Output;
use crate::config::Diagnostics;
use crate::telemetry::describe_error;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub enum Failure {
    /// Something went wrong; the text says what and what to do. Exit code 1.
    Failed(String),
    /// What was asked for was already said, and the answer is no. Exit code 1, and nothing more is printed.
    Said,
    /// The command was called in a way that cannot work. Exit code 2.
    Usage(String),
    /// The configuration is wrong. Exit code 2.
    Configuration(Diagnostics),
    /// Whoever reads the output went away. Exit code 0, as for other tools in a pipe.
    OutputClosed,
}

impl Failure {
    /// Returns the failure of doing something, with its causes.
    pub fn caused(what: impl std::fmt::Display, error: impl std::error::Error + 'static) -> Self {
        Self::Failed(format!("{what}: {}", describe_error(&error)))
    }

    /// Says what is wrong on standard error and returns the exit code.
    pub fn report(self, output: &mut Output) -> ExitCode {
        match self {
            Self::OutputClosed => ExitCode::SUCCESS,
            Self::Said => ExitCode::from(1),
            Self::Failed(text) => {
                output.error(&text);
                ExitCode::from(1)
            }
            Self::Usage(text) => {
                output.error(&text);
                ExitCode::from(2)
            }
            Self::Configuration(diagnostics) => {
                output.say(&diagnostics.render(output.styled_errors()));
                ExitCode::from(2)
            }
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            Self::OutputClosed
        } else {
            Self::caused("cannot write the output", error)
        }
    }
}
