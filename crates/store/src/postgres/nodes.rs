//! The nodes that share the database.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use fanfold_core::{Event, OperationId};
use jiff::Timestamp;
use tokio_postgres::{Client, Row};

use super::Postgres;
use super::columns::{
    at_most, escaped, get, limit, operation_id, optional_timestamp, text, timestamp, unescaped, unsigned, uuid,
};
use super::failure::Failure;
use super::listen::{CHANNEL, written};
use super::moving;
use super::permits::Share;
use super::sealing;
use super::session::{Alone, BoxFuture};
use crate::record::json;
use crate::sealing::{FingerprintKey, Sealer};
use crate::{
    ADOPT_MAX, Adopted, Answer, AskNumber, Asked, Change, Epoch, Error, EventNumber, NEWS_MAX, NewNode, News, Node,
    Nodes, PermitShare, PermitWish, Standing, WISHES_MAX, Word, time,
};

/// The longest word, in octets; PostgreSQL takes less than 8,000.
const WORD_MAX: usize = 7_900;

/// A question that nobody answered or fetched for so long is forgotten: whoever asked has gone away.
const ASKED_MAX_MICROS: i64 = 3_600_000_000;

struct Join {
    node: NewNode,
    epoch: Arc<AtomicU64>,
    sealer: Arc<Sealer>,
    fingerprints: Arc<FingerprintKey>,
    /// The database, for messages.
    shown: String,
}

impl Alone for Join {
    type Answer = Epoch;
    const AS_MEMBER: bool = false;

    fn run<'a>(&'a self, sql: &'a Client, _: Epoch) -> BoxFuture<'a, Result<Epoch, Failure>> {
        Box::pin(async move {
            // A migration may have begun since the database was opened.
            moving::refuse_unfinished(sql, &self.shown).await?;
            let keys = sealing::join(sql, &self.sealer, &self.fingerprints, &self.shown).await?;
            let row = sql.query_one("UPDATE counters SET epochs = epochs + 1 RETURNING epochs", &[]).await?;
            let epoch: i64 = get(&row, 0)?;
            let insert =
                "INSERT INTO nodes (epoch, name, configuration, version, joined_at, beat_at, standing, lease, keys)
                          VALUES ($1, $2, $3, $4, $5, $5, 'member', $6, $7)";
            let NewNode { name, configuration, version, lease, joined_at } = &self.node;
            let lease = i64::try_from(lease.as_micros()).unwrap_or(i64::MAX);
            let at = time::floor(*joined_at);
            sql.execute(insert, &[&epoch, &escaped(name), configuration, version, &at, &lease, &keys]).await?;
            let epoch = Epoch(unsigned(&row, 0)?);
            // If the commit fails the node is unknown under it, and so nothing is recorded.
            self.epoch.store(epoch.0, Ordering::SeqCst);
            Ok(epoch)
        })
    }
}

struct Fence {
    epoch: Epoch,
    beat: u64,
}

impl Alone for Fence {
    type Answer = Change;

    fn run<'a>(&'a self, sql: &'a Client, _: Epoch) -> BoxFuture<'a, Result<Change, Failure>> {
        Box::pin(async move {
            let update = "UPDATE nodes SET standing = 'fenced' WHERE epoch = $1 AND beat = $2 AND standing = 'member'";
            let rows = sql.execute(update, &[&at_most(self.epoch.0), &at_most(self.beat)]).await?;
            Ok(if rows == 0 { Change::AlreadySo } else { Change::Made })
        })
    }
}

struct Leave;

impl Alone for Leave {
    type Answer = ();
    const AS_MEMBER: bool = false;

    fn run<'a>(&'a self, sql: &'a Client, epoch: Epoch) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let update = "UPDATE nodes SET standing = 'left' WHERE epoch = $1 AND standing = 'member'";
            sql.execute(update, &[&at_most(epoch.0)]).await?;
            Ok(())
        })
    }
}

struct Adopt {
    now: i64,
    limit: i64,
}

/// Those of a process that was no node (a restored or migrated database) belong to nobody.
const GONE: &str = "SELECT 0::bigint UNION ALL SELECT epoch FROM nodes WHERE standing <> 'member'";

impl Alone for Adopt {
    type Answer = Adopted;

