//! Comma-separated values (RFC 4180) → an array of objects, every value a text.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::{MOST_ITEMS, MOST_VALUES, too_many};
use crate::model::format::CsvRules;

/// What may stand between values, the likeliest first.
const DELIMITERS: [u8; 4] = *b",;\t|";

/// The most columns.
const MOST_COLUMNS: usize = 16_384;

/// Returns a row for each line but the first, which has the names, unless the rules have them. Empty lines do not count.
///
/// A first line alone that could as well be an error message is refused: an empty list means that all items are gone.
///
/// A column without a name is `column_3`, by its position. Of columns with the same name the later ones are `name_2`,
/// `name_3` and so on.
pub(super) fn decode(text: &str, rules: &CsvRules) -> Result<Value, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let delimiter = rules.delimiter.unwrap_or_else(|| likely_delimiter(text));
    let mut rows = Rows { text, at: 0, line: 1, delimiter };
    let names = match &rules.columns {
        Some(columns) => columns.clone(),
        None => match rows.next_row()? {
            Some(Row { values, .. }) => names(&values),
            None => return Ok(Value::Array(Vec::new())),
        },
    };
    let mut items = Vec::new();
    while let Some(Row { line, values }) = rows.next_row()? {
        if values.len() != names.len() {
            return Err(format!(
                "line {line} has {} values, where there are {} columns (delimiter {:?})",
                values.len(),
                names.len(),
                char::from(delimiter)
            ));
        }
        if items.len() == MOST_ITEMS {
            return Err(too_many("rows", MOST_ITEMS));
        }
        if items.len().saturating_mul(names.len()) > MOST_VALUES {
            return Err(too_many("values", MOST_VALUES));
        }
        let members = names.iter().cloned().zip(values.into_iter().map(|value| Value::String(value.into_owned())));
        items.push(Value::Object(members.collect::<Map<_, _>>()));
    }
    let may_be_message = names.len() == 1 || text.trim_start().starts_with(['{', '[']);
    if items.is_empty() && rules.columns.is_none() && may_be_message {
        return Err("it is one line, which may be a message instead of the names of columns".to_owned());
    }
    Ok(Value::Array(items))
}

/// Returns the one of [`DELIMITERS`] that the first line has most of, outside of quotes.
fn likely_delimiter(text: &str) -> u8 {
    let mut counts = [0_usize; DELIMITERS.len()];
    let mut is_quoted = false;
    for byte in text.trim_start_matches(['\r', '\n']).bytes() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\r' | b'\n' if !is_quoted => break,
            _ if is_quoted => {}
            _ => {
                if let Some(index) = DELIMITERS.iter().position(|delimiter| *delimiter == byte) {
                    counts[index] += 1;
                }
            }
        }
    }
    let most = counts.into_iter().max().unwrap_or_default();
    counts.into_iter().position(|count| count == most).map_or(b',', |index| DELIMITERS[index])
}

fn names(header: &[Cow<'_, str>]) -> Vec<String> {
    let mut taken: HashSet<String> = header.iter().map(|name| name.trim().to_owned()).collect();
    // The number that the next column of a name gets, by that name.
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let mut names = Vec::with_capacity(header.len());
    for (index, written) in header.iter().enumerate() {
        let name = match written.trim() {
            "" => format!("column_{}", index + 1),
            name => name.to_owned(),
        };
        let number = numbers.entry(name.clone()).or_insert(1);
        let is_first = *number == 1 && (!written.trim().is_empty() || !taken.contains(&name));
        *number = (*number).max(2);
        let mut own = name.clone();
        while !is_first && taken.contains(&own) {
            own = format!("{name}_{number}");
            *number += 1;
        }
        taken.insert(own.clone());
        names.push(own);
    }
    names
}

/// The values of a row, and the line that it begins in, counted from 1.
struct Row<'t> {
    line: usize,
    values: Vec<Cow<'t, str>>,
}

/// Reads row after row.
struct Rows<'t> {
    text: &'t str,
    /// Where the next row begins.
    at: usize,
    /// Which line that is, counted from 1.
    line: usize,
    delimiter: u8,
}

