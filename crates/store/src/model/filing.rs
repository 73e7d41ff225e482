//! What stands beside the record.

use async_trait::async_trait;
use fanfold_core::OperationId;

use super::Model;
use crate::{Error, Filing, ReadFiling, time};

#[async_trait]
impl ReadFiling for Model {
    async fn filing(&self, id: OperationId) -> Result<Option<Filing>, Error> {
        let state = self.state();
        let Some(row) = state.operations.get(&id) else { return Ok(None) };
        Ok(Some(Filing {
            lane: row.lane.clone(),
            owner: row.owner.clone(),
            has_idempotency_key: row.idempotency.is_some(),
            wake_at: row.wake_at.map(time::timestamp).transpose()?,
        }))
    }
}
