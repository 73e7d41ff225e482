//! `fanfold drain` and `fanfold resume`: accepting nothing any more, and accepting again.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::ServerOption;
use crate::client::api::Api;
use crate::failure::Failure;
use crate::output::{Format, print_line, say};

/// How often a server is asked whether it is drained.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// `fanfold drain`
#[derive(Debug, clap::Args)]
pub(crate) struct Drain {
    /// Wait until nothing is under way any more
    #[arg(long)]
    wait: bool,

    #[command(flatten)]
    server: ServerOption,
}

/// `fanfold resume`
#[derive(Debug, clap::Args)]
pub(crate) struct Resume {
    #[command(flatten)]
    server: ServerOption,
}

/// What the server says about it, here and in its status.
#[derive(Debug, Deserialize)]
struct State {
    draining: bool,
    drained: bool,
}

pub(super) async fn drain(drain: Drain) -> Result<(), Failure> {
    let api = Api::new(drain.server.url);
    let mut json = api.post("/api/v1/drain", None).await?;
    let mut state: State = api.parse(&json)?;
    if drain.wait && !state.drained {
        say("nothing more is accepted; waiting for what is under way");
    }
    while drain.wait && state.draining && !state.drained {
        tokio::time::sleep(ASK_EVERY).await;
        json = api.get("/api/v1/status").await?;
        state = api.parse(&json)?;
    }
    let words = match state {
        State { draining: false, .. } => "the server was told to accept again",
        State { drained: true, .. } => "drained: nothing is under way any more",
        State { .. } => "draining: nothing more is accepted, what is under way goes on",
    };
    print(drain.server.output, &json, words)
}

pub(super) async fn resume(resume: Resume) -> Result<(), Failure> {
    let api = Api::new(resume.server.url);
    let json = api.post("/api/v1/resume", None).await?;
    let State { draining, .. } = api.parse(&json)?;
    print(resume.server.output, &json, if draining { "the server is about to stop" } else { "accepting" })
}

fn print(format: Format, json: &RawValue, words: &str) -> Result<(), Failure> {
    match format {
        Format::Table => say(words),
        Format::Json => print_line(json.get())?,
    }
    Ok(())
}
