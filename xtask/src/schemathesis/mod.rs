//! What the document of the API says, held against the real program: schemathesis makes requests out of `/openapi.json`, and
//! judges every answer by it.

mod coverage;
mod examples;
mod prepare;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::caller;
pub use coverage::Report;
use prepare::Prepared;

/// What is told to schemathesis, and the versions of what is installed.
const FOLDER: &str = "xtask/schemathesis";

/// Where operations and statuses that were seen are collected.
const SEEN: &str = "seen.jsonl";

/// How long schemathesis may take in all, in seconds; coreutils' `timeout` ends it then.
const TIME_MAX: u32 = 600;

/// How long fetching the packages may take, in seconds.
const INSTALL_MAX: u32 = 300;

/// What `timeout` ends with where the time was up.
const TIME_UP: i32 = 124;

/// Installs schemathesis below `target`, unless it is there.
///
/// # Errors
/// If Python, its module venv or the packages cannot be had.
pub fn install(root: &Path, target: &Path) -> Result<PathBuf> {
    let requirements = root.join(FOLDER).join("requirements.txt");
    let wanted = std::fs::read_to_string(&requirements)?;
    let venv = target.join("schemathesis");
    // Written last: an installation that was broken off is made anew.
    let mark = venv.join("installed.txt");
    if std::fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
        return Ok(venv.join("bin"));
    }
    done(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))
        .context("on Debian: apt-get install python3-venv")?;
    let mut pip = Command::new("timeout");
    pip.arg(INSTALL_MAX.to_string()).arg(venv.join("bin/pip")).args(["install", "--quiet", "--requirement"]);
    done(pip.arg(&requirements))?;
    std::fs::write(&mark, wanted)?;
    Ok(venv.join("bin"))
}

/// Asks the program for the examples of the document, and writes them where it has them from.
///
/// # Errors
/// If the program does not do what it should.
pub async fn renew_examples(program: &Path, root: &Path) -> Result<()> {
    let prepared = Prepared::start(program).await?;
    std::fs::write(root.join(examples::FILE), examples::collect(&prepared).await?)?;
    Ok(())
}

/// Starts the program with something of everything in it, lets schemathesis at it, and tells what was reached.
///
/// # Errors
/// If the program, or schemathesis, does not do what it should; what schemathesis finds is in the report.
pub async fn run(program: &Path, root: &Path, bin: &Path) -> Result<Report> {
    let prepared = Prepared::start(program).await?;
    let document = prepared.http.get("/openapi.json").await;
    ensure!(document.status == 200, "there is no document: {}", document.text());
    let home = prepared.home.path();
    std::fs::write(home.join("openapi.json"), &document.body)?;
    done(Command::new(bin.join("openapi-spec-validator")).args(["--schema", "3.1", "openapi.json"]).current_dir(home))?;
    let seen = home.join(SEEN);
    let folder = root.join(FOLDER);
    let status = Command::new("timeout")
        .args(["--kill-after", "10", &TIME_MAX.to_string()])
        .arg(bin.join("schemathesis"))
        .arg("--config-file")
        .arg(folder.join("schemathesis.toml"))
        .args(["run", &format!("{}/openapi.json", prepared.url)])
        .args(["--header", &format!("Authorization: {}", caller::authorization())])
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("PYTHONPATH", &folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("FANFOLD_AUTHORIZATION", caller::authorization())
        .env("FANFOLD_PREPARED", prepared.known.to_string())
        .env("FANFOLD_SEEN", &seen)
        // It keeps what failed before in the folder where it runs.
        .current_dir(home)
        .status()?;
    Report::read(&document.json(), &std::fs::read_to_string(&seen)?, found_nothing(status.code())?)
}

/// What its exit code says; that its time was up says nothing of the answers. Without a code it was killed, which `timeout` does to
/// itself as well where it has to kill.
fn found_nothing(code: Option<i32>) -> Result<bool> {
    match code {
        Some(TIME_UP) | None => bail!("schemathesis was not done within {TIME_MAX} seconds, or was killed"),
        Some(code) => Ok(code == 0),
    }
}

fn done(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{command:?} cannot be started"))?;
    if !status.success() {
        bail!("{command:?} failed");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_the_time_was_up_is_no_failure_that_was_found() {
        let stubborn = "trap '' TERM; tail -f /dev/null";
        for (time, goes_on, found) in [
            ("60", "exit 0", Some(true)),
            ("60", "exit 1", Some(false)),
            ("0.1", "tail -f /dev/null", None),
            ("0.1", stubborn, None),
        ] {
            let mut command = Command::new("timeout");
            let status = command.args(["--kill-after", "0.1", time, "sh", "-c", goes_on]).status().unwrap();
            assert_eq!(found_nothing(status.code()).ok(), found, "{goes_on}: {status}");
        }
    }
}
