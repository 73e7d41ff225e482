//! Which crate may depend on which. A missing line in a `Cargo.toml` enforces the arrows; this guards the lines.

use std::path::Path;

use anyhow::{Context as _, Result};

/// A crate's folder, and the crates of ours that it may depend on.
const ARROWS: [(&str, &[&str]); 9] = [
    ("core", &[]),
    ("store", &["fanfold-core"]),
    ("engine", &["fanfold-core", "fanfold-store"]),
    ("server", &["fanfold-core", "fanfold-store", "fanfold-engine"]),
    ("cli", &["fanfold-core", "fanfold-store", "fanfold-engine", "fanfold-server"]),
    ("sim", &["fanfold-core", "fanfold-store", "fanfold-engine", "fanfold-testkit"]),
    ("hostile", &["fanfold-core", "fanfold-store", "fanfold-engine", "fanfold-server", "fanfold-testkit"]),
    ("testkit", &["fanfold-core"]),
    ("../xtask", &["fanfold-core", "fanfold-store", "fanfold-testkit"]),
];

/// What core decides without: anything that waits, talks or guesses.
const NEVER_IN_CORE: [&str; 6] = ["tokio", "hyper", "rusqlite", "getrandom", "rand", "tracing"];

pub(super) fn problems(root: &Path) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for (folder, allowed) in ARROWS {
        let path = root.join("crates").join(folder).join("Cargo.toml");
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let manifest: toml::Table = text.parse().with_context(|| path.display().to_string())?;
        let Some(dependencies) = manifest.get("dependencies").and_then(toml::Value::as_table) else { continue };
        for name in dependencies.keys() {
            let ours = name.starts_with("fanfold");
            let breach = (ours && !allowed.contains(&name.as_str()))
                || (folder == "core" && NEVER_IN_CORE.contains(&name.as_str()));
            if breach {
                problems.push(format!("crates/{folder}: an import against the arrows: {name}"));
            }
        }
    }
    Ok(problems)
}
