//! What stands beside records.

use async_trait::async_trait;
use fanfold_core::OperationId;

use super::Postgres;
use super::columns::{get, optional_text, optional_timestamp, uuid};
use crate::{Error, Filing, ReadFiling};

#[async_trait]
impl ReadFiling for Postgres {
    async fn filing(&self, id: OperationId) -> Result<Option<Filing>, Error> {
        let select = "SELECT lane, owner, idempotency_key IS NOT NULL, wake_at FROM operations WHERE id = $1";
        let Some(row) = self.readers.query_opt(select, &[&uuid(id)]).await? else { return Ok(None) };
        Ok(Some(Filing {
            lane: get(&row, 0)?,
            owner: optional_text(&row, 1)?,
            has_idempotency_key: get(&row, 2)?,
            wake_at: optional_timestamp(&row, 3)?,
        }))
    }
}
