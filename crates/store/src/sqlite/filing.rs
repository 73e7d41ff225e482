//! What stands in columns beside the record.

use async_trait::async_trait;
use fanfold_core::OperationId;
use rusqlite::OptionalExtension as _;

use super::Sqlite;
use super::operations::optional_timestamp;
use crate::{Error, Filing, ReadFiling};

#[async_trait]
impl ReadFiling for Sqlite {
    async fn filing(&self, id: OperationId) -> Result<Option<Filing>, Error> {
        self.read(move |snapshot| {
            let select = "SELECT lane, owner, idempotency_key IS NOT NULL, wake_at FROM operations WHERE id = ?1";
            let mut statement = snapshot.sql.prepare_cached(select)?;
            let filing = statement.query_row([id.as_bytes()], |row| {
                Ok(Filing {
                    lane: row.get(0)?,
                    owner: row.get(1)?,
                    has_idempotency_key: row.get(2)?,
                    wake_at: optional_timestamp(row, 3)?,
                })
            });
            Ok(filing.optional()?)
        })
        .await
    }
}
