//! `fanfold token`: the tokens that callers show.

use fanfold_core::access::Secret;
use fanfold_engine::{Clock as _, SystemClock};

use crate::failure::Failure;
use crate::output::{print_line, say};

/// `fanfold token`
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Token {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a token for the configuration file, without asking a server: print its secret, and what belongs into the file
    New {
        /// Who will show it, as it will stand in the history of operations
        #[arg(long, value_name = "NAME", default_value = "admin")]
        name: String,

        /// What its owner may do: submit, read, operate, monitor, admin
        #[arg(long = "role", value_name = "ROLE", value_delimiter = ',', default_value = "admin")]
        roles: Vec<fanfold_core::Role>,
    },
}

pub(super) fn run(token: &Token) -> Result<(), Failure> {
    match &token.command {
        Command::New { name, roles } => new(name, roles),
    }
}

/// Nothing is kept: what is printed is all there is of it.
fn new(name: &str, roles: &[fanfold_core::Role]) -> Result<(), Failure> {
    let mut octets = [0; fanfold_core::access::secret::OCTETS];
    SystemClock.fill(&mut octets);
    let secret = Secret::from_random(octets);
    let roles: Vec<String> = roles.iter().map(|role| format!("\"{role}\"")).collect();
    say("The secret is shown this once. Below it is what belongs into the configuration file, beside [auth]:");
    print_line(&format!(
        "{}\n\n[[auth.tokens]]\nname = {}\nsha256 = \"{}\"\nroles = [{}]",
        secret.expose(),
        serde_json::Value::from(name),
        secret.digest(),
        roles.join(", ")
    ))?;
    Ok(())
}
