//! The configuration: one TOML file that becomes [`Settings`], or a list of everything that is wrong with it.
//!
//! Serde stops at the first thing that it does not like, and people want to see all of it. So a file is read in two
//! stages. First it is parsed into a [`document`] that knows where everything stands, and [`check`]ed against the JSON Schema
//! that comes from the structures in [`mod@file`]: this finds every unknown key, wrong type and bad value, and leaves it out.
//! What remains always fits those structures, so serde reads it without complaint. Then [`settings`] applies defaults and
//! checks what belongs together. A mistake does not hide those behind it; a mistake that only follows from another one at
//! the same place is not told.
//!
//! Not here: what templates and patterns mean (the planning of `fanfold-core` compiles them, and its findings are placed
//! here), and reading the file again (whoever serves does that).

mod check;
mod document;
mod file;
mod finding;
mod secret;
mod settings;
mod spelling;
mod value;

use std::fs::File as Handle;
use std::io::Read as _;
use std::path::Path;

use fanfold_engine::{Clock as _, SystemClock};
use serde::Deserialize as _;
use serde_json::Value as Json;

pub(crate) use finding::{Finding, Mistake, Warning};
pub(crate) use secret::Surroundings;
pub(crate) use settings::{
    LimitSettings, NoticeSettings, ServerSettings, Settings, StoreSettings, TargetSettings, TelemetrySettings,
};
pub(crate) use value::StoreUrl;

use document::Document;
use finding::{Findings, Wrong};

/// The file that `fanfold init` writes: short, commented, and without mistakes.
pub(crate) const STARTER: &str = include_str!("starter.toml");

/// The longest configuration file, in octets.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Reads the file at `path`, and what it refers to in the environment and in other files.
///
/// # Errors
/// Everything that is wrong with it, in the order of the file.
pub(crate) fn load(path: &Path) -> Result<(Settings, Vec<Warning>), Vec<Mistake>> {
    let name = path.display().to_string();
    let text = read(path).map_err(|wrong| vec![Mistake::outside(&name, None, wrong)])?;
    #[expect(clippy::disallowed_methods, reason = "this is the room that reads the environment")]
    let variable = |name: &str| std::env::var(name).ok();
    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
    load_text(&name, text, &Surroundings { folder, variable: &variable, now: SystemClock.now() })
}

/// The JSON Schema (draft 2020-12) of the file, for editors.
pub(crate) fn schema() -> Json {
    file::schema()
}

fn read(path: &Path) -> Result<String, Wrong> {
    let cannot = |why: &dyn std::fmt::Display| Wrong::new(format!("cannot be read: {why}"));
    let handle = Handle::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Wrong::new("there is no such file").hint("\"fanfold init\" writes one to start from")
        }
        _ => cannot(&error),
    })?;
    let mut text = String::new();
    handle.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| cannot(&error))?;
    match text.len() as u64 > FILE_BYTES_MAX {
        true => Err(cannot(&format!("it is longer than {FILE_BYTES_MAX} bytes"))),
        false => Ok(text),
    }
}

/// Reads the text of a file of this name.
///
/// # Errors
/// Everything that is wrong with it, in the order of the file.
pub(crate) fn load_text(
    name: &str,
    text: String,
    around: &Surroundings<'_>,
) -> Result<(Settings, Vec<Warning>), Vec<Mistake>> {
    let document = Document::parse(text)
        .map_err(|error| vec![Mistake::outside(name, error.position, Wrong::new(error.message))])?;
    let mut findings = Findings::new(name, &document);
    let right = check::check(&file::schema(), &mut findings);
    let settings = match file::File::deserialize(right) {
        Ok(file) => settings::settle(file, around, &mut findings),
        // The schema and the structures would have to disagree. If they ever do, the file is refused all the same.
        Err(error) => {
            findings.mistake_elsewhere(name, Wrong::new(error.to_string()));
            None
        }
    };
    let warnings = findings.into_result()?;
    Ok((settings.expect("without a mistake all settings are complete"), warnings))
}

#[cfg(test)]
mod tests;