impl<'t> Rows<'t> {
    /// Returns the next row.
    fn next_row(&mut self) -> Result<Option<Row<'t>>, String> {
        while self.end_of_line() {}
        if self.at == self.text.len() {
            return Ok(None);
        }
        let line = self.line;
        let mut values = vec![self.value()?];
        while self.peek() == Some(self.delimiter) {
            self.at += 1;
            values.push(self.value()?);
            if values.len() > MOST_COLUMNS {
                return Err(format!("line {line} has more than {MOST_COLUMNS} values"));
            }
        }
        self.end_of_line();
        Ok(Some(Row { line, values }))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Passes the end of a line, if there is one.
    fn end_of_line(&mut self) -> bool {
        let length = match self.peek() {
            Some(b'\r') if self.text.as_bytes().get(self.at + 1) == Some(&b'\n') => 2,
            Some(b'\r' | b'\n') => 1,
            _ => return false,
        };
        self.at += length;
        self.line += 1;
        true
    }

    /// Returns the value that begins here; what follows is a delimiter or the end of a line.
    fn value(&mut self) -> Result<Cow<'t, str>, String> {
        if self.peek() == Some(b'"') {
            return self.quoted_value();
        }
        let rest = &self.text[self.at..];
        let ends = |byte: u8| byte == self.delimiter || matches!(byte, b'\r' | b'\n');
        let length = rest.bytes().position(ends).unwrap_or(rest.len());
        self.at += length;
        Ok(Cow::Borrowed(&rest[..length]))
    }

    fn quoted_value(&mut self) -> Result<Cow<'t, str>, String> {
        let line = self.line;
        let mut value = Cow::Borrowed("");
        loop {
            let rest = &self.text[self.at + 1..];
            let Some(length) = memchr::memchr(b'"', rest.as_bytes()) else {
                return Err(format!("it is cut off: the quote in line {line} is never closed"));
            };
            let part = &rest[..length];
            self.line += part.bytes().filter(|byte| *byte == b'\n').count();
            value += part;
            self.at += length + 2;
            match self.peek() {
                Some(b'"') => value += "\"",
                None | Some(b'\r' | b'\n') => return Ok(value),
                Some(byte) if byte == self.delimiter => return Ok(value),
                Some(_) => return Err(format!("line {} has text after a closing quote", self.line)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_with(rules: &CsvRules, text: &str, expected: Result<&str, &str>) {
        let decoded = decode(text, rules).map(|value| value.to_string());
        assert_eq!(decoded.as_deref().map_err(String::as_str), expected, "{text:?}");
    }

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        check_with(&CsvRules::default(), text, expected);
    }

    #[test]
    fn rows_become_objects_of_texts() {
        check("id,name\n1,Ada\n2,Grace\n", Ok(r#"[{"id":"1","name":"Ada"},{"id":"2","name":"Grace"}]"#));
        check("\u{feff}id;name\r\n1;1,5\r\n\r\n2;", Ok(r#"[{"id":"1","name":"1,5"},{"id":"2","name":""}]"#));
        check("a\tb\r1\t2", Ok(r#"[{"a":"1","b":"2"}]"#));
        check("a|b\n1|2\n", Ok(r#"[{"a":"1","b":"2"}]"#));
        check("a\n1\n", Ok(r#"[{"a":"1"}]"#));
        check("\n\n", Ok("[]"));
        check("id,name\n", Ok("[]"));
    }

    #[test]
    fn quotes_hide_delimiters_and_line_ends() {
        check("\"a,b\",c\n\"1\n\"\"2\"\"\",\"\"\n", Ok(r#"[{"a,b":"1\n\"2\"","c":""}]"#));
        check("a,b\n1 \"x\",2", Ok(r#"[{"a":"1 \"x\"","b":"2"}]"#));
        check("\"a;b\",c;d,e\n1,2,3", Ok(r#"[{"a;b":"1","c;d":"2","e":"3"}]"#));
    }

    #[test]
    fn what_is_no_table_is_refused_with_its_line() {
        check("a,b\n1,2\n\n1,2,3\n", Err("line 4 has 3 values, where there are 2 columns (delimiter ',')"));
        check("a,b\n\"1\n2\",3\n4\n", Err("line 4 has 1 values, where there are 2 columns (delimiter ',')"));
        check("a,b\n1,\"2", Err("it is cut off: the quote in line 2 is never closed"));
        check("a,b\n1,\"2\"x\n", Err("line 2 has text after a closing quote"));
    }

    #[test]
    fn columns_have_names_of_their_own() {
        check("a,,a,a_2, a \n1,2,3,4,5", Ok(r#"[{"a":"1","column_2":"2","a_3":"3","a_2":"4","a_4":"5"}]"#));
        let rules = CsvRules { delimiter: Some(b'!'), columns: Some(vec!["x".to_owned(), "y".to_owned()]) };
        check_with(&rules, "1!2,3\n", Ok(r#"[{"x":"1","y":"2,3"}]"#));
        check_with(&rules, "", Ok("[]"));
    }
}
