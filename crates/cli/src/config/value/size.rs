//! Numbers of octets.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::TextForm;
use crate::config::finding::Wrong;

/// A number of octets, written as a whole number, or as text with a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("kB", 1000),
    ("KB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

impl TextForm for Size {
    const FORMAT: &'static str = "fanfold-size";
    const EXAMPLE: &'static str = "1MiB";

    fn read(text: &str) -> Result<Self, Wrong> {
        let wrong = || {
            Wrong::new(format!("{text:?} is not a size"))
                .hint("write a number of bytes, or a whole number and a unit, such as \"64KiB\", \"1MiB\" or \"20GiB\"")
        };
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        // The store counts octets in signed numbers of 64 bits.
        match number.checked_mul(*scale) {
            Some(octets) if i64::try_from(octets).is_ok() => Ok(Self(octets)),
            _ => Err(Wrong::new(format!("{text:?} is more than any disk holds"))),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Form<'a> {
    Number(u64),
    Text(Cow<'a, str>),
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Form::deserialize(deserializer)? {
            Form::Number(octets) => Ok(Self(octets)),
            Form::Text(text) => Self::read(&text).map_err(|wrong| D::Error::custom(wrong.message)),
        }
    }
}

impl JsonSchema for Size {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Self::FORMAT.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "integer", "minimum": 0 },
                { "type": "string", "format": Self::FORMAT, "examples": [Self::EXAMPLE] },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_of_1024_and_of_1000() {
        for (text, octets) in
            [("512B", 512), ("64KiB", 65_536), ("1MiB", 1_048_576), ("1MB", 1_000_000), ("2GiB", 2 << 30)]
        {
            assert_eq!(Size::read(text), Ok(Size(octets)), "{text}");
        }
        for text in ["", "1", "MiB", "1 MiB", "1M", "1.5MiB", "99999999TiB"] {
            assert!(Size::read(text).is_err(), "{text}");
        }
    }
}
