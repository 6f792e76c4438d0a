//! One connection: its prepared statements, transactions that go out in one write, and the watch over what the server says
//! beside its answers. A transaction whose statements do not depend on each other's results is sent whole, from BEGIN to
//! COMMIT, and costs one round trip.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use tokio::task::AbortHandle;
use tokio_postgres::{Client, Row, Statement, types::ToSql};

use crate::trouble::{Outcome, Trouble};

/// How long a transaction may take. A commit that waits for a standby that is gone would wait for ever, and must not be
/// cancelled: the server would then report success (`guides/reliability.md` A4.6). So the connection is given up instead.
pub(crate) const TRANSACTION_TIME_MAX: Duration = Duration::from_secs(10);

/// A parameter of a statement.
pub(crate) type Param<'a> = &'a (dyn ToSql + Sync);

/// A statement with its parameters.
pub(crate) struct Query<'a> {
    pub sql: &'static str,
    pub params: Vec<Param<'a>>,
}

/// A connection.
pub(crate) struct Session {
    client: Client,
    statements: Mutex<HashMap<&'static str, Statement>>,
    /// The server has warned that a commit may not be replicated.
    doubt: Arc<AtomicBool>,
    /// Of no more use.
    spoiled: AtomicBool,
    driver: AbortHandle,
}

impl Drop for Session {
    fn drop(&mut self) {
        // Closes the socket, whatever is under way; the server rolls back what is not committed.
        self.driver.abort();
    }
}

impl Session {
    /// A session over a connection that `driver` drives and that sets `doubt`.
    pub(crate) fn new(client: Client, driver: AbortHandle, doubt: Arc<AtomicBool>) -> Self {
        Self { client, statements: Mutex::default(), doubt, spoiled: AtomicBool::new(false), driver }
    }

    /// Whether it can be used again.
    pub(crate) fn is_usable(&self) -> bool {
        !self.spoiled.load(Ordering::Relaxed) && !self.client.is_closed()
    }

    /// It is not to be used again.
    pub(crate) fn spoil(&self) {
        self.spoiled.store(true, Ordering::Relaxed);
    }

