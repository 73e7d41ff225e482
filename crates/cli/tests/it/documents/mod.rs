//! Keeps the documents honest: what they show is checked and run as it stands in them.
//!
//! - `toml`: a configuration, or a part of one, checked by the real `fanfold check` ([`configurations`]). With `wrong` behind the
//!   word it has to be refused. One whose first line is a comment with a file's name is written to that file.
//! - `sh`: commands, each of which is run in a real shell ([`session`]) and has to succeed.
//! - `console`: commands after `$ `, with what they print, which is compared loosely ([`shown`]).
//! - `json`: has to be JSON, but for `…`.
//! - Other words, or none: nothing that can be run. A command in such a block is a mistake.
//!
//! What is run against what stands in [`STAGES`]; what cannot be run stands in [`NOT_RUN`], with the reason. Links are followed by
//! [`links`], and [`guarantees`] looks for the tests and commands that are named as evidence.

mod configurations;
mod guarantees;
mod links;
mod markdown;
mod pages;
mod session;
mod shown;

pub(crate) use pages::play;
pub(crate) use session::{Session, idle};

use markdown::{Block, Document};

/// What a document finds when its first command is run.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stage {
    /// The files of its folder if it is an example, and nothing else: it says itself what is to be started.
    Nothing,
    /// `fanfold demo`.
    Demo,
    /// A server and sample targets, as [`BASE`] has them.
    Base,
    /// The same, with all configurations of the document in one.
    Own,
}

/// What the commands of documents are run against, where that is not [`Stage::Base`].
const STAGES: [(&str, Stage); 9] = [
    ("README.md", Stage::Nothing),
    ("docs/start.md", Stage::Nothing),
    ("docs/authentication.md", Stage::Nothing),
    ("docs/routes.md", Stage::Own),
    ("docs/dialects.md", Stage::Own),
    ("docs/api.md", Stage::Demo),
    ("examples/msf/README.md", Stage::Nothing),
    ("examples/plas/README.md", Stage::Nothing),
    ("examples/tower/README.md", Stage::Nothing),
];

/// Commands that are not run, by the document and by how they begin, and why.
const NOT_RUN: [(&str, &str, &str); 11] = [
    ("README.md", "cargo ", "it builds the program, which is what runs here"),
    ("docs/start.md", "cargo ", "it builds the program, which is what runs here"),
    ("docs/start.md", "export PATH=", "it is about a release"),
    ("docs/cli.md", "fanfold completions bash > /etc/", "it changes the system"),
    ("docs/operating.md", "cargo ", "it builds the program, which is what runs here"),
    ("docs/operating.md", "install ", "it changes the system"),
    ("docs/operating.md", "fanfold man --dir /usr/", "it changes the system"),
    ("docs/operating.md", "fanfold check --config /etc/", "it is about a machine that the program was installed on"),
    ("docs/runbook.md", "curl -v URL-OF-THE-TARGET", "it names no target"),
    ("CONTRIBUTING.md", "cargo ", "it runs the tests, of which this is one"),
    ("CONTRIBUTING.md", ".ci/run", "it runs the tests, of which this is one"),
];

/// What looks at, or changes, the machine that a server runs on; in no document are these run.
const OF_THE_MACHINE: [&str; 16] = [
    "systemctl ",
    "runuser ",
    "systemd-sysusers ",
    "journalctl ",
    "apt-get ",
    "dpkg ",
    "docker ",
    "podman ",
    "psql ",
    "iostat ",
    "ss ",
    "df ",
    "dmesg ",
    "timedatectl",
    "chronyc ",
    "ls /proc/",
];

/// Commands that are to end with another exit code than 0, and why.
const EXITS: [(&str, &str, i32, &str); 4] = [
    ("docs/operating.md", "fanfold restore ", 1, "the database that it would replace is there, and served"),
    ("docs/operating.md", "fanfold migrate ", 1, "the database that it would read is served"),
    (
        "docs/runbook.md",
        "curl -s http://127.0.0.1:8080/metrics | grep fanfold_operations_refused_total",
        1,
        "nothing was refused, so there is nothing to find",
    ),
    (
        "docs/runbook.md",
        "curl -s http://127.0.0.1:8080/metrics | grep fanfold_trace",
        1,
        "no collector is configured, so there is nothing to find",
    ),
];

/// What a server of documents that show no whole configuration of their own is configured with.
const BASE: &str = r#"
[server]
listen = "127.0.0.1:8080"

[targets.tokyo]
id = "1"
url = "http://127.0.0.1:18081"

