//! Sessions.

use async_trait::async_trait;
use fanfold_core::access::{SecretDigest, TokenId};
use rusqlite::{Row, params};

use super::Sqlite;
use super::failure::Failure;
use super::operations::{timestamp, unreadable, unsigned};
use super::readers::Snapshot;
use super::tokens::changed;
use super::writer::{Tx, Write};
use crate::record::json;
use crate::sessions::GIVE_WAY;
use crate::{Change, Error, Session, SessionBegun, SessionOf, Sessions, time};

struct Begin(Session);

impl Write for Begin {
    type Answer = SessionBegun;

    fn run(&self, tx: &mut Tx<'_>) -> Result<SessionBegun, Failure> {
        let (new, holder) = (&self.0, self.0.of.holder());
        let (created_at, expires_at) = (time::floor(new.created_at), time::floor(new.expires_at));
        let mut find = tx.sql().prepare_cached("SELECT 1 FROM sessions WHERE digest = ?1")?;
        if find.exists([new.digest.as_bytes()])? {
            return Err(Error::Conflict.into());
        }
        let count = "SELECT count(*), count(*) FILTER (WHERE tenant = ?2), count(*) FILTER (WHERE holder = ?3)
                     FROM sessions WHERE expires_at > ?1";
        let mut count = tx.sql().prepare_cached(count)?;
        let numbers = |row: &Row<'_>| Ok((unsigned(row, 0)?, unsigned(row, 1)?, unsigned(row, 2)?));
        let (all, tenants, holders) = count.query_row(params![created_at, new.tenant.as_str(), holder], numbers)?;
        let beyond = (holders + 1).saturating_sub(tx.limits.sessions_each_max);
        if beyond == 0 && tenants >= tx.limits.sessions_max_of(&new.tenant) {
            return Ok(SessionBegun::TooMany);
        }
        tx.execute("DELETE FROM sessions WHERE expires_at <= ?1", [created_at])?;
        let oldest = "DELETE FROM sessions WHERE digest IN
                      (SELECT digest FROM sessions WHERE holder = ?1 ORDER BY created_at, digest LIMIT ?2)";
        tx.execute(oldest, params![holder, i64::try_from(beyond).unwrap_or(i64::MAX)])?;
        if beyond == 0 && all >= tx.limits.sessions_max {
            tx.execute(GIVE_WAY, [])?;
        }
        let insert = "INSERT INTO sessions (digest, tenant, holder, of, created_at, expires_at)
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let (digest, tenant) = (new.digest.as_bytes(), new.tenant.as_str());
        tx.execute(insert, params![digest, tenant, holder, json(&new.of)?, created_at, expires_at])?;
        changed(tx)?;
        Ok(SessionBegun::New)
    }
}

struct End(SecretDigest);

impl Write for End {
    type Answer = Change;

    fn run(&self, tx: &mut Tx<'_>) -> Result<Change, Failure> {
        if tx.execute("DELETE FROM sessions WHERE digest = ?1", [self.0.as_bytes()])? == 0 {
            return Ok(Change::AlreadySo);
        }
        changed(tx)?;
        Ok(Change::Made)
    }
}

#[async_trait]
impl Sessions for Sqlite {
    async fn begin_session(&self, session: Session) -> Result<SessionBegun, Error> {
        self.write(Begin(session)).await
    }

    async fn end_session(&self, digest: SecretDigest) -> Result<Change, Error> {
        self.write(End(digest)).await
    }
}

/// All of them.
pub(super) fn all(snapshot: &Snapshot<'_>) -> rusqlite::Result<Vec<Session>> {
    let select = "SELECT digest, of, created_at, expires_at, tenant FROM sessions ORDER BY digest";
    snapshot.sql.prepare_cached(select)?.query_map([], session)?.collect()
}

/// Ends those that were begun with a token.
pub(super) fn end_of_token(tx: &Tx<'_>, id: TokenId) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM sessions WHERE holder = ?1", [SessionOf::Token(id).holder()]).map(drop)
}

/// Ends all of them: whatever has signed out since must not come back.
pub(super) fn end_all(tx: &Tx<'_>) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM sessions", [])?;
    changed(tx)
}

fn session(row: &Row<'_>) -> rusqlite::Result<Session> {
    let of = serde_json::from_str(row.get_ref(1)?.as_str()?);
    Ok(Session {
        digest: SecretDigest::from(row.get::<_, [u8; 32]>(0)?),
        of: of.map_err(|error| unreadable(1, format!("whose a session is cannot be read: {error}")))?,
        created_at: timestamp(row, 2)?,
        expires_at: timestamp(row, 3)?,
        tenant: row.get_ref(4)?.as_str()?.into(),
    })
}
