//! The elements of an array in a JSON text, as the texts that they are: most of them need not be parsed.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// Returns the elements of the array that these names of members lead to; `None` if there is none, or anything is wrong
/// with the text.
///
/// Everything but the elements is checked as when it is parsed. The elements are only told apart: each has to be parsed
/// before it can be trusted.
pub(super) fn elements<'t>(json: &'t [u8], names: &[&str]) -> Option<Vec<&'t RawValue>> {
    let mut elements = None;
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    Listing { names, elements: &mut elements }.deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    elements
}

/// Looks for the array, and fails if there is something else in its place.
struct Listing<'p, 't> {
    /// What is left of the way to it.
    names: &'p [&'p str],
    elements: &'p mut Option<Vec<&'t RawValue>>,
}

impl<'t> DeserializeSeed<'t> for Listing<'_, 't> {
    type Value = ();

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.names.is_empty() {
            *self.elements = Some(Vec::deserialize(deserializer)?);
            return Ok(());
        }
        deserializer.deserialize_map(self)
    }
}

impl<'t> Visitor<'t> for Listing<'_, 't> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut members: A) -> Result<(), A::Error> {
        let Some((name, names)) = self.names.split_first() else { return Err(A::Error::custom("no array")) };
        while let Some(is_named) = members.next_key_seed(Named(name))? {
            if is_named {
                // Of several members with this name, the last one counts.
                *self.elements = None;
                members.next_value_seed(Listing { names, elements: &mut *self.elements })?;
            } else {
                members.next_value::<Value>()?;
            }
        }
        Ok(())
    }
}

/// Tells whether a member has this name.
struct Named<'p>(&'p str);

impl<'t> DeserializeSeed<'t> for Named<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Named<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_told_apart_if_the_rest_is_well() {
        let check = |json: &str, names: &[&str], expected: Option<&[&str]>| {
            let elements = elements(json.as_bytes(), names);
            let texts = elements.map(|elements| elements.into_iter().map(RawValue::get).collect::<Vec<_>>());
            assert_eq!(texts.as_deref(), expected, "{json}");
        };
        check("[]", &[], Some(&[]));
        check(r#" [1.0, {"a" : [2]} ,"]"] "#, &[], Some(&["1.0", r#"{"a" : [2]}"#, r#""]""#]));
        check(r#"{"a":1,"items":[1],"z":{}}"#, &["items"], Some(&["1"]));
        check(r#"{"data":{"\u0069tems":[1e5]}}"#, &["data", "items"], Some(&["1e5"]));
        check(r#"{"items":[1],"items":[2]}"#, &["items"], Some(&["2"]));
        check(r#"{"data":{"items":[1]},"data":{}}"#, &["data", "items"], None);
        check(r#"{"items":{"a":1}}"#, &["items"], None);
        check(r#"{"items":null}"#, &["items"], None);
        check(r#"{"item":[]}"#, &["items"], None);
        check("[1]", &["items"], None);
        check("null", &[], None);
        for broken in ["[1", "[1,]", "[1]]", "[01]", r#"["\x"]"#] {
            check(broken, &[], None);
        }
        for broken in [r#"{"items":[1],}"#, r#"{"items":[1]"#, r#"{"items":[1],"a":"\ud800"}"#, r#"{"items":[1]} x"#] {
            check(broken, &["items"], None);
        }
        let deep = format!(r#"{{"items":[1],"a":{}{}}}"#, "[".repeat(128), "]".repeat(128));
        check(&deep, &["items"], None);
        assert!(elements(b"[\"\xff\"]", &[]).is_none());
    }
}
