//! The text of a connector or a subscription: TOML for people, with what is known of each setting above it.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::discover::Setting;

/// A connector or a subscription that is being written, in the order in which people read.
#[derive(Debug, Clone)]
pub struct Writing {
    /// Whether it is a connector or a subscription: the table that it stands in.
    table: &'static str,
    pub name: String,
    pub groups: Vec<Group>,
}

/// Settings that belong together.
#[derive(Debug, Clone, Default)]
pub struct Group {
    /// What stands above them; broken into lines where it is long.
    pub comment: String,
    pub settings: Vec<Setting>,
}

/// The longest line that is written where it can be broken, in characters.
const LONGEST_LINE: usize = 118;

impl Writing {
    /// Returns a connector without anything.
    pub fn new(name: impl Into<String>) -> Self {
        Self { table: "connectors", name: name.into(), groups: Vec::new() }
    }

    /// Returns a subscription without anything.
    pub fn subscription(name: impl Into<String>) -> Self {
        Self { table: "subscriptions", ..Self::new(name) }
    }

    /// Adds settings with a comment above them. They take the place of earlier ones of the same paths.
    pub fn add(&mut self, comment: impl Into<String>, settings: impl IntoIterator<Item = Setting>) {
        let settings: Vec<Setting> = settings.into_iter().collect();
        for setting in &settings {
            self.take(&setting.path);
        }
        self.groups.push(Group { comment: comment.into(), settings });
    }

    /// Takes out what is set at a path, or below it; groups that have nothing left go as well.
    pub fn take(&mut self, path: &str) {
        let below = format!("{path}.");
        for group in &mut self.groups {
            group.settings.retain(|setting| setting.path != path && !setting.path.starts_with(&below));
        }
        self.groups.retain(|group| !group.settings.is_empty());
    }

    /// Returns it as TOML.
    pub fn text(&self) -> String {
        let mut text = format!("[{}.{}]\n", self.table, self.name);
        for (index, group) in self.groups.iter().enumerate() {
            if index > 0 {
                text.push('\n');
            }
            text.push_str(&comment(&group.comment));
            let lines: Vec<(String, String)> = group.settings.iter().flat_map(lines_of).collect();
            let width = lines.iter().map(|(key, _)| key.chars().count()).max().unwrap_or_default();
            for (key, value) in lines {
                let _ = writeln!(text, "{key:width$} = {value}");
            }
        }
        text
    }
}

/// Returns a text as comment lines; nothing of an empty one.
pub fn comment(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let options = textwrap::Options::new(LONGEST_LINE)
        .initial_indent("# ")
        .subsequent_indent("# ")
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    // What comes from an answer must not end its comment.
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    textwrap::fill(&text, options) + "\n"
}

/// Returns a key with its value, or several where the value is a table that is too long for one line.
fn lines_of(setting: &Setting) -> Vec<(String, String)> {
    let path: Vec<String> = setting.path.split('.').map(str::to_owned).collect();
    lines(&path, &setting.value)
}

fn lines(path: &[String], found: &Value) -> Vec<(String, String)> {
    let keys: Vec<String> = path.iter().map(|part| key(part)).collect();
    let (key, text) = (keys.join("."), value(found));
    let fits = key.chars().count() + text.chars().count() + 3 <= LONGEST_LINE;
    match found {
        Value::Object(members) if !fits && !members.is_empty() => members
            .iter()
            .flat_map(|(name, member)| lines(&[path, std::slice::from_ref(name)].concat(), member))
            .collect(),
        Value::Array(elements) if !fits && elements.len() > 1 => {
            let elements: Vec<String> = elements.iter().map(|element| format!("  {},", value(element))).collect();
            vec![(key, format!("[\n{}\n]", elements.join("\n")))]
        }
        _ => vec![(key, text)],
    }
}

