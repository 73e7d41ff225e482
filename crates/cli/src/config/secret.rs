//! Header values that a target is sent, and what webhooks are signed with: `${env:NAME}` and `${file:PATH}` are put in here, and the result is never shown.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fanfold_engine::SigningSecret;
use fanfold_store::SealingKey;
use http::HeaderValue;
use jiff::Timestamp;

use super::finding::Wrong;

/// The longest file that a header value may come from, in octets.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// What a configuration file depends on beside its text.
pub(crate) struct Surroundings<'a> {
    /// The folder of the file: relative paths count from it.
    pub(crate) folder: PathBuf,
    /// Looks up a variable of the environment.
    pub(crate) variable: &'a dyn Fn(&str) -> Option<String>,
    /// The time, by which certificates are in date or not.
    pub(crate) now: Timestamp,
}

/// The text with everything put in. Whatever goes wrong, the message tells names only.
fn filled(text: &str, surroundings: &Surroundings<'_>) -> Result<String, Wrong> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        filled.push_str(before);
        let (name, after) =
            after.split_once('}').ok_or_else(|| Wrong::new("a \"${\" without its \"}\"").hint(KINDS))?;
        filled.push_str(&look_up(name, surroundings)?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// A secret that webhooks are signed with.
pub(crate) fn signing_secret(text: &str, surroundings: &Surroundings<'_>) -> Result<SigningSecret, Wrong> {
    let hint = "make one with: echo whsec_$(openssl rand -base64 32)";
    SigningSecret::read(&filled(text, surroundings)?).map_err(|bad| Wrong::new(bad.to_string()).hint(hint))
}

/// The password of a database's user.
pub(crate) fn password(text: &str, surroundings: &Surroundings<'_>) -> Result<String, Wrong> {
    filled(text, surroundings)
}

/// The key that secrets in requests are encrypted with, as it is written: 32 octets in base64.
pub(crate) fn sealing_key(text: &str, surroundings: &Surroundings<'_>) -> Result<SealingKey, Wrong> {
    let hint = "make one with: openssl rand -base64 32";
    let octets = STANDARD.decode(filled(text, surroundings)?).ok();
    let key = octets.and_then(|octets| <[u8; 32]>::try_from(octets).ok());
    key.map(SealingKey).ok_or_else(|| Wrong::new("the key is not 32 bytes in base64").hint(hint))
}

/// The value of a header field.
pub(crate) fn header_value(text: &str, surroundings: &Surroundings<'_>) -> Result<HeaderValue, Wrong> {
    let filled = filled(text, surroundings)?;
    let mut value = HeaderValue::from_str(&filled).map_err(|_| {
        Wrong::new("the value has characters that a header cannot carry")
            .hint("it must be one line of visible ASCII characters and spaces")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

const KINDS: &str = "what is put in is written as ${env:NAME} or ${file:PATH}";

fn look_up(name: &str, surroundings: &Surroundings<'_>) -> Result<String, Wrong> {
    match name.split_once(':') {
        Some(("env", name)) => {
            let value = (surroundings.variable)(name);
            value.filter(|value| !value.is_empty()).ok_or_else(|| {
                Wrong::new(format!("the environment variable {name:?} is not set, or empty"))
                    .hint("set it for the process that runs Fanfold")
            })
        }
        Some(("file", path)) => read(&surroundings.folder.join(path)),
        _ => Err(Wrong::new("an unknown \"${...}\"").hint(KINDS)),
    }
}

/// The text of the file, without the line break at its end that editors put there.
fn read(path: &Path) -> Result<String, Wrong> {
    let cannot = |why: &dyn std::fmt::Display| Wrong::new(format!("cannot read {}: {why}", path.display()));
    let file = File::open(path).map_err(|error| cannot(&error))?;
    let mut text = String::new();
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| cannot(&error))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(cannot(&format!("it is longer than {FILE_BYTES_MAX} bytes")));
    }
    let value = text.strip_suffix('\n').unwrap_or(&text);
    let value = value.strip_suffix('\r').unwrap_or(value);
    if value.is_empty() { Err(cannot(&"it is empty")) } else { Ok(value.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, folder: &Path) -> Result<HeaderValue, Wrong> {
        let variable = |name: &str| match name {
            "TOKEN" => Some("s3cret".to_owned()),
            "EMPTY" => Some(String::new()),
            "BROKEN" => Some("s3cret\n".to_owned()),
            _ => None,
        };
        header_value(text, &Surroundings { folder: folder.to_owned(), variable: &variable, now: Timestamp::UNIX_EPOCH })
    }

    #[test]
    fn variables_and_files_are_put_in() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "fr0m-file\r\n").unwrap();
        let value = |text| value(text, folder.path()).unwrap();
        assert_eq!(value("Bearer ${env:TOKEN}"), "Bearer s3cret");
        assert_eq!(value("${file:token}/${env:TOKEN}!"), "fr0m-file/s3cret!");
        assert_eq!(value("$5 plain"), "$5 plain");
        assert!(value("${env:TOKEN}").is_sensitive());
    }

    #[test]
    fn what_is_missing_is_named_and_no_value_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("long"), vec![b's'; 70_000]).unwrap();
        std::fs::write(folder.path().join("empty"), "\n").unwrap();
        for (text, named) in [
            ("${env:NONE}", "NONE"),
            ("${env:EMPTY}", "EMPTY"),
            ("${file:none}", "none"),
            ("${file:long}", "longer"),
            ("${file:empty}", "empty"),
            ("hunter2 ${vault:x}", "unknown"),
            ("hunter2 ${env:TOKEN", "without"),
            ("${env:BROKEN}", "visible"),
        ] {
            let wrong = format!("{:?}", value(text, folder.path()).unwrap_err());
            assert!(wrong.contains(named), "{text}: {wrong}");
            assert!(!wrong.contains("s3cret") && !wrong.contains("hunter2"), "{wrong}");
        }
    }
}
