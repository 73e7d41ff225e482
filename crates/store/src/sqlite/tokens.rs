//! Tokens.

use async_trait::async_trait;
use fanfold_core::access::{SecretDigest, TokenId};
use fanfold_core::{Access, TenantId};
use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{OptionalExtension as _, Row, params, params_from_iter};

use super::Sqlite;
use super::failure::Failure;
use super::operations::{limit, optional_timestamp, timestamp, unreadable, unsigned};
use super::readers::Snapshot;
use super::sessions;
use super::writer::{Tx, Write};
use crate::record::json;
use crate::tokens::{not_found, refuse_too_many, revoked_before, too_many};
use crate::{
    Change, Error, LIST_MAX, LiveTokens, NewToken, Order, Page, ReadTokens, Revoked, Token, TokenChanges, TokenCreated,
    TokenUse, Tokens, time,
};

const COLUMNS: &str = "SELECT id, name, access, digest, created_at, created_by, expires_at, revoked_at, revoked_by, last_used_at FROM tokens";

struct Create(NewToken);

impl Write for Create {
    type Answer = TokenCreated;

    fn run(&self, tx: &mut Tx<'_>) -> Result<TokenCreated, Failure> {
        let (new, tenant) = (&self.0, self.0.access.tenant.as_str());
        let access = json(&new.access)?;
        let mut find = tx.sql().prepare_cached("SELECT 1 FROM tokens WHERE id = ?1 OR digest = ?2")?;
        if find.exists(params![new.id.as_bytes(), new.digest.as_bytes()])? {
            return Err(Error::Conflict.into());
        }
        let find = "SELECT id FROM tokens WHERE tenant = ?1 AND name = ?2 AND revoked_at IS NULL";
        let mut find = tx.sql().prepare_cached(find)?;
        if let Some(by) = find.query_row([tenant, &new.name], |row| token_id(row, 0)).optional()? {
            return Ok(TokenCreated::NameTaken { by });
        }
        let count = "SELECT count(*), count(*) FILTER (WHERE tenant = ?1) FROM tokens WHERE revoked_at IS NULL";
        let mut count = tx.sql().prepare_cached(count)?;
        let (all, tenants) = count.query_row([tenant], |row| Ok((unsigned(row, 0)?, unsigned(row, 1)?)))?;
        if let Some(refusal) = too_many(tx.limits, &new.access.tenant, all, tenants) {
            return Ok(refusal);
        }
        let insert = "INSERT INTO tokens (id, tenant, name, access, digest, created_at, created_by, expires_at)
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let (created_at, expires_at) = (time::floor(new.created_at), new.expires_at.map(time::floor));
        let (id, digest) = (new.id.as_bytes(), new.digest.as_bytes());
        tx.execute(insert, params![id, tenant, new.name, access, digest, created_at, new.created_by, expires_at])?;
        changed(tx)?;
        Ok(TokenCreated::New)
    }
}

pub(super) fn changed(tx: &Tx<'_>) -> rusqlite::Result<()> {
    tx.execute("UPDATE versions SET number = number + 1 WHERE of = 'tokens'", []).map(drop)
}

struct Revoke {
    id: TokenId,
    tenant: Option<TenantId>,
    revoked: Revoked,
}

impl Write for Revoke {
    type Answer = Change;

    fn run(&self, tx: &mut Tx<'_>) -> Result<Change, Failure> {
        let find = "SELECT revoked_at IS NOT NULL FROM tokens WHERE id = ?1 AND (?2 IS NULL OR tenant = ?2)";
        let mut find = tx.sql().prepare_cached(find)?;
        let tenant = self.tenant.as_ref().map(TenantId::as_str);
        let is_revoked = find.query_row(params![self.id.as_bytes(), tenant], |row| row.get(0)).optional()?;
        if is_revoked.ok_or_else(|| not_found(self.id))? {
            return Ok(Change::AlreadySo);
        }
        let update = "UPDATE tokens SET revoked_at = ?2, revoked_by = ?3 WHERE id = ?1";
        tx.execute(update, params![self.id.as_bytes(), time::floor(self.revoked.at), self.revoked.by])?;
        sessions::end_of_token(tx, self.id)?;
        changed(tx)?;
        Ok(Change::Made)
    }
}

struct Touch(Vec<TokenUse>);

impl Write for Touch {
    type Answer = ();

    fn run(&self, tx: &mut Tx<'_>) -> Result<(), Failure> {
        let update =
            "UPDATE tokens SET last_used_at = ?2 WHERE id = ?1 AND (last_used_at IS NULL OR last_used_at < ?2)";
        for used in &self.0 {
            tx.execute(update, params![used.id.as_bytes(), time::floor(used.at)])?;
        }
        Ok(())
    }
}

#[async_trait]
impl Tokens for Sqlite {
    async fn create_token(&self, token: NewToken) -> Result<TokenCreated, Error> {
        self.write(Create(token)).await
    }

