//! The browser of this machine, its driver, and the rules of accessibility.

use std::path::PathBuf;

use crate::machine::{on_path, or_skipped};

/// Set where an absent browser must fail the tests instead of skipping them.
const NEED: &str = "FANFOLD_TESTS_NEED_BROWSER";

/// Where axe-core's `axe.min.js` is.
const AXE: &str = "FANFOLD_TESTS_AXE";

/// What Chromium is called.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// What is needed to drive a browser.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) browser: PathBuf,
    pub(super) driver: PathBuf,
}

impl Programs {
    pub(super) fn found() -> Option<Self> {
        or_skipped(Self::find(), NEED)
    }

    fn find() -> Result<Self, String> {
        let browser = BROWSERS.iter().find_map(|name| on_path(name)).ok_or("no chromium in PATH: install chromium")?;
        let driver = on_path("chromedriver").ok_or("no chromedriver in PATH: install chromium-driver")?;
        Ok(Self { browser, driver })
    }
}

/// The source of axe-core.
pub(super) fn axe() -> Option<String> {
    let file = std::env::var_os(AXE).ok_or(format!("{AXE} does not say where axe.min.js of axe-core is"));
    let text = file
        .and_then(|file| std::fs::read_to_string(&file).map_err(|error| format!("{AXE}: {}: {error}", file.display())));
    or_skipped(text, NEED)
}
