//! What `ops/` has for installing the program fits the program: the unit of systemd, the container, the Debian package.

mod container;
mod package;
mod unit;

use std::path::{Path, PathBuf};
use std::process::Command;

use fanfold_testkit::Home;

use crate::program::{Ended, PROGRAM, forget_settings, run};

/// Where the configuration is on a machine.
const CONFIG: &str = "/etc/fanfold/fanfold.toml";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap()
}

/// A command as it is written, with the program under test and the configuration of this folder in it.
fn here(command: &str, home: &Home) -> Vec<String> {
    let config = home.config().to_str().unwrap().to_owned();
    let word = |word: &str| match word {
        "fanfold" => PROGRAM.to_owned(),
        CONFIG => config.clone(),
        word => word.to_owned(),
    };
    command.split_whitespace().map(word).collect()
}

/// The command that these words are, in this folder.
fn command(words: &[String], home: &Home) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).current_dir(home.path());
    forget_settings(&mut command);
    command
}

/// What the program does with these words, of which the first one is itself.
async fn ended(words: &[String], home: &Home) -> Ended {
    assert_eq!(words[0], PROGRAM);
    run(home.path(), &words[1..].iter().map(String::as_str).collect::<Vec<_>>()).await
}
