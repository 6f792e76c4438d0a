//! Opening a store: may this database be used, is its schema ours and not newer, is it durable; then this node registers.

use std::{sync::Arc, time::Duration};

use hongyan_core::id::IdSource;

use crate::{
    arrival,
    checks::{self, Finding, Settings},
    clock::DatabaseClock,
    days::{Day, day_of, index_days},
    engine::Engine,
    life::{self, Life, Rhythm},
    migrate::{self, Found},
    nodes,
    ops::directory,
    pool::Pool,
    refusal::OpenError,
    schema::VERSION,
    store::PostgresStore,
    target::Target,
    trouble::Outcome,
};

/// The days whose tables are made at once: a node may be opened just before midnight. Upkeep makes more.
const DAYS_BEHIND: Day = 0;
const DAYS_AHEAD: Day = 1;

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

/// What a look at a database found, for people who ask before they start.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// The server's version, in its own words.
    pub server_version: String,
    /// Whether the connection was encrypted.
    pub is_encrypted: bool,
    /// The version of the schema; absent where there is none yet.
    pub schema_version: Option<i32>,
    /// The schema version that this program makes.
    pub known_version: i32,
    /// What there is to say about the server. What is [`crate::Grade::Impossible`] or [`crate::Grade::Unsafe`] keeps a node from starting.
    pub findings: Vec<Finding>,
}

/// Looks at the database that `url` names; changes nothing and registers nothing.
///
/// # Errors
/// It cannot be reached, or its tables are not ours or a newer program's.
pub async fn inspect(url: &str) -> Result<Inspected, OpenError> {
    let target = Target::parse(url).map_err(OpenError::Url)?;
    let db = target.connect().await.map_err(OpenError::from_trouble)?;
    let settings = Settings::read(&db).await.map_err(OpenError::from_trouble)?;
    let schema_version = match migrate::look(&db).await? {
        Found::Empty => None,
        Found::Version { version, oldest } => {
            migrate::usable(version, oldest)?;
            Some(version)
        }
    };
    Ok(Inspected {
        server_version: settings.server_version(),
        is_encrypted: settings.is_encrypted(),
        schema_version,
        known_version: VERSION,
        findings: settings.findings(),
    })
}

/// Opens the store that `url` names, or makes it where the database is empty, and registers this node.
///
/// # Errors
/// What keeps the database from being used.
pub async fn open(url: &str, options: Options) -> Result<Arc<PostgresStore>, OpenError> {
    let target = Arc::new(Target::parse(url).map_err(OpenError::Url)?);
    let pool = Pool::new(Arc::clone(&target), options.connections);
    let life = Pool::new(target, life::CONNECTIONS);
    {
        let db = pool.lend().await.map_err(OpenError::from_trouble)?;
        let settings = Settings::read(&db).await.map_err(OpenError::from_trouble)?;
        let objections = checks::objections(settings.findings(), options.is_unsafe);
        if !objections.is_empty() {
            return Err(OpenError::Unfit(objections));
        }
        migrate::migrate(&db).await?;
        arrival::refuse_unfinished(&db).await?;
    }
    start(pool, life, &options).await.map_err(OpenError::from_trouble)
}

async fn start(pool: Arc<Pool>, life: Arc<Pool>, options: &Options) -> Outcome<Arc<PostgresStore>> {
    let clock = Arc::new(DatabaseClock::default());
    let registered = nodes::register(&pool, &clock, options.lease).await?;
    let ids = Arc::new(IdSource::new(registered.me.number, None));
    ids.renumber(registered.me.number, registered.floor);
    let engine = Engine::new(pool, ids, clock, registered.me);
    let today = day_of(engine.now());
    engine.days.make_all(&engine.pool, today - DAYS_BEHIND..=today + DAYS_AHEAD).await?;
    if let Err(trouble) = index_days(&engine.pool).await {
        tracing::warn!(why = %trouble.told(), "some days of an earlier program lack indexes; they are read without");
    }
    if let Err(trouble) = directory::mend(&engine).await {
        tracing::warn!(why = %trouble.told(), "people whom an earlier program has added find no broadcasts until the next start");
    }
    life::look_everywhere(&engine).await?;
    let rhythm = Rhythm { heartbeat: options.heartbeat, lease: options.lease, trust: options.trust };
    let life = Life::start(&engine, life, rhythm, &registered);
    Ok(Arc::new(PostgresStore::new(engine, life)))
}
