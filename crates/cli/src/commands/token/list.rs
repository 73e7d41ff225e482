//! `fanfold token list`

use std::num::NonZeroUsize;

use fanfold_core::Role;
use fanfold_engine::{Clock as _, SystemClock};
use jiff::Timestamp;
use serde::Deserialize;

use super::{ServerOption, TOKENS};
use crate::commands::ops::{print_json, time};
use crate::failure::Failure;
use crate::output::{Cell, Format, Table, Tone, say};

/// `fanfold token list`
#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// The most tokens to list
    #[arg(long, value_name = "COUNT", default_value = "50")]
    limit: NonZeroUsize,

    #[command(flatten)]
    server: ServerOption,
}

/// A token as the server shows it.
#[derive(Debug, Deserialize)]
pub(super) struct Token {
    pub(super) id: String,
    pub(super) name: String,
    tenant: String,
    roles: Vec<Role>,
    routes: Option<Vec<String>>,
    targets: Option<Vec<String>>,
    expires_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
}

pub(super) async fn run(list: List) -> Result<(), Failure> {
    let api = list.server.api()?;
    let mut pages = api.pages(TOKENS.to_owned(), "tokens", Vec::new(), list.limit.get());
    if list.server.output == Format::Json {
        return print_json(&mut pages).await;
    }
    let now = SystemClock.now();
    let mut table = Table::new(&["ID", "NAME", "TENANT", "ROLES", "ONLY FOR", "LAST USED", "STATE"]);
    let mut is_empty = true;
    while let Some(entry) = pages.next().await? {
        table.row(row(&api.parse(&entry)?, now));
        is_empty = false;
    }
    if is_empty {
        say("no tokens");
        return Ok(());
    }
    Ok(table.print()?)
}

fn row(token: &Token, now: Timestamp) -> [Cell; 7] {
    [
        Cell::plain(token.id.as_str()),
        Cell::plain(token.name.as_str()),
        Cell::plain(token.tenant.as_str()),
        Cell::plain(roles(&token.roles)),
        Cell::plain(only_for(token.routes.as_deref(), token.targets.as_deref())),
        Cell::plain(token.last_used_at.map_or_else(|| "never".to_owned(), time)),
        state(token, now),
    ]
}

/// The roles of a token, or of a caller.
pub(in crate::commands) fn roles(roles: &[Role]) -> String {
    let roles: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
    if roles.is_empty() { "none".to_owned() } else { roles.join(", ") }
}

/// What a token, or a caller, is narrowed to.
pub(in crate::commands) fn only_for(routes: Option<&[String]>, targets: Option<&[String]>) -> String {
    let some = |what: &str, names: Option<&[String]>| Some(format!("{what} {}", names?.join(", ")));
    let parts: Vec<String> = some("routes", routes).into_iter().chain(some("targets", targets)).collect();
    if parts.is_empty() { "-".to_owned() } else { parts.join("; ") }
}

fn state(token: &Token, now: Timestamp) -> Cell {
    match (token.revoked_at, token.expires_at) {
        (Some(at), _) => Cell::toned(Tone::Bad, format!("revoked {}", time(at))),
        (None, Some(at)) if at <= now => Cell::toned(Tone::Bad, format!("expired {}", time(at))),
        (None, Some(at)) => Cell::toned(Tone::Good, format!("good until {}", time(at))),
        (None, None) => Cell::toned(Tone::Good, "good"),
    }
}
