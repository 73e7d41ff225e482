//! The exit codes of every command, in one table: `--help` and the documentation show this one.

use std::fmt::Write as _;
use std::process::ExitCode;

/// How a command ended, as the caller of the program sees it. The numbers never change once published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// What was asked for is done.
    Done = 0,
    /// Anything that has no number of its own.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The configuration is wrong.
    Configuration = 3,
    /// There is no answer from the server.
    Unreachable = 4,
    /// The operation did not complete.
    NotCompleted = 5,
    /// What was named is not there.
    NotFound = 6,
    /// The server refused.
    Refused = 7,
}

impl Exit {
    /// All of them, by number.
    pub(crate) const ALL: [Self; 8] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::Configuration,
        Self::Unreachable,
        Self::NotCompleted,
        Self::NotFound,
        Self::Refused,
    ];

    /// The number.
    pub(crate) fn number(self) -> u8 {
        self as u8
    }

    /// What it tells.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done; an operation that was followed to its end is completed",
            Self::Failed => "failure: anything that is not named here, such as a store that cannot be opened",
            Self::Usage => "the command line is wrong",
            Self::Configuration => "the configuration has mistakes",
            Self::Unreachable => "the server cannot be reached, or did not answer",
            Self::NotCompleted => "the operation ended failed or canceled",
            Self::NotFound => "there is no such operation, note, target or path",
            Self::Refused => "the server refused the request, or failed to answer it",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}

/// The table as `--help` shows it.
pub(crate) fn help() -> String {
    let mut text = "Exit codes:\n".to_owned();
    for exit in Exit::ALL {
        writeln!(text, "  {}  {}", exit.number(), exit.meaning()).expect("writing to a String cannot fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_shows_the_same_table() {
        let documentation = include_str!("../../../docs/cli.md");
        for (number, exit) in Exit::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(exit.number()), number);
            let row = format!("| {number} | {} |", exit.meaning());
            assert!(documentation.contains(&row), "docs/cli.md lacks the row {row}");
        }
    }
}