    /// Runs a statement, prepared at its first use.
    pub(crate) async fn query(&self, sql: &'static str, params: &[Param<'_>]) -> Outcome<Vec<Row>> {
        let statement = self.statement(sql).await?;
        self.watched(async { Ok(self.client.query(&statement, params).await?) }).await
    }

    /// Runs a statement that answers at most one row.
    pub(crate) async fn query_opt(&self, sql: &'static str, params: &[Param<'_>]) -> Outcome<Option<Row>> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    /// Runs a statement; answers how many rows it touched.
    pub(crate) async fn execute(&self, sql: &'static str, params: &[Param<'_>]) -> Outcome<u64> {
        let statement = self.statement(sql).await?;
        self.watched(async { Ok(self.client.execute(&statement, params).await?) }).await
    }

    /// Runs statements without parameters or answers, as one text.
    pub(crate) async fn batch(&self, sql: &str) -> Outcome<()> {
        self.watched(async { Ok(self.client.batch_execute(sql).await?) }).await
    }

    /// The same without a limit of time: changing the schema of a large database takes as long as it takes.
    pub(crate) async fn batch_unhurried(&self, sql: &str) -> Outcome<()> {
        self.watched_for(Duration::MAX, async { Ok(self.client.batch_execute(sql).await?) }).await
    }

    /// Runs a statement that may take as long as it takes: reading all of a large table.
    pub(crate) async fn query_unhurried(&self, sql: &'static str) -> Outcome<Vec<Row>> {
        self.watched_for(Duration::MAX, async { Ok(self.client.query(sql, &[]).await?) }).await
    }

    /// Runs a statement that waits for others as long as they take.
    pub(crate) async fn query_patiently(&self, sql: &'static str) -> Outcome<Vec<Row>> {
        let statement = self.statement(sql).await?;
        self.watched_for(Duration::MAX, async { Ok(self.client.query(&statement, &[]).await?) }).await
    }

    /// Runs several statements in one write; all are answered, or the first trouble is.
    pub(crate) async fn query_all(&self, queries: &[Query<'_>]) -> Outcome<Vec<Vec<Row>>> {
        let statements = self.statements(queries).await?;
        self.watched(async {
            let runs =
                statements.iter().zip(queries).map(|(statement, query)| self.client.query(statement, &query.params));
            join_all(runs).await.into_iter().map(|rows| Ok(rows?)).collect()
        })
        .await
    }

    /// Runs statements as one transaction, sent in one write. When any of them is refused, nothing has happened.
    pub(crate) async fn transact(&self, queries: &[Query<'_>]) -> Outcome<Vec<Vec<Row>>> {
        let statements = self.statements(queries).await?;
        let client = &self.client;
        type Step<'a> = Pin<Box<dyn Future<Output = Result<Vec<Row>, tokio_postgres::Error>> + Send + 'a>>;
        let bare = |sql: &'static str| -> Step<'_> {
            Box::pin(async { client.batch_execute(sql).await.map(|()| Vec::new()) })
        };
        let mut steps: Vec<Step<'_>> = vec![bare("BEGIN")];
        for (statement, query) in statements.iter().zip(queries) {
            steps.push(Box::pin(client.query(statement, &query.params)));
        }
        steps.push(bare("COMMIT"));
        let ran = tokio::time::timeout(TRANSACTION_TIME_MAX, join_all(steps)).await;
        let Ok(ran) = ran else {
            self.spoil();
            return Err(Trouble::Unconfirmed("the database did not answer in time".to_owned()));
        };
        let mut answers = Vec::with_capacity(queries.len());
        let mut refused = None;
        let mut lost = None;
        for step in ran {
            match step {
                Ok(rows) => answers.push(rows),
                // Of a transaction that failed the later statements fail too: the first says why.
                Err(error) if error.as_db_error().is_some() => refused = refused.or(Some(error)),
                Err(error) => lost = lost.or(Some(error)),
            }
        }
        if let Some(error) = refused {
            let trouble = Trouble::Sql(error);
            if trouble.spoils_connection() {
                self.spoil();
                // The server went away at some point between BEGIN and COMMIT; which, it did not say.
                return Err(trouble.during_commit());
            }
            return Err(trouble);
        }
        if let Some(error) = lost {
            self.spoil();
            return Err(Trouble::Sql(error).during_commit());
        }
        self.doubts()?;
        answers.pop();
        answers.remove(0);
        Ok(answers)
    }

    /// Begins a transaction of several round trips.
    pub(crate) async fn begin(&self) -> Outcome<()> {
        self.batch("BEGIN").await
    }

    /// Begins a transaction whose statements all see one moment, and that changes nothing.
    pub(crate) async fn begin_reading(&self) -> Outcome<()> {
        self.batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
    }

    /// Commits what [`Session::begin`] began.
    pub(crate) async fn commit(&self) -> Outcome<()> {
        if let Err(trouble) = self.batch("COMMIT").await {
            self.spoil();
            return Err(trouble.during_commit());
        }
        self.doubts()
    }

    /// Takes back what [`Session::begin`] began.
    pub(crate) async fn rollback(&self) {
        if self.is_usable() && self.batch("ROLLBACK").await.is_err() {
            self.spoil();
        }
    }

    /// "Committed locally, but might not have been replicated" comes as a warning beside success.
    fn doubts(&self) -> Outcome<()> {
        if self.doubt.swap(false, Ordering::Relaxed) {
            self.spoil();
            return Err(Trouble::Unconfirmed("the commit may not have been replicated".to_owned()));
        }
        Ok(())
    }

    async fn statements(&self, queries: &[Query<'_>]) -> Outcome<Vec<Statement>> {
        let mut statements = Vec::with_capacity(queries.len());
        for query in queries {
            statements.push(self.statement(query.sql).await?);
        }
        Ok(statements)
    }

    async fn statement(&self, sql: &'static str) -> Outcome<Statement> {
        let known = self.statements.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned();
        if let Some(statement) = known {
            return Ok(statement);
        }
        let prepared = self.watched(async { Ok(self.client.prepare(sql).await?) }).await?;
        self.statements.lock().unwrap_or_else(PoisonError::into_inner).insert(sql, prepared.clone());
        Ok(prepared)
    }

    /// Waits for an answer as long as a transaction may take, and keeps an eye on the connection.
    async fn watched<T>(&self, run: impl Future<Output = Outcome<T>>) -> Outcome<T> {
        self.watched_for(TRANSACTION_TIME_MAX, run).await
    }

    async fn watched_for<T>(&self, limit: Duration, run: impl Future<Output = Outcome<T>>) -> Outcome<T> {
        let ran = tokio::time::timeout(limit, run).await;
        let ran = ran.unwrap_or_else(|_| Err(Trouble::Away("the database did not answer in time".to_owned())));
        if let Err(trouble) = &ran
            && trouble.spoils_connection()
        {
            self.spoil();
        }
        ran
    }
}
