//! Opening a store: may this database be used, is its schema ours and not newer, is it durable; then this node registers.

use std::{sync::Arc, time::Duration};

use hongyan_core::{
    id::IdSource,
    time::{Clock, SystemClock, Timestamp},
};

use crate::{
    clock::DatabaseClock,
    days::day_of,
    engine::{Engine, Registration},
    lanes,
    life::Life,
    memory::BUCKETS,
    migrate,
    pool::Pool,
    session::Session,
    sql::cold,
    store::PostgresStore,
    target::Target,
    trouble::{Outcome, Trouble},
};

/// What a deployment, or a test, may choose.
#[derive(Clone, Debug)]
pub struct Options {
    /// Go on although the database may lose what it has confirmed.
    pub is_unsafe: bool,
    /// Connections of this node, at most.
    pub connections: usize,
    /// How often a node says that it lives.
    pub heartbeat: Duration,
    /// How long a node counts as living after it was heard of.
    pub lease: Duration,
    /// How long a node must have been heard without a gap before it declares others dead.
    pub trust: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            is_unsafe: false,
            connections: 12,
            heartbeat: Duration::from_secs(3),
            lease: Duration::from_secs(15),
            trust: Duration::from_secs(15),
        }
    }
}

/// Why a store cannot be opened. Each says what is wrong and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The connection string is wrong.
    #[error("the connection string cannot be used: {0}")]
    Url(String),
    /// The database cannot be reached, or something went wrong on the way.
    #[error("{0}")]
    Away(String),
    /// The search path leads nowhere.
    #[error(
        "the database has no schema for the tables: none that search_path names exists (or the role may not use it); \
         make it by CREATE SCHEMA, or take search_path out of the connection string"
    )]
    NoSchema,
    /// The tables there are another program's.
    #[error(
        "the schema {schema:?} has a table {table:?} but no Hongyan store: it belongs to another program and was left \
         untouched; give the store a database or a schema of its own"
    )]
    Foreign {
        /// The schema.
        schema: String,
        /// A table that is in the way.
        table: String,
    },
    /// A newer version of the program made it into what this one cannot use.
    #[error(
        "the database has schema version {version}, which needs a program that knows version {oldest}; this one knows \
         versions up to {known}: use the newer program; the database was left untouched"
    )]
    Newer {
        /// Its version.
        version: i32,
        /// The oldest schema version whose program may use it.
        oldest: i32,
        /// Ours.
        known: i32,
    },
    /// The database refused.
    #[error("the database refused: {0}")]
    Refused(String),
}

impl OpenError {
    pub(crate) fn from_trouble(trouble: Trouble) -> Self {
        match &trouble {
            Trouble::Sql(error) => match error.as_db_error() {
                Some(said) => Self::Refused(format!("{} ({})", said.message(), said.code().code())),
                None => Self::Away(trouble.told().to_string()),
            },
            _ => Self::Away(trouble.told().to_string()),
        }
    }
}

/// Opens the store that `url` names, or makes it where the database is empty, and registers this node.
///
/// # Errors
/// What keeps the database from being used.
pub async fn open(url: &str, options: Options) -> Result<Arc<PostgresStore>, OpenError> {
    let target = Arc::new(Target::parse(url).map_err(OpenError::Url)?);
    let first = target.connect().await.map_err(OpenError::from_trouble)?;
    migrate::migrate(&first).await?;
    let pool = Pool::new(target, options.connections);
    start(pool, &first).await.map_err(OpenError::from_trouble)
}

async fn start(pool: Arc<Pool>, db: &Session) -> Outcome<Arc<PostgresStore>> {
    let clock = Arc::new(DatabaseClock::default());
    let before = SystemClock.now();
    let row = db.query_opt(cold::CLOCK, &[]).await?.ok_or_else(|| Trouble::Damaged("no clock".to_owned()))?;
    clock.measured(Timestamp::from_ms(row.try_get(0)?), before, SystemClock.now());
    let now = clock.now();

    let me = Registration { number: 0, epoch: now.ms() };
    db.batch(&format!(
        "INSERT INTO node VALUES (0, {}, '', '', now(), now(), now() + interval '1 day', 0, 0, 0, NULL, NULL)",
        me.epoch
    ))
    .await?;
    let ids = Arc::new(IdSource::new(me.number, None));

    let engine = Engine::new(Arc::clone(&pool), ids, clock, me);
    let today = day_of(now);
    engine.days.make_all(&pool, today - 1..=today + 3).await?;
    lanes::read(&pool, &engine.memory, 0..BUCKETS, now).await?;
    Ok(Arc::new(PostgresStore::new(engine, Life {})))
}
