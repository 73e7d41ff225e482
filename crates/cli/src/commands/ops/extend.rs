//! `fanfold ops extend`

use fanfold_core::OperationId;
use fanfold_core::dialect::native::{OperationDetail, operation_path};
use serde_json::json;

use super::show::time;
use crate::commands::ServerOption;
use crate::failure::Failure;
use crate::output::{Format, print_line, say};

/// `fanfold ops extend`
#[derive(Debug, clap::Args)]
pub(super) struct Extend {
    /// The id of the operation
    id: OperationId,
    /// By how much, from what it is now: 30m, 2h, 7d
    #[arg(long, value_name = "SPAN", conflicts_with = "until", required_unless_present = "until")]
    by: Option<String>,
    /// To which time: 2026-11-21T10:00:00Z
    #[arg(long, value_name = "TIME")]
    until: Option<String>,

    #[command(flatten)]
    server: ServerOption,
}

pub(super) async fn run(extend: Extend) -> Result<(), Failure> {
    let body = match (&extend.by, &extend.until) {
        (Some(by), _) => json!({ "by": by }),
        (None, until) => json!({ "until": until }),
    };
    let api = extend.server.api()?;
    let json = api.post(format!("{}/extend", operation_path(extend.id)), Some(&body)).await?;
    if extend.server.output == Format::Json {
        return Ok(print_line(json.get())?);
    }
    let detail: OperationDetail = api.parse(&json)?;
    say(&match detail.deadline_at {
        Some(at) => format!("the deadline of operation {} is {}", extend.id, time(at)),
        None => format!("the deadline of operation {} is moved, and stands still while a person is awaited", extend.id),
    });
    Ok(())
}
