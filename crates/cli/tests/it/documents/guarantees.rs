//! The tests, commands and counters that `docs/guarantees.md` and `docs/security.md` name as evidence are there.

#[test]
fn what_the_page_about_security_names_is_there() {
    let page = include_str!("../../../../../docs/security.md");
    let items = page.lines().filter_map(|line| line.strip_prefix("- **API")?.split(',').next()?.parse().ok());
    assert_eq!(items.collect::<Vec<u8>>(), (1..=10).collect::<Vec<u8>>());
    assert_eq!(tests_that_are_named(page).len(), 10, "each names its tests");
}

/// The lines that name tests, each of which is there.
fn tests_that_are_named(page: &str) -> Vec<&str> {
    let crates = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let sources = sources(&crates);
    let named: Vec<&str> = page.lines().filter_map(|line| line.trim().strip_prefix("Tests: ")).collect();
    for name in named.iter().flat_map(|line| line.split('`').skip(1).step_by(2)) {
        assert!(sources.contains(&format!("fn {name}(")), "there is no test {name}");
    }
    named
}

#[test]
fn every_guarantee_names_tests_that_are_there() {
    let page = include_str!("../../../../../docs/guarantees.md");
    let promises = page.lines().filter(|line| line.starts_with("- **G")).count();
    assert_eq!(tests_that_are_named(page).len(), promises, "each promise names its tests");
}

#[test]
fn what_tries_to_break_a_guarantee_is_there() {
    let page = include_str!("../../../../../docs/guarantees.md");
    let usage = include_str!("../../../../../xtask/src/main.rs");
    let simulated = include_str!("../../../../sim/src/oracle/mod.rs");
    let counted = include_str!("../../../../../xtask/src/torture/report.rs");
    let promises = page.lines().filter(|line| line.starts_with("- **G")).count();
    let tried: Vec<&str> = page.lines().filter_map(|line| line.trim().strip_prefix("Tried by: ")).collect();
    assert_eq!(tried.len(), promises, "each promise says what tries to break it");
    for name in tried.iter().flat_map(|line| line.split('`').skip(1).step_by(2)) {
        let is_there = match name.strip_prefix("cargo xtask ") {
            Some(command) => usage.contains(&format!("\n  {command} ")),
            None if name.starts_with('G') => simulated.contains(&format!("    {name},\n")),
            None => counted.contains(&format!("{name}={{}}")),
        };
        assert!(is_there, "nothing tells of {name}");
    }
}

/// All Rust files below a folder, one after the other.
fn sources(folder: &std::path::Path) -> String {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let texts = entries.filter(|path| !path.ends_with("target")).map(|path| match path.extension() {
        _ if path.is_dir() => sources(&path),
        Some(extension) if extension == "rs" => std::fs::read_to_string(&path).unwrap(),
        _ => String::new(),
    });
    texts.collect()
}
