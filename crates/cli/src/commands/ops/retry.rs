//! `fanfold ops retry`

use fanfold_core::OperationId;
use fanfold_core::dialect::native::{AcceptedForm, operation_path};
use serde_json::json;

use super::bulk::{Chosen, Words};
use crate::client::api::Api;
use crate::failure::Failure;
use crate::output::{Format, print_line, say};

const WORDS: Words = Words { verb: "retry", done: "retried", says_all: true };

/// `fanfold ops retry`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without ids the options choose operations that failed or were canceled; --dry-run tells first which
targets would be called for each.")]
pub(super) struct Retry {
    /// Call those targets again, too, of which it is not known whether they applied the request
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    chosen: Chosen,
}

pub(super) async fn run(retry: Retry) -> Result<(), Failure> {
    let Retry { chosen, force } = retry;
    let body = json!({ "force": force });
    chosen.run(WORDS, body, async |api, id, format| one(api, id, force, format).await).await
}

async fn one(api: &Api, id: OperationId, force: bool, format: Format) -> Result<(), Failure> {
    let json = api.post(format!("{}/retry", operation_path(id)), Some(&json!({ "force": force }))).await?;
    if format == Format::Json {
        return Ok(print_line(json.get())?);
    }
    let accepted: AcceptedForm = api.parse(&json)?;
    say(&format!("operation {} retries {id}; \"fanfold ops watch {0}\" follows it", accepted.id));
    Ok(())
}
