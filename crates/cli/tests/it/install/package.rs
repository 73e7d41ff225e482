//! What the Debian package is made of: its configuration, its files, the manual pages.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use fanfold_testkit::{Home, programs};
use toml::Table;

use super::{CONFIG, read, repository};
use crate::program::run;

/// Set where an absent `man` must fail the tests instead of skipping them.
const NEED_MAN: &str = "FANFOLD_TESTS_NEED_MAN";

/// The folder of the database, as the package has it.
const DATABASES: &str = "/var/lib/fanfold";

fn package() -> Table {
    let manifest: Table = read("crates/cli/Cargo.toml").parse().unwrap();
    manifest["package"]["metadata"]["deb"].as_table().unwrap().clone()
}

/// Source and destination of each file that is put into it.
fn assets() -> Vec<(String, String)> {
    let package = package();
    let asset = |asset: &toml::Value| {
        let word = |at: usize| asset[at].as_str().unwrap().to_owned();
        (word(0), word(1))
    };
    package["assets"].as_array().unwrap().iter().map(asset).collect()
}

#[tokio::test]
async fn the_configuration_that_is_installed_is_the_first_one_and_without_mistakes() {
    let installed = read("ops/fanfold.toml");
    let home = Home::new(&installed.replace(DATABASES, "."));
    let checked = run(home.path(), &["check"]).await;
    assert_eq!((checked.code, checked.stdout.as_str()), (Some(0), ""), "{}", checked.stderr);

    run(home.path(), &["init", "first.toml"]).await;
    let first = std::fs::read_to_string(home.path().join("first.toml")).unwrap();
    let other: Vec<_> = installed.lines().zip(first.lines()).filter(|(installed, first)| installed != first).collect();
    assert_eq!(installed.lines().count(), first.lines().count());
    // Where the database is, and the comment on it.
    assert_eq!(other.len(), 2, "{other:?}");
    assert_eq!(other[1], ("url = \"sqlite:/var/lib/fanfold/fanfold.db\"", "url = \"sqlite:fanfold.db\""));

    let package = package();
    assert_eq!(package["conf-files"].as_array().unwrap()[0].as_str(), Some(CONFIG));
    assert!(assets().contains(&("../../ops/fanfold.toml".to_owned(), CONFIG.trim_start_matches('/').to_owned())));
    assert!(read("ops/debian/postinst").contains(&format!("-o fanfold -g fanfold {DATABASES}\n")));
}

/// Whether there is a file of this name, in which `*` stands for any part of a name, and `**` for any folders.
fn is_there(name: &str) -> bool {
    let Some((before, after)) = name.split_once('*') else { return Path::new(name).is_file() };
    let (folder, begin) = before.rsplit_once('/').unwrap();
    let (is_deep, end) = match after.strip_prefix("*/*") {
        Some(end) => (true, end),
        None => (false, after),
    };
    let fits = |name: &str| name.starts_with(begin) && name.ends_with(end);
    let mut entries = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap());
    entries.any(|entry| {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        match path.is_dir() {
            true => is_deep && is_there(&format!("{}/**/*{end}", path.display())),
            false => fits(&name),
        }
    })
}

// What is made, `cargo xtask package` makes; that it makes what is asked for is tested there.
#[test]
fn every_file_of_the_package_that_is_not_made_is_there() {
    let crate_folder = repository().join("crates/cli");
    for (source, _) in assets() {
        if !source.starts_with("target/release/") {
            assert!(is_there(crate_folder.join(&source).to_str().unwrap()), "{source}");
        }
    }
    for missing in ["../../docs/*.mdx", "../../docs/none*", "../../examples/**/*.mdx", "../../ops/none.toml"] {
        assert!(!is_there(crate_folder.join(missing).to_str().unwrap()), "{missing}");
    }
    let package = package();
    for folder in [&package["maintainer-scripts"], &package["systemd-units"]["unit-scripts"]] {
        assert!(crate_folder.join(folder.as_str().unwrap()).is_dir(), "{folder}");
    }
}

/// The names of the commands that a help lists.
fn commands(help: &str) -> BTreeSet<String> {
    let (_, list) = help.split_once("\nCommands:\n").unwrap_or(("", ""));
    let lines = list.lines().take_while(|line| !line.is_empty());
    lines.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").map(str::to_owned).collect()
}

#[tokio::test]
async fn there_is_a_manual_page_for_the_program_and_each_command() {
    let home = Home::new("");
    let folder = home.path().join("new/man");
    let written = run(home.path(), &["man", "--dir", folder.to_str().unwrap()]).await;
    assert_eq!((written.code, written.stdout.as_str(), written.stderr.as_str()), (Some(0), "", ""));
    let files = std::fs::read_dir(&folder).unwrap();
    let files: BTreeSet<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();

    let mut expected = BTreeSet::from(["fanfold.1".to_owned()]);
    for name in commands(&run(home.path(), &["--help"]).await.stdout) {
        expected.insert(format!("fanfold-{name}.1"));
        let below = commands(&run(home.path(), &[&name, "--help"]).await.stdout);
        expected.extend(below.into_iter().map(|below| format!("fanfold-{name}-{below}.1")));
    }
    assert_eq!(files, expected);

    let printed = run(home.path(), &["man", "ops", "list"]).await;
    assert_eq!(printed.stdout, std::fs::read_to_string(folder.join("fanfold-ops-list.1")).unwrap());
    let none = run(home.path(), &["man", "ops", "fold"]).await;
    assert_eq!((none.code, none.stderr.as_str()), (Some(2), "fanfold: fanfold ops has no command \"fold\"\n"));
}

#[tokio::test]
async fn a_manual_page_has_what_the_help_has() {
    let home = Home::new("");
    let page = run(home.path(), &["man", "serve"]).await.stdout;
    insta::assert_snapshot!(page.replace(concat!("fanfold ", env!("CARGO_PKG_VERSION")), "fanfold VERSION"));
}

#[tokio::test]
async fn man_shows_every_page_without_a_warning() {
    let Some(man) = programs::found("man", "man-db", NEED_MAN) else { return };
    let home = Home::new("");
    run(home.path(), &["man", "--dir", "man"]).await;
    let mut count = 0;
    for page in std::fs::read_dir(home.path().join("man")).unwrap() {
        let page = page.unwrap().path();
        let mut show = Command::new(&man);
        show.args(["--warnings", "--local-file"]).arg(&page).env("LC_ALL", "C.UTF-8").env("MANWIDTH", "100");
        let shown = show.output().unwrap();
        let (shown, warned) = (String::from_utf8_lossy(&shown.stdout), String::from_utf8_lossy(&shown.stderr));
        assert_eq!(warned, "", "{}", page.display());
        assert!(shown.contains("SYNOPSIS") && shown.contains("--log"), "{}: {shown}", page.display());
        count += 1;
    }
    assert!(count > 30, "{count}");
}
