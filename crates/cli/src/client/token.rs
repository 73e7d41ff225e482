//! The token that shows a server who asks. It is never on a command line, which everybody on a machine can read.

use std::ffi::OsStr;
use std::fmt;
use std::path::Path;

use http::header::HeaderValue;

use crate::failure::Failure;

/// The environment variable that holds a token.
pub(crate) const VARIABLE: &str = "FANFOLD_TOKEN";

/// A token.
#[derive(Clone)]
pub(crate) struct Token {
    authorization: HeaderValue,
}

impl Token {
    /// The one that is in a file, with or without white space around it.
    ///
    /// # Errors
    /// [`Failure::File`]; [`Failure::Usage`] if what it holds can be no token.
    pub(crate) fn in_file(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| Failure::File { path: path.to_owned(), error })?;
        let wrong =
            || Failure::Usage(format!("{} holds no token: it should be all there is in the file", path.display()));
        Self::read(&text).ok_or_else(wrong)
    }

    /// The one in the environment, if there is one.
    ///
    /// # Errors
    /// [`Failure::Usage`] if it can be no token.
    pub(crate) fn in_environment(value: Option<&OsStr>) -> Result<Option<Self>, Failure> {
        let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(None) };
        let token = value.to_str().and_then(Self::read);
        let wrong = || Failure::Usage(format!("the environment variable {VARIABLE} holds no token"));
        token.map(Some).ok_or_else(wrong)
    }

    /// Visible ASCII alone, which what is made here and a JWT are, and what any other kind has to be to be shown at all.
    fn read(text: &str) -> Option<Self> {
        let text = text.trim_ascii();
        if text.is_empty() || !text.bytes().all(|octet| octet.is_ascii_graphic()) {
            return None;
        }
        let mut authorization = HeaderValue::try_from(format!("Bearer {text}")).ok()?;
        authorization.set_sensitive(true);
        Some(Self { authorization })
    }

    pub(super) fn authorization(&self) -> HeaderValue {
        self.authorization.clone()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_environment(value: &str) -> Result<Option<Token>, Failure> {
        Token::in_environment(Some(OsStr::new(value)))
    }

    #[test]
    fn a_token_is_all_there_is() {
        let token = in_environment(" fanfold_abc\n").unwrap().unwrap();
        assert_eq!(token.authorization(), "Bearer fanfold_abc");
        assert!(token.authorization().is_sensitive());
        assert!(!format!("{token:?}").contains("abc"));
        assert!(in_environment("").unwrap().is_none() && Token::in_environment(None).unwrap().is_none());
        for value in ["  ", "two words", "caf\u{e9}", "a\nb"] {
            let refused = in_environment(value).unwrap_err().to_string();
            assert!(refused.contains(VARIABLE) && !refused.contains(value), "{refused}");
        }
    }

    #[test]
    fn a_file_that_holds_none_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        assert!(Token::in_file(&path).unwrap_err().to_string().contains("is the path right?"));
        std::fs::write(&path, "name = \"x\"\n").unwrap();
        assert!(Token::in_file(&path).unwrap_err().to_string().contains("holds no token"));
        std::fs::write(&path, "fanfold_abc\n").unwrap();
        assert_eq!(Token::in_file(&path).unwrap().authorization(), "Bearer fanfold_abc");
    }
}
