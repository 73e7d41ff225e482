//! `fanfold ops retry`

use fanfold_core::OperationId;
use fanfold_core::dialect::native::{AcceptedForm, operation_path};
use serde_json::json;

use crate::client::api::Api;
use crate::commands::ServerOption;
use crate::failure::Failure;
use crate::output::{Format, print_line, say};

/// `fanfold ops retry`
#[derive(Debug, clap::Args)]
pub(super) struct Retry {
    /// The id of the operation
    id: OperationId,
    /// Call those targets again, too, of which it is not known whether they applied the request
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    server: ServerOption,
}

pub(super) async fn run(retry: Retry) -> Result<(), Failure> {
    let api = Api::new(retry.server.url);
    let body = json!({ "force": retry.force });
    let json = api.post(format!("{}/retry", operation_path(retry.id)), Some(&body)).await?;
    if retry.server.output == Format::Json {
        return Ok(print_line(json.get())?);
    }
    let accepted: AcceptedForm = api.parse(&json)?;
    say(&format!("operation {} retries {}; \"fanfold ops watch {0}\" follows it", accepted.id, retry.id));
    Ok(())
}
