//! Whether a rebuilt state holds all that the program had said.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use fanfold_core::{Operation, OperationId, StepIndex};
use fanfold_store::sqlite::{Config, Sqlite};
use fanfold_store::{Filter, Page, ReadOperations as _};

use super::Findings;
use super::load::DATABASE;

/// Operations read at once.
const PAGE: usize = 500;

/// Something that the program said on a socket, and that has to be true from then on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// It answered that it had accepted an operation.
    Accepted(OperationId),
    /// It showed an operation in this revision.
    Shown(OperationId, u64),
    /// It sent an attempt of a step, or of the undo of one, to a target.
    Sent { operation: OperationId, step: StepIndex, undo: bool, attempt: u32 },
}

impl Said {
    /// What a message on a socket says.
    pub(super) fn read(octets: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(octets);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let field = |name: &str| {
            let of_name = |line: &&str| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
            head.split("\r\n").find(of_name).and_then(|line| line.split_once(": ")).map(|(_, value)| value.trim())
        };
        if head.starts_with("HTTP/1.1 202") {
            let id = field("location")?.rsplit('/').next()?.parse().ok()?;
            return Some(Self::Accepted(id));
        }
        if head.starts_with("HTTP/1.1 200") {
            let revision = field("etag")?.strip_prefix("W/\"")?.strip_suffix('"')?.parse().ok()?;
            let detail: serde_json::Value = serde_json::from_str(body).ok()?;
            return Some(Self::Shown(detail.get("id")?.as_str()?.parse().ok()?, revision));
        }
        if head.starts_with("HTTP/") {
            return None;
        }
        let operation = field("fanfold-operation-id")?;
        let key = field("idempotency-key")?.trim_matches('"').strip_prefix(operation)?.strip_prefix('-')?;
        let (step, undo) = key.strip_suffix("-undo").map_or((key, false), |step| (step, true));
        Some(Self::Sent {
            operation: operation.parse().ok()?,
            step: StepIndex(step.parse().ok()?),
            undo,
            attempt: field("fanfold-attempt")?.parse().ok()?,
        })
    }

    fn operation(&self) -> OperationId {
        match self {
            Self::Accepted(id) | Self::Shown(id, _) | Self::Sent { operation: id, .. } => *id,
        }
    }

    fn holds(&self, operation: &Operation) -> bool {
        match self {
            Self::Accepted(_) => true,
            Self::Shown(_, revision) => operation.revision.0 >= *revision,
            Self::Sent { step, undo: false, attempt, .. } => {
                operation.steps.get(step.get()).is_some_and(|step| step.course.attempts >= *attempt)
            }
            Self::Sent { step, undo: true, attempt, .. } => {
                let undo = operation.steps.get(step.get()).and_then(|step| step.undo.as_ref());
                undo.is_some_and(|undo| undo.course.attempts >= *attempt)
            }
        }
    }
}

/// Puts the files into `folder`, opens the store in it, and compares.
pub(super) fn judge<'a>(
    folder: &Path,
    files: &BTreeMap<String, Vec<u8>>,
    said: impl Iterator<Item = &'a Said>,
    findings: &mut Findings,
    in_words: impl Fn(String) -> String,
) -> Result<()> {
    std::fs::create_dir_all(folder).context("a folder of ours can be made")?;
    for (name, octets) in files {
        std::fs::write(folder.join(name), octets).with_context(|| format!("{name} can be written"))?;
    }
    let operations = match operations(&folder.join(DATABASE)) {
        Ok(operations) => operations,
        Err(error) => {
            findings.corrupt += 1;
            findings.note(in_words(format!("it does not open: {error:#}")));
            return Ok(());
        }
    };
    for said in said {
        findings.checks += 1;
        let operation = operations.get(&said.operation());
        if !operation.is_some_and(|operation| said.holds(operation)) {
            findings.lost += 1;
            findings.note(in_words(format!(
                "{said:?} does not hold: {}",
                operation.map_or("it is not there", |_| "it is older")
            )));
        }
    }
    Ok(())
}

/// All operations of a store, after its database was found whole.
fn operations(database: &Path) -> Result<BTreeMap<OperationId, Operation>> {
    let store = Sqlite::open(Config { readers: 1, ..Config::new(database) })?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let operations = runtime.block_on(async {
        let mut all = BTreeMap::new();
        let mut page = Page::newest(PAGE);
        loop {
            let read = store.list(&Filter::default(), page).await?;
            let Some(last) = read.last() else { break };
            page.after = Some(last.id);
            all.extend(read.into_iter().map(|operation| (operation.id, operation)));
        }
        store.close().await?;
        anyhow::Ok(all)
    })?;
    let sql = rusqlite::Connection::open(database)?;
    let verdict: String = sql.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    anyhow::ensure!(verdict == "ok", "the integrity check says: {verdict}");
    Ok(operations)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01a20105-6fcf-737a-a77a-ecb48cd483d2";

    #[test]
    fn what_is_said_on_a_socket_is_understood() {
        let id: OperationId = ID.parse().unwrap();
        let said = |text: String| Said::read(text.as_bytes());
        let accepted = format!("HTTP/1.1 202 Accepted\r\nlocation: /api/v1/operations/{ID}\r\n\r\n{{}}");
        assert_eq!(said(accepted), Some(Said::Accepted(id)));
        let shown = format!("HTTP/1.1 200 OK\r\netag: W/\"7\"\r\n\r\n{{\"id\":\"{ID}\"}}");
        assert_eq!(said(shown), Some(Said::Shown(id, 7)));
        let sent = |key: &str| {
            format!(
                "PUT /a HTTP/1.1\r\nfanfold-operation-id: {ID}\r\nfanfold-attempt: 2\r\nidempotency-key: \"{ID}-{key}\"\r\n\r\n"
            )
        };
        let expected = |undo| Some(Said::Sent { operation: id, step: StepIndex(1), undo, attempt: 2 });
        assert_eq!(said(sent("1")), expected(false));
        assert_eq!(said(sent("1-undo")), expected(true));
        assert_eq!(said("HTTP/1.1 404 Not Found\r\n\r\n".to_owned()), None);
    }
}
