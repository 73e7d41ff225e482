//! `fanfold plan`: what would become of a request, without anything being recorded or sent.

mod show;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fanfold_core::TargetName;
use fanfold_core::dialect::native::{Content, PlanForm, PlanOutcome, PlanRequest, SampleAnswer};
use http::Method;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use serde_json::json;
use tempfile::TempDir;

use super::send::{header, method, path, read_data};
use super::{ServerOption, serve};
use crate::assemble;
use crate::client::api::PLAN;
use crate::config::StoreSettings;
use crate::failure::Failure;
use crate::opened::OpenStore;
use crate::output::{Format, print_line};

/// `fanfold plan`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Nothing is recorded or sent. The exit code is 0 if the request would be accepted, passed through or answered by Fanfold
itself, and 7 if it would be refused. With --config no server is needed: the plan is that of a server which has just been
started with that file and knows of no operations.")]
pub(crate) struct Plan {
    /// The method, such as POST
    #[arg(value_parser = method)]
    method: Method,
    /// Path and query, such as /things/1
    #[arg(value_name = "PATH", value_parser = path)]
    path: String,
    /// The body: text, or @FILE for the content of a file, or @- for standard input
    #[arg(long, short, value_name = "TEXT|@FILE")]
    data: Option<String>,
    /// A header field; may be given several times. A body is taken for application/json unless one says otherwise
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// What a target is taken to answer, so that its undo is shown in full: tokyo=201, 'tokyo=201:{"id":7}', tokyo=201:@FILE;
    /// once for each target
    #[arg(long = "answer", short, value_name = "TARGET=STATUS[:BODY]", value_parser = sample)]
    answers: Vec<Sample>,
    /// Plan by this configuration file, without a server
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    server: ServerOption,
}

/// What a target is taken to answer, as it is typed.
#[derive(Debug, Clone)]
struct Sample {
    target: TargetName,
    status: u16,
    body: Option<String>,
}

pub(super) async fn run(plan: Plan) -> Result<(), Failure> {
    let asked = plan.request()?;
    let (json, form) = match &plan.config {
        Some(file) => {
            let form = offline(file, &asked).await?;
            (json!(form).to_string(), form)
        }
        None => {
            let api = plan.server.api()?;
            let answer = api.post(PLAN, Some(&json!(asked))).await.map_err(mistyped)?;
            (answer.get().to_owned(), api.parse::<PlanForm>(&answer)?)
        }
    };
    match plan.server.output {
        Format::Json => print_line(&json)?,
        Format::Table => show::print(&plan.method, &plan.path, &form)?,
    }
    match form.outcome {
        PlanOutcome::Accepted | PlanOutcome::PassedThrough | PlanOutcome::OwnPath => Ok(()),
        PlanOutcome::Refused => Err(Failure::WouldBeRefused),
    }
}

/// By a server of this configuration that listens nowhere, and keeps its operations, of which there are none, in a folder that
/// goes with it.
async fn offline(file: &Path, asked: &PlanRequest) -> Result<PlanForm, Failure> {
    let settings = serve::load(file)?;
    let folder = TempDir::with_prefix("fanfold-plan-");
    let folder = folder.map_err(|error| Failure::File { path: std::env::temp_dir(), error })?;
    let store = StoreSettings::of_file(folder.path().join("fanfold.db"));
    let store = OpenStore::open(&store).await.map_err(Failure::Store)?;
    let planner = assemble::planner(&settings, store).await?;
    let planned = planner.plan(asked).await;
    planner.close().await?;
    planned.map_err(|refusal| Failure::Usage(refusal.to_string()))
}

/// A question that is none is the mistake of who typed it, with a server as without one; that a request would be refused is an
/// answer.
fn mistyped(failure: Failure) -> Failure {
    match failure {
        Failure::Refused { status: 400, detail } => Failure::Usage(detail),
        other => other,
    }
}

impl Plan {
    fn request(&self) -> Result<PlanRequest, Failure> {
        let bodies = self.data.iter().chain(self.answers.iter().filter_map(|answer| answer.body.as_ref()));
        if bodies.filter(|body| *body == "@-").count() > 1 {
            return Err(Failure::Usage(
                "standard input is read once: give @- for one body, and @FILE for others".to_owned(),
            ));
        }
        let body = self.data.as_deref().map(read_data).transpose()?;
        let mut headers = Vec::new();
        for (name, value) in &self.headers {
            let value = std::str::from_utf8(value.as_bytes());
            let value =
                value.map_err(|_| Failure::Usage(format!("the value of the header field {name} is not UTF-8")))?;
            headers.push((name.as_str().to_owned(), value.to_owned()));
        }
        if body.is_some() && !self.headers.iter().any(|(name, _)| name == CONTENT_TYPE) {
            headers.push((CONTENT_TYPE.as_str().to_owned(), "application/json".to_owned()));
        }
        let mut answers = BTreeMap::new();
        for Sample { target, status, body } in &self.answers {
            let octets = body.as_deref().map(read_data).transpose()?.unwrap_or_default();
            let answer = SampleAnswer { status: *status, headers: Vec::new(), body: Content::of(&octets) };
            if answers.insert(target.clone(), answer).is_some() {
                return Err(Failure::Usage(format!("there are two answers of {target}")));
            }
        }
        Ok(PlanRequest {
            method: self.method.to_string(),
            uri: self.path.clone(),
            headers,
            body: Content::of(&body.unwrap_or_default()),
            answers,
        })
    }
}

fn sample(text: &str) -> Result<Sample, String> {
    const HINT: &str = "write it as in tokyo=201, or tokyo=201:{\"id\":7}, with a status from 200 to 599";
    let (target, rest) = text.split_once('=').ok_or(HINT)?;
    let (status, body) = rest.split_once(':').map_or((rest, None), |(status, body)| (status, Some(body.to_owned())));
    let status = status.parse::<u16>().ok().filter(|status| (200..=599).contains(status)).ok_or(HINT)?;
    Ok(Sample { target: target.into(), status, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sample_answers_are_read() {
        let Sample { target, status, body } = sample("tokyo=201:{\"id\":\"a=b\"}").unwrap();
        assert_eq!((target.as_str(), status, body.as_deref()), ("tokyo", 201, Some("{\"id\":\"a=b\"}")));
        assert_eq!(sample("tokyo=204").unwrap().body, None);
        for bad in ["tokyo", "tokyo=", "tokyo=x", "tokyo=99", "tokyo=600:x"] {
            assert!(sample(bad).is_err(), "{bad}");
        }
    }
}
