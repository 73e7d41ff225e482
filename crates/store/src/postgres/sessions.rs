//! Sessions.

use async_trait::async_trait;
use fanfold_core::access::{SecretDigest, TokenId};
use tokio_postgres::{Client, Row};

use super::Postgres;
use super::columns::{escaped, get, text, timestamp, unsigned};
use super::failure::Failure;
use super::readers::Readers;
use super::session::{Alone, BoxFuture};
use super::tokens::changed;
use crate::record::json;
use crate::sessions::GIVE_WAY;
use crate::{Change, Epoch, Error, Session, SessionBegun, SessionOf, Sessions, time};

struct Begin {
    session: Session,
    sessions_max: u64,
    tenant_max: u64,
    each_max: u64,
}

impl Alone for Begin {
    type Answer = SessionBegun;

    fn run<'a>(&'a self, sql: &'a Client, _: Epoch) -> BoxFuture<'a, Result<SessionBegun, Failure>> {
        Box::pin(async move {
            let (new, holder) = (&self.session, self.session.of.holder());
            let (digest, tenant) = (new.digest.as_bytes().as_slice(), escaped(new.tenant.as_str()));
            let holder = escaped(&holder);
            let (created_at, expires_at) = (time::floor(new.created_at), time::floor(new.expires_at));
            if sql.query_opt("SELECT 1 FROM sessions WHERE digest = $1", &[&digest]).await?.is_some() {
                return Err(Error::Conflict.into());
            }
            let count = "SELECT count(*), count(*) FILTER (WHERE tenant = $2), count(*) FILTER (WHERE holder = $3)
                         FROM sessions WHERE expires_at > $1";
            let counted = sql.query_one(count, &[&created_at, &tenant, &holder]).await?;
            let beyond = (unsigned(&counted, 2)? + 1).saturating_sub(self.each_max);
            if beyond == 0 && unsigned(&counted, 1)? >= self.tenant_max {
                return Ok(SessionBegun::TooMany);
            }
            sql.execute("DELETE FROM sessions WHERE expires_at <= $1", &[&created_at]).await?;
            let oldest = "DELETE FROM sessions WHERE digest IN
                          (SELECT digest FROM sessions WHERE holder = $1 ORDER BY created_at, digest LIMIT $2)";
            sql.execute(oldest, &[&holder, &i64::try_from(beyond).unwrap_or(i64::MAX)]).await?;
            if beyond == 0 && unsigned(&counted, 0)? >= self.sessions_max {
                sql.execute(GIVE_WAY, &[]).await?;
            }
            let insert = "INSERT INTO sessions (digest, tenant, holder, of, created_at, expires_at)
                          VALUES ($1, $2, $3, $4, $5, $6)";
            sql.execute(insert, &[&digest, &tenant, &holder, &json(&new.of)?, &created_at, &expires_at]).await?;
            changed(sql).await?;
            Ok(SessionBegun::New)
        })
    }
}

struct End(SecretDigest);

impl Alone for End {
    type Answer = Change;

    fn run<'a>(&'a self, sql: &'a Client, _: Epoch) -> BoxFuture<'a, Result<Change, Failure>> {
        Box::pin(async move {
            if sql.execute("DELETE FROM sessions WHERE digest = $1", &[&self.0.as_bytes().as_slice()]).await? == 0 {
                return Ok(Change::AlreadySo);
            }
            changed(sql).await?;
            Ok(Change::Made)
        })
    }
}

#[async_trait]
impl Sessions for Postgres {
    async fn begin_session(&self, session: Session) -> Result<SessionBegun, Error> {
        let (sessions_max, each_max) = (self.limits.sessions_max, self.limits.sessions_each_max);
        let tenant_max = self.limits.sessions_max_of(&session.tenant);
        self.writer.alone(Begin { session, sessions_max, tenant_max, each_max }).await
    }

    async fn end_session(&self, digest: SecretDigest) -> Result<Change, Error> {
        self.writer.alone(End(digest)).await
    }
}

/// Ends those that were begun with a token.
pub(super) async fn end_of_token(sql: &Client, id: TokenId) -> Result<(), Failure> {
    sql.execute("DELETE FROM sessions WHERE holder = $1", &[&escaped(&SessionOf::Token(id).holder())]).await?;
    Ok(())
}

/// All of them.
pub(super) async fn all(readers: &Readers) -> Result<Vec<Session>, Error> {
    let select = "SELECT digest, of, created_at, expires_at, tenant FROM sessions ORDER BY digest";
    readers.query(select, &[]).await?.iter().map(session).collect()
}

fn session(row: &Row) -> Result<Session, Error> {
    let digest = <[u8; 32]>::try_from(get::<&[u8]>(row, 0)?);
    let of = serde_json::from_str(get(row, 1)?);
    Ok(Session {
        digest: SecretDigest::from(digest.map_err(|_| Error::corrupt("a digest has not 32 octets"))?),
        of: of.map_err(|error| Error::corrupt(format!("whose a session is cannot be read: {error}")))?,
        created_at: timestamp(row, 2)?,
        expires_at: timestamp(row, 3)?,
        tenant: text(row, 4)?.as_str().into(),
    })
}
