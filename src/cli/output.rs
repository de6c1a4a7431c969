//! Where commands print.

use std::io::{IsTerminal, Write};

use serde::Serialize;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::failure::Failure;

/// Standard output for results, standard error for everything else.
pub struct Output {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    styled: bool,
    styled_errors: bool,
    /// How many columns a line may have; `None` if it goes to a file or to a program.
    width: Option<usize>,
}

/// The least number of columns that lines are fitted into.
const LEAST_WIDTH: usize = 40;

impl Output {
    /// Returns the output of this process: styled where a terminal shows it and `NO_COLOR` is not set, or if
    /// `CLICOLOR_FORCE` is; fitted into `COLUMNS`, or else into the terminal.
    pub fn of_process() -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
        let (forbidden, forced) = (is_set("NO_COLOR"), is_set("CLICOLOR_FORCE"));
        let styled = |is_terminal: bool| !forbidden && (forced || is_terminal);
        Self {
            styled: styled(std::io::stdout().is_terminal()),
            styled_errors: styled(std::io::stderr().is_terminal()),
            width: width(std::io::stdout()),
            out: Box::new(std::io::stdout()),
            err: Box::new(std::io::stderr()),
        }
    }

    /// Returns an output that writes results without colours to `out`, and nothing else anywhere.
    #[cfg(test)]
    pub fn plain(out: impl Write + Send + 'static) -> Self {
        Self { out: Box::new(out), err: Box::new(std::io::sink()), styled: false, styled_errors: false, width: None }
    }

    /// Returns an output whose results go to standard error: what stands beside the result that others read.
    pub fn beside(&self) -> Self {
        Self {
            styled: self.styled_errors,
            styled_errors: self.styled_errors,
            width: width(std::io::stderr()),
            out: Box::new(std::io::stderr()),
            err: Box::new(std::io::stderr()),
        }
    }

    /// Returns how many columns a line may have; `None` if it goes to a file or to a program.
    pub fn width(&self) -> Option<usize> {
        self.width
    }

    /// Prints a paragraph of a result, its lines broken where they would be too long, and all but the first one indented
    /// by so many blanks.
    pub fn paragraph(&mut self, text: &str, indent: usize) -> Result<(), Failure> {
        let Some(width) = self.width else { return self.line(text) };
        let indent = " ".repeat(indent);
        let options = textwrap::Options::new(width)
            .subsequent_indent(&indent)
            .break_words(false)
            .word_splitter(textwrap::WordSplitter::NoHyphenation);
        self.line(textwrap::fill(text, options))
    }

    /// Prints a text beside a head of so many columns, at which all its lines begin.
    pub fn entry(&mut self, head: &str, columns: usize, text: &str, colour: Option<Colour>) -> Result<(), Failure> {
        let lines: Vec<String> = match self.width {
            Some(width) => {
                let options = textwrap::Options::new(width.saturating_sub(columns).max(LEAST_LAST_COLUMN));
                let options = options.break_words(false).word_splitter(textwrap::WordSplitter::NoHyphenation);
                textwrap::wrap(text, options).into_iter().map(std::borrow::Cow::into_owned).collect()
            }
            None => vec![text.to_owned()],
        };
        let blank = " ".repeat(columns);
        for (index, line) in lines.into_iter().enumerate() {
            let line = colour.map_or_else(|| line.clone(), |colour| self.paint(colour, &line));
            self.line(format_args!("{}{line}", if index == 0 { head } else { &blank }))?;
        }
        Ok(())
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

    /// Prints a table, its columns aligned and separated by two blanks. Where lines have a width, the last column ends
    /// there, and a mark says that there is more.
    pub fn table<const COLUMNS: usize>(
        &mut self,
        heads: [&str; COLUMNS],
        rows: impl IntoIterator<Item = [Cell; COLUMNS]>,
    ) -> Result<(), Failure> {
        let mut lines = vec![heads.map(|head| Cell { text: head.to_owned(), colour: Some(Colour::Bold) })];
        lines.extend(rows);
        let widths: [usize; COLUMNS] =
            std::array::from_fn(|column| lines.iter().map(|line| line[column].text.width()).max().unwrap_or(0));
        let before_last: usize = widths[..COLUMNS - 1].iter().map(|width| width + 2).sum();
        let last = self.width.map(|width| width.saturating_sub(before_last).max(LEAST_LAST_COLUMN));
        for mut line in lines {
            if let Some((last, cell)) = last.zip(line.last_mut()) {
                cell.text = fitted(&cell.text, last);
            }
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

    /// Says what explains something that is wrong, on standard error, in lines that fit.
    pub fn note(&mut self, text: &str) {
        let Some(width) = self.width else { return self.say(&format!("  {text}")) };
        let options = textwrap::Options::new(width).initial_indent("  ").subsequent_indent("  ");
        self.say(&textwrap::fill(text, options.break_words(false)));
    }

    /// Says what is wrong, on standard error.
    pub fn error(&mut self, text: &str) {
        let head = if self.styled_errors { "\u{1b}[1;31merror\u{1b}[0m" } else { "error" };
        self.say(&format!("{head}: {text}"));
    }
}

/// Returns how many columns a line may have that goes there.
fn width(stream: impl std::os::fd::AsFd) -> Option<usize> {
    let columns = std::env::var_os("COLUMNS").and_then(|columns| columns.to_str()?.parse().ok());
    let of_terminal = || {
        let size = rustix::termios::tcgetwinsize(stream).ok()?;
        Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
    };
    columns.or_else(of_terminal).map(|columns: usize| columns.max(LEAST_WIDTH))
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

/// Returns a text that has at most so many columns: its beginning and a mark, if it would have more.
pub fn fitted(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut shown = String::new();
    for character in text.chars() {
        if shown.width() + character.width().unwrap_or(0) >= columns {
            break;
        }
        shown.push(character);
    }
    shown + "…"
}

/// The least number of columns that the last column of a table has.
const LEAST_LAST_COLUMN: usize = 16;

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
