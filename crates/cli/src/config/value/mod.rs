//! Single values of the configuration file: their text forms, what each becomes, and what is wrong with a bad one.
//!
//! A text form has a name, which stands as `format` in the JSON Schema: that is how the check of a file against the schema
//! finds the reader of a value (see [`super::check`]).

mod address;
mod allow;
mod name;
mod size;
mod store_url;
mod time;

use std::borrow::Cow;
use std::fmt;

use fanfold_engine::identity::IssuerAddress;
use fanfold_engine::{AllowRule, WebhookUrl};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::finding::Wrong;

pub(crate) use address::BaseUrl;
pub(crate) use name::{HeaderField, Pointer, Prefix, RouteMatch, RouteName, is_target_name, is_tenant_name};
pub(crate) use size::Size;
pub(crate) use store_url::StoreUrl;
pub(crate) use time::Span;

/// A value that is written as text.
pub(crate) trait TextForm: Sized {
    /// The name of the form in the JSON Schema.
    const FORMAT: &'static str;
    /// A value, for the JSON Schema and for messages.
    const EXAMPLE: &'static str;

    /// Reads the text, or says what is wrong with it.
    fn read(text: &str) -> Result<Self, Wrong>;
}

/// A field of a file that is written as text and means a `T`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Text<T>(pub(crate) T);

impl<T: fmt::Debug> fmt::Debug for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de, T: TextForm> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        T::read(&text).map(Self).map_err(|wrong| D::Error::custom(wrong.message))
    }
}

impl<T: TextForm> JsonSchema for Text<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::FORMAT.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": T::FORMAT, "examples": [T::EXAMPLE] })
    }
}

/// What is wrong with `text` as a value of the form named `format`; `None` if there is no such form.
pub(crate) fn check_text(format: &str, text: &str) -> Option<Result<(), Wrong>> {
    READERS.iter().find(|(name, _)| *name == format).map(|(_, read)| read(text))
}

/// The size of a value of the form named `format` as a number that can be compared with others of that form: milliseconds
/// of a duration, octets of a size.
pub(crate) fn magnitude(format: &str, text: &str) -> Option<u128> {
    match format {
        Span::FORMAT => Span::read(text).ok().map(|span| span.0.as_millis()),
        Size::FORMAT => Size::read(text).ok().map(|size| u128::from(size.0)),
        _ => None,
    }
}

type Reader = fn(&str) -> Result<(), Wrong>;

const READERS: &[(&str, Reader)] = &[
    reader::<AllowRule>(),
    reader::<BaseUrl>(),
    reader::<HeaderField>(),
    reader::<IssuerAddress>(),
    reader::<Pointer>(),
    reader::<Prefix>(),
    reader::<RouteMatch>(),
    reader::<RouteName>(),
    reader::<Size>(),
    reader::<Span>(),
    reader::<StoreUrl>(),
    reader::<WebhookUrl>(),
    reader::<fanfold_engine::target::TargetUrl>(),
    reader::<jiff::Timestamp>(),
    reader::<jiff::tz::TimeZone>(),
    reader::<std::net::SocketAddr>(),
    reader::<std::net::SocketAddrV4>(),
];

const fn reader<T: TextForm>() -> (&'static str, Reader) {
    (T::FORMAT, |text| T::read(text).map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_known_by_its_name_once_and_reads_its_own_example() {
        let mut names: Vec<&str> = READERS.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), READERS.len());
        assert_eq!(check_text(Span::FORMAT, Span::EXAMPLE), Some(Ok(())));
        assert_eq!(check_text(AllowRule::FORMAT, AllowRule::EXAMPLE), Some(Ok(())));
        assert_eq!(check_text(StoreUrl::FORMAT, StoreUrl::EXAMPLE), Some(Ok(())));
        assert_eq!(check_text(RouteMatch::FORMAT, RouteMatch::EXAMPLE), Some(Ok(())));
        assert_eq!(check_text("uuid", "x"), None);
    }
}
