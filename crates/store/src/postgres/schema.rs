//! The versioned schema. Migrations are numbered files, each applied once, by one node at a time; what was applied is recorded
//! with a checksum, and a database that does not fit this program is refused.
//!
//! Nodes of the version before go on working on a database that was migrated: a migration only adds, and gives what it adds
//! a default. Each says from which version of the schema on the program has to be to work on it (`serves`).

use std::path::PathBuf;

use sha2::{Digest, Sha256};
use tokio_postgres::Client;

use crate::Error;
use crate::failure::DatabaseError as _;
use crate::record::hex;

/// Taken while migrating. Any number would do that no other program in the same database uses.
const MIGRATION_LOCK: i64 = 0x464e_4644_0000_0001;

/// One step of the schema.
struct Migration {
    version: u32,
    name: &'static str,
    /// Programs that know the schema up to this version can still work on it: that of the release before.
    serves: u32,
    sql: &'static str,
}

const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "initial", serves: 1, sql: include_str!("migrations/0001_initial.sql") },
    Migration { version: 2, name: "lease", serves: 1, sql: include_str!("migrations/0002_lease.sql") },
    Migration { version: PHASES, name: "phases", serves: 1, sql: include_str!("migrations/0003_phases.sql") },
    Migration { version: 4, name: "facets", serves: 1, sql: include_str!("migrations/0004_facets.sql") },
    Migration { version: 5, name: "tokens", serves: 1, sql: include_str!("migrations/0005_tokens.sql") },
    Migration { version: 6, name: "audit", serves: 1, sql: include_str!("migrations/0006_audit.sql") },
    Migration { version: 7, name: "sessions", serves: 1, sql: include_str!("migrations/0007_sessions.sql") },
    Migration { version: 8, name: "keys", serves: 1, sql: include_str!("migrations/0008_keys.sql") },
];

/// Where phases came in, which follow from the states.
const PHASES: u32 = 3;

/// Brings the schema up to date, in one transaction. `shown`: the database, for messages.
pub(super) async fn migrate(client: &Client, shown: &str) -> Result<(), Error> {
    let failed = |error: tokio_postgres::Error| error.translate(false);
    refuse_unsafe(client, shown).await?;
    client.batch_execute("BEGIN").await.map_err(failed)?;
    // The others wait here, and find everything done.
    client.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK]).await.map_err(failed)?;
    let migrated = bring_up_to_date(client, shown).await;
    let end = if migrated.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = client.batch_execute(end).await.map_err(failed);
    migrated.and(ended)
}

/// A commit has to have reached the disk when it is answered.
pub(super) async fn refuse_unsafe(client: &Client, shown: &str) -> Result<(), Error> {
    let look = "SELECT current_setting('synchronous_commit'), current_setting('fsync'),
                    current_setting('full_page_writes'), current_setting('server_encoding')";
    let row = client.query_one(look, &[]).await.map_err(|error| error.translate(false))?;
    let setting = |place| super::columns::get::<&str>(&row, place);
    let unusable = |detail: String| Error::Unusable { path: PathBuf::from(shown), detail };
    let synchronous = setting(0)?;
    if !matches!(synchronous, "on" | "remote_apply") {
        return Err(unusable(format!(
            "synchronous_commit is {synchronous}, with which a commit can be lost that was answered; set it to on \
             (ALTER ROLE ... SET synchronous_commit = on, or the server's configuration)"
        )));
    }
    for (place, name, risk) in
        [(1, "fsync", "a loss of power damages the database"), (2, "full_page_writes", "a torn page is not repaired")]
    {
        let value = setting(place)?;
        if value != "on" {
            return Err(unusable(format!("{name} is {value}, so {risk}; set it to on in the server's configuration")));
        }
    }
    let encoding = setting(3)?;
    if encoding != "UTF8" {
        return Err(unusable(format!("its encoding is {encoding}; create it with ENCODING 'UTF8' TEMPLATE template0")));
    }
    Ok(())
}

async fn bring_up_to_date(client: &Client, shown: &str) -> Result<(), Error> {
    let failed = |error: tokio_postgres::Error| error.translate(false);
    let path = || PathBuf::from(shown);
    let applied = applied(client, shown).await?;
    let known = MIGRATIONS.last().map_or(0, |migration| migration.version);
    if let Some(newer) = applied.iter().filter(|found| found.version > known).max_by_key(|found| found.version)
        && newer.serves > known
    {
        return Err(Error::NewerSchema { path: path(), found: newer.version, known });
    }
    for migration in MIGRATIONS {
        let checksum = checksum(migration.sql);
        match applied.iter().find(|found| found.version == migration.version) {
            Some(found) if found.checksum == checksum => {}
            Some(_) => return Err(Error::ChangedMigration { path: path(), version: migration.version }),
            None => {
                client.batch_execute(migration.sql).await.map_err(failed)?;
                if migration.version == PHASES {
                    super::filling::phases(client).await?;
                }
                let record = "INSERT INTO migrations (version, name, serves, checksum) VALUES ($1, $2, $3, $4)";
                let (version, serves) = (i64::from(migration.version), i64::from(migration.serves));
                client.execute(record, &[&version, &migration.name, &serves, &checksum]).await.map_err(failed)?;
                tracing::info!(version, name = migration.name, "the database was migrated");
            }
        }
    }
    Ok(())
}

/// A migration that was applied.
struct Applied {
    version: u32,
    serves: u32,
    checksum: String,
}

async fn applied(client: &Client, shown: &str) -> Result<Vec<Applied>, Error> {
    let failed = |error: tokio_postgres::Error| error.translate(false);
    let look = "SELECT to_regclass('migrations') IS NOT NULL, to_regclass('operations') IS NOT NULL";
    let row = client.query_one(look, &[]).await.map_err(failed)?;
    let (is_ours, is_taken): (bool, bool) = (super::columns::get(&row, 0)?, super::columns::get(&row, 1)?);
    if !is_ours && is_taken {
        let detail = "it has a table `operations` of another program; give Fanfold a database, or a schema, of its own";
        return Err(Error::Unusable { path: PathBuf::from(shown), detail: detail.to_owned() });
    }
    let create = "CREATE TABLE IF NOT EXISTS migrations (
        version  bigint NOT NULL PRIMARY KEY,
        name     text   NOT NULL,
        serves   bigint NOT NULL,
        checksum text   NOT NULL
    )";
    if !is_ours {
        client.batch_execute(create).await.map_err(failed)?;
    }
    let rows = client.query("SELECT version, serves, checksum FROM migrations ORDER BY version", &[]).await;
    let small = |value: i64| u32::try_from(value).map_err(|_| Error::corrupt("a migration's number is out of range"));
    let read = |row: tokio_postgres::Row| {
        Ok(Applied {
            version: small(super::columns::get(&row, 0)?)?,
            serves: small(super::columns::get(&row, 1)?)?,
            checksum: super::columns::get(&row, 2)?,
        })
    };
    rows.map_err(failed)?.into_iter().map(read).collect()
}

fn checksum(sql: &str) -> String {
    hex(&Sha256::digest(sql))
}
