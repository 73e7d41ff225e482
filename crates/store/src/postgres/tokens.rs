//! Tokens.

use std::collections::BTreeMap;

use async_trait::async_trait;
use fanfold_core::access::{SecretDigest, TokenId};
use fanfold_core::{Access, TenantId};
use jiff::Timestamp;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::Postgres;
use super::columns::{escaped, get, limit, optional_timestamp, text, timestamp, unsigned};
use super::failure::Failure;
use super::session::{Alone, BoxFuture};
use super::sessions;
use crate::record::json;
use crate::tokens::{not_found, refuse_too_many, revoked_before, too_many};
use crate::{
    Change, Epoch, Error, LIST_MAX, Limits, LiveTokens, NewToken, Order, Page, ReadTokens, Revoked, Token,
    TokenChanges, TokenCreated, TokenUse, Tokens, time,
};

const COLUMNS: &str = "SELECT t.id, t.name, t.access, t.digest, t.created_at, t.created_by, t.expires_at, t.revoked_at,
    t.revoked_by, t.last_used_at";

struct Create {
    token: NewToken,
    limits: Limits,
}

impl Create {
    /// Everything that stands against it.
    async fn refusal(&self, sql: &Client) -> Result<Option<TokenCreated>, Failure> {
        let new = &self.token;
        let find = "SELECT 1 FROM tokens WHERE id = $1 OR digest = $2 LIMIT 1";
        if sql.query_opt(find, &[&uuid(new.id), &new.digest.as_bytes().as_slice()]).await?.is_some() {
            return Err(Error::Conflict.into());
        }
        let find = "SELECT id FROM tokens WHERE tenant = $1 AND name = $2 AND revoked_at IS NULL";
        let namesake = sql.query_opt(find, &[&tenant(&new.access.tenant), &escaped(&new.name)]).await?;
        if let Some(row) = namesake {
            return Ok(Some(TokenCreated::NameTaken { by: token_id(&row, 0)? }));
        }
        let count = "SELECT count(*), count(*) FILTER (WHERE tenant = $1) FROM tokens WHERE revoked_at IS NULL";
        let row = sql.query_one(count, &[&tenant(&new.access.tenant)]).await?;
        Ok(too_many(&self.limits, &new.access.tenant, unsigned(&row, 0)?, unsigned(&row, 1)?))
    }
}

impl Alone for Create {
    type Answer = TokenCreated;

    fn run<'a>(&'a self, sql: &'a Client, _: Epoch) -> BoxFuture<'a, Result<TokenCreated, Failure>> {
        Box::pin(async move {
            if let Some(refusal) = self.refusal(sql).await? {
                return Ok(refusal);
            }
            let new = &self.token;
            let insert = "INSERT INTO tokens (id, tenant, name, access, digest, created_at, created_by, expires_at)
                          VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
            let values: super::readers::Values<'_> = &[
                &uuid(new.id),
                &tenant(&new.access.tenant),
                &escaped(&new.name),
                &json(&new.access)?,
                &new.digest.as_bytes().as_slice(),
                &time::floor(new.created_at),
                &escaped(&new.created_by),
                &new.expires_at.map(time::floor),
            ];
            sql.execute(insert, values).await?;
            changed(sql).await?;
            Ok(TokenCreated::New)
        })
    }
}

pub(super) async fn changed(sql: &Client) -> Result<(), Failure> {
    sql.execute("UPDATE counters SET tokens = tokens + 1", &[]).await?;
    Ok(())
}

struct Revoke {
    id: TokenId,
    tenant: Option<TenantId>,
    revoked: Revoked,
}

impl Alone for Revoke {
    type Answer = Change;

    fn run<'a>(&'a self, sql: &'a Client, _: Epoch) -> BoxFuture<'a, Result<Change, Failure>> {
        Box::pin(async move {
            let id = uuid(self.id);
            let find = "SELECT revoked_at IS NOT NULL FROM tokens WHERE id = $1 AND ($2::text IS NULL OR tenant = $2)";
            let row = sql.query_opt(find, &[&id, &self.tenant.as_ref().map(tenant)]).await?;
            let row = row.ok_or_else(|| not_found(self.id))?;
            if get::<bool>(&row, 0)? {
                return Ok(Change::AlreadySo);
            }
            let update = "UPDATE tokens SET revoked_at = $2, revoked_by = $3 WHERE id = $1";
            sql.execute(update, &[&id, &time::floor(self.revoked.at), &escaped(&self.revoked.by)]).await?;
            sessions::end_of_token(sql, self.id).await?;
            changed(sql).await?;
            Ok(Change::Made)
        })
    }
}

/// The latest use of each token: a statement writes each row once.
struct Touch(BTreeMap<TokenId, i64>);

impl Alone for Touch {
    type Answer = ();

    fn run<'a>(&'a self, sql: &'a Client, _: Epoch) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let update = "UPDATE tokens t SET last_used_at = n.at FROM unnest($1::uuid[], $2::bigint[]) n (id, at)
                          WHERE t.id = n.id AND (t.last_used_at IS NULL OR t.last_used_at < n.at)";
            let ids: Vec<Uuid> = self.0.keys().copied().map(uuid).collect();
            let times: Vec<i64> = self.0.values().copied().collect();
            sql.execute(update, &[&ids, &times]).await?;
            // It may be lost, so nobody waits for the disk or a standby; the next commit takes it along.
            sql.batch_execute("SET LOCAL synchronous_commit = off").await?;
            Ok(())
        })
    }
}

