//! What was found, for people.

use super::find::Found;
use crate::cli::failure::Failure;
use crate::cli::output::{Colour, Output};
use crate::discover::{About, Finding, Sureness};

/// Prints what was found out: a line for each finding, with how sure it is and why.
pub fn findings(found: &Found, output: &mut Output) -> Result<(), Failure> {
    for note in &found.notes {
        output.paragraph(note, 0)?;
    }
    if !found.notes.is_empty() && !found.findings.is_empty() {
        output.line("")?;
    }
    for finding in &found.findings {
        let head = output.paint(Colour::Bold, format_args!("{:WIDTH_OF_ABOUT$}", label(finding.about)));
        let sureness = format!("{:WIDTH_OF_SURENESS$}", finding.sureness.to_string());
        let (sureness, colour) = match finding.sureness {
            Sureness::Certain => (output.paint(Colour::Green, sureness), None),
            Sureness::Likely => (sureness, None),
            Sureness::Doubtful => (output.paint(Colour::Yellow, sureness), Some(Colour::Yellow)),
        };
        output.entry(&format!("{head}  {sureness}  "), INDENT, &said(finding), None)?;
        if finding.sureness == Sureness::Doubtful {
            output.entry(&" ".repeat(INDENT), INDENT, what_to_do(finding.about), colour)?;
        }
    }
    output.line("")
}

/// Prints TOML; where there are colours, comments stand back, and those that tell of a doubt stand out.
pub fn toml(text: &str, output: &mut Output) -> Result<(), Failure> {
    let mut colour = None;
    for line in text.lines() {
        colour = match line.strip_prefix("# ") {
            Some(comment) if comment.starts_with("doubtful: ") => Some(Colour::Yellow),
            Some(_) => colour.or(Some(Colour::Dim)),
            None => None,
        };
        let line = colour.map_or_else(|| line.to_owned(), |colour| output.paint(colour, line));
        output.line(line)?;
    }
    Ok(())
}

const WIDTH_OF_ABOUT: usize = 8;
const WIDTH_OF_SURENESS: usize = 8;

/// The column at which what was found begins.
const INDENT: usize = WIDTH_OF_ABOUT + WIDTH_OF_SURENESS + 4;

fn said(finding: &Finding) -> String {
    if finding.because.is_empty() { finding.found.clone() } else { format!("{}: {}", finding.found, finding.because) }
}

/// Returns what a finding is about, in a word.
fn label(about: About) -> &'static str {
    match about {
        About::Format => "format",
        About::Items => "items",
        About::Key => "key",
        About::Volatile => "ignored",
        About::Paging => "paging",
        About::Cursor => "cursor",
        About::Lists => "lists",
        About::Errors => "errors",
        About::Limits => "limits",
        About::Auth => "auth",
    }
}

/// Returns what to do about a doubt.
fn what_to_do(about: About) -> &'static str {
    match about {
        About::Format => "→ look at the answer; `response.format` says what it is",
        About::Items => "→ if these are not the items, write what gives them into `response.items` (jq)",
        About::Key => "→ write what identifies an item into `item.key` (jq)",
        About::Volatile => {
            "→ write what changes without a meaning into `item.ignore`, or what counts into `item.watch`"
        }
        About::Paging => "→ if there are more pages, say how they are found in `pagination`",
        About::Cursor => "→ the API's documentation says whether it can be asked for what is new; see `cursor`",
        About::Lists => "→ `changes.lists = \"everything\"` if an item that is missing is gone, \"recent\" if not",
        About::Errors => "→ write what an answer says that is a failure into `response.error` (jq)",
        About::Limits => "→ the API's documentation says how often it may be asked; see `every` and `limits.rate`",
        About::Auth => "→ the API's documentation says how requests prove who they are from; see `auth`",
    }
}
