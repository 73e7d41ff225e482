//! `fanfold audit`: who did what, when and from where.

use std::num::NonZeroUsize;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use fanfold_core::OperationId;
use fanfold_core::access::audit::Action;
use jiff::Timestamp;
use serde::Deserialize;

use super::ServerOption;
use super::ops::{print_json, time};
use crate::failure::Failure;
use crate::output::{Cell, Format, Table, Tone, say};

/// Where the native API keeps the audit trail.
const AUDIT: &str = "/api/v1/audit";

/// `fanfold audit`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each act has two entries: one from before it was done (asked), and one of what came of it.
fanfold export --audit writes the whole trail out without asking a server.")]
pub(crate) struct Audit {
    /// Only what this one did: the name of a token, or whom an issuer vouched for
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Only acts of this kind, such as cancel
    #[arg(long, value_name = "ACTION", value_parser = action(), hide_possible_values = true)]
    action: Option<Action>,
    /// Only what was done with this operation
    #[arg(long, value_name = "ID")]
    operation: Option<OperationId>,
    /// Only from this time on (RFC 3339)
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Only before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// The most entries to list
    #[arg(long, value_name = "COUNT", default_value = "50")]
    limit: NonZeroUsize,

    #[command(flatten)]
    server: ServerOption,
}

/// An entry as the server shows it.
#[derive(Debug, Deserialize)]
struct Entry {
    at: Timestamp,
    tenant: String,
    by: String,
    from: String,
    action: Action,
    operation: Option<OperationId>,
    target: Option<String>,
    subject: Option<String>,
    detail: Option<String>,
    outcome: String,
    reason: Option<String>,
}

pub(super) async fn run(audit: Audit) -> Result<(), Failure> {
    let api = audit.server.api()?;
    let mut pages = api.pages(AUDIT.to_owned(), "audit", audit.query(), audit.limit.get());
    if audit.server.output == Format::Json {
        return print_json(&mut pages).await;
    }
    let mut table = Table::new(&["AT", "TENANT", "BY", "FROM", "ACTION", "ON", "OUTCOME"]);
    let mut is_empty = true;
    while let Some(entry) = pages.next().await? {
        table.row(row(&api.parse(&entry)?));
        is_empty = false;
    }
    if is_empty {
        say("no entries");
        return Ok(());
    }
    Ok(table.print()?)
}

impl Audit {
    fn query(&self) -> Vec<(String, String)> {
        let pairs = [
            ("by", self.by.clone()),
            ("action", self.action.map(|action| action.to_string())),
            ("operation", self.operation.map(|id| id.to_string())),
            ("since", self.since.map(|at| at.to_string())),
            ("until", self.until.map(|at| at.to_string())),
        ];
        pairs.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

fn row(entry: &Entry) -> [Cell; 7] {
    let operation = entry.operation.map(|id| id.to_string());
    let on = [&operation, &entry.target, &entry.subject, &entry.detail].into_iter().flatten();
    let on = on.map(String::as_str).collect::<Vec<_>>().join(", ");
    let outcome = match &entry.reason {
        Some(reason) => Cell::toned(Tone::Bad, format!("{}: {reason}", entry.outcome)),
        None => Cell::plain(entry.outcome.as_str()),
    };
    [
        Cell::plain(time(entry.at)),
        Cell::plain(entry.tenant.as_str()),
        Cell::plain(entry.by.as_str()),
        Cell::plain(entry.from.as_str()),
        Cell::plain(entry.action.as_str()),
        Cell::plain(on),
        outcome,
    ]
}

fn action() -> impl TypedValueParser<Value = Action> {
    PossibleValuesParser::new(Action::ALL.map(Action::as_str)).try_map(|word| word.parse::<Action>())
}
