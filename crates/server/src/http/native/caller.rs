//! Who somebody is for this server, and what they may do.

use fanfold_core::Role;
use schemars::JsonSchema;
use serde::Serialize;

use super::json;
use super::query::Query;
use crate::http::outcome::{Response, Stop};
use crate::http::visit::Visit;

/// Whoever asks.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Caller")]
pub(super) struct CallerForm<'a> {
    /// The name that stands in the history of what they do.
    name: &'a str,
    /// Whose operations they see.
    tenant: &'a str,
    /// What they are known by: `machine` (where no credentials are asked for), `certificate` (shown as they
    /// connected), `fixed_token` (of the configuration), `token`, `issuer` (one that OpenID Connect or Keystone vouches for).
    #[schemars(extend("enum" = ["machine", "certificate", "fixed_token", "token", "issuer"]))]
    credential: &'static str,
    roles: Vec<Role>,
    /// The routes that this is about; null: all.
    routes: Option<Vec<&'a str>>,
    /// The targets that this is about; null: all.
    targets: Option<Vec<&'a str>>,
}

/// `GET /caller`
pub(super) fn show(visit: &Visit) -> Result<Response, Stop> {
    Query::read(visit.query(), &[])?;
    let caller = &visit.caller;
    let scope = &caller.access.scope;
    Ok(json(&CallerForm {
        name: &caller.name,
        tenant: caller.access.tenant.as_str(),
        credential: caller.credential.as_str(),
        roles: caller.access.roles.iter().copied().collect(),
        routes: scope.routes.as_ref().map(|routes| routes.iter().map(String::as_str).collect()),
        targets: scope.targets.as_ref().map(|targets| targets.iter().map(fanfold_core::TargetName::as_str).collect()),
    }))
}