    fn run<'a>(&'a self, sql: &'a Client, epoch: Epoch) -> BoxFuture<'a, Result<Adopted, Failure>> {
        Box::pin(async move {
            let epoch = at_most(epoch.0);
            let gone: Vec<i64> = sql.query(GONE, &[]).await?.iter().map(|row| get(row, 0)).collect::<Result<_, _>>()?;
            // Their notices too, as many at once; those of operations that have ended as well.
            let update = "UPDATE notices SET epoch = $1 WHERE number IN (
                SELECT number FROM notices WHERE epoch = ANY($2) AND state = 'pending' LIMIT $3)";
            let notices = sql.execute(update, &[&epoch, &gone, &self.limit]).await?;
            let update = "UPDATE operations SET epoch = $1, adopted_at = $2 WHERE id IN (
                SELECT id FROM operations WHERE epoch = ANY($3) AND ended_at IS NULL ORDER BY epoch, id LIMIT $4)";
            let operations = sql.execute(update, &[&epoch, &self.now, &gone, &self.limit]).await?;
            let full = |rows: u64| i64::try_from(rows).is_ok_and(|rows| rows >= self.limit);
            let more = full(notices) || full(operations);
            if !more {
                sql.execute("DELETE FROM nodes WHERE standing <> 'member'", &[]).await?;
                sql.execute("DELETE FROM permits WHERE epoch NOT IN (SELECT epoch FROM nodes)", &[]).await?;
            }
            Ok(Adopted { operations: usize::try_from(operations).unwrap_or(usize::MAX), more })
        })
    }
}

#[async_trait]
impl Nodes for Postgres {
    async fn join(&self, node: NewNode) -> Result<Epoch, Error> {
        let (epoch, sealer) = (Arc::clone(&self.epoch), Arc::clone(&self.sealer));
        let fingerprints = Arc::clone(&self.fingerprints);
        self.writer.alone(Join { node, epoch, sealer, fingerprints, shown: self.shown.clone() }).await
    }

    async fn beat(&self, now: Timestamp, configuration: &str) -> Result<Vec<Node>, Error> {
        let beat = "UPDATE nodes SET beat = beat + 1, beat_at = $2, configuration = $3 WHERE epoch = $1 AND standing = 'member' RETURNING 1";
        if self.writer.has_ended() {
            // What it owns would stand still for ever, and nobody would take it over.
            return Err(Error::unavailable("the writing task has ended"));
        }
        if self
            .between_nodes
            .query(beat, &[&at_most(self.epoch().0), &time::floor(now), &configuration])
            .await?
            .is_empty()
        {
            return Err(Error::Fenced);
        }
        let select = "SELECT epoch, name, configuration, version, joined_at, beat, beat_at, standing, lease FROM nodes ORDER BY epoch";
        self.between_nodes.query(select, &[]).await?.iter().map(node).collect()
    }

    async fn fence(&self, epoch: Epoch, beat: u64) -> Result<Change, Error> {
        self.writer.alone(Fence { epoch, beat }).await
    }

    async fn leave(&self) -> Result<(), Error> {
        self.writer.alone(Leave).await
    }

    async fn adopt(&self, now: Timestamp, wanted: usize) -> Result<Adopted, Error> {
        self.writer.alone(Adopt { now: time::floor(now), limit: limit(wanted.max(1), ADOPT_MAX) }).await
    }

    async fn adopted_at(&self, id: OperationId) -> Result<Option<Timestamp>, Error> {
        let row = self.between_nodes.query_opt("SELECT adopted_at FROM operations WHERE id = $1", &[&uuid(id)]).await?;
        row.map_or(Ok(None), |row| optional_timestamp(&row, 0))
    }

    async fn share_permits(&self, mut wishes: Vec<PermitWish>) -> Result<Vec<PermitShare>, Error> {
        wishes.truncate(WISHES_MAX);
        self.writer.alone(Share { wishes }).await
    }

    async fn news(&self, after: EventNumber) -> Result<News, Error> {
        let select = "SELECT number, operation FROM events WHERE number > $1 ORDER BY number LIMIT $2";
        let most = limit(NEWS_MAX, NEWS_MAX);
        let rows = self.between_nodes.query(select, &[&at_most(after.0), &most]).await?;
        let mut news = News { upto: after, more: rows.len() == NEWS_MAX, ..News::default() };
        let mut seen = std::collections::HashSet::new();
        for row in &rows {
            news.upto = EventNumber(unsigned(row, 0)?);
            let id = operation_id(row, 1)?;
            if seen.insert(id) {
                news.changed.push(id);
            }
        }
        let select = "SELECT a.number, a.operation, a.event FROM asks a JOIN operations o ON o.id = a.operation
                      WHERE o.epoch = $1 AND a.answer IS NULL ORDER BY a.number LIMIT $2";
        let rows = self.between_nodes.query(select, &[&at_most(self.epoch().0), &most]).await?;
        news.asked = rows.iter().map(asked).collect::<Result<_, _>>()?;
        Ok(news)
    }

