//! HTML → an array of objects, one for each element that a CSS selector selects.
//!
//! A field is the text of the first element that its selector selects within the item, or an attribute of it; `null` if
//! there is none. With `all` it is an array. Whitespace in texts is a single space, and none around them; scripts and
//! styles are no text. The attributes that hold addresses (`href`, `src`, `action`, `poster`, `cite`) become absolute.

mod document;
mod outline;
mod parse;

use serde_json::{Map, Value};
use url::Url;

use self::document::{Document, Id};
use super::{MOST_ITEMS, too_many};
use crate::model::format::{HtmlField, HtmlRules};

pub use outline::{Outline, OutlineElement};

pub(super) use outline::outline;

/// The most elements and texts that are looked at for all items and fields together: items may lie in each other.
const MOST_VISITS: usize = 10_000_000;

/// The attributes whose values are addresses.
const ADDRESSES: [&str; 5] = ["href", "src", "action", "poster", "cite"];

/// Returns the items of a page.
pub(super) fn decode(text: &str, rules: &HtmlRules, url: Option<&Url>) -> Result<Value, String> {
    let document = parse::parse(text)?;
    let mut reader = Reader { base: base(&document, url), document: &document, visits_left: MOST_VISITS };
    let items = document.select(&rules.items, Document::ROOT, &mut reader.visits_left).ok_or_else(too_much)?;
    if items.len() > MOST_ITEMS {
        return Err(too_many("items", MOST_ITEMS));
    }
    let object = |item| {
        let fields = rules.fields.iter().map(|(name, field)| Ok((name.clone(), reader.field(item, field)?)));
        fields.collect::<Result<Map<_, _>, String>>().map(Value::Object)
    };
    items.into_iter().map(object).collect::<Result<_, _>>().map(Value::Array)
}

fn too_much() -> String {
    "its items lie in each other too often".to_owned()
}

/// Returns what addresses in a page are relative to.
fn base(document: &Document, url: Option<&Url>) -> Option<Url> {
    let written = document.elements_named("base").find_map(|id| document.attribute(id, "href"));
    match (url, written) {
        (Some(url), Some(written)) => Some(url.join(written.trim()).unwrap_or_else(|_| url.clone())),
        (None, Some(written)) => Url::parse(written.trim()).ok(),
        (url, None) => url.cloned(),
    }
}

struct Reader<'d> {
    document: &'d Document,
    base: Option<Url>,
    visits_left: usize,
}

