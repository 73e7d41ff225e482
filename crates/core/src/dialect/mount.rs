//! A dialect at a path prefix, with its settings.

use jiff::tz::TimeZone;

use super::own::{Head, OwnRequest};
use super::{Dialect, Refusal, dialect};
use crate::Operation;
use crate::plan::DialectName;

/// A dialect at a path prefix.
#[derive(Debug, Clone, PartialEq)]
pub struct Mount {
    /// The wire format.
    pub dialect: DialectName,
    /// The prefix, with a leading and without a trailing slash: `/v1`. Empty for the native API.
    pub prefix: String,
    /// What can be chosen.
    pub settings: Settings,
}

/// What can be chosen for a mount. A dialect uses those that concern it.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The zone of `msf` times, which carry no offset.
    pub zone: TimeZone,
    /// How `plas` spells the type of an operation.
    pub letter_case: LetterCase,
    /// What stands before a path to make a link absolute: `https://fanfold.example`, without a trailing slash. Empty: links are
    /// relative, which is right wherever clients and Fanfold see the same paths.
    pub public_url: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { zone: TimeZone::UTC, letter_case: LetterCase::default(), public_url: String::new() }
    }
}

/// How `plas` spells the type of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LetterCase {
    /// `Create`, as the table of values in the protocol's description has it.
    #[default]
    AsInTable,
    /// `create`, as its sample has it.
    Lower,
}

impl Mount {
    /// A mount with default settings.
    pub fn new(dialect: DialectName, prefix: impl Into<String>) -> Self {
        Self { dialect, prefix: prefix.into(), settings: Settings::default() }
    }

    /// The wire format.
    pub fn wire(&self) -> &'static dyn Dialect {
        dialect(self.dialect)
    }

    /// The part of a raw path below the prefix: empty, or with a leading slash. `None` if the path does not lie below it.
    pub fn below<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(self.prefix.as_str()).filter(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Reads a request as one of the dialect's own. `path` is the whole raw path, `query` what follows the first `?`.
    pub fn own(&self, method: &http::Method, path: &str, query: Option<&str>) -> Option<Result<OwnRequest, Refusal>> {
        self.wire().own(Head { method, path: self.below(path)?, query })
    }

    /// Whether the operation is shown here: it was accepted through this mount and, where the request names an owner, by it.
    pub fn shows(&self, operation: &Operation, owner: Option<&str>) -> bool {
        let front = &operation.plan.front;
        let ours = front.dialect == self.dialect && front.mount == self.prefix;
        ours && owner.is_none_or(|owner| self.wire().owner(operation) == Some(owner))
    }

    /// A link to a path of this server.
    pub(super) fn link(&self, path: &str) -> String {
        format!("{}{path}", self.settings.public_url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_at_a_segment() {
        let mount = Mount::new(DialectName::Msf, "/v1");
        assert_eq!(mount.below("/v1"), Some(""));
        assert_eq!(mount.below("/v1/operations"), Some("/operations"));
        assert_eq!(mount.below("/v10/operations"), None);
        assert_eq!(mount.below("/"), None);
    }
}
