//! The command line: what it offers, and the commands behind it.
//!
//! Conventions that hold for all of them: data goes to standard output, everything else to standard error; colour only on a
//! terminal, and not where `NO_COLOR` is set; `--output json` for programs; exit codes from one table ([`crate::exit`]). Commands
//! that ask a running server know nothing but its native API ([`crate::client`]). What a server is made of is put together in
//! [`crate::assemble`].

mod attention;
mod audit;
mod backup;
mod check;
mod drain;
mod each;
mod export;
mod init;
mod key;
mod man;
mod migrate;
mod notices;
mod open_files;
mod ops;
mod plan;
mod restore;
mod routes;
mod send;
mod serve;
mod status;
mod targets;
mod token;
mod whoami;
mod whole_file;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, Parser, Subcommand};

use each::each;

use crate::client::api::Api;
use crate::client::{self, Client, ServerUrl};
use crate::config::{self, StoreSettings, StoreUrl};
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::telemetry::{self, LogOptions};

/// The configuration file where none is named.
const CONFIG_FILE: &str = "fanfold.toml";

/// Turns slow, risky, many-sided HTTP changes into durable operations
#[derive(Debug, Parser)]
#[command(name = "fanfold", version, after_help = exit::help())]
#[command(arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    log: LogOptions,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(serve::Serve),
    /// Run the server with sample targets behind it, to try it out
    Demo(crate::demo::Demo),
    /// Check a configuration file and show every mistake
    Check(check::Check),
    /// Make, list and revoke tokens that callers show
    Token(token::Token),
    /// Show who did what, when and from where
    Audit(audit::Audit),
    /// Show what a server takes you for, and what you may do
    Whoami(whoami::Whoami),
    /// Show, change and retire the keys that secrets are encrypted with
    Key(key::Key),
    /// Write a first configuration file, with comments
    Init(init::Init),
    /// Print the JSON Schema of the configuration file, for editors
    Schema,
    /// List, show, watch and cancel operations
    Ops(ops::Ops),
    /// List and answer notes that a person is needed
    Attention(attention::Attention),
    /// Show targets, hold them back and release them
    Targets(targets::Targets),
    /// Show who is told of ends, and send dead letters again
    Notices(notices::Notices),
    /// Accept nothing new; what is under way goes on
    Drain(drain::Drain),
    /// Accept again after a drain
    Resume(drain::Resume),
    /// Show the routes of a server
    Routes(routes::Routes),
    /// Show how a server is doing
    Status(status::Status),
    /// Tell what would become of a request, without recording or sending anything
    Plan(Box<plan::Plan>),
    /// Send a change request and follow its operation to the end
    Send(send::Send),
    /// Back the database up into one file, also while the server runs
    Backup(backup::Backup),
    /// Put a backup in place of a database that is not there
    Restore(restore::Restore),
    /// Write operations out as lines of JSON, also while the server runs
    Export(Box<export::Export>),
    /// Move everything of a database in a file into an empty PostgreSQL database
    Migrate(Box<migrate::Migrate>),
    /// Print a script that completes commands in a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print a manual page, or write all of them into a folder
    Man(man::Man),
}

/// Which configuration file a command reads.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ConfigOption {
    /// The configuration file; goes before --config
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// The configuration file
    #[arg(long, short, env = "FANFOLD_CONFIG", hide_env_values = true, value_name = "FILE", default_value = CONFIG_FILE)]
    config: PathBuf,
}

impl ConfigOption {
    fn path(&self) -> &Path {
        self.file.as_ref().unwrap_or(&self.config)
    }
}

/// Which store a command works on, without asking a server.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Store")]
pub(crate) struct StoreOption {
    #[command(flatten)]
    config: ConfigOption,

    /// The database; then no configuration file is read
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    database: Option<PathBuf>,
}

impl StoreOption {
    fn settings(&self) -> Result<StoreSettings, Failure> {
        match &self.database {
            Some(path) if path.to_str().is_some_and(|path| path.contains("://")) => {
                // Not shown: it may hold a password.
                Err(Failure::Usage("--database takes a file; name a PostgreSQL database in a configuration".to_owned()))
            }
            Some(path) => Ok(StoreSettings::of_file(path.clone())),
            None => Ok(serve::load(self.config.path())?.store),
        }
    }

    /// The file, where only a database in a file will do.
    fn sqlite(&self) -> Result<PathBuf, Failure> {
        match self.settings()?.url {
            StoreUrl::Sqlite { path } => Ok(path),
            StoreUrl::Postgres { .. } => Err(Failure::Usage(
                "this is about a database in a file, and operations are kept in PostgreSQL: back that up with its own means \
                 (pg_basebackup, pg_dump)"
                    .to_owned(),
            )),
        }
    }
}

