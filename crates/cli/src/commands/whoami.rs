//! `fanfold whoami`: what a server takes its caller for.

use fanfold_core::Role;
use serde::Deserialize;

use super::{ServerOption, token};
use crate::client::api::Api;
use crate::failure::Failure;
use crate::output::{Cell, Format, Table, print_line};

/// Where the native API tells callers who they are.
const CALLER: &str = "/api/v1/caller";

/// `fanfold whoami`
#[derive(Debug, clap::Args)]
pub(crate) struct Whoami {
    #[command(flatten)]
    server: ServerOption,
}

#[derive(Debug, Deserialize)]
struct Caller {
    name: String,
    tenant: String,
    credential: String,
    roles: Vec<Role>,
    routes: Option<Vec<String>>,
    targets: Option<Vec<String>>,
}

/// Whether the caller may see operations.
pub(super) async fn may_read(api: &Api) -> Result<bool, Failure> {
    let caller: Caller = api.parse(&api.get(CALLER).await?)?;
    Ok(caller.roles.iter().any(|role| matches!(role, Role::Read | Role::Operate | Role::Admin)))
}

pub(super) async fn run(whoami: Whoami) -> Result<(), Failure> {
    let api = whoami.server.api()?;
    let json = api.get(CALLER).await?;
    if whoami.server.output == Format::Json {
        return Ok(print_line(json.get())?);
    }
    let caller: Caller = api.parse(&json)?;
    let mut table = Table::bare();
    let mut fact = |name: &str, text: String| table.row([Cell::plain(name), Cell::plain(text)]);
    fact("name", caller.name);
    fact("tenant", caller.tenant);
    fact("known by", caller.credential.replace('_', " "));
    fact("roles", token::roles(&caller.roles));
    fact("only for", token::only_for(caller.routes.as_deref(), caller.targets.as_deref()));
    Ok(table.print()?)
}
