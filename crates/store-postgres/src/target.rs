//! Where the database is and how to reach it: the connection string (several hosts too), TLS, and what every connection is
//! set to before it is used.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls, Socket, error::SqlState, tls::TlsStream};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{
    session::Session,
    trouble::{Outcome, Trouble, words},
};

/// How long a connection may take to be made, each host by itself.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);

/// Every connection: no lock is waited for long, nobody's forgotten transaction pins the tables.
const SETTINGS: &str = "SET idle_in_transaction_session_timeout = '10s'; SET lock_timeout = '5s'; SET timezone = 'UTC'";

/// A database and how to reach it.
pub(crate) struct Target {
    config: Config,
    tls: Option<MakeRustlsConnect>,
}

impl Target {
    /// The database that a connection string names.
    ///
    /// # Errors
    /// What is wrong with the string, in words.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| words(&error))?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIME_MAX);
        }
        config.tcp_user_timeout(crate::session::TRANSACTION_TIME_MAX);
        config.keepalives_idle(Duration::from_secs(10));
        if config.get_application_name().is_none() {
            config.application_name("hongyan");
        }
        Ok(Self { config, tls: None })
    }

    /// Makes a connection.
    pub(crate) async fn connect(&self) -> Outcome<Session> {
        let cannot =
            |error: tokio_postgres::Error| Trouble::Away(format!("the database cannot be reached: {}", words(&error)));
        let doubt = Arc::new(AtomicBool::new(false));
        let (client, driver) = match &self.tls {
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await.map_err(cannot)?;
                (client, drive(connection, Arc::clone(&doubt)))
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await.map_err(cannot)?;
                (client, drive(connection, Arc::clone(&doubt)))
            }
        };
        let session = set(client, driver, doubt);
        session.batch(SETTINGS).await?;
        Ok(session)
    }
}

fn set(client: Client, driver: tokio::task::AbortHandle, doubt: Arc<AtomicBool>) -> Session {
    Session::new(client, driver, doubt)
}

fn drive<S>(mut connection: Connection<Socket, S>, doubt: Arc<AtomicBool>) -> tokio::task::AbortHandle
where
    S: TlsStream + Unpin + Send + 'static,
{
    let driving = async move {
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            match message {
                Ok(AsyncMessage::Notice(notice)) if *notice.code() == SqlState::WARNING => {
                    tracing::warn!(warning = notice.message(), "the database warns");
                    doubt.store(true, Ordering::Relaxed);
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
    };
    tokio::spawn(driving).abort_handle()
}