/// Which server a command talks to, and how it prints what that answers.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct ServerOption {
    /// The URL of the server
    #[arg(long = "server", env = "FANFOLD_SERVER", hide_env_values = true, value_name = "URL")]
    #[arg(default_value = "http://127.0.0.1:8080")]
    url: ServerUrl,

    /// A file that holds the token that the server asks for; without it, the environment variable FANFOLD_TOKEN
    #[arg(long, env = "FANFOLD_TOKEN_FILE", hide_env_values = true, value_name = "FILE")]
    token_file: Option<PathBuf>,

    #[command(flatten)]
    tls: client::TlsOption,

    /// How the answer is printed: a table for people, or json, unchanged, for programs
    #[arg(long, value_enum, default_value_t = Format::default(), value_name = "FORMAT", hide_possible_values = true)]
    output: Format,
}

impl ServerOption {
    /// The native API of the server, for whoever the token is of.
    fn api(&self) -> Result<Api, Failure> {
        let token = match &self.token_file {
            Some(path) => Some(client::Token::in_file(path)?),
            None => client::Token::in_environment(std::env::var_os(client::TOKEN_VARIABLE).as_deref())?,
        };
        Ok(Api::new(Client::new(self.url.clone(), &self.tls.of(&self.url)?).showing(token.as_ref())))
    }
}

/// Reads the command line and does what it says.
pub(crate) fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let Some(failure) = names_nothing(&error) else {
                // A wrong command line ends here, with exit code 2.
                error.exit()
            };
            output::say(&format!("fanfold: {failure}"));
            return failure.exit().into();
        }
    };
    telemetry::start(&cli.log);
    match cli.command.run() {
        Ok(()) => Exit::Done.into(),
        Err(failure) => {
            let exit = failure.exit();
            if exit != Exit::Done {
                output::say(&format!("fanfold: {failure}"));
            }
            exit.into()
        }
    }
}

/// A text that cannot be an id names nothing that is there, as any other id that nothing has: the command line is not wrong.
fn names_nothing(error: &clap::Error) -> Option<Failure> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let is_id =
        error.kind() == ErrorKind::ValueValidation && matches!(text(ContextKind::InvalidArg), Some("<ID>" | "[ID]"));
    let value = text(ContextKind::InvalidValue).filter(|_| is_id)?;
    let like = "an operation has one like 01a20105-6fcf-737a-a77a-ecb48cd483d2, a note has a number";
    Some(Failure::NotFound(format!("nothing has the id {value:?}: {like}")))
}

impl Command {
    fn run(self) -> Result<(), Failure> {
        match self {
            Self::Serve(serve) => serve::run(serve),
            Self::Demo(demo) => crate::demo::run(demo),
            Self::Check(check) => check::run(&check),
            Self::Token(token) => token::run(token),
            Self::Audit(audit) => ask(audit::run(audit)),
            Self::Whoami(whoami) => ask(whoami::run(whoami)),
            Self::Key(key) => ask(key::run(key)),
            Self::Init(init) => init::run(&init),
            Self::Schema => Ok(output::print_line(&format!("{:#}", config::schema()))?),
            Self::Completions { shell } => print_completions(shell),
            Self::Man(man) => man::run(&man),
            Self::Ops(ops) => ask(ops::run(ops)),
            Self::Attention(attention) => ask(attention::run(attention)),
            Self::Targets(targets) => ask(targets::run(targets)),
            Self::Notices(notices) => ask(notices::run(notices)),
            Self::Drain(drain) => ask(drain::drain(drain)),
            Self::Resume(resume) => ask(drain::resume(resume)),
            Self::Routes(routes) => ask(routes::run(routes)),
            Self::Status(status) => ask(status::run(status)),
            Self::Plan(plan) => ask(plan::run(*plan)),
            Self::Send(send) => ask(send::run(send)),
            Self::Backup(backup) => backup::run(&backup),
            Self::Restore(restore) => ask(restore::run(restore)),
            Self::Export(export) => ask(export::run(*export)),
            Self::Migrate(migrate) => ask(migrate::run(*migrate)),
        }
    }
}

/// Runs a command that talks to a server. One thread is enough for it.
fn ask(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(command)
}

fn print_completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "fanfold", &mut script);
    Ok(output::print_octets(&script)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Cli::command().debug_assert();
    }
}
