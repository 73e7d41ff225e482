//! Why somebody is not who they say they are, in words for the log.

use jiff::Timestamp;

/// How much of what a token says is told, in characters.
const SHOWN_MAX: usize = 100;

/// Why a token was refused. For the log alone: whoever tries tokens out learns nothing from it. It never holds a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// It is longer than [`TOKEN_BYTES_MAX`](super::TOKEN_BYTES_MAX).
    #[error("the token is longer than {} bytes", super::TOKEN_BYTES_MAX)]
    TooLong,
    /// It does not have the form of a token.
    #[error("not a token of any issuer here: {0}")]
    Malformed(&'static str),
    /// Nobody is configured who could have issued it.
    #[error("no issuer is configured for such a token")]
    NoIssuer,
    /// It names an issuer that is not configured.
    #[error("its issuer (iss) is {0}, which is not configured")]
    UnknownIssuer(Shown),
    /// It is signed in a way that is not allowed.
    #[error("its algorithm (alg) is {0}, which is not allowed")]
    Algorithm(Shown),
    /// It is made for something else.
    #[error("its type (typ) is {0}, and not that of a token for access")]
    Type(Shown),
    /// It asks for an extension to be understood.
    #[error("it has critical extensions (crit), and none is understood here")]
    Critical,
    /// Its issuer has no such key.
    #[error("its key (kid) is {0}, and the issuer has no such key for its algorithm")]
    NoSuchKey(Shown),
    /// It names no key, and several fit.
    #[error("it names no key (kid), and the issuer has several for its algorithm")]
    WhichKey,
    /// Somebody else signed it, or it was changed.
    #[error("its signature is not its issuer's")]
    Signature,
    /// It is for somebody else.
    #[error("its audience (aud) is not {expected:?}")]
    Audience {
        /// What is configured.
        expected: String,
    },
    /// Its time is over.
    #[error("it expired at {0}")]
    Expired(Timestamp),
    /// Its time has not come yet.
    #[error("it is not to be used before {0}")]
    TooEarly(Timestamp),
    /// It is from the future: a clock is wrong.
    #[error("it was issued at {0}, which is in the future: compare the clocks")]
    FromTheFuture(Timestamp),
    /// A claim is missing, or is not what it should be.
    #[error("its claim {claim:?} {wrong}")]
    Claim {
        /// Which, as it is configured.
        claim: String,
        /// What is wrong with it.
        wrong: &'static str,
    },
    /// It says whose it is, and nobody may be that.
    #[error("its tenant is {0}, {1}")]
    Tenant(Shown, &'static str),
    /// Keystone does not know it, or not any more.
    #[error("Keystone does not know it, or it was revoked")]
    Unknown,
    /// It is good for some requests only, and which these are cannot be told here.
    #[error("it is restricted to some requests ({0}), which cannot be told apart here")]
    Restricted(&'static str),
}

/// A text that somebody else chose, as it may stand in a log: short, and without signs that could end a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown(String);

impl Shown {
    pub(super) fn of(text: &str) -> Self {
        let short: String = text.chars().take(SHOWN_MAX).collect();
        let more = if short.len() < text.len() { "..." } else { "" };
        Self(format!("{short:?}{more}"))
    }

    /// As [`Shown::of`], where there may be no text.
    pub(super) fn of_optional(text: Option<&str>) -> Self {
        text.map_or_else(|| Self("missing".to_owned()), Self::of)
    }
}

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_chose_cannot_break_a_line_of_the_log() {
        assert_eq!(Shown::of("https://idp").to_string(), "\"https://idp\"");
        assert_eq!(Shown::of("a\nb\u{1b}[2J\u{202e}").to_string(), r#""a\nb\u{1b}[2J\u{202e}""#);
        let long = Shown::of(&"é".repeat(5000)).to_string();
        assert_eq!((long.chars().count(), long.ends_with("\"...")), (SHOWN_MAX + 5, true));
        assert_eq!(Shown::of_optional(None).to_string(), "missing");
    }
}
