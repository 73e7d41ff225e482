//! The configuration file: its text becomes settings, or mistakes that can be told.

use crate::config::{Mistake, Settings, Surroundings, Warning, load_text};

/// What stands in no file that is shown.
const SECRET: &str = "0planted0secret0";

/// Reads a text as the file of that name.
pub(crate) fn read(text: String) -> Result<(Settings, Vec<Warning>), Vec<Mistake>> {
    let variable = |name: &str| (name == "PLANTED").then(|| SECRET.to_owned());
    // A folder without files: what a text refers to is not there.
    load_text(
        "f.toml",
        text,
        &Surroundings { folder: "/nowhere".into(), variable: &variable, now: jiff::Timestamp::UNIX_EPOCH },
    )
}

/// Whatever stands in the file, all that is told of it has its place, and nothing that comes from the environment.
pub(crate) fn configuration(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    let lines = text.lines().count() + 1;
    match read(text.to_owned()) {
        Ok((settings, warnings)) => {
            assert!(!format!("{settings:?}{warnings:?}").contains(SECRET), "a secret is shown");
            let (again, _) = read(text.to_owned()).expect("the same text has no mistakes now");
            assert_eq!(settings.work_hash(), again.work_hash(), "the same text means two things");
        }
        Err(mistakes) => {
            assert!(!mistakes.is_empty(), "it is refused without a reason");
            for mistake in mistakes {
                let told = mistake.to_string();
                assert!(!told.contains(SECRET), "a secret is shown: {told}");
                let line = told.strip_prefix("f.toml:").and_then(|rest| rest.split(':').next()?.parse::<usize>().ok());
                assert!(line.is_none_or(|line| (1..=lines).contains(&line)), "{told}");
            }
        }
    }
}