impl Reader<'_> {
    fn field(&mut self, item: Id, field: &HtmlField) -> Result<Value, String> {
        let found = match &field.select {
            Some(selector) => self.document.select(selector, item, &mut self.visits_left).ok_or_else(too_much)?,
            None => vec![item],
        };
        let mut values = Vec::new();
        for element in found {
            if let Some(value) = self.value(element, field.attribute.as_deref())? {
                values.push(Value::String(value));
                if !field.all {
                    break;
                }
            } else if !field.all {
                break;
            }
        }
        Ok(if field.all { Value::Array(values) } else { values.pop().unwrap_or_default() })
    }

    fn value(&mut self, element: Id, attribute: Option<&str>) -> Result<Option<String>, String> {
        let Some(name) = attribute else {
            return self.document.text(element, &mut self.visits_left).map(Some).ok_or_else(too_much);
        };
        let Some(written) = self.document.attribute(element, name) else { return Ok(None) };
        let address =
            self.base.as_ref().filter(|_| ADDRESSES.contains(&name)).and_then(|base| {
                if Url::parse(written.trim()).is_ok() { None } else { base.join(written.trim()).ok() }
            });
        Ok(Some(address.map_or_else(|| written.to_owned(), String::from)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::selector::Selector;

    fn selector(source: &str) -> Selector {
        Selector::parse(source).expect("a selector")
    }

    /// Reads fields written as `name: selector @attribute *`, all but the name optional, with `;` between them.
    fn rules(items: &str, fields: &str) -> HtmlRules {
        let field = |text: &str| {
            let (name, rest) = text.split_once(':').expect("a field has a name");
            let all = rest.ends_with('*');
            let (select, attribute) = match rest.trim_end_matches('*').split_once('@') {
                Some((select, attribute)) => (select.trim(), Some(attribute.trim().to_owned())),
                None => (rest.trim_end_matches('*').trim(), None),
            };
            let select = (!select.is_empty()).then(|| selector(select));
            (name.trim().to_owned(), HtmlField { select, attribute, all })
        };
        HtmlRules { items: selector(items), fields: fields.split(';').map(field).collect() }
    }

    #[track_caller]
    fn check(html: &str, items: &str, fields: &str, expected: Result<&str, &str>) {
        let url = "https://example.com/news/".parse().expect("an address");
        let decoded = decode(html, &rules(items, fields), Some(&url)).map(|value| value.to_string());
        assert_eq!(decoded.as_deref().map_err(String::as_str), expected, "{html}");
    }

    #[test]
    fn items_are_what_is_selected() {
        let list = "<ul><li><a href='1'>One</a> (x)<li class=b><a href=/2>T<i>w</i>o</a></ul><p>no";
        check(
            list,
            "li",
            "t: a; u: a @href",
            Ok(r#"[{"t":"One","u":"https://example.com/news/1"},{"t":"Two","u":"https://example.com/2"}]"#),
        );
        check(list, "li.b", ":; c: @class", Ok(r#"[{"":"Two","c":"b"}]"#));
        check(list, "li + li > a", "t:", Ok(r#"[{"t":"Two"}]"#));
        check(list, "td", "t:", Ok("[]"));
    }

    #[test]
    fn fields_are_texts_attributes_or_lists() {
        let table = "<table><tr><td>1<td>a\n b<br>c<script>x</script></table>";
        check(
            table,
            "tr",
            "n: td:nth-child(1); t: td:last-child; all: td *; no: th; none: th *",
            Ok(r#"[{"n":"1","t":"a b c","all":["1","a b c"],"no":null,"none":[]}]"#),
        );
        check("<div><p>a</p><p>b</p></div>", "div", "t:", Ok(r#"[{"t":"a b"}]"#));
        check(
            "<base href='https://other.example/x/'><img src=y><img>",
            "img",
            "s: @src",
            Ok(r#"[{"s":"https://other.example/x/y"},{"s":null}]"#),
        );
        check("<a href='mailto:x@y'>", "a", "h: @href", Ok(r#"[{"h":"mailto:x@y"}]"#));
        check("<b>&lt;1&nbsp;2", "b", "t:", Ok(r#"[{"t":"<1 2"}]"#));
    }

    #[test]
    fn what_is_within_an_item_is_told_from_what_is_around_it() {
        let nested = "<div class=a><div class=b><i>1</i></div></div>";
        check(nested, ".b", "t: .a i; u: .b > i; v: :scope > i", Ok(r#"[{"t":null,"u":"1","v":"1"}]"#));
        check(nested, "div", "t: i", Ok(r#"[{"t":"1"},{"t":"1"}]"#));
    }

    fn numbered(before: &str, count: usize, after: &str) -> String {
        let mut text = String::new();
        for number in 0..count {
            text.extend([before, &number.to_string(), after]);
        }
        text
    }

    #[test]
    fn what_would_take_too_long_is_refused() {
        check(&"<div>".repeat(100_000), "div", "t:", Err("its elements are nested more than 512 levels deep"));
        let many = numbered(" a", 25_000, "");
        check(&format!("<a{many}>"), "a", "t:", Err("a tag or a comment in it does not end"));
        let some = numbered(" a", 2_000, "");
        check(&format!("<a{some}>"), "a", "t:", Err("a tag in it has more than 256 attributes"));
        check(&"<p>x".repeat(130_000), "b", "t:", Err("it has more than 250000 elements and texts"));
        let fonts = numbered("<font size=", 400, ">");
        let reopened = format!("<p>{fonts}{}", "</p><p>x".repeat(2_000));
        check(&reopened, "b", "t:", Err("it has more than 250000 elements and texts"));
        let inside = format!("{}{}", "<div>".repeat(500), "<i></i>".repeat(40_000));
        check(&inside, "div", "t: b", Err("its items lie in each other too often"));
    }
}