    async fn word(&self) -> Word {
        self.listener.word(|| self.epoch()).await
    }

    async fn say(&self, word: Word) -> Result<(), Error> {
        let text = written(self.epoch(), &word);
        // What is too long to be said is found by looking.
        if text.len() <= WORD_MAX && !text.contains('\0') {
            self.between_nodes.query("SELECT pg_notify($1, $2)::text", &[&CHANNEL, &text]).await?;
        }
        Ok(())
    }

    async fn ask(&self, operation: OperationId, event: Event) -> Result<AskNumber, Error> {
        // By the clock of the database, which is the same for all of them.
        let forget = "DELETE FROM asks WHERE asked_at < (extract(epoch FROM now()) * 1000000)::bigint - $1";
        self.between_nodes.query(forget, &[&ASKED_MAX_MICROS]).await?;
        let insert = "INSERT INTO asks (operation, event, asked_at)
                      SELECT id, $2, (extract(epoch FROM now()) * 1000000)::bigint FROM operations WHERE id = $1
                      RETURNING number";
        let row = self.between_nodes.query_opt(insert, &[&uuid(operation), &json(&event)?]).await?;
        let row = row.ok_or_else(|| Error::operation_not_found(operation))?;
        unsigned(&row, 0).map(AskNumber)
    }

    async fn answer(&self, number: AskNumber) -> Result<Option<Answer>, Error> {
        let take = "DELETE FROM asks WHERE number = $1 AND answer IS NOT NULL RETURNING answer";
        let row = self.between_nodes.query_opt(take, &[&at_most(number.0)]).await?;
        row.map(|row| read_answer(get(&row, 0)?)).transpose()
    }

    async fn take_back(&self, number: AskNumber) -> Result<bool, Error> {
        let delete = "DELETE FROM asks WHERE number = $1 AND answer IS NULL RETURNING 1";
        Ok(!self.between_nodes.query(delete, &[&at_most(number.0)]).await?.is_empty())
    }

    async fn reply(&self, number: AskNumber, answer: Answer) -> Result<(), Error> {
        let answer = match answer {
            Answer::Taken => "taken".to_owned(),
            Answer::Busy => "busy".to_owned(),
            Answer::Illegal(state) => format!("illegal {}", escaped(&state)),
        };
        self.between_nodes
            .query("UPDATE asks SET answer = $2 WHERE number = $1", &[&at_most(number.0), &answer])
            .await?;
        Ok(())
    }
}

fn read_answer(text: &str) -> Result<Answer, Error> {
    match text.split_once(' ') {
        None if text == "taken" => Ok(Answer::Taken),
        None if text == "busy" => Ok(Answer::Busy),
        Some(("illegal", state)) => Ok(Answer::Illegal(unescaped(state.to_owned()))),
        None | Some(_) => Err(Error::corrupt(format!("{text:?} is no answer"))),
    }
}

fn asked(row: &Row) -> Result<Asked, Error> {
    let event = serde_json::from_str(get(row, 2)?);
    Ok(Asked {
        number: AskNumber(unsigned(row, 0)?),
        operation: operation_id(row, 1)?,
        event: event.map_err(|error| Error::corrupt(format!("a question cannot be read: {error}")))?,
    })
}

fn node(row: &Row) -> Result<Node, Error> {
    let standing = match get::<&str>(row, 7)? {
        "member" => Standing::Member,
        "left" => Standing::Left,
        "fenced" => Standing::Fenced,
        other => return Err(Error::corrupt(format!("{other:?} is no standing of a node"))),
    };
    Ok(Node {
        epoch: Epoch(unsigned(row, 0)?),
        node: NewNode {
            name: text(row, 1)?,
            configuration: get(row, 2)?,
            version: get(row, 3)?,
            lease: Duration::from_micros(unsigned(row, 8)?),
            joined_at: timestamp(row, 4)?,
        },
        beat: unsigned(row, 5)?,
        beat_at: timestamp(row, 6)?,
        standing,
    })
}
