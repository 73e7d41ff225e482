//! Reading locks: the lowest turn of a key holds it.

use async_trait::async_trait;
use fanfold_core::{OperationId, TenantId};

use super::Postgres;
use super::columns::{escaped, operation_id, unsigned, uuid};
use crate::{Error, LockPlace, Locks};

#[async_trait]
impl Locks for Postgres {
    async fn lock_holder(&self, tenant: &TenantId, key: &str) -> Result<Option<OperationId>, Error> {
        let select = "SELECT operation FROM locks WHERE tenant = $1 AND key = $2 ORDER BY turn LIMIT 1";
        let row = self.readers.query_opt(select, &[&tenant.as_str(), &escaped(key)]).await?;
        row.map(|row| operation_id(&row, 0)).transpose()
    }

    async fn lock_place(&self, operation: OperationId) -> Result<Option<LockPlace>, Error> {
        let select =
            "SELECT (SELECT count(*) FROM locks b WHERE b.tenant = l.tenant AND b.key = l.key AND b.turn < l.turn)
                      FROM locks l WHERE l.operation = $1";
        let row = self.readers.query_opt(select, &[&uuid(operation)]).await?;
        let before = row.map(|row| unsigned(&row, 0)).transpose()?;
        Ok(before.map(|before| match before {
            0 => LockPlace::Holder,
            position => LockPlace::Waiting { position },
        }))
    }
}
