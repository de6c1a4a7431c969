//! Elements that are alike: the candidates for the items of a page.

use std::collections::{BTreeMap, HashSet};

use super::fields::{fields, link_of};
use super::{Reading, Tree};
use crate::discover::Sureness;
use crate::poll::OutlineElement;

/// Fewer elements than this are no list.
pub(super) const FEWEST: usize = 3;

/// The elements that can be items.
const ITEMS: [&str; 9] = ["li", "article", "div", "tr", "section", "a", "dt", "details", "figure"];

/// The elements that lead around a site, or are not to be read.
const AROUND: [&str; 10] =
    ["nav", "header", "footer", "aside", "script", "style", "template", "noscript", "form", "head"];

/// Words in classes, ids and roles of what leads around a site.
const AROUND_WORDS: [&str; 24] = [
    "nav",
    "navbar",
    "navigation",
    "menu",
    "menubar",
    "header",
    "footer",
    "breadcrumb",
    "breadcrumbs",
    "pagination",
    "pager",
    "sidebar",
    "social",
    "share",
    "cookie",
    "cookies",
    "banner",
    "contentinfo",
    "toolbar",
    "tabs",
    "toc",
    "tagcloud",
    "tags",
    "related",
];

/// Words in the classes of items.
const ITEM_WORDS: [&str; 20] = [
    "item", "entry", "post", "story", "card", "result", "row", "release", "article", "news", "job", "event", "product",
    "listing", "teaser", "athing", "incident", "topic", "thread", "record",
];

/// The most elements in each other that a selector names.
const MOST_STEPS: usize = 4;

/// The most groups that are tried.
const MOST_TRIED: usize = 8;

/// Elements that one selector names.
struct Group {
    selector: String,
    members: Vec<usize>,
    /// How well its selector is chosen among those that name the same elements.
    aptness: i32,
}

/// Tells whether an element leads around the site, or is not to be read.
pub(super) fn leads_around(element: &OutlineElement) -> bool {
    let named = [element.attribute("class"), element.attribute("id"), element.attribute("role")];
    let mut words = named.into_iter().flatten().flat_map(str::split_ascii_whitespace);
    // A page's own header is not that of an article in it.
    AROUND.contains(&element.name.as_str())
        || !matches!(element.name.as_str(), "body" | "main" | "html")
            && words.any(|word| AROUND_WORDS.contains(&word.to_ascii_lowercase().as_str()))
}

/// Returns the ways to read the page's items, the likeliest first.
pub(super) fn readings(tree: &Tree<'_>) -> Vec<Reading> {
    let all = tree.texts.first().copied().unwrap_or_default().max(1);
    let mut scored: Vec<(f64, Reading)> = Vec::new();
    let mut groups: Vec<(f64, Group)> =
        groups(tree).into_iter().filter_map(|group| Some((score(tree, &group.members)?, group))).collect();
    groups.sort_by(|(one, a), (other, b)| other.total_cmp(one).then_with(|| b.aptness.cmp(&a.aptness)));
    for (score, group) in groups.into_iter().take(MOST_TRIED) {
        let fields = fields(tree, &group.members);
        let linked = group.members.iter().filter(|member| link_of(tree, **member).is_some()).count();
        let text: usize = group.members.iter().map(|member| tree.texts[*member]).sum();
        let is_clear = linked * 10 >= group.members.len() * 9 && text * 10 >= all * 3;
        let because = "are alike, link to different places and hold most of what the page says";
        let because = if is_clear { because } else { "are alike, and may be the list" };
        let sureness = if is_clear { Sureness::Likely } else { Sureness::Doubtful };
        scored.push((score, Reading { items: group.selector, fields, sureness, because: because.to_owned() }));
    }
    scored.into_iter().map(|(_, reading)| reading).filter(|reading| !reading.fields.is_empty()).collect()
}

