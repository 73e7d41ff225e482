//! What is done with operations that are named, one by one, or with all that options choose: page by page, since a request looks at
//! so many at the most.

use fanfold_core::OperationId;
use fanfold_core::dialect::native::OPERATIONS;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Which;
use crate::client::api::{Api, encode};
use crate::commands::{ServerOption, each};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Cell, Format, Table, one_line, print_line, printable, say};

/// Which operations: those that are named, those that options choose, or all.
#[derive(Debug, clap::Args)]
pub(super) struct Chosen {
    /// The operations; without any, those that the options choose
    #[arg(value_name = "ID")]
    ids: Vec<OperationId>,
    /// All that it can be done with
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    #[command(flatten)]
    which: Which,
    /// Only tell what would be done; nothing is changed
    #[arg(long, conflicts_with = "ids")]
    dry_run: bool,

    #[command(flatten)]
    server: ServerOption,
}

/// What one request found and did.
#[derive(Debug, Deserialize)]
struct Page {
    /// With which it was done, where each is told.
    #[serde(default)]
    operations: Vec<Done>,
    /// How many there are, those that were refused as well, where they are only counted.
    found: Option<usize>,
    refused: Vec<Refused>,
    until: Option<Timestamp>,
    next_page_token: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Done {
    operation: OperationId,
    effect: String,
    #[serde(default)]
    retried_by: Option<OperationId>,
}

#[derive(Debug, Deserialize)]
struct Refused {
    operation: OperationId,
    detail: String,
}

/// What it is called.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words {
    /// As in the path.
    pub(super) verb: &'static str,
    /// As in "retried 3 of 4".
    pub(super) done: &'static str,
    /// Whether a request has to say that all are meant.
    pub(super) says_all: bool,
}

impl Chosen {
    /// Does it with each that is named by `one`, or with all that the options choose; `body` is what the request says then.
    ///
    /// # Errors
    /// Everything is asked for in as many words.
    pub(super) async fn run(
        &self,
        words: Words,
        body: Value,
        one: impl AsyncFn(&Api, OperationId, Format) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let (api, chosen) = (self.server.api()?, self.which.query());
        match (self.ids.is_empty(), self.all, chosen.is_empty()) {
            (false, _, false) => Err(Failure::Usage("name operations, or choose them by options, not both".to_owned())),
            (true, false, true) => Err(Failure::Usage(
                "name operations, choose them by options (--route, --target ...), or say --all".to_owned(),
            )),
            (true, true, false) => Err(Failure::Usage("--all does not go with options that choose some".to_owned())),
            (false, _, true) => {
                let refused = |id: &OperationId, failure: &Failure| {
                    say(&format!("operation {id}: {}", printable(&failure.to_string())));
                };
                each(&self.ids, async |id| one(&api, *id, self.server.output).await, refused).await
            }
            (true, _, _) => self.pages(&api, words, chosen, body).await,
        }
    }

    /// Does it with all that the query chooses.
    async fn pages(
        &self,
        api: &Api,
        words: Words,
        mut query: Vec<(String, String)>,
        mut body: Value,
    ) -> Result<(), Failure> {
        body["dry_run"] = json!(self.dry_run);
        if words.says_all {
            body["all"] = json!(self.all);
        }
        let (mut done, mut refused) = (0, 0);
        loop {
            let json = api.post(format!("{OPERATIONS}/{}{}", words.verb, encode(&query)), Some(&body)).await?;
            let page: Page = api.parse(&json)?;
            match self.server.output {
                Format::Json => print_line(&one_line(&json))?,
                Format::Table => page.print()?,
            }
            done += page.done();
            refused += page.refused.len();
            let Some(token) = page.next_page_token else { break };
            // What was accepted since the first request is left alone.
            query.retain(|(name, _)| name != "page_token" && (name != "until" || page.until.is_none()));
            query.extend(page.until.map(|until| ("until".to_owned(), until.to_string())));
            query.push(("page_token".to_owned(), token));
        }
        let found = done + refused;
        match (self.server.output, self.dry_run) {
            (Format::Json, _) => {}
            (Format::Table, true) => say(&format!("{done} of {found} would be {}; nothing was changed", words.done)),
            (Format::Table, false) => say(&format!("{} {done} of {found}", words.done)),
        }
        if self.dry_run || refused == 0 {
            return Ok(());
        }
        Err(Failure::NotAll { refused, all: found, worst: Exit::Refused })
    }
}

impl Page {
    fn done(&self) -> usize {
        self.found.map_or(self.operations.len(), |found| found.saturating_sub(self.refused.len()))
    }

    fn print(&self) -> Result<(), Failure> {
        if !self.operations.is_empty() {
            let mut table = Table::new(&["ID", "WHAT THAT DOES", "RETRIED BY"]);
            for Done { operation, effect, retried_by } in &self.operations {
                let retry = retried_by.map_or_else(|| "-".to_owned(), |id| id.to_string());
                table.row([operation.to_string(), effect.clone(), retry].map(Cell::plain));
            }
            table.print()?;
        }
        for Refused { operation, detail } in &self.refused {
            say(&format!("operation {operation}: {}", printable(detail)));
        }
        Ok(())
    }
}
