//! Bringing a database to this program's schema: one transaction under the lock of the schema's own row, whichever of many
//! nodes comes first. What is not ours, or needs a newer program, is left untouched. No advisory lock: the row is enough, and
//! it works on every database that speaks this protocol.

use std::time::Duration;

use tokio_postgres::error::SqlState;

use crate::{
    refusal::OpenError,
    row::signed,
    schema::{MIGRATIONS, SCHEMA_TABLE, TABLES, VERSION},
    session::Session,
    sql::cold,
    trouble::{Outcome, Trouble},
};

/// How often the lock of the schema is asked for; each time the server lets go after `lock_timeout`.
const TRIES: u32 = 24;
/// The pause after a collision.
const PAUSE: Duration = Duration::from_millis(20);

/// What is in the schema that tables are made in: its name, whether a schema of ours, whether a table that is in our way.
const LOOK: &str = "SELECT current_schema()::text, to_regclass(quote_ident(current_schema()) || '.hongyan_schema') IS NOT NULL, \
    (SELECT min(tablename)::text FROM pg_tables WHERE schemaname = current_schema() AND tablename = ANY ($1))";
const READ: &str = "SELECT version, oldest FROM hongyan_schema WHERE one = 1";
const WRITE: &str = "UPDATE hongyan_schema SET version = $1, oldest = $2 WHERE one = 1";

/// What a database says of its schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing of ours, and nothing in our way.
    Empty,
    /// A schema of ours.
    Version {
        /// Which.
        version: i32,
        /// The oldest version of the schema whose program may use it.
        oldest: i32,
    },
}

/// Looks at what is there; changes nothing.
///
/// # Errors
/// No schema to look at, or tables of another program in it.
pub(crate) async fn look(db: &Session) -> Result<Found, OpenError> {
    let Some(row) = db.query_opt(LOOK, &[&TABLES.as_slice()]).await.map_err(OpenError::from_trouble)? else {
        return Ok(Found::Empty);
    };
    let read = || -> Outcome<(Option<String>, bool, Option<String>)> {
        Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
    };
    let (schema, is_ours, foreign) = read().map_err(OpenError::from_trouble)?;
    let Some(schema) = schema else { return Err(OpenError::NoSchema) };
    if !is_ours {
        return match foreign {
            Some(table) => Err(OpenError::Foreign { schema, table }),
            None => Ok(Found::Empty),
        };
    }
    let row = db.query_opt(READ, &[]).await.map_err(OpenError::from_trouble)?;
    // The table without its row: the node that makes both is about to.
    let Some(row) = row else { return Ok(Found::Version { version: 0, oldest: 0 }) };
    let read = || -> Outcome<(i32, i32)> { Ok((row.try_get(0)?, row.try_get(1)?)) };
    let (version, oldest) = read().map_err(OpenError::from_trouble)?;
    Ok(Found::Version { version, oldest })
}

/// Whether this program may use a schema of that version.
///
/// # Errors
/// It needs a newer program.
pub(crate) fn usable(version: i32, oldest: i32) -> Result<(), OpenError> {
    match oldest > VERSION {
        true => Err(OpenError::Newer { version, oldest, known: VERSION }),
        false => Ok(()),
    }
}

/// Brings the schema to [`VERSION`], unless it is there or beyond already.
///
/// # Errors
/// What keeps the database from being used.
pub(crate) async fn migrate(db: &Session) -> Result<(), OpenError> {
    for tried in 1.. {
        let collision = match look(db).await? {
            Found::Version { version, oldest } if version >= VERSION => return usable(version, oldest),
            Found::Version { .. } => match advance(db).await {
                Ok(()) => return Ok(()),
                Err(Failed::Refused(error)) => return Err(error),
                Err(Failed::Trouble(trouble)) => trouble,
            },
            Found::Empty => match db.batch(SCHEMA_TABLE).await {
                Ok(()) => continue,
                Err(trouble) => trouble,
            },
        };
        if !is_worth_another_try(&collision) || tried >= TRIES {
            return Err(OpenError::from_trouble(collision));
        }
        tokio::time::sleep(PAUSE).await;
    }
    unreachable!("the last try returns")
}

/// Why a migration did not happen.
enum Failed {
    Refused(OpenError),
    Trouble(Trouble),
}

impl From<Trouble> for Failed {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

/// Runs what is missing, all or nothing.
async fn advance(db: &Session) -> Result<(), Failed> {
    db.begin().await?;
    let advanced = advance_locked(db).await;
    match advanced {
        Ok(()) => Ok(db.commit().await?),
        Err(failed) => {
            db.rollback().await;
            Err(failed)
        }
    }
}

async fn advance_locked(db: &Session) -> Result<(), Failed> {
    let rows = db.query(cold::SCHEMA_LOCK, &[]).await?;
    let Some(row) = rows.first() else { return Err(Trouble::Damaged("hongyan_schema has no row".to_owned()).into()) };
    let read = || -> Outcome<(i32, i32)> { Ok((row.try_get(0)?, row.try_get(1)?)) };
    let (version, oldest) = read()?;
    // Another node was faster while this one waited for the lock.
    usable(version, oldest).map_err(Failed::Refused)?;
    let done = usize::try_from(version).unwrap_or(0);
    for (number, migration) in MIGRATIONS.iter().enumerate().skip(done) {
        tracing::info!(version = number + 1, "bringing the database to a new schema version");
        db.batch_unhurried(migration.sql).await?;
    }
    if done < MIGRATIONS.len() {
        let oldest = MIGRATIONS.iter().map(|migration| migration.oldest).max().unwrap_or(0).max(oldest);
        let version = signed(u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX));
        db.execute(WRITE, &[&version, &oldest]).await?;
    }
    Ok(())
}

/// Whether another node was at the same thing. Even CREATE TABLE IF NOT EXISTS fails when two do it at once.
fn is_worth_another_try(trouble: &Trouble) -> bool {
    let Trouble::Sql(error) = trouble else { return false };
    let made_at_once = [
        SqlState::UNIQUE_VIOLATION,
        SqlState::DUPLICATE_TABLE,
        SqlState::DUPLICATE_OBJECT,
        // "tuple concurrently updated" of the catalogue has no code of its own.
        SqlState::INTERNAL_ERROR,
    ];
    trouble.is_collision() || error.code().is_some_and(|code| made_at_once.contains(code))
}
