//! `fanfold ops release`: what was restored from a backup goes on.

use fanfold_core::OperationId;
use fanfold_core::dialect::native::operation_path;
use serde_json::{Value, json};

use super::bulk::{Chosen, Words};
use crate::client::api::Api;
use crate::failure::Failure;
use crate::output::{Format, print_line, say};

const WORDS: Words = Words { verb: "release", done: "released", says_all: false };

/// `fanfold ops release`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
After a restore nothing is sent for what had not ended when the backup was made: the backup does not know what has
happened since. Released, an operation goes on from where the backup has it. To end one for which nothing is to be
sent, cancel it.")]
pub(super) struct Release {
    /// Why, for whoever looks
    #[arg(long, value_name = "TEXT")]
    remark: Option<String>,
    #[command(flatten)]
    chosen: Chosen,
}

pub(super) async fn run(release: Release) -> Result<(), Failure> {
    let body = json!({ "remark": release.remark });
    let one = async |api: &Api, id, format| one(api, id, &body, format).await;
    release.chosen.run(WORDS, body.clone(), one).await
}

async fn one(api: &Api, id: OperationId, body: &Value, format: Format) -> Result<(), Failure> {
    let json = api.post(format!("{}/release", operation_path(id)), Some(body)).await?;
    match format {
        Format::Json => print_line(json.get())?,
        Format::Table => say(&format!("operation {id} is released")),
    }
    Ok(())
}
