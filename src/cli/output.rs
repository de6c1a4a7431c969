//! Where commands print.

use std::io::{IsTerminal, Write};

use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use super::failure::Failure;

/// Standard output for results, standard error for everything else.
pub struct Output {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    styled: bool,
    styled_errors: bool,
}

impl Output {
    /// Returns the output of this process: styled where a terminal shows it and `NO_COLOR` is not set.
    pub fn of_process() -> Self {
        let colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            styled: colours && std::io::stdout().is_terminal(),
            styled_errors: colours && std::io::stderr().is_terminal(),
            out: Box::new(std::io::stdout()),
            err: Box::new(std::io::stderr()),
        }
    }

    /// Returns an output that writes results without colours to `out`, and nothing else anywhere.
    #[cfg(test)]
    pub fn plain(out: impl Write + Send + 'static) -> Self {
        Self { out: Box::new(out), err: Box::new(std::io::sink()), styled: false, styled_errors: false }
    }

    /// Tells whether what goes to standard error may have colours.
    pub fn styled_errors(&self) -> bool {
        self.styled_errors
    }

    /// Prints a line of a result.
    pub fn line(&mut self, text: impl std::fmt::Display) -> Result<(), Failure> {
        writeln!(self.out, "{text}")?;
        Ok(self.out.flush()?)
    }

    /// Prints a result as JSON.
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(|error| Failure::caused("cannot write JSON", error))?;
        self.line(text)
    }

    /// Prints a table, its columns aligned and separated by two blanks.
    pub fn table<const COLUMNS: usize>(
        &mut self,
        heads: [&str; COLUMNS],
        rows: impl IntoIterator<Item = [Cell; COLUMNS]>,
    ) -> Result<(), Failure> {
        let mut lines = vec![heads.map(|head| Cell { text: head.to_owned(), colour: Some(Colour::Bold) })];
        lines.extend(rows);
        let widths: [usize; COLUMNS] =
            std::array::from_fn(|column| lines.iter().map(|line| line[column].text.width()).max().unwrap_or(0));
        for line in lines {
            let mut printed = String::new();
            let mut gap = 0;
            for (cell, width) in line.into_iter().zip(widths) {
                printed.extend(std::iter::repeat_n(' ', gap));
                gap = (width + 2).saturating_sub(cell.text.width());
                printed.push_str(&match cell.colour {
                    Some(colour) => self.paint(colour, cell.text),
                    None => cell.text,
                });
            }
            self.line(printed)?;
        }
        Ok(())
    }

    /// Returns the text in a colour, where the terminal shows colours.
    pub fn paint(&self, colour: Colour, text: impl std::fmt::Display) -> String {
        if self.styled { format!("\u{1b}[{}m{text}\u{1b}[0m", colour as u8) } else { text.to_string() }
    }

    /// Says something beside the result, on standard error.
    pub fn say(&mut self, text: &str) {
        // There is nobody to tell if standard error is closed.
        let _ = writeln!(self.err, "{}", text.trim_end());
    }

    /// Says what is wrong, on standard error.
    pub fn error(&mut self, text: &str) {
        let head = if self.styled_errors { "\u{1b}[1;31merror\u{1b}[0m" } else { "error" };
        self.say(&format!("{head}: {text}"));
    }
}

/// The colours that results use, by their ANSI codes.
#[derive(Debug, Clone, Copy)]
pub enum Colour {
    Bold = 1,
    Red = 31,
    Green = 32,
    Yellow = 33,
    Dim = 2,
}

impl Colour {
    /// Returns the colour for an HTTP status.
    pub fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Green,
            300..=399 => Self::Yellow,
            _ => Self::Red,
        }
    }
}

/// Returns the beginning of a text on one line, at most this many characters and a mark that there is more.
pub fn beginning(text: &str, longest: usize) -> String {
    let mut shown: String = text.chars().take(longest).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(longest).is_some() {
        shown.push('…');
    }
    shown
}

/// One field of a table.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    colour: Option<Colour>,
}

impl Cell {
    /// Returns a field with a coloured text.
    pub fn painted(colour: Colour, text: impl Into<String>) -> Self {
        Self { text: text.into(), colour: Some(colour) }
    }
}

impl<T: std::fmt::Display> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.to_string(), colour: None }
    }
}
