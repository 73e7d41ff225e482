//! `fanfold ops release`: what was restored from a backup goes on.

use fanfold_core::OperationId;
use fanfold_core::dialect::native::{OPERATIONS, operation_path};
use serde::Deserialize;
use serde_json::json;

use super::Which;
use crate::client::api::{Api, encode};
use crate::commands::ServerOption;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, print_line, printable, say};

/// `fanfold ops release`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
After a restore nothing is sent for what had not ended when the backup was made: the backup does not know what has
happened since. Released, an operation goes on from where the backup has it. To end one for which nothing is to be
sent, cancel it.")]
pub(super) struct Release {
    /// The operations to release; without any, those that the options choose
    #[arg(value_name = "ID")]
    ids: Vec<OperationId>,
    /// All that wait to be released
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    #[command(flatten)]
    which: Which,
    /// Only tell how many there are
    #[arg(long, conflicts_with = "ids")]
    dry_run: bool,
    /// Why, for whoever looks
    #[arg(long, value_name = "TEXT")]
    remark: Option<String>,

    #[command(flatten)]
    server: ServerOption,
}

/// What one request found and did.
#[derive(Debug, Deserialize)]
struct Done {
    found: u64,
    released: u64,
    refused: Vec<Refused>,
    next_page_token: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Refused {
    operation: OperationId,
    detail: String,
}

pub(super) async fn run(release: Release) -> Result<(), Failure> {
    let chosen = release.which.query();
    match (release.ids.is_empty(), release.all, chosen.is_empty()) {
        (false, _, false) => Err(Failure::Usage("name operations, or choose them by options, not both".to_owned())),
        (true, false, true) => Err(Failure::Usage(
            "name operations, choose them by options (--route, --target ...), or say --all".to_owned(),
        )),
        (true, true, false) => Err(Failure::Usage("--all does not go with options that choose some".to_owned())),
        (false, _, true) => named(&release).await,
        (true, _, _) => filtered(&release, chosen).await,
    }
}

async fn named(release: &Release) -> Result<(), Failure> {
    let api = Api::new(release.server.url.clone());
    let body = json!({ "remark": release.remark });
    let (mut refused, mut worst) = (0, Exit::Done);
    for id in &release.ids {
        match api.post(format!("{}/release", operation_path(*id)), Some(&body)).await {
            Ok(json) if release.server.output == Format::Json => print_line(json.get())?,
            Ok(_) => say(&format!("operation {id} is released")),
            Err(failure) => {
                say(&format!("operation {id}: {}", printable(&failure.to_string())));
                refused += 1;
                worst = worst.max(failure.exit());
            }
        }
    }
    if refused > 0 { Err(Failure::NotAll { refused, all: release.ids.len(), worst }) } else { Ok(()) }
}

/// Page by page, since a request looks at so many at the most.
async fn filtered(release: &Release, chosen: Vec<(String, String)>) -> Result<(), Failure> {
    let api = Api::new(release.server.url.clone());
    let body = json!({ "remark": release.remark, "dry_run": release.dry_run });
    let (mut found, mut released, mut token) = (0, 0, None);
    loop {
        let mut query = chosen.clone();
        query.extend(token.map(|token: String| ("page_token".to_owned(), token)));
        let done: Done = api.parse(&api.post(format!("{OPERATIONS}/release{}", encode(&query)), Some(&body)).await?)?;
        for Refused { operation, detail } in &done.refused {
            say(&format!("operation {operation}: {}", printable(detail)));
        }
        found += done.found;
        released += done.released;
        token = done.next_page_token;
        if token.is_none() {
            break;
        }
    }
    match release.server.output {
        Format::Json => print_line(&json!({ "found": found, "released": released }).to_string())?,
        Format::Table if release.dry_run => say(&format!("{found} wait to be released; nothing was changed")),
        Format::Table => say(&format!("released {released} of {found}")),
    }
    let refused = usize::try_from(found - released).unwrap_or(usize::MAX);
    if release.dry_run || refused == 0 {
        return Ok(());
    }
    Err(Failure::NotAll { refused, all: usize::try_from(found).unwrap_or(usize::MAX), worst: Exit::Refused })
}