/// Returns a value as it stands in TOML, on one line unless it is a text with line breaks.
fn value(value: &Value) -> String {
    match value {
        Value::Null => "\"\"".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => string(text),
        Value::Array(elements) => {
            let elements: Vec<String> = elements.iter().map(self::value).collect();
            format!("[{}]", elements.join(", "))
        }
        Value::Object(members) => table(members),
    }
}

fn table(members: &Map<String, Value>) -> String {
    let shown: Vec<String> = members
        .iter()
        .filter(|(_, member)| !member.is_null())
        .map(|(name, member)| format!("{} = {}", key(name), value(member)))
        .collect();
    if shown.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", shown.join(", ")) }
}

/// Returns a part of a key, in quotes where it needs them.
fn key(part: &str) -> String {
    let is_bare = !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if is_bare { part.to_owned() } else { string(part) }
}

/// Returns a text in quotes: one that ends with a line break in three single ones, so that its lines are lines; another in
/// single ones where double ones would need escapes and single ones do not.
fn string(text: &str) -> String {
    let is_odd = |c: char| c.is_control() && c != '\n';
    if text.ends_with('\n') && text.trim() != "" && !text.contains("'''") && !text.contains(is_odd) {
        return format!("'''\n{text}'''");
    }
    let is_literal = !text.contains('\'') && !text.contains(char::is_control);
    if is_literal && text.contains(['"', '\\']) {
        return format!("'{text}'");
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_aligned_below_what_is_known_of_them() {
        let mut writing = Writing::new("orders");
        writing.add("", [Setting::new("every", "5m"), Setting::new("request.url", "https://a.example/?a=1&b=2")]);
        writing.add("certain: the answer has no other list", [Setting::new("response.items", ".orders[]")]);
        writing.add("likely: they differ", [Setting::new("item.ignore", json!([".a", ".b | \"c\""]))]);
        writing
            .add("", [Setting::new("pagination.link", json!({})), Setting::new("request.headers.X.Y", "it's \"it\"")]);
        assert_eq!(
            writing.text(),
            r#"[connectors.orders]
every       = "5m"
request.url = "https://a.example/?a=1&b=2"

# certain: the answer has no other list
response.items = ".orders[]"

# likely: they differ
item.ignore = [".a", '.b | "c"']

pagination.link     = {}
request.headers.X.Y = "it's \"it\""
"#
        );
    }

    #[test]
    fn what_is_set_again_is_set_once() {
        let mut writing = Writing::new("orders");
        writing.add("one", [Setting::new("pagination.page", json!({ "param": "p" }))]);
        writing.add("two", [Setting::new("item.key", ".id")]);
        writing.add("three", [Setting::new("item.key", ".uid")]);
        writing.take("pagination");
        assert_eq!(writing.text(), "[connectors.orders]\n# three\nitem.key = \".uid\"\n");
    }

    #[test]
    fn what_is_too_long_for_a_line_is_broken() {
        let long = "x".repeat(70);
        let mut writing = Writing::new("orders");
        let words = format!("{long}\n{long}");
        writing.add(words, [Setting::new("response", json!({ "a": long, "b c": { "d": long } }))]);
        writing.add("", [Setting::new("item.watch", json!([long, long]))]);
        assert_eq!(
            writing.text(),
            format!(
                "[connectors.orders]\n# {long}\n# {long}\nresponse.a     = \"{long}\"\nresponse.\"b c\" = \
                 {{ d = \"{long}\" }}\n\nitem.watch = [\n  \"{long}\",\n  \"{long}\",\n]\n"
            )
        );
    }

    #[test]
    fn any_text_survives() {
        for text in [
            "",
            "a'b\"c\\d",
            "\u{1}\u{7f}\n\t\r",
            "é\u{2028}",
            "{{ x }}",
            "'",
            "\"\"\"",
            "a\n b\n",
            "\na'b\"\\c\n",
            "'''\n",
        ] {
            let written = format!("a = {}", string(text));
            let read = toml::de::DeTable::parse(&written).expect("TOML");
            assert_eq!(read.get_ref().get("a").and_then(|value| value.get_ref().as_str()), Some(text));
        }
    }
}
