//! `cargo xtask COMMAND`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let command = std::env::args().nth(1);
    match command.as_deref() {
        Some("tidy") => tidy(),
        _ => {
            say("usage: cargo xtask tidy    checks the rules of the house: arrows, module cycles, file lengths, names");
            ExitCode::from(2)
        }
    }
}

fn tidy() -> ExitCode {
    match xtask::tidy::problems(&xtask::tidy::workspace_root()) {
        Ok(problems) if problems.is_empty() => ExitCode::SUCCESS,
        Ok(problems) => {
            problems.iter().for_each(|problem| say(problem));
            ExitCode::FAILURE
        }
        Err(error) => {
            say(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "this is a command for developers")]
fn say(line: &str) {
    eprintln!("{line}");
}