/// Returns the groups of elements that a selector names: by class wherever they are, and without one below one parent.
fn groups(tree: &Tree<'_>) -> Vec<Group> {
    let mut by_class: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    let mut by_parent: BTreeMap<(usize, &str), Vec<usize>> = BTreeMap::new();
    for (index, element) in tree.elements.iter().enumerate() {
        let name = element.name.as_str();
        if !ITEMS.contains(&name) {
            continue;
        }
        let mut classes: Vec<&str> = element.classes().filter(|class| is_plain(class)).take(8).collect();
        classes.sort_unstable();
        classes.dedup();
        for class in classes {
            by_class.entry((name, class)).or_default().push(index);
        }
        if let Some(parent) = element.parent.filter(|_| tree.is_content[index] && name != "a") {
            by_parent.entry((parent, name)).or_default().push(index);
        }
    }
    let classed = by_class.into_iter().filter_map(|((name, class), members)| {
        // What leads around the site has the same classes now and then, and would be selected too.
        let is_content = members.iter().all(|member| tree.is_content[*member]);
        let selector = format!("{name}.{class}");
        is_content.then(|| Group { selector, members, aptness: aptness(class) })
    });
    let unclassed = by_parent.into_iter().filter_map(|((parent, name), members)| {
        if members.len() < FEWEST {
            return None;
        }
        Some(Group { selector: format!("{} > {name}", path_to(tree, parent)?), members, aptness: -3 })
    });
    classed.chain(unclassed).filter(|group| group.members.len() >= FEWEST).collect()
}

/// Returns how likely elements are to be the items; `None` if they cannot be.
fn score(tree: &Tree<'_>, members: &[usize]) -> Option<f64> {
    // What lies in each other is no list.
    if members.windows(2).any(|pair| pair[1] < tree.ends[pair[0]]) {
        return None;
    }
    let looked_at = &members[..members.len().min(200)];
    let count = looked_at.len();
    let said: HashSet<String> = looked_at.iter().map(|member| tree.words(*member)).collect();
    let links: Vec<&str> = looked_at.iter().filter_map(|member| link_of(tree, *member)).collect();
    let places: HashSet<&&str> = links.iter().collect();
    let is_told_apart = said.len() * 10 >= count * 7 || places.len() * 10 >= count * 8;
    let text: usize = members.iter().map(|member| tree.texts[*member]).sum();
    let is_linked = places.len() * 10 >= count * 7;
    if !is_told_apart || text < count * 4 || !is_linked && text < count * 20 {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "how likely one is beside another needs no last digits")]
    let (text, count) = (text as f64, members.len() as f64);
    Some(text * (1.0 + count).ln() * if is_linked { 1.0 } else { 0.2 })
}

/// Returns how much a class says of what an element is.
fn aptness(class: &str) -> i32 {
    let mut words = class.split(['-', '_']).map(str::to_ascii_lowercase);
    let is_word = |word: &String| ITEM_WORDS.contains(&word.trim_end_matches('s'));
    let says_item = words.any(|word| is_word(&word) || ITEM_WORDS.contains(&word.as_str()));
    let has_digits = class.bytes().any(|byte| byte.is_ascii_digit());
    let is_mixed = class.bytes().any(|byte| byte.is_ascii_uppercase()) && class.len() > 5;
    i32::from(says_item) * 4 - i32::from(has_digits) * 3 - i32::from(is_mixed) * 2 - i32::from(class.len() <= 2)
}

/// Tells whether a class can be written into a selector as it is.
pub(super) fn is_plain(class: &str) -> bool {
    class.len() <= 60
        && class.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && class.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Returns a selector that leads to one element: from the nearest element with an id, or from the best class on the way.
fn path_to(tree: &Tree<'_>, index: usize) -> Option<String> {
    let mut steps: Vec<String> = Vec::new();
    let mut next = Some(index);
    while let Some(index) = next.filter(|_| steps.len() < MOST_STEPS) {
        let element = &tree.elements[index];
        let id = element.attribute("id").filter(|id| is_plain(id) && !id.bytes().any(|byte| byte.is_ascii_digit()));
        if let Some(id) = id {
            steps.push(format!("#{id}"));
            next = None;
            continue;
        }
        let class = element.classes().filter(|class| is_plain(class)).max_by_key(|class| aptness(class));
        steps.push(match class {
            Some(class) => format!("{}.{class}", element.name),
            None => element.name.clone(),
        });
        next = element.parent.filter(|_| class.is_none() && !matches!(element.name.as_str(), "body" | "main"));
    }
    steps.reverse();
    (!steps.is_empty()).then(|| steps.join(" > "))
}
