//! What tests need of the machine that they run on, beside a Rust tool chain.

use std::path::PathBuf;

/// Where a program is, if it is on the `PATH`.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// What was found. What is missing is printed, and the test that needs it is skipped; it fails if the variable `need` is set.
pub(crate) fn or_skipped<T>(found: Result<T, String>, need: &str) -> Option<T> {
    match found {
        Ok(found) => Some(found),
        Err(missing) if std::env::var_os(need).is_some() => panic!("{missing}, and {need} is set"),
        Err(missing) => {
            skip(&missing);
            None
        }
    }
}

#[expect(clippy::print_stderr, reason = "a test that is skipped must not look like one that passed")]
fn skip(missing: &str) {
    eprintln!("skipped: {missing}");
}