[targets.osaka]
id = "2"
url = "http://127.0.0.1:18082"

[targets.sapporo]
id = "3"
url = "http://127.0.0.1:18083"

[[routes]]
name = "put-thing"
match = "PUT /things/{id}"
targets = ["tokyo", "osaka"]
undo = { method = "DELETE", path = "/things/{{ path.id }}" }
"#;

/// The sample targets of [`BASE`].
const SAMPLES: &str = "fanfold demo --targets tokyo=127.0.0.1:18081,osaka=127.0.0.1:18082,sapporo=127.0.0.1:18083";

/// Kinds of blocks in which nothing can be run.
const SILENT: [&str; 5] = ["", "text", "json", "http", "toml"];

/// What begins a command.
const COMMANDS: [&str; 4] = ["$ ", "fanfold ", "curl ", "cargo "];

#[test]
fn every_block_says_what_it_is() {
    let mut wrong = Vec::new();
    for document in markdown::all() {
        for block in &document.blocks {
            let place = format!("{}:{}", document.name, block.line);
            match block.kind.as_str() {
                "sh" | "console" => {}
                "json" => {
                    let text = shown::without_ellipses(&block.text);
                    wrong.extend(
                        serde_json::from_str::<serde_json::Value>(&text).err().map(|error| format!("{place}: {error}")),
                    );
                }
                kind if SILENT.contains(&kind) => {
                    let mut lines = block.text.lines();
                    let command =
                        lines.find(|line| COMMANDS.iter().chain(&OF_THE_MACHINE).any(|begin| line.starts_with(begin)));
                    wrong
                        .extend(command.map(|command| format!("{place}: {command:?} is in no block of sh or console")));
                }
                kind => wrong.push(format!("{place}: it is not known what {kind:?} is")),
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_exception_is_needed() {
    for (name, begin, _) in NOT_RUN.iter().copied().chain(EXITS.map(|(name, begin, _, why)| (name, begin, why))) {
        let document = Document::read(name);
        let mut commands = document.blocks.iter().flat_map(Block::commands);
        assert!(commands.any(|(command, _)| command.starts_with(begin)), "{name} has no {begin:?}");
    }
}

// The tests may be run by root, who may write there.
#[test]
fn nothing_that_is_run_names_a_folder_of_the_system() {
    let folders = ["/etc/", "/usr/", "/var/", "/root", "/home", "~"];
    let mut wrong = Vec::new();
    for document in markdown::all() {
        for (command, _) in document.blocks.iter().flat_map(Block::commands) {
            let mut words = command.split(|sign: char| sign.is_whitespace() || "=>\"'".contains(sign));
            let is_of_system = words.any(|word| folders.iter().any(|folder| word.starts_with(folder)));
            wrong.extend(
                (is_of_system && why_not(&document, &command).is_none())
                    .then(|| format!("{}: {command}", document.name)),
            );
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Why a command is not run.
fn why_not(document: &Document, command: &str) -> Option<&'static str> {
    let known = NOT_RUN.iter().find(|(name, begin, _)| *name == document.name && command.starts_with(begin));
    let is_of_machine = OF_THE_MACHINE.iter().any(|begin| command.starts_with(begin));
    known.map(|(_, _, why)| *why).or_else(|| is_of_machine.then_some("it is about the machine"))
}

impl Block {
    /// Its commands, each with what is shown of what it prints.
    fn commands(&self) -> Vec<(String, String)> {
        let mut commands: Vec<(String, String)> = Vec::new();
        let mut is_open = false;
        for line in self.text.lines() {
            let (line, begins) = match self.kind.as_str() {
                "sh" => (line, !is_open && !line.is_empty() && !line.starts_with('#')),
                "console" => match line.strip_prefix("$ ") {
                    Some(command) => (command, true),
                    None => (line.strip_prefix("> ").filter(|_| is_open).unwrap_or(line), false),
                },
                _ => continue,
            };
            match commands.last_mut() {
                _ if begins => commands.push((line.to_owned(), String::new())),
                Some((command, _)) if is_open => *command = format!("{command}\n{line}"),
                Some((_, shown)) => *shown = format!("{shown}{line}\n"),
                None => {}
            }
            // It goes on in the next line after a backslash, and within quotation marks.
            is_open = commands.last().is_some_and(|(command, shown)| {
                shown.is_empty() && (command.ends_with('\\') || command.matches('\'').count() % 2 == 1)
            });
        }
        commands
    }
}
