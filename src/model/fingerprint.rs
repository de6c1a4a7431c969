//! Hashes by which items are told apart and versions of an item are compared.

use std::fmt;

use serde_json::Value;
use smallvec::SmallVec;

/// The hash of an item's key: the first 128 bits of the BLAKE3 hash of its text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub [u8; 16]);

impl KeyHash {
    /// Returns the hash of a key's text.
    pub fn of(key: &str) -> Self {
        Self(first_half(blake3::hash(key.as_bytes())))
    }
}

/// The hash of what counts as an item's content: the first 128 bits of the BLAKE3 hash of its canonical form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 16]);

impl Fingerprint {
    /// Returns the fingerprint of a sequence of values. The order of an object's members does not count, that of
    /// an array's elements does, and numbers count as they are written: `1.0` is not `1`.
    pub fn of<'a>(values: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut canonical = Canonical::default();
        for value in values {
            canonical.push(value);
        }
        canonical.finish()
    }
}

/// The hash of a whole page's decoded bytes: all 256 bits of BLAKE3.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BodyHash(pub [u8; 32]);

impl BodyHash {
    /// Returns the hash of a page's bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

/// The canonical form of a sequence of values, being written; reusable, so that hashing many items allocates once.
///
/// It is injective: values that differ in anything but the order of members have different forms.
#[derive(Debug, Default)]
pub struct Canonical {
    bytes: Vec<u8>,
}

impl Canonical {
    /// Appends one value.
    pub fn push(&mut self, value: &Value) {
        match value {
            Value::Null => self.bytes.push(b'n'),
            Value::Bool(true) => self.bytes.push(b't'),
            Value::Bool(false) => self.bytes.push(b'f'),
            Value::Number(number) => self.text(b'#', number.as_str()),
            Value::String(text) => self.text(b'"', text),
            Value::Array(elements) => {
                self.head(b'[', elements.len());
                for element in elements {
                    self.push(element);
                }
            }
            Value::Object(members) => {
                self.head(b'{', members.len());
                let mut sorted: SmallVec<[(&String, &Value); 24]> = members.iter().collect();
                sorted.sort_unstable_by_key(|(name, _)| *name);
                for (name, value) in sorted {
                    self.text(b'"', name);
                    self.push(value);
                }
            }
        }
    }

    /// Returns the fingerprint of what was pushed, and starts anew.
    pub fn finish(&mut self) -> Fingerprint {
        let fingerprint = Fingerprint(first_half(blake3::hash(&self.bytes)));
        self.bytes.clear();
        fingerprint
    }

    fn head(&mut self, tag: u8, length: usize) {
        self.bytes.push(tag);
        self.bytes.extend_from_slice(&(length as u64).to_le_bytes());
    }

    fn text(&mut self, tag: u8, text: &str) {
        self.head(tag, text.len());
        self.bytes.extend_from_slice(text.as_bytes());
    }
}

fn first_half(hash: blake3::Hash) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&hash.as_bytes()[..16]);
    half
}

fn hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

macro_rules! hex_text {
    ($name:ident, $length:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                hex(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                hex(&self.0, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = HexError;

            fn from_str(text: &str) -> Result<Self, HexError> {
                if text.len() != 2 * $length || !text.is_ascii() {
                    return Err(HexError);
                }
                let mut bytes = [0; $length];
                for (index, byte) in bytes.iter_mut().enumerate() {
                    *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).map_err(|_| HexError)?;
                }
                Ok(Self(bytes))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// Why a text is no hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a hash in hexadecimal digits")]
pub struct HexError;

hex_text!(KeyHash, 16);
hex_text!(Fingerprint, 16);
hex_text!(BodyHash, 32);

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(json: &str) -> Fingerprint {
        Fingerprint::of([&serde_json::from_str(json).expect("JSON")])
    }

    #[test]
    fn the_order_of_members_does_not_count_but_everything_else_does() {
        assert_eq!(fingerprint(r#"{"a":1,"b":[2,3]}"#), fingerprint(r#"{ "b" : [2, 3], "a": 1 }"#));
        for other in [r#"{"a":1,"b":[3,2]}"#, r#"{"a":1.0,"b":[2,3]}"#, r#"{"a":"1","b":[2,3]}"#, r#"{"a":1}"#, "null"]
        {
            assert_ne!(fingerprint(r#"{"a":1,"b":[2,3]}"#), fingerprint(other), "{other}");
        }
    }

    #[test]
    fn a_sequence_is_not_its_concatenation() {
        let (a, b, ab) = (Value::from("a"), Value::from("b"), Value::from("ab"));
        assert_ne!(Fingerprint::of([&a, &b]), Fingerprint::of([&ab]));
    }

    #[test]
    fn hashes_survive_text() {
        let hash = KeyHash::of("1017");
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert_eq!("zz".parse::<KeyHash>(), Err(HexError));
    }
}
