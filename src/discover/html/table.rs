//! Tables: rows are items, and the names of columns are those of their fields.

use super::groups::{FEWEST, is_plain};
use super::{Field, Reading, Tree};
use crate::discover::Sureness;

/// The most columns of a table that are taken as fields.
const MOST_COLUMNS: usize = 30;

/// Returns the ways to read the tables of a page, the one with most rows first.
pub(super) fn readings(tree: &Tree<'_>) -> Vec<Reading> {
    let tables =
        (0..tree.elements.len()).filter(|index| tree.elements[*index].name == "table" && tree.is_content[*index]);
    let mut readings: Vec<(usize, Reading)> = tables.filter_map(|table| reading(tree, table)).collect();
    readings.sort_by_key(|(rows, _)| std::cmp::Reverse(*rows));
    readings.into_iter().map(|(_, reading)| reading).collect()
}

fn reading(tree: &Tree<'_>, table: usize) -> Option<(usize, Reading)> {
    let named = |index: usize, name: &str| tree.elements[index].name == name;
    // A table in which there is another lays out the page.
    if tree.within(table).skip(1).any(|index| named(index, "table")) {
        return None;
    }
    let rows: Vec<usize> = tree.within(table).filter(|index| named(*index, "tr")).collect();
    let cells = |row: usize, name: &str| -> Vec<usize> {
        tree.children[row].iter().copied().filter(|cell| named(*cell, name)).collect()
    };
    let header = *rows.first()?;
    let names = names(tree, &cells(header, "th"));
    let body: Vec<usize> = rows.iter().copied().filter(|row| cells(*row, "td").len() >= 2).collect();
    if names.len() < 2 || body.len() < FEWEST || body.contains(&header) && cells(header, "th").len() < 2 {
        return None;
    }
    let in_head = tree.elements[header].parent.is_some_and(|parent| named(parent, "thead"));
    let rows = if in_head { "tbody tr" } else { "tr:not(:first-child)" };
    let mut fields = Vec::new();
    for (index, name) in names.iter().enumerate() {
        fields.push(Field::new(name, Some(&format!(":scope > :nth-child({})", index + 1)), None));
    }
    let links = |column: usize| {
        let cell = |row: &&usize| {
            let cell = tree.children[**row].get(column).copied();
            cell.is_some_and(|cell| {
                tree.within(cell).any(|index| named(index, "a") && tree.elements[index].attribute("href").is_some())
            })
        };
        body.iter().filter(cell).count() * 10 >= body.len() * 8
    };
    if let Some(column) = (0..names.len()).find(|column| links(*column))
        && !names.contains(&"url".to_owned())
    {
        let select = format!(":scope > :nth-child({}) a", column + 1);
        fields.push(Field::new("url", Some(&select), Some("href")));
    }
    let items = format!("{} {rows}", selector(tree, table));
    let because = "are rows of a table whose header names its columns".to_owned();
    Some((body.len(), Reading { items, fields, sureness: Sureness::Likely, because }))
}

/// Returns what fields are called that a header names, each once.
fn names(tree: &Tree<'_>, header: &[usize]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (index, cell) in header.iter().take(MOST_COLUMNS).enumerate() {
        let words = tree.words(*cell).to_lowercase();
        let words = words.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        let name = words.take(4).collect::<Vec<_>>().join("_");
        let is_free = !name.is_empty() && !names.contains(&name);
        names.push(if is_free { name } else { format!("column_{}", index + 1) });
    }
    names
}

/// Returns a selector of a table: by its id, by a class that no other table has, or as any table.
fn selector(tree: &Tree<'_>, table: usize) -> String {
    let element = &tree.elements[table];
    if let Some(id) = element.attribute("id").filter(|id| is_plain(id)) {
        return format!("table#{id}");
    }
    let tables = || tree.elements.iter().filter(|element| element.name == "table");
    let own = element.classes().filter(|class| is_plain(class));
    let mut own =
        own.filter(|class| tables().filter(|table| table.classes().any(|known| known == *class)).count() == 1);
    own.next().map_or_else(|| "table".to_owned(), |class| format!("table.{class}"))
}
