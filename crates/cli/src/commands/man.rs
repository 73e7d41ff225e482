//! `fanfold man`: manual pages, made of the same descriptions of commands and options that `--help` shows.

use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory as _};
use clap_mangen::roff::{Roff, bold, roman};

use super::Cli;
use crate::failure::Failure;
use crate::output;

/// The section of the manual that commands are in.
const SECTION: &str = "1";

/// The same program makes the same pages on any day. An empty text would be left out, and the version be taken for the date.
const NO_DATE: &str = " ";

/// Where the rest is told.
const DOCUMENTS: &str = "/usr/share/doc/fanfold";

/// `fanfold man`
#[derive(Debug, clap::Args)]
pub(crate) struct Man {
    /// The command that the page is of, such as "ops list"; without it the page is that of the program
    #[arg(value_name = "COMMAND", conflicts_with = "dir")]
    command: Vec<String>,

    /// Write the pages of the program and of all commands into this folder instead, which is made if need be
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn run(man: &Man) -> Result<(), Failure> {
    let program = program();
    match &man.dir {
        Some(folder) => write_all(&program, folder),
        None => Ok(output::print_octets(&page(find(&program, &man.command)?)?)?),
    }
}

/// The program with everything that clap adds by itself, but for `help`, which is no command to read about.
fn program() -> Command {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    program
}

fn find<'a>(program: &'a Command, names: &[String]) -> Result<&'a Command, Failure> {
    names.iter().try_fold(program, |command, name| {
        let found = command.find_subcommand(name);
        found.ok_or_else(|| Failure::Usage(format!("{} has no command {name:?}", invocation(command))))
    })
}

fn write_all(program: &Command, folder: &Path) -> Result<(), Failure> {
    let failed = |path: &Path, error| Failure::File { path: path.to_owned(), error };
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    for command in with_all_below(program) {
        let path = folder.join(format!("{}.{SECTION}", title(command)));
        std::fs::write(&path, page(command)?).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

/// A command and its commands, and theirs.
fn with_all_below(command: &Command) -> Vec<&Command> {
    let below = command.get_subcommands().flat_map(with_all_below);
    std::iter::once(command).chain(below).collect()
}

/// What the page is called: `fanfold-ops-list`.
fn title(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// What is typed: `fanfold ops list`.
fn invocation(command: &Command) -> &str {
    command.get_bin_name().unwrap_or_else(|| command.get_name())
}

fn page(command: &Command) -> Result<Vec<u8>, Failure> {
    let mut octets = Vec::new();
    // What comes after the help would be filled into one paragraph under the word "extra".
    let plain = clap_mangen::Man::new(command.clone().after_help(None::<&str>)).section(SECTION);
    let plain = plain.date(NO_DATE).source(concat!("fanfold ", env!("CARGO_PKG_VERSION"))).manual("Fanfold");
    plain.render(&mut octets)?;
    let mut rest = Roff::new();
    if let Some(remarks) = command.get_after_help() {
        tell(&mut rest, &remarks.to_string());
    }
    refer(&mut rest, command);
    octets.extend(rest.to_roff().into_bytes());
    Ok(octets)
}

/// What `--help` says at its end: paragraphs, and lines that are indented and stay as they are.
fn tell(page: &mut Roff, remarks: &str) {
    let first = remarks.lines().next().unwrap_or_default();
    let (heading, skipped) = first.strip_suffix(':').map_or(("NOTES".to_owned(), 0), |name| (name.to_uppercase(), 1));
    page.control("SH", [heading.as_str()]);
    let mut is_kept = false;
    for line in remarks.lines().skip(skipped) {
        let keep = line.starts_with(' ');
        if keep != is_kept {
            page.control(if keep { "nf" } else { "fi" }, []);
            is_kept = keep;
        }
        match line.is_empty() {
            true => page.control("PP", []),
            false => page.text([roman(line)]),
        };
    }
    if is_kept {
        page.control("fi", []);
    }
}

/// The page that leads to this one, and the documents.
fn refer(page: &mut Roff, command: &Command) {
    page.control("SH", ["SEE ALSO"]);
    if let Some((above, _)) = title(command).rsplit_once('-') {
        page.text([bold(above), roman(format!("({SECTION})"))]);
        page.control("PP", []);
    }
    page.text([roman(format!("The documentation, in {DOCUMENTS} where Fanfold was installed as a package."))]);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page as plain text, without the signs that roff needs before some others.
    fn text_of(command: &Command) -> String {
        String::from_utf8(page(command).unwrap()).unwrap().replace('\\', "")
    }

    #[test]
    fn each_page_says_what_is_typed_and_every_option_with_its_help() {
        let program = program();
        let commands = with_all_below(&program);
        assert!(commands.len() > 30, "{}", commands.len());
        for command in commands {
            let text = text_of(command);
            let version = concat!("\" \" \"fanfold ", env!("CARGO_PKG_VERSION"), "\" Fanfold");
            assert!(text.contains(&format!(".TH {} 1 {version}\n", title(command))), "{text}");
            assert!(text.contains(&format!("fB{}fR", invocation(command))), "{text}");
            for option in command.get_arguments().filter_map(clap::Arg::get_long) {
                assert!(text.contains(&format!("fB--{option}fR")), "{}: --{option}:\n{text}", title(command));
            }
            for variable in command.get_arguments().filter_map(clap::Arg::get_env) {
                let variable = variable.to_str().unwrap();
                assert!(text.contains(&format!("fB{variable}fR")), "{}: {variable}:\n{text}", title(command));
            }
            for help in command.get_arguments().filter_map(clap::Arg::get_help) {
                let first = help.to_string().lines().next().unwrap_or_default().replace('\'', "*(Aq");
                assert!(text.contains(&first), "{}: {help}:\n{text}", title(command));
            }
        }
    }

    #[test]
    fn a_page_leads_to_those_below_it_and_above_it() {
        let program = program();
        let ops = find(&program, &["ops".to_owned()]).unwrap();
        let text = text_of(ops);
        for below in ops.get_subcommands() {
            assert!(text.contains(&format!("\n{}({SECTION})\n", title(below))), "{text}");
        }
        assert!(text.contains("SEE ALSO\"\nfBfanfoldfR(1)\n"), "{text}");
        assert!(find(&program, &["ops".to_owned(), "fold".to_owned()]).is_err());
    }
}
