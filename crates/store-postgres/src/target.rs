//! Where the database is and how to reach it: its hosts one after the other, TLS, and what every connection is set to before
//! it is used.

mod address;
mod tls;

use std::{
    future::poll_fn,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio_postgres::{
    AsyncMessage, Config, Connection, NoTls, Socket,
    config::{Host, LoadBalanceHosts, TargetSessionAttrs},
    error::SqlState,
    tls::TlsStream,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{
    session::{Session, TRANSACTION_TIME_MAX},
    trouble::{Outcome, Trouble, words},
};

use self::tls::Demand;

/// How long a connection may take to be made, each host by itself; as much again is left to the server for its part.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);

/// After how long a silence a connection is asked whether it still stands.
const KEEPALIVE_IDLE_MAX: Duration = Duration::from_secs(10);

/// What every connection is set to.
pub(crate) const SETTINGS: &str = "\
    -- No lock is waited for long, nobody's forgotten transaction pins the tables.
    SET idle_in_transaction_session_timeout = '10s';
    SET lock_timeout = '5s';
    SET timezone = 'UTC';
    -- What a statement waited for it sees, instead of failing: rows are locked, and nobody relies on a common moment.
    SET default_transaction_isolation = 'read committed';
    -- Statements take milliseconds: compiling one costs more than it ever gains.
    SET jit = off;
    -- Each statement is meant to be done in one way, whatever its parameters: plan it once.
    SET plan_cache_mode = force_generic_plan;
    -- And always by an index: a plan that was made while a table was empty, or before its first statistics, would go on
    -- reading the whole of it when it is full.
    SET enable_seqscan = off;
";

/// A database and how to reach it.
pub(crate) struct Target {
    hosts: Vec<Place>,
    /// Which host is tried first: another one each time, where that is asked for.
    turn: Option<AtomicUsize>,
}

/// One host of it.
struct Place {
    /// For people.
    name: String,
    config: Config,
    tls: Option<MakeRustlsConnect>,
    time_max: Duration,
}

impl Target {
    /// The database that a connection string names.
    ///
    /// # Errors
    /// What is wrong with the string, in words.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let (mut config, ours) = address::read(url)?;
        let count = config.get_hosts().len().max(config.get_hostaddrs().len());
        let lengths = [config.get_hosts().len(), config.get_hostaddrs().len()];
        if lengths.iter().any(|length| *length != 0 && *length != count)
            || ![0, 1, count].contains(&config.get_ports().len())
        {
            return Err("host, hostaddr and port are lists of different lengths".to_owned());
        }
        config.target_session_attrs(match ours.target_session_attrs.as_deref() {
            // Of several hosts, whichever is the primary now.
            None if count > 1 => TargetSessionAttrs::ReadWrite,
            None | Some("any") => TargetSessionAttrs::Any,
            Some("read-write" | "primary") => TargetSessionAttrs::ReadWrite,
            Some(other) => {
                return Err(format!("target_session_attrs={other:?}: a store writes, so it must be read-write or any"));
            }
        });
        let demand = tls::demand(ours.sslmode.as_deref(), ours.sslrootcert.as_deref())?;
        let hosts = (0..count).map(|index| Place::of(&config, index, demand, ours.sslrootcert.as_deref()));
        let turn = config.get_load_balance_hosts() == LoadBalanceHosts::Random;
        // Where many nodes start at once, the numbers of their processes differ.
        let turn = turn.then(|| AtomicUsize::new(usize::try_from(std::process::id()).unwrap_or(0)));
        Ok(Self { hosts: hosts.collect::<Result<_, _>>()?, turn })
    }

    /// Makes a connection to the first host that takes one.
    pub(crate) async fn connect(&self) -> Outcome<Session> {
        let first = self.turn.as_ref().map_or(0, |turn| turn.fetch_add(1, Ordering::Relaxed));
        let mut whys = Vec::new();
        for index in 0..self.hosts.len() {
            let place = &self.hosts[first.wrapping_add(index) % self.hosts.len()];
            match tokio::time::timeout(place.time_max, place.connect()).await {
                Ok(Ok(session)) => return Ok(session),
                Ok(Err(why)) => whys.push(format!("{}: {why}", place.name)),
                Err(_) => whys.push(format!("{}: no answer in {:?}", place.name, place.time_max)),
            }
        }
        Err(Trouble::Away(format!("the database cannot be reached: {}", whys.join("; "))))
    }
}

impl Place {
    fn of(all: &Config, index: usize, demand: Option<Demand>, sslrootcert: Option<&str>) -> Result<Self, String> {
        let mut config = same_for_all(all);
        let port = all.get_ports().get(index).or_else(|| all.get_ports().first()).copied().unwrap_or(5432);
        config.port(port);
        let address = all.get_hostaddrs().get(index);
        if let Some(address) = address {
            config.hostaddr(*address);
        }
        let (name, is_socket) = match all.get_hosts().get(index) {
            Some(Host::Tcp(name)) => {
                config.host(name);
                (name.clone(), false)
            }
            Some(Host::Unix(path)) => {
                config.host_path(path);
                (path.display().to_string(), true)
            }
            None => (address.map(ToString::to_string).unwrap_or_default(), false),
        };
        let is_near = address.map_or_else(|| is_loopback(&name), |address| address.is_loopback());
        let demand = match demand {
            // Sockets in the file system have no TLS, whatever is demanded, and need none.
            _ if is_socket => Demand::Disable,
            Some(demand) => demand,
            None if is_near => Demand::Disable,
            None => Demand::Prefer,
        };
        if demand == Demand::VerifyFull && all.get_hosts().is_empty() {
            return Err(
                "sslmode=verify-full needs host beside hostaddr: the name that the certificate must bear".to_owned()
            );
        }
        config.ssl_mode(demand.mode());
        let time_max = 2 * config.get_connect_timeout().copied().unwrap_or(CONNECT_TIME_MAX);
        Ok(Self { name: format!("{name}:{port}"), config, tls: tls::connector(demand, sslrootcert)?, time_max })
    }

    async fn connect(&self) -> Result<Session, String> {
        let doubt = Arc::new(AtomicBool::new(false));
        let (client, driver) = match &self.tls {
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await.map_err(|error| words(&error))?;
                (client, drive(connection, Arc::clone(&doubt)))
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await.map_err(|error| words(&error))?;
                (client, drive(connection, Arc::clone(&doubt)))
            }
        };
        let session = Session::new(client, driver, Arc::clone(&doubt));
        session.batch(SETTINGS).await.map_err(|trouble| trouble.told().to_string())?;
        // What a server warns of while it takes a connection (of a collation that changed, say) is about no commit.
        doubt.store(false, Ordering::Relaxed);
        Ok(session)
    }
}

/// What is not about one host.
fn same_for_all(all: &Config) -> Config {
    let mut one = Config::new();
    if let Some(user) = all.get_user() {
        one.user(user);
    }
    if let Some(password) = all.get_password() {
        one.password(password);
    }
    if let Some(database) = all.get_dbname() {
        one.dbname(database);
    }
    if let Some(options) = all.get_options() {
        one.options(options);
    }
    one.application_name(all.get_application_name().unwrap_or("hongyan"));
    one.ssl_negotiation(all.get_ssl_negotiation());
    one.channel_binding(all.get_channel_binding());
    one.target_session_attrs(all.get_target_session_attrs());
    one.connect_timeout(all.get_connect_timeout().copied().unwrap_or(CONNECT_TIME_MAX));
    one.tcp_user_timeout(all.get_tcp_user_timeout().copied().unwrap_or(TRANSACTION_TIME_MAX));
    one.keepalives(all.get_keepalives());
    one.keepalives_idle(all.get_keepalives_idle().min(KEEPALIVE_IDLE_MAX));
    if let Some(interval) = all.get_keepalives_interval() {
        one.keepalives_interval(interval);
    }
    if let Some(retries) = all.get_keepalives_retries() {
        one.keepalives_retries(retries);
    }
    one
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
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
