//! `fanfold token create`

use fanfold_core::Role;
use serde::Deserialize;
use serde_json::{Value, json};

use super::list::Token;
use super::{ServerOption, TOKENS};
use crate::failure::Failure;
use crate::output::{Format, print_line, say};

/// `fanfold token create`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The secret is all that goes to standard output, and is shown this once: fanfold token create ci --role submit > ci.token
Nobody can give more than they have: without --tenant, --route and --target a token is for what your own is for.")]
pub(super) struct Create {
    /// Who will show it, as it will stand in the history of operations
    name: String,
    /// What its owner may do: submit, read, operate, monitor, admin; several with commas between
    #[arg(long = "role", value_name = "ROLE", value_delimiter = ',', required = true)]
    roles: Vec<Role>,
    /// Whose operations it is for
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// Only for this route; may be given several times
    #[arg(long = "route", value_name = "NAME")]
    routes: Vec<String>,
    /// Only for this target; may be given several times
    #[arg(long = "target", value_name = "NAME")]
    targets: Vec<String>,
    /// How long it is good, such as 12h or 90d; without, until it is revoked
    #[arg(long, value_name = "SPAN")]
    expires_in: Option<String>,

    #[command(flatten)]
    server: ServerOption,
}

#[derive(Debug, Deserialize)]
struct Created {
    secret: String,
    token: Token,
}

pub(super) async fn run(create: Create) -> Result<(), Failure> {
    let api = create.server.api()?;
    let json = api.post(format!("{TOKENS}/create"), Some(&create.body())).await?;
    if create.server.output == Format::Json {
        return Ok(print_line(json.get())?);
    }
    let Created { secret, token } = api.parse(&json)?;
    say(&format!("token {} of {}; its secret is shown this once:", token.id, token.name));
    Ok(print_line(&secret)?)
}

impl Create {
    fn body(&self) -> Value {
        let some = |names: &[String]| (!names.is_empty()).then(|| json!(names));
        let members = [
            ("name", Some(json!(self.name))),
            ("roles", Some(json!(self.roles))),
            ("tenant", self.tenant.as_ref().map(|tenant| json!(tenant))),
            ("routes", some(&self.routes)),
            ("targets", some(&self.targets)),
            ("expires_in", self.expires_in.as_ref().map(|span| json!(span))),
        ];
        members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}
