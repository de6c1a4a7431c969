//! What is told of each item of a page: where it leads, its title, its date and what it says.

use std::collections::{BTreeMap, HashSet};

use super::groups::is_plain;
use super::{Field, Tree};

/// How many items are looked at.
const LOOKED_AT: usize = 50;

/// Fields that a class tells of, by the words in it.
const BY_CLASS: [(&str, &[&str]); 4] = [
    ("date", &["date", "time", "datetime", "published", "posted", "updated", "timestamp", "age"]),
    ("author", &["author", "byline", "user", "username"]),
    ("price", &["price", "amount"]),
    ("status", &["status", "state"]),
];

/// Returns the address that an item leads to.
pub(super) fn link_of<'t>(tree: &'t Tree<'_>, item: usize) -> Option<&'t str> {
    let links = tree.within(item).filter_map(|index| Some((index, link(tree, index)?)));
    let in_heading = links.clone().find(|(index, _)| is_in_heading(tree, item, *index));
    in_heading.or_else(|| links.clone().next()).map(|(_, target)| target)
}

/// Returns what can be taken out of items: the fields that most of them have.
pub(super) fn fields(tree: &Tree<'_>, members: &[usize]) -> Vec<Field> {
    let items = &members[..members.len().min(LOOKED_AT)];
    let mut fields = Vec::new();
    let link = best_link(tree, items);
    if let Some((select, _)) = &link {
        fields.push(Field::new("url", select.as_deref(), Some("href")));
    } else if let Some(attribute) = own_id(tree, items) {
        fields.push(Field::new("id", None, Some(attribute)));
    }
    fields.push(Field::new("title", title(tree, items, link.as_ref()).as_deref(), None));
    let has = |name: &str, attribute: Option<&str>| {
        let found = items.iter().filter(|item| {
            tree.within(**item).any(|index| {
                let element = &tree.elements[index];
                element.name == name && attribute.is_none_or(|attribute| element.attribute(attribute).is_some())
            })
        });
        is_most(found.count(), items.len())
    };
    let mut by_class = classes(tree, items);
    if has("time", Some("datetime")) {
        fields.push(Field::new("date", Some("time"), Some("datetime")));
        by_class.retain(|field| field.name != "date");
    }
    let text_of_p = items.iter().filter(|item| {
        let mut within = tree.within(**item).skip(1);
        within.any(|index| tree.elements[index].name == "p" && tree.texts[index] > 20)
    });
    if is_most(text_of_p.count(), items.len()) {
        fields.push(Field::new("text", Some("p"), None));
    }
    let written: HashSet<Option<String>> = fields.iter().map(|field| field.select.clone()).collect();
    fields.extend(by_class.into_iter().filter(|field| !written.contains(&field.select)));
    fields
}

/// Returns the selector of the links that lead to different places, and whether they say something; `None` selects the item
/// itself.
fn best_link(tree: &Tree<'_>, items: &[usize]) -> Option<(Option<String>, bool)> {
    let own: HashSet<&str> = items.iter().filter_map(|item| link(tree, *item)).collect();
    if is_most(own.len(), items.len()) {
        return Some((None, true));
    }
    let first = |wanted: &dyn Fn(usize, usize) -> bool| {
        let found: Vec<usize> =
            items.iter().filter_map(|item| tree.within(*item).skip(1).find(|index| wanted(*item, *index))).collect();
        let places: HashSet<&str> = found.iter().filter_map(|index| link(tree, *index)).collect();
        let says = found.iter().filter(|index| tree.texts[**index] > 0).count();
        let says: usize =
            if is_most(says, items.len()) { found.iter().map(|index| tree.texts[*index]).sum() } else { 0 };
        is_most(places.len(), items.len()).then_some(says)
    };
    let mut candidates: Vec<(usize, i32, String)> = Vec::new();
    for level in 1..=6 {
        let heading = format!("h{level}");
        let wanted = |item: usize, index: usize| link(tree, index).is_some() && is_in(tree, item, index, &heading);
        candidates.extend(first(&wanted).map(|says| (says + 10_000, 0, format!("{heading} a"))));
    }
    candidates.extend(first(&|_, index| link(tree, index).is_some()).map(|says| (says, 1, "a".to_owned())));
    let links = items.iter().flat_map(|item| tree.within(*item)).filter(|index| link(tree, *index).is_some());
    let classes: HashSet<&str> =
        links.clone().flat_map(|index| tree.elements[index].classes()).filter(|class| is_plain(class)).collect();
    let parents: HashSet<&str> = links
        .filter_map(|index| tree.elements[index].parent)
        .flat_map(|parent| tree.elements[parent].classes())
        .filter(|class| is_plain(class))
        .collect();
    for class in classes.iter().take(20) {
        let wanted = |_: usize, index: usize| {
            link(tree, index).is_some() && tree.elements[index].classes().any(|known| known == *class)
        };
        candidates.extend(first(&wanted).map(|says| (says, 0, format!("a.{class}"))));
    }
    for class in parents.iter().take(20) {
        let wanted = |item: usize, index: usize| {
            let parent = tree.elements[index].parent.filter(|parent| *parent > item);
            link(tree, index).is_some()
                && parent.is_some_and(|parent| tree.elements[parent].classes().any(|known| known == *class))
        };
        candidates.extend(first(&wanted).map(|says| (says, -1, format!(".{class} > a"))));
    }
    let best = candidates
        .into_iter()
        .max_by(|one, other| (one.0, one.1).cmp(&(other.0, other.1)).then_with(|| other.2.cmp(&one.2)))?;
    Some((Some(best.2), best.0 > 0))
}

