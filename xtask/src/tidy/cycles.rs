//! Cycles between the modules at the top of a crate. Within such a module, parents and children may use each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result};

use super::sources;

type Uses = BTreeMap<String, BTreeSet<String>>;

pub(super) fn problems(krate: &Path) -> Result<Vec<String>> {
    let src = krate.join("src");
    let root = ["lib.rs", "main.rs"].iter().map(|name| src.join(name)).find(|path| path.exists());
    let Some(root) = root else { return Ok(Vec::new()) };
    let exported = exported(&std::fs::read_to_string(&root)?);
    let mut uses = Uses::new();
    for path in sources(&src)? {
        let relative = path.strip_prefix(&src).context("a source lies below src")?;
        let Some(first) = relative.iter().next().and_then(|first| first.to_str()) else { continue };
        let module = first.trim_end_matches(".rs").to_owned();
        // The root only declares and re-exports.
        if path == root {
            continue;
        }
        let text = std::fs::read_to_string(&path)?;
        let used = uses.entry(module.clone()).or_default();
        for name in named_after_crate(&without_tests(&text)) {
            let target = exported.get(&name).cloned().unwrap_or(name);
            if target != module {
                used.insert(target);
            }
        }
    }
    uses.retain(|module, _| src.join(module).exists() || src.join(format!("{module}.rs")).exists());
    let name = krate.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(cycles(&uses).into_iter().map(|cycle| format!("crates/{name}: a cycle between modules: {cycle}")).collect())
}

/// What the root re-exports, and the module that it comes from.
fn exported(root: &str) -> BTreeMap<String, String> {
    let mut exported = BTreeMap::new();
    for statement in statements(root) {
        let statement = statement.trim_start_matches("pub(crate) ").trim_start_matches("pub ");
        let Some((module, names)) = statement.strip_prefix("use ").and_then(|rest| rest.split_once("::")) else {
            continue;
        };
        for name in names.trim_start_matches('{').trim_end_matches(['}', ';']).split(',') {
            let name = name.trim().rsplit("::").next().unwrap_or_default().to_owned();
            exported.insert(name, module.trim().to_owned());
        }
    }
    exported
}

fn statements(text: &str) -> Vec<String> {
    let code: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.starts_with("//")).collect();
    code.join(" ").split_inclusive(';').map(|statement| statement.trim().to_owned()).collect()
}

/// The first names after `crate::`, through one level of braces.
fn named_after_crate(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, found) in text.match_indices("crate::") {
        let before = text[..at].chars().next_back();
        if before.is_some_and(|character| character.is_alphanumeric() || character == '_' || character == '$') {
            continue;
        }
        let rest = &text[at + found.len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let list = list.split('}').next().unwrap_or_default();
            names.extend(list.split(',').filter_map(|item| first_name(item.trim())));
        } else {
            names.extend(first_name(rest));
        }
    }
    names
}

fn first_name(text: &str) -> Option<String> {
    let name: String = text.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect();
    (!name.is_empty()).then_some(name)
}

/// Without comments, and without the tests at the end, which may use everything.
fn without_tests(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// One cycle through each module that is in any.
fn cycles(uses: &Uses) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for start in uses.keys() {
        let mut trail = vec![start.clone()];
        if let Some(cycle) = back_to(start, uses, &mut trail, &mut BTreeSet::new()) {
            let smallest = cycle.iter().enumerate().min_by_key(|(_, name)| (*name).clone()).map_or(0, |(at, _)| at);
            let turned: Vec<&str> = cycle[smallest..].iter().chain(&cycle[..smallest]).map(String::as_str).collect();
            found.insert(turned.join(" -> "));
        }
    }
    found
}

fn back_to(start: &str, uses: &Uses, trail: &mut Vec<String>, seen: &mut BTreeSet<String>) -> Option<Vec<String>> {
    let last = trail.last()?.clone();
    for next in uses.get(&last).into_iter().flatten() {
        if next == start {
            return Some(trail.clone());
        }
        if uses.contains_key(next) && seen.insert(next.clone()) {
            trail.push(next.clone());
            if let Some(cycle) = back_to(start, uses, trail, seen) {
                return Some(cycle);
            }
            trail.pop();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uses(pairs: &[(&str, &[&str])]) -> Uses {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        pairs.iter().map(|(module, names)| ((*module).to_owned(), set(names))).collect()
    }

    #[test]
    fn a_cycle_is_found_over_any_number_of_modules() {
        assert!(cycles(&uses(&[("a", &["b"]), ("b", &["c"]), ("c", &[])])).is_empty());
        let found = cycles(&uses(&[("a", &["b"]), ("b", &["c"]), ("c", &["a"])]));
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["a -> b -> c"]);
    }

    #[test]
    fn names_are_found_in_lists_and_paths() {
        let text = "use crate::{Error, plan::Policy};\nlet x = crate::clock::now(); fanfold_crate::no();";
        let names = named_after_crate(text);
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["Error", "clock", "plan"]);
        let exported = exported("pub use error::Error;\npub use queue::{Lane, Queue};");
        assert_eq!(exported["Lane"], "queue");
    }
}
