//! What migrations fill in that SQL alone cannot tell.

use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::columns::get;
use crate::failure::DatabaseError as _;
use crate::{Error, record};

/// Operations that are read and written at once.
const AT_ONCE: i64 = 1_000;

/// The phases of the operations that have not ended.
pub(super) async fn phases(client: &Client) -> Result<(), Error> {
    let failed = |error: tokio_postgres::Error| error.translate(false);
    let select = "SELECT id, state FROM operations WHERE ended_at IS NULL AND id > $1 ORDER BY id LIMIT $2";
    let update =
        "UPDATE operations o SET phase = n.phase FROM unnest($1::uuid[], $2::text[]) n (id, phase) WHERE o.id = n.id";
    let mut after = Uuid::nil();
    loop {
        let rows = client.query(select, &[&after, &AT_ONCE]).await.map_err(failed)?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = get(last, 0)?;
        let phased = rows.iter().map(phased).collect::<Result<Vec<_>, _>>()?;
        let (ids, phases): (Vec<Uuid>, Vec<&str>) = phased.into_iter().flatten().unzip();
        client.execute(update, &[&ids, &phases]).await.map_err(failed)?;
    }
}

fn phased(row: &Row) -> Result<Option<(Uuid, &'static str)>, Error> {
    let id = get(row, 0)?;
    Ok(record::phase_word_of(get(row, 1)?).map(|phase| (id, phase)))
}
