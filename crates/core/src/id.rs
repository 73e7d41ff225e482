//! Names and numbers that identify things, each a type of its own so that one cannot stand for another.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Identifies an operation: a UUIDv7 in its 36-character text form, so that ids sort by time of acceptance.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct OperationId(Uuid);

impl OperationId {
    /// Makes the id of an operation accepted at `at` (milliseconds are kept) from ten random bytes (RFC 9562, section 5.7).
    pub fn new(at: Timestamp, random: [u8; 10]) -> Self {
        let millis = u64::try_from(at.as_millisecond()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// This id, unless `last` is of the same millisecond and not before it: then one a random step behind `last`, so that ids
    /// of one millisecond sort in the order in which they were given (RFC 9562, section 6.2, method 2). Other milliseconds stay
    /// as they are, also if the clock was set back: an id tells the time of acceptance.
    #[must_use]
    pub fn behind(self, last: Self) -> Self {
        // The 62 low bits are random, the 12 before the variant too; the step takes 32, and a carry goes into the 12.
        const LOW: u128 = (1 << 62) - 1;
        const HIGH: u128 = 0xfff << 64;
        let (own, other) = (self.0.as_u128(), last.0.as_u128());
        if own > other || own >> 80 != other >> 80 {
            return self;
        }
        let random = |id: u128| ((id & HIGH) >> 2) | (id & LOW);
        let next = random(other) + 1 + (own & 0xffff_ffff);
        let fixed = own & !(HIGH | LOW);
        // 74 bits; were they ever used up, an id out of order is better than one twice.
        if next >> 74 != 0 {
            return self;
        }
        Self(Uuid::from_u128(fixed | ((next << 2) & HIGH) | (next & LOW)))
    }

    /// The sixteen bytes, for a store's key columns.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// Reads back what [`OperationId::as_bytes`] gave.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not the id of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an operation id: expected a UUID of 36 characters")]
pub struct BadOperationId;

impl FromStr for OperationId {
    type Err = BadOperationId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Only the canonical form counts, so that one operation has one address.
        if text.len() != 36 || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(BadOperationId);
        }
        Uuid::try_parse(text).map(Self).map_err(|_| BadOperationId)
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        #[schemars(inline)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name! {
    /// Whose operation it is. Until tenants are configured there is one, [`TenantId::default`].
    TenantId
}

name! {
    /// The name of a target as it stands in the configuration (`[targets.NAME]`).
    TargetName
}

name! {
    /// The SHA-256, in hexadecimal, of a route's policy: operations accepted under one configuration share one policy.
    PolicyHash
}

impl Default for TenantId {
    fn default() -> Self {
        Self::from("default")
    }
}

/// The position of a step in its plan, counted from 0 in configured order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct StepIndex(pub u16);

impl StepIndex {
    /// The position as an index into a slice of steps.
    pub fn get(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for StepIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How often an operation's record has been written. The store refuses a write that does not follow the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct Revision(pub u64);

impl Revision {
    /// The revision of the next write.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_millisecond_are_in_order() {
        let at = |millis: i64| Timestamp::from_millisecond(1_800_000_000_000 + millis).unwrap();
        for fill in [0x00, 0x7f, 0xff] {
            let mut last = OperationId::new(at(0), [fill; 10]);
            for step in [0x80_u8, 0, 1, 0x81] {
                let own = OperationId::new(at(0), [step; 10]);
                let next = own.behind(last);
                let overflows = fill == 0xff;
                assert!(next > last || (overflows && next == own), "{next} after {last}");
                assert_eq!(next.to_string().as_bytes()[14], b'7');
                assert!("89ab".contains(char::from(next.to_string().as_bytes()[19])), "{next}");
                assert_eq!(next.as_bytes()[..6], own.as_bytes()[..6]);
                last = next;
            }
        }
        // Another millisecond, also an earlier one, keeps its own id.
        let (early, late) = (OperationId::new(at(0), [1; 10]), OperationId::new(at(1), [0; 10]));
        assert_eq!((late.behind(early), early.behind(late)), (late, early));
        // A carry goes past the variant.
        let last = OperationId::new(at(0), [0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        let next = OperationId::new(at(0), [0; 10]).behind(last);
        assert!(next > last, "{next} after {last}");
    }
}
