//! The page of error codes names every code.

use fanfold_core::dialect::{msf, native, plas};

const PAGE: &str = include_str!("../../../../docs/errors.md");

#[test]
fn every_code_has_its_row() {
    let native = native::Code::ALL.iter().map(|code| (code.as_str(), code.status()));
    let msf = msf::Code::ALL.iter().map(|code| (code.as_str(), code.status()));
    let plas = plas::Code::ALL.iter().map(|code| (code.as_str(), code.status()));
    for (code, status) in native.chain(msf).chain(plas) {
        let row = format!("| `{code}` | {}", status.as_u16());
        assert!(PAGE.contains(&row), "docs/errors.md has no row that starts with {row:?}");
    }
}

#[test]
fn every_row_has_a_code() {
    let rows = PAGE.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(rows, native::Code::ALL.len() + msf::Code::ALL.len() + plas::Code::ALL.len());
}

#[test]
fn every_row_says_what_it_means_and_what_to_do() {
    for row in PAGE.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 5, "code, status, meaning, caller, operator: {row}");
        for cell in &cells[2..] {
            assert!(cell.ends_with(['.', '*']), "no sentence: {cell:?} in {row}");
        }
    }
}

#[test]
fn codes_are_distinct() {
    let native = native::Code::ALL.iter().map(|code| code.as_str());
    let msf = msf::Code::ALL.iter().map(|code| code.as_str());
    let plas = plas::Code::ALL.iter().map(|code| code.as_str());
    let mut all: Vec<_> = native.chain(msf).chain(plas).collect();
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count);
}
