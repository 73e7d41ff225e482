//! Rules about single files.

use std::path::Path;

use anyhow::{Context as _, Result};

/// A longer file is two files.
const LINES_MAX: usize = 600;

/// Names that say nothing about what is inside.
const NAMES: [&str; 6] = ["util", "utils", "common", "helpers", "manager", "misc"];

pub(super) fn problems(root: &Path, path: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let shown = path.strip_prefix(root).unwrap_or(path).display().to_string();
    let mut problems = Vec::new();
    let lines = text.lines().count();
    if lines > LINES_MAX {
        problems.push(format!("{shown}: {lines} lines; more than {LINES_MAX} are two files"));
    }
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    if NAMES.contains(&name.as_ref()) {
        problems.push(format!("{shown}: the name says nothing about what is inside"));
    }
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let is_test = name == "tests" || shown.contains("/contract/");
    if !is_test && !first.starts_with("//!") && !first.starts_with("#![") {
        problems.push(format!("{shown}: begins without a `//!` paragraph that says what it owns"));
    }
    for (number, line) in text.lines().enumerate() {
        let breach = unfinished(line);
        if let Some(word) = breach {
            problems.push(format!("{shown}:{}: unfinished: {word}", number + 1));
        }
    }
    Ok(problems)
}

/// Marks of something unfinished. They are put together here, so that this file does not find itself.
fn unfinished(line: &str) -> Option<String> {
    let marks = [["TO", "DO"], ["FIX", "ME"], ["X", "XX"], ["#[igno", "re"], ["#[allow", "("]];
    marks.iter().map(|halves| halves.concat()).find(|mark| line.contains(mark.as_str()))
}