    async fn revoke_token(&self, id: TokenId, tenant: Option<&TenantId>, revoked: Revoked) -> Result<Change, Error> {
        self.write(Revoke { id, tenant: tenant.cloned(), revoked }).await
    }

    async fn touch_tokens(&self, uses: &[TokenUse]) -> Result<(), Error> {
        refuse_too_many(uses)?;
        self.write(Touch(uses.to_vec())).await
    }
}

#[async_trait]
impl ReadTokens for Sqlite {
    async fn token(&self, id: TokenId) -> Result<Option<Token>, Error> {
        self.read(move |snapshot| {
            let mut statement = snapshot.sql.prepare_cached(&format!("{COLUMNS} WHERE id = ?1"))?;
            Ok(statement.query_row([id.as_bytes()], token).optional()?)
        })
        .await
    }

    async fn tokens(&self, tenant: Option<&TenantId>, page: Page<TokenId>) -> Result<Vec<Token>, Error> {
        let (sql, values) = query(tenant, page);
        self.read(move |snapshot| {
            let mut statement = snapshot.sql.prepare_cached(&sql)?;
            let rows = statement.query_map(params_from_iter(values), token)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn live_tokens(&self) -> Result<LiveTokens, Error> {
        self.read(|snapshot| {
            let mut statement =
                snapshot.sql.prepare_cached(&format!("{COLUMNS} WHERE revoked_at IS NULL ORDER BY id"))?;
            let tokens = statement.query_map([], token)?.collect::<Result<_, _>>()?;
            Ok(LiveTokens { changes: changes(snapshot)?, tokens, sessions: sessions::all(snapshot)? })
        })
        .await
    }

    async fn tokens_changed(&self) -> Result<TokenChanges, Error> {
        self.read(|snapshot| Ok(changes(snapshot)?)).await
    }
}

fn changes(snapshot: &Snapshot<'_>) -> rusqlite::Result<TokenChanges> {
    let mut statement = snapshot.sql.prepare_cached("SELECT number FROM versions WHERE of = 'tokens'")?;
    statement.query_row([], |row| unsigned(row, 0).map(TokenChanges))
}

/// Deletes tokens that were revoked long ago; gives how many those are, one more than `batch` if there are more.
pub(super) fn sweep(tx: &Tx<'_>, now: Timestamp, batch: usize) -> Result<usize, Failure> {
    let find = "SELECT id FROM tokens WHERE revoked_at <= ?1 ORDER BY revoked_at, id LIMIT ?2";
    let mut find = tx.sql().prepare_cached(find)?;
    let wanted = limit(batch.saturating_add(1), usize::MAX);
    let old = find.query_map([revoked_before(now), wanted], |row| token_id(row, 0))?;
    let old: Vec<TokenId> = old.collect::<Result<_, _>>()?;
    for id in old.iter().take(batch) {
        tx.execute("DELETE FROM tokens WHERE id = ?1", [id.as_bytes()])?;
    }
    Ok(old.len())
}

fn query(tenant: Option<&TenantId>, page: Page<TokenId>) -> (String, Vec<Value>) {
    let mut sql = format!("{COLUMNS} WHERE true");
    let mut values: Vec<Value> = Vec::new();
    if let Some(tenant) = tenant {
        sql.push_str(" AND tenant = ?");
        values.push(tenant.as_str().to_owned().into());
    }
    let (beyond, direction) = match page.order {
        Order::NewestFirst => ("<", "DESC"),
        Order::OldestFirst => (">", "ASC"),
    };
    if let Some(after) = page.after {
        sql.push_str(&format!(" AND id {beyond} ?"));
        values.push(after.as_bytes().to_vec().into());
    }
    sql.push_str(&format!(" ORDER BY id {direction} LIMIT ?"));
    values.push(limit(page.limit, LIST_MAX).into());
    (sql, values)
}

fn token_id(row: &Row<'_>, column: usize) -> rusqlite::Result<TokenId> {
    row.get(column).map(TokenId::from_bytes)
}

fn token(row: &Row<'_>) -> rusqlite::Result<Token> {
    let access = serde_json::from_str::<Access>(row.get_ref(2)?.as_str()?);
    let revoked = match optional_timestamp(row, 7)? {
        Some(at) => Some(Revoked { at, by: row.get(8)? }),
        None => None,
    };
    Ok(Token {
        id: token_id(row, 0)?,
        name: row.get(1)?,
        access: access.map_err(|error| unreadable(2, format!("what a token may do cannot be read: {error}")))?,
        digest: SecretDigest::from(row.get::<_, [u8; 32]>(3)?),
        created_at: timestamp(row, 4)?,
        created_by: row.get(5)?,
        expires_at: optional_timestamp(row, 6)?,
        revoked,
        last_used_at: optional_timestamp(row, 9)?,
    })
}
