//! `fanfold token`: the tokens that callers show.

mod create;
mod list;
mod new;

pub(super) use list::{only_for, roles};

use super::{ServerOption, each};
use crate::client::api::{Api, segment};
use crate::failure::Failure;
use crate::output::{Format, one_line, print_line, say};

/// Where the native API keeps tokens.
const TOKENS: &str = "/api/v1/tokens";

/// `fanfold token`
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Token {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a token that the server keeps, and print its secret: good at once, until it is revoked
    Create(create::Create),
    /// List the tokens that the server keeps, the newest first
    List(list::List),
    /// Revoke tokens: they are good nowhere a second later, and what is open with them ends
    Revoke {
        /// The ids of the tokens, as the list has them
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,

        #[command(flatten)]
        server: ServerOption,
    },
    /// Make a token for the configuration file, without asking a server: print its secret, and what belongs into the file
    New(new::New),
}

pub(super) fn run(token: Token) -> Result<(), Failure> {
    match token.command {
        Command::New(new) => new::run(&new),
        Command::Create(create) => super::ask(create::run(create)),
        Command::List(list) => super::ask(list::run(list)),
        Command::Revoke { ids, server } => super::ask(revoke(&ids, &server)),
    }
}

async fn revoke(ids: &[String], server: &ServerOption) -> Result<(), Failure> {
    let api = server.api()?;
    let refused = |id: &String, failure: &Failure| say(&format!("token {id} is not revoked: {failure}"));
    each(ids, async |id| revoke_one(&api, id, server.output).await, refused).await
}

async fn revoke_one(api: &Api, id: &str, format: Format) -> Result<(), Failure> {
    let json = api.post(format!("{TOKENS}/{}/revoke", segment(id)), None).await?;
    match format {
        Format::Table => say(&format!("token {id} is revoked")),
        Format::Json => print_line(&one_line(&json))?,
    }
    Ok(())
}
