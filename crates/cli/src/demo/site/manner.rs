//! How a sample target treats one request: as it is asked to in the request itself.
//!
//! A request that goes to several targets carries one body, so the body says which target shall do what:
//! `{"sample": {"osaka": "refuse", "tokyo": 20}}`. A target that is not named does what it is asked to.

use std::time::Duration;

use serde_json::Value;

/// The member of a JSON body that tells targets how to behave.
const MEMBER: &str = "sample";

/// The longest that a target can be asked to take, in seconds.
const SECONDS_MAX: f64 = 600.0;

/// What a sample target makes of a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Manner {
    /// It does it, after this time.
    Willing(Duration),
    /// It refuses, and changes nothing.
    Refuse,
    /// It is too busy for the first attempt, and takes the next one on.
    Busy,
    /// It does it, and closes the connection without an answer.
    HangUp,
    /// It does it, and refuses to have it undone.
    Keep,
}

impl Manner {
    /// What the body of a request asks the target of this name for.
    ///
    /// # Errors
    /// In words, if it asks for something that sample targets cannot do.
    pub(super) fn of(body: &[u8], target: &str) -> Result<Self, String> {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let wish = &body[MEMBER][target];
        match wish {
            Value::Null => Ok(Self::Willing(Duration::ZERO)),
            Value::String(word) => Self::named(word),
            Value::Number(seconds) => Ok(Self::slow(seconds.as_f64().unwrap_or_default())),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err(no_such_manner(&wish.to_string())),
        }
    }

    fn named(word: &str) -> Result<Self, String> {
        match word {
            "refuse" => Ok(Self::Refuse),
            "busy" => Ok(Self::Busy),
            "hang_up" => Ok(Self::HangUp),
            "keep" => Ok(Self::Keep),
            other => Err(no_such_manner(other)),
        }
    }

    fn slow(seconds: f64) -> Self {
        Self::Willing(Duration::from_secs_f64(seconds.clamp(0.0, SECONDS_MAX)))
    }
}

fn no_such_manner(wish: &str) -> String {
    format!(
        "a sample target can \"refuse\", be \"busy\", \"hang_up\", \"keep\", or take a number of seconds; not {wish:?}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_looks_for_its_own_name() {
        let body = br#"{"sample": {"osaka": "refuse", "tokyo": 1.5, "kyoto": "dance", "nagoya": -3}}"#;
        assert_eq!(Manner::of(body, "osaka"), Ok(Manner::Refuse));
        assert_eq!(Manner::of(body, "tokyo"), Ok(Manner::Willing(Duration::from_millis(1500))));
        assert_eq!(Manner::of(body, "nagoya"), Ok(Manner::Willing(Duration::ZERO)));
        assert_eq!(Manner::of(body, "sapporo"), Ok(Manner::Willing(Duration::ZERO)));
        assert!(Manner::of(body, "kyoto").unwrap_err().contains("dance"));
        assert_eq!(Manner::of(b"not JSON", "osaka"), Ok(Manner::Willing(Duration::ZERO)));
        assert_eq!(Manner::of(b"", "osaka"), Ok(Manner::Willing(Duration::ZERO)));
    }
}
