//! What of an answer can be about paging: the members of its body beside the items, and the addresses that it names.

use serde_json::Value;
use url::Url;

use crate::discover::path::{Path, plain};

/// The most levels of objects that are looked into.
const MOST_LEVELS: usize = 5;

/// The most members that are looked at.
const MOST_MEMBERS: usize = 2000;

/// An object with more members than this is a list by names, and says nothing of paging.
const MOST_OF_AN_OBJECT: usize = 100;

/// A member of an answer's body.
#[derive(Debug)]
pub(super) struct Member<'a> {
    /// As it is written.
    pub name: &'a str,
    /// Its name, in small letters and digits alone: `nextpageurl` for `next_page_url` and `nextPageUrl`.
    pub plain: String,
    /// The plain name of the object that it is in; empty at the top.
    pub parent: String,
    /// What leads to that object, such as `.meta`; empty at the top.
    inside: String,
    /// What leads to it, such as `.meta.next`.
    pub path: String,
    pub value: &'a Value,
}

/// The members of an answer's body that are not in its items.
#[derive(Debug, Default)]
pub(super) struct Members<'a>(pub Vec<Member<'a>>);

impl<'a> Members<'a> {
    /// Returns the members of a body whose items this expression yields.
    pub fn of(body: &'a Value, items: &str) -> Self {
        let mut members = Self::default();
        match body {
            // What a page is about, and then its items, as the World Bank has it.
            Value::Array(elements) if elements.len() <= 3 && !items.starts_with(".[]") => {
                for (index, element) in elements.iter().enumerate() {
                    members.add(element, &format!(".[{index}]"), "", items, 1);
                }
            }
            body => members.add(body, "", "", items, 0),
        }
        members
    }

    fn add(&mut self, value: &'a Value, inside: &str, parent: &str, items: &str, level: usize) {
        let Value::Object(object) = value else { return };
        let lists_items = !inside.is_empty() && items.starts_with(&format!("{inside}[]"))
            || inside.is_empty() && items.starts_with(".[]");
        if lists_items || level > MOST_LEVELS || object.len() > MOST_OF_AN_OBJECT {
            return;
        }
        for (name, value) in object {
            if self.0.len() == MOST_MEMBERS {
                return;
            }
            let (path, plain) = (format!("{inside}{}", step(name)), plain(name));
            self.0.push(Member {
                name,
                plain: plain.clone(),
                parent: parent.to_owned(),
                inside: inside.to_owned(),
                path: path.clone(),
                value,
            });
            self.add(value, &path, &plain, items, level + 1);
        }
    }

    /// Returns the first member that has one of these plain names, the first name first.
    pub fn named(&self, names: &[&str]) -> Option<&Member<'a>> {
        names.iter().find_map(|name| self.0.iter().find(|member| member.plain == *name))
    }

    /// Returns the first member with one of these plain names whose value is a whole number, the first name first.
    pub fn number(&self, names: &[&str]) -> Option<(&Member<'a>, u64)> {
        let numbers = |name| self.0.iter().filter(move |member| member.plain == name);
        names.iter().find_map(|name| numbers(*name).find_map(|member| Some((member, whole(member.value)?))))
    }

    /// Returns the members that are in the same object as this one.
    pub fn beside<'m>(&'m self, member: &'m Member<'a>) -> impl Iterator<Item = &'m Member<'a>> {
        self.0.iter().filter(move |other| other.inside == member.inside && other.path != member.path)
    }

    /// Tells whether there is a member of one of these plain names in the same object.
    pub fn has_beside(&self, member: &Member<'_>, names: &[&str]) -> bool {
        self.0.iter().any(|other| other.inside == member.inside && names.contains(&other.plain.as_str()))
    }

    /// Tells whether the body has a member of this plain name at its top.
    pub fn has_at_top(&self, name: &str) -> bool {
        self.0.iter().any(|member| member.inside.is_empty() && member.plain == name)
    }
}

/// Returns how an expression leads to a member of this name.
pub(super) fn step(name: &str) -> String {
    Path::of([name]).to_string()
}

/// Returns a whole number that is not negative, which may be written as a text.
pub(super) fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_str().parse().ok(),
        Value::String(text) if text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}

/// Tells whether a value stands for nothing, as a pager reads it.
pub(super) fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(elements) => elements.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

/// Returns the address that a text is, if it looks like one and leads away from this page.
pub(super) fn address(page: &Url, text: &str) -> Option<Url> {
    let begins = ["http://", "https://", "/", "?"].iter().any(|beginning| text.starts_with(beginning));
    let is_relative = text.contains('?') && text.contains('=');
    if !begins && !is_relative || text.contains(char::is_whitespace) {
        return None;
    }
    let mut found = page.join(text).ok().filter(|found| matches!(found.scheme(), "http" | "https"))?;
    found.set_fragment(None);
    let mut own = page.clone();
    own.set_fragment(None);
    (found != own).then_some(found)
}

/// Returns the parameters of an address.
pub(super) fn parameters(url: &Url) -> Vec<(String, String)> {
    url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_beside_the_items_are_found_and_those_in_them_are_not() {
        let body = json!({
            "@odata.nextLink": "x", "data": [{"next": 1}], "meta": {"page": {"number": 2}}, "by_id": {"a": {"next": 1}},
        });
        let paths = |items: &str| Members::of(&body, items).0.into_iter().map(|member| member.path).collect::<Vec<_>>();
        let expected = [
            ".".to_owned() + "\"@odata.nextLink\"",
            ".by_id".into(),
            ".data".into(),
            ".meta".into(),
            ".meta.page".into(),
            ".meta.page.number".into(),
        ];
        let mut found = paths(".by_id[]");
        found.sort();
        assert_eq!(found, expected);
        assert!(paths(".data[]").contains(&".by_id.a.next".to_owned()));
        assert_eq!(paths(".[]"), Vec::<String>::new());
        let bank = json!([{"page": 1, "pages": 3}, [{"id": 1}]]);
        assert_eq!(
            Members::of(&bank, ".[1][]").number(&["pages"]).map(|(member, _)| member.path.clone()),
            Some(".[0].pages".to_owned())
        );
    }

    #[test]
    fn addresses_are_told_from_other_texts() {
        let page: Url = "https://a.example/items?page=1#top".parse().expect("an address");
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(address(&page, text).as_ref().map(Url::as_str), expected, "{text}");
        };
        check("?page=2", Some("https://a.example/items?page=2"));
        check("items?page=2", Some("https://a.example/items?page=2"));
        check("/items?page=1", None);
        check("https://b.example/x", Some("https://b.example/x"));
        check("2026-11-20", None);
        check("next Monday", None);
        check("/next Monday", None);
        check("mailto:x?a=b", None);
        check("http://[", None);
    }
}