fn title(tree: &Tree<'_>, items: &[usize], link: Option<&(Option<String>, bool)>) -> Option<String> {
    for level in 1..=6 {
        let heading = format!("h{level}");
        let has =
            items.iter().filter(|item| tree.within(**item).skip(1).any(|index| tree.elements[index].name == heading));
        if is_most(has.count(), items.len()) {
            return Some(heading);
        }
    }
    match link {
        Some((Some(select), true)) => Some(select.clone()),
        _ => None,
    }
}

/// Returns the attribute of items that tells each of them from the others.
fn own_id(tree: &Tree<'_>, items: &[usize]) -> Option<&'static str> {
    ["data-id", "data-key", "data-item-id", "id"].into_iter().find(|attribute| {
        let ids: HashSet<&str> = items.iter().filter_map(|item| tree.elements[*item].attribute(attribute)).collect();
        ids.len() == items.len()
    })
}

/// Returns the fields that classes within items tell of.
fn classes(tree: &Tree<'_>, items: &[usize]) -> Vec<Field> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for item in items {
        let within = tree.within(*item).skip(1).filter(|index| (1..=80).contains(&tree.texts[*index]));
        let own: HashSet<&str> = within.flat_map(|index| tree.elements[index].classes()).collect();
        for class in own.into_iter().filter(|class| is_plain(class)) {
            *counts.entry(class).or_default() += 1;
        }
    }
    let common: Vec<&str> =
        counts.into_iter().filter(|(_, count)| is_most(*count, items.len())).map(|(class, _)| class).collect();
    let named = BY_CLASS.iter().filter_map(|(name, words)| {
        let says =
            |class: &&&str| class.split(['-', '_']).any(|word| words.contains(&word.to_ascii_lowercase().as_str()));
        common.iter().find(says).map(|class| Field::new(name, Some(&format!(".{class}")), None))
    });
    named.collect()
}

/// Returns where an element links to, if it leads somewhere.
fn link<'t>(tree: &'t Tree<'_>, index: usize) -> Option<&'t str> {
    let element = &tree.elements[index];
    let target = element.attribute("href").filter(|_| element.name == "a")?.trim();
    let leads =
        !target.is_empty() && !target.starts_with('#') && !target.to_ascii_lowercase().starts_with("javascript:");
    leads.then_some(target)
}

fn is_in_heading(tree: &Tree<'_>, item: usize, index: usize) -> bool {
    ["h1", "h2", "h3", "h4", "h5", "h6"].iter().any(|heading| is_in(tree, item, index, heading))
}

/// Tells whether an element is in one of this name, within an item.
fn is_in(tree: &Tree<'_>, item: usize, index: usize, name: &str) -> bool {
    let parents = std::iter::successors(tree.elements[index].parent, |parent| tree.elements[*parent].parent);
    parents.take_while(|parent| *parent > item).take(8).any(|parent| tree.elements[parent].name == name)
}

fn is_most(count: usize, all: usize) -> bool {
    count * 10 >= all * 8 && count > 0
}
