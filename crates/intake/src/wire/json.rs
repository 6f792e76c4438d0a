//! A JSON value as Python sees it, in which the references of most dialects are written: keys keep their order, numbers stay what they were, texts are borrowed from
//! the body where they hold no escapes. Depth and number of values are bounded while parsing, so that a small body cannot
//! become a large structure (`limits::JSON_DEPTH_MAX`, `limits::JSON_VALUES_MAX`).

use std::{borrow::Cow, cell::Cell, fmt};

use hongyan_core::limits;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A value of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Json<'a> {
    /// Also what stands for an absent value: the references treat the two alike.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer above `i64::MAX`.
    Big(u64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(Cow<'a, str>),
    /// A list.
    List(Vec<Json<'a>>),
    /// An object.
    Dict(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl<'a> Json<'a> {
    /// The value under `key` of an object; the last one wins, as in Python. Null where there is none.
    pub fn get(&self, key: &str) -> &Self {
        const ABSENT: &Json<'static> = &Json::Null;
        match self {
            Self::Dict(pairs) => pairs.iter().rev().find(|(k, _)| k == key).map_or(ABSENT, |(_, value)| value),
            _ => ABSENT,
        }
    }

    /// Parses a whole text.
    ///
    /// # Errors
    /// Where it is no JSON, or too deep or too much of it.
    pub fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        let room = Cell::new(limits::JSON_VALUES_MAX);
        let mut source = serde_json::Deserializer::from_str(text);
        let value = ValueSeed::new(&room).deserialize(&mut source)?;
        source.end()?;
        Ok(value)
    }
}

/// Reads one value.
pub struct ValueSeed<'c> {
    /// How many values may still come.
    room: &'c Cell<usize>,
    depth: usize,
    /// Whether the value is wanted; what is not is checked in the same way and then forgotten.
    keep: bool,
}

impl<'c> ValueSeed<'c> {
    /// Reads a value that is wanted.
    pub const fn new(room: &'c Cell<usize>) -> Self {
        Self { room, depth: 0, keep: true }
    }

    /// Reads a member of the outermost object.
    pub const fn member(room: &'c Cell<usize>, keep: bool) -> Self {
        Self { room, depth: 1, keep }
    }

    fn inner<E: Error>(&self) -> Result<Self, E> {
        if self.depth >= limits::JSON_DEPTH_MAX {
            return Err(E::custom("nested too deeply"));
        }
        Ok(Self { room: self.room, depth: self.depth + 1, keep: self.keep })
    }
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Self::Value, D::Error> {
        let left = self.room.get().checked_sub(1).ok_or_else(|| D::Error::custom("too many values"))?;
        self.room.set(left);
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Json::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(value).map_or(Json::Big(value), Json::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Json::Float(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(if self.keep { Json::Text(Cow::Borrowed(value)) } else { Json::Null })
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(if self.keep { Json::Text(Cow::Owned(value.to_owned())) } else { Json::Null })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut source: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = source.next_element_seed(self.inner()?)? {
            if self.keep {
                items.push(item);
            }
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut source: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(key) = source.next_key_seed(KeySeed)? {
            let value = source.next_value_seed(self.inner()?)?;
            if self.keep {
                pairs.push((key, value));
            }
        }
        Ok(Json::Dict(pairs))
    }
}

/// Reads a key, borrowed where it can be.
struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Self::Value, D::Error> {
        source.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeySeed {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_numbers_and_the_last_of_equal_keys() {
        let value =
            Json::parse(r#"{"b": [1, 18446744073709551615, -2, 1.5, null], "a": "x", "a": "\u4f60"}"#).expect("JSON");
        let numbers = [Json::Int(1), Json::Big(u64::MAX), Json::Int(-2), Json::Float(1.5), Json::Null];
        assert_eq!(*value.get("b"), Json::List(numbers.to_vec()));
        assert_eq!(*value.get("a"), Json::Text("你".into()));
        assert_eq!(*value.get("c"), Json::Null);
        assert_eq!(*Json::Int(1).get("c"), Json::Null);
    }

    #[test]
    fn depth_and_number_of_values_are_bounded() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Json::parse(&nested(limits::JSON_DEPTH_MAX)).is_ok());
        assert!(Json::parse(&nested(limits::JSON_DEPTH_MAX + 1)).is_err());
        assert!(Json::parse(&nested(100_000)).is_err());
        let many = |n| format!("[{}1]", "1,".repeat(n - 2));
        assert!(Json::parse(&many(limits::JSON_VALUES_MAX)).is_ok());
        assert!(Json::parse(&many(limits::JSON_VALUES_MAX + 1)).is_err());
        assert!(Json::parse("1 2").is_err(), "one value only");
    }
}
