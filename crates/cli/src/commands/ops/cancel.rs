//! `fanfold ops cancel`

use fanfold_core::OperationId;
use fanfold_core::operation::WaitingFor;
use serde_json::json;

use super::bulk::{Chosen, Words};
use super::print;
use crate::client::api::{Api, Shown};
use crate::failure::Failure;
use crate::output::{Format, say};

const WORDS: Words = Words { verb: "cancel", done: "canceled", says_all: true };

/// `fanfold ops cancel`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without ids the options choose operations that have not ended; --dry-run tells first what canceling each would do.")]
pub(super) struct Cancel {
    #[command(flatten)]
    chosen: Chosen,
}

pub(super) async fn run(cancel: Cancel) -> Result<(), Failure> {
    cancel.chosen.run(WORDS, json!({}), one).await
}

async fn one(api: &Api, id: OperationId, format: Format) -> Result<(), Failure> {
    let shown = api.cancel(id).await?;
    match format {
        Format::Json => print(&shown, Format::Json),
        Format::Table => {
            tell(&shown);
            Ok(())
        }
    }
}

fn tell(shown: &Shown) {
    let summary = &shown.detail.summary;
    if summary.status.is_terminal() {
        say(&format!("operation {} is {}", summary.id, summary.status));
        return;
    }
    say(&format!("operation {} is being canceled; \"fanfold ops watch {0}\" follows it", summary.id));
    if shown.detail.waiting_for.iter().any(|waiting| matches!(waiting, WaitingFor::Person { .. })) {
        say(&format!("a person has to answer first; \"fanfold ops get {}\" tells what", summary.id));
    }
}
