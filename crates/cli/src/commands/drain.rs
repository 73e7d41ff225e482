//! `fanfold drain` and `fanfold resume`: accepting nothing any more, and accepting again.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::ServerOption;
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
    let api = drain.server.api()?;
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
    print(drain.server.output, &json, outcome_of_drain(&state))
}

fn outcome_of_drain(state: &State) -> Result<&'static str, Failure> {
    match state {
        State { draining: false, .. } => Err(Failure::NotAsAsked(
            "the server does not drain any more: somebody told it to accept again, or it was started again",
        )),
        State { drained: true, .. } => Ok("drained: nothing is under way any more"),
        State { .. } => Ok("draining: nothing more is accepted, what is under way goes on"),
    }
}

pub(super) async fn resume(resume: Resume) -> Result<(), Failure> {
    let api = resume.server.api()?;
    let json = api.post("/api/v1/resume", None).await?;
    print(resume.server.output, &json, outcome_of_resume(&api.parse(&json)?))
}

fn outcome_of_resume(state: &State) -> Result<&'static str, Failure> {
    if state.draining {
        return Err(Failure::NotAsAsked("the server does not accept again: it is about to stop"));
    }
    Ok("accepting")
}

/// What the server said is printed even if it is not what was asked for.
fn print(format: Format, json: &RawValue, outcome: Result<&'static str, Failure>) -> Result<(), Failure> {
    if format == Format::Json {
        print_line(json.get())?;
    }
    let words = outcome?;
    if format == Format::Table {
        say(words);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_come_as_asked_is_a_failure() {
        let code = |outcome: Result<&str, Failure>| outcome.err().map(|failure| failure.exit().number());
        for (draining, drained, of_drain, of_resume) in
            [(true, false, None, Some(1)), (true, true, None, Some(1)), (false, false, Some(1), None)]
        {
            let state = State { draining, drained };
            assert_eq!((code(outcome_of_drain(&state)), code(outcome_of_resume(&state))), (of_drain, of_resume));
        }
    }
}
