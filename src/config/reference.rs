//! The reference of all keys, written from the tables that the configuration is read by.

use std::collections::VecDeque;
use std::fmt::Write as _;

use super::keys::{Keys, Kind, PARAM, ROOT, SECRET, SIGNING_SECRET};

/// What the reference begins with.
const BEGINNING: &str = "# Configuration reference

Every key that `config.toml` and the templates in `connectors/` can have. A test holds this page against the tables that
pollhook itself reads configurations by.

A *template* is a text in which `{{ params.NAME }}` and, where they make sense, `{{ now }}`, `{{ cursor }}`, `{{ page }}` and `{{ item }}`
are filled in. An *expression* is [jq](https://jqlang.org). A *duration* is written `500ms`, `30s`, `5m`, `2h`, `7d` or `1h30m`; a *size*
`64KiB` or `32MiB`. A *secret* is a literal, `{ env = \"NAME\" }` or `{ file = \"path\" }`; it appears in no log, error or answer.
";

/// Returns the reference of all keys as Markdown.
pub fn reference() -> String {
    let mut text = BEGINNING.to_owned();
    let mut known: Vec<(&'static Keys, String)> = vec![(&ROOT, String::new())];
    let mut sections = VecDeque::from([(String::new(), &ROOT)]);
    while let Some((path, keys)) = sections.pop_front() {
        let heading = if path.is_empty() { "The whole file".to_owned() } else { format!("`[{path}]`") };
        let _ = write!(text, "\n## {heading}\n\n| key | holds | default | what it means |\n|---|---|---|---|\n");
        let mut below = Vec::new();
        for key in keys.all.iter().filter(|key| !key.kind.is_later()) {
            let of_key = if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
            let or_false = if matches!(key.kind, Kind::TableOrFalse(_)) { ", or `false`" } else { "" };
            let holds = match table_of(&key.kind, &of_key) {
                Some((path, keys)) => match known.iter().find(|(other, _)| std::ptr::eq(*other, keys)) {
                    Some((_, first)) => format!("a table, as `[{first}]`{or_false}"),
                    None => {
                        known.push((keys, path.clone()));
                        below.push((path.clone(), keys));
                        format!("a table: `[{path}]`{or_false}")
                    }
                },
                None => describe(&key.kind),
            };
            let default = key.default.map_or_else(String::new, |default| format!("`{default}`"));
            let _ = writeln!(text, "| `{}` | {} | {} | {} |", key.name, cell(&holds), cell(&default), cell(key.doc));
        }
        for group in keys.exclusive {
            let built = |name: &&&str| keys.get(name).is_some_and(|key| !key.kind.is_later());
            let names: Vec<String> = group.iter().filter(built).map(|name| format!("`{name}`")).collect();
            if names.len() > 1 {
                let _ = write!(text, "\nAt most one of {}.\n", names.join(", "));
            }
        }
        // The tables below a table follow it at once, in its order.
        for section in below.into_iter().rev() {
            sections.push_front(section);
        }
    }
    for (heading, keys) in [
        ("`[params.NAME]` of a template", &PARAM),
        ("A secret that stands elsewhere", &SECRET),
        ("A secret to sign with", &SIGNING_SECRET),
    ] {
        let _ = write!(text, "\n## {heading}\n\n| key | holds | default | what it means |\n|---|---|---|---|\n");
        for key in keys.all {
            let default = key.default.map_or_else(String::new, |default| format!("`{default}`"));
            let (holds, doc) = (describe(&key.kind), cell(key.doc));
            let _ = writeln!(text, "| `{}` | {} | {} | {doc} |", key.name, cell(&holds), cell(&default));
        }
    }
    text
}

/// Returns the path and the keys of the tables that a key holds.
fn table_of(kind: &Kind, path: &str) -> Option<(String, &'static Keys)> {
    match kind {
        Kind::Table(keys) | Kind::TableOrFalse(keys) => Some((path.to_owned(), keys)),
        Kind::Map(kind) => table_of(kind, &format!("{path}.NAME")),
        _ => None,
    }
}

fn describe(kind: &Kind) -> String {
    match kind {
        Kind::Text => "text".to_owned(),
        Kind::Texts => "text, or a list of texts".to_owned(),
        Kind::Template => "template".to_owned(),
        Kind::FilledIn => "text; in a connector a template".to_owned(),
        Kind::Expression => "expression".to_owned(),
        Kind::Expressions => "expression, or a list of them".to_owned(),
        Kind::Duration(least, most) => format!("duration, {least} to {most}"),
        Kind::Durations(least, most) => format!("list of durations, {least} to {most}"),
        Kind::Size(least, most) => format!("size, {least} to {most}"),
        Kind::Count(least, most) => format!("whole number, {least} to {most}"),
        Kind::Rate => "rate, such as `10/s` or `5000/h`".to_owned(),
        Kind::Elements => "list of tables, each like `params`".to_owned(),
        Kind::Boolean => "`true` or `false`".to_owned(),
        Kind::Choice(words) => quoted(words.words).join(" or "),
        Kind::Choices(words) => format!("list of {}", quoted(words.words).join(", ")),
        Kind::Secret => "secret".to_owned(),
        Kind::SigningSecrets => "secret to sign with, or a list of them".to_owned(),
        Kind::Address => "address; a secret one as `{ env = … }` or `{ file = … }`".to_owned(),
        Kind::Param => "text, number, truth value, list of those, or secret".to_owned(),
        Kind::Json => "any value, each text in it a template".to_owned(),
        Kind::Forms => "one of several forms".to_owned(),
        Kind::Map(kind) => format!("table: each {}", describe(kind)),
        Kind::Table(_) | Kind::TableOrFalse(_) | Kind::Later | Kind::LaterSecret => String::new(),
    }
}

fn quoted(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| format!("`\"{word}\"`")).collect()
}

/// Returns a text as it stands in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
