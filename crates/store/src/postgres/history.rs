//! Events.

use async_trait::async_trait;
use fanfold_core::{OperationId, Scope, TenantId};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::Postgres;
use super::columns::{at_most, get, limit, operation_id, timestamp, unsigned, uuid};
use super::scope;
use crate::{Error, EventNumber, Events, LIST_MAX, ReadHistory, Recorded};

#[async_trait]
impl ReadHistory for Postgres {
    async fn history(&self, id: OperationId, after: EventNumber, wanted: usize) -> Result<Vec<Recorded>, Error> {
        let select = "SELECT number, operation, at, event, sequence FROM events
                      WHERE operation = $1 AND number > $2 ORDER BY number LIMIT $3";
        let rows = self.readers.query(select, &[&uuid(id), &at_most(after.0), &limit(wanted, LIST_MAX)]).await?;
        rows.iter().map(recorded).collect()
    }

    async fn events(
        &self,
        tenant: &TenantId,
        scope: &Scope,
        after: EventNumber,
        wanted: usize,
    ) -> Result<Events, Error> {
        let (tenant_name, after, wanted) = (tenant.as_str(), at_most(after.0), limit(wanted, LIST_MAX));
        let mut values: Vec<&(dyn ToSql + Sync)> = vec![&tenant_name, &after, &wanted];
        let mut meant = String::new();
        let conditions = scope::conditions(scope, "o.");
        for (condition, value) in &conditions {
            values.push(value);
            meant.push_str(&format!(" AND {}", condition.replace('?', &format!("${}", values.len()))));
        }
        let select = format!(
            "SELECT e.number, e.operation, e.at, e.event, e.sequence
             FROM (SELECT * FROM events WHERE number > $2 ORDER BY number) e JOIN operations o ON o.id = e.operation
             WHERE o.tenant = $1{meant} ORDER BY e.number LIMIT $3"
        );
        // There are four of them.
        let list = self.readers.query(&select, &values).await?.iter().map(recorded).collect::<Result<_, _>>()?;
        // Read after the events: what was deleted in between is told as missing, and never passed over in silence.
        let select = "SELECT number FROM events_deleted WHERE tenant = $1";
        let deleted_to = self.readers.query_opt(select, &[&tenant.as_str()]).await?;
        let deleted_to = deleted_to.map(|row| unsigned(&row, 0)).transpose()?;
        Ok(Events { list, deleted_to: EventNumber(deleted_to.unwrap_or(0)) })
    }

    async fn latest_event(&self) -> Result<EventNumber, Error> {
        let row = self.readers.query_one("SELECT events FROM counters", &[]).await?;
        unsigned(&row, 0).map(EventNumber)
    }
}

fn recorded(row: &Row) -> Result<Recorded, Error> {
    let event = serde_json::from_str(get(row, 3)?);
    let sequence: i32 = get(row, 4)?;
    Ok(Recorded {
        number: EventNumber(unsigned(row, 0)?),
        sequence: u64::try_from(sequence).map_err(|_| Error::corrupt("an event's place is negative"))?,
        operation: operation_id(row, 1)?,
        at: timestamp(row, 2)?,
        event: event.map_err(|error| Error::corrupt(format!("an event cannot be read: {error}")))?,
    })
}
