//! The Debian package: manual pages and completions, which the program makes itself, and what `cargo deb` puts around them. What
//! goes where stands in `crates/cli/Cargo.toml`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// Each shell, and what its script is called in the package.
const SHELLS: [(&str, &str); 3] = [("bash", "fanfold.bash"), ("zsh", "_fanfold"), ("fish", "fanfold.fish")];

/// That `cargo deb` can be run.
///
/// # Errors
/// If it cannot, with what to do.
pub fn look_for_cargo_deb(cargo: &Path) -> Result<()> {
    let asked = Command::new(cargo).args(["deb", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    match asked {
        Ok(status) if status.success() => Ok(()),
        Ok(_) | Err(_) => bail!("cargo-deb is not there; install it with: cargo install cargo-deb --locked"),
    }
}

/// Makes the package of a program that has been built, and tells where it is.
///
/// # Errors
/// If anything cannot be made, with what the program or `cargo deb` said.
pub fn make(cargo: &Path, root: &Path, program: &Path) -> Result<PathBuf> {
    let folder = program.parent().context("the program is in a folder")?.join("package");
    accompany(program, &folder)?;
    let mut deb = Command::new(cargo);
    deb.args(["deb", "--no-build", "--package", "fanfold"]).current_dir(root).stderr(Stdio::inherit());
    let made = deb.output().context("cargo deb cannot be run")?;
    if !made.status.success() {
        bail!("cargo deb failed");
    }
    let said = String::from_utf8_lossy(&made.stdout).into_owned();
    let path = said.lines().next_back().context("cargo deb does not say what it made")?;
    Ok(PathBuf::from(path.trim()))
}

/// Makes manual pages and completions in this folder, and nothing else is left in it.
fn accompany(program: &Path, folder: &Path) -> Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let completions = folder.join("completions");
    std::fs::create_dir_all(&completions).with_context(|| completions.display().to_string())?;
    let pages = folder.join("man");
    said_by(Command::new(program).args(["man", "--dir"]).arg(&pages))?;
    // As Debian has them; without a time in them, so that the same program makes the same package.
    said_by(Command::new("gzip").args(["-9", "--no-name", "--recursive"]).arg(&pages))?;
    for (shell, name) in SHELLS {
        let script = said_by(Command::new(program).args(["completions", shell]))?;
        let path = completions.join(name);
        std::fs::write(&path, script).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn said_by(command: &mut Command) -> Result<Vec<u8>> {
    let ended = command.stderr(Stdio::inherit()).output().with_context(|| format!("{command:?} cannot be run"))?;
    if !ended.status.success() {
        bail!("{command:?} failed");
    }
    Ok(ended.stdout)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use toml::Table;

    use super::*;
    use crate::tidy::workspace_root;

    /// The sources of what the package takes out of this folder of the target folder.
    fn taken_from(folder: &str) -> BTreeSet<String> {
        let manifest = std::fs::read_to_string(workspace_root().join("crates/cli/Cargo.toml")).unwrap();
        let manifest: Table = manifest.parse().unwrap();
        let assets = manifest["package"]["metadata"]["deb"]["assets"].as_array().unwrap();
        let sources = assets.iter().map(|asset| asset[0].as_str().unwrap());
        sources.filter_map(|source| source.strip_prefix(folder)).map(str::to_owned).collect()
    }

    #[test]
    fn what_the_package_takes_of_what_is_made_is_made() {
        let made = SHELLS.map(|(_, name)| format!("completions/{name}")).into_iter().chain(["man/*.1.gz".to_owned()]);
        assert_eq!(taken_from("target/release/package/"), made.collect());
    }

    #[test]
    fn where_cargo_deb_is_missing_it_is_said_how_to_install_it() {
        // It refuses every command, as cargo does one that it does not know.
        let error = look_for_cargo_deb(Path::new("false")).unwrap_err();
        assert!(error.to_string().ends_with("cargo install cargo-deb --locked"), "{error}");
        look_for_cargo_deb(Path::new("true")).unwrap();
    }
}