#[async_trait]
impl Tokens for Postgres {
    async fn create_token(&self, token: NewToken) -> Result<TokenCreated, Error> {
        self.writer.alone(Create { token, limits: self.limits.clone() }).await
    }

    async fn revoke_token(&self, id: TokenId, tenant: Option<&TenantId>, revoked: Revoked) -> Result<Change, Error> {
        self.writer.alone(Revoke { id, tenant: tenant.cloned(), revoked }).await
    }

    async fn touch_tokens(&self, uses: &[TokenUse]) -> Result<(), Error> {
        refuse_too_many(uses)?;
        let mut latest = BTreeMap::new();
        for used in uses {
            let at = latest.entry(used.id).or_insert(i64::MIN);
            *at = time::floor(used.at).max(*at);
        }
        self.writer.alone(Touch(latest)).await
    }
}

#[async_trait]
impl ReadTokens for Postgres {
    async fn token(&self, id: TokenId) -> Result<Option<Token>, Error> {
        let row = self.readers.query_opt(&format!("{COLUMNS} FROM tokens t WHERE t.id = $1"), &[&uuid(id)]).await?;
        row.map(|row| token(&row)).transpose()
    }

    async fn tokens(&self, tenant: Option<&TenantId>, page: Page<TokenId>) -> Result<Vec<Token>, Error> {
        let (sql, values) = query(tenant, page);
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
        self.readers.query_once(&sql, &values).await?.iter().map(token).collect()
    }

    async fn live_tokens(&self) -> Result<LiveTokens, Error> {
        // The counter is there also where no token is.
        let select =
            format!("{COLUMNS}, c.tokens FROM counters c LEFT JOIN tokens t ON t.revoked_at IS NULL ORDER BY t.id");
        let rows = self.readers.query(&select, &[]).await?;
        let changes = rows.first().ok_or_else(|| Error::corrupt("the row of counters is missing"))?;
        let is_there = |row: &&Row| get::<Option<Uuid>>(row, 0).is_ok_and(|id| id.is_some());
        Ok(LiveTokens {
            changes: TokenChanges(unsigned(changes, 10)?),
            tokens: rows.iter().filter(is_there).map(token).collect::<Result<_, _>>()?,
            // Read after their number, so that none of it is missed.
            sessions: sessions::all(&self.readers).await?,
        })
    }

    async fn tokens_changed(&self) -> Result<TokenChanges, Error> {
        let row = self.readers.query_one("SELECT tokens FROM counters", &[]).await?;
        unsigned(&row, 0).map(TokenChanges)
    }
}

/// Deletes tokens that were revoked long ago; gives how many those are, one more than `batch` if there are more.
pub(super) async fn sweep(sql: &Client, now: Timestamp, batch: usize) -> Result<usize, Failure> {
    let find =
        "SELECT id FROM tokens WHERE revoked_at IS NOT NULL AND revoked_at <= $1 ORDER BY revoked_at, id LIMIT $2";
    let rows = sql.query(find, &[&revoked_before(now), &limit(batch.saturating_add(1), usize::MAX)]).await?;
    let old: Vec<Uuid> = rows.iter().take(batch).map(|row| get(row, 0)).collect::<Result<_, _>>()?;
    if !old.is_empty() {
        sql.execute("DELETE FROM tokens WHERE id = ANY($1)", &[&old]).await?;
    }
    Ok(rows.len())
}

fn query(of: Option<&TenantId>, page: Page<TokenId>) -> (String, Vec<Box<dyn ToSql + Send + Sync>>) {
    let mut sql = format!("{COLUMNS} FROM tokens t WHERE true");
    let mut values: Vec<Box<dyn ToSql + Send + Sync>> = Vec::new();
    let mut add = |condition: &str, value: Box<dyn ToSql + Send + Sync>| {
        values.push(value);
        sql.push_str(&format!("{condition} ${}", values.len()));
    };
    if let Some(of) = of {
        add(" AND t.tenant =", Box::new(tenant(of)));
    }
    let (beyond, direction) = match page.order {
        Order::NewestFirst => ("<", "DESC"),
        Order::OldestFirst => (">", "ASC"),
    };
    if let Some(after) = page.after {
        add(&format!(" AND t.id {beyond}"), Box::new(uuid(after)));
    }
    add(&format!(" ORDER BY t.id {direction} LIMIT"), Box::new(limit(page.limit, LIST_MAX)));
    (sql, values)
}

fn uuid(id: TokenId) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

/// Tenants of tokens need not be in the configuration.
fn tenant(tenant: &TenantId) -> String {
    escaped(tenant.as_str()).into_owned()
}

fn token_id(row: &Row, column: usize) -> Result<TokenId, Error> {
    get::<Uuid>(row, column).map(|id| TokenId::from_bytes(*id.as_bytes()))
}

fn token(row: &Row) -> Result<Token, Error> {
    let access = serde_json::from_str::<Access>(get(row, 2)?);
    let digest = <[u8; 32]>::try_from(get::<&[u8]>(row, 3)?);
    let revoked = match optional_timestamp(row, 7)? {
        Some(at) => Some(Revoked { at, by: text(row, 8)? }),
        None => None,
    };
    Ok(Token {
        id: token_id(row, 0)?,
        name: text(row, 1)?,
        access: access.map_err(|error| Error::corrupt(format!("what a token may do cannot be read: {error}")))?,
        digest: SecretDigest::from(digest.map_err(|_| Error::corrupt("a digest has not 32 octets"))?),
        created_at: timestamp(row, 4)?,
        created_by: text(row, 5)?,
        expires_at: optional_timestamp(row, 6)?,
        revoked,
        last_used_at: optional_timestamp(row, 9)?,
    })
}
