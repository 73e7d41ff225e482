//! `fanfold token new`

use fanfold_core::Role;
use fanfold_core::access::Secret;
use fanfold_core::access::secret::OCTETS;
use fanfold_engine::{Clock as _, SystemClock};

use crate::failure::Failure;
use crate::output::{print_line, say};

/// `fanfold token new`
#[derive(Debug, clap::Args)]
pub(super) struct New {
    /// Who will show it, as it will stand in the history of operations
    #[arg(long, value_name = "NAME", default_value = "admin")]
    name: String,

    /// What its owner may do: submit, read, operate, monitor, admin
    #[arg(long = "role", value_name = "ROLE", value_delimiter = ',', default_value = "admin")]
    roles: Vec<Role>,
}

/// Nothing is kept: what is printed is all there is of it.
pub(super) fn run(new: &New) -> Result<(), Failure> {
    let mut octets = [0; OCTETS];
    SystemClock.fill(&mut octets);
    let secret = Secret::from_random(octets);
    let roles: Vec<String> = new.roles.iter().map(|role| format!("\"{role}\"")).collect();
    say("The secret is shown this once. Below it is what belongs into the configuration file, beside [auth]:");
    print_line(&format!(
        "{}\n\n[[auth.tokens]]\nname = {}\nsha256 = \"{}\"\nroles = [{}]",
        secret.expose(),
        serde_json::Value::from(new.name.as_str()),
        secret.digest(),
        roles.join(", ")
    ))?;
    Ok(())
}
