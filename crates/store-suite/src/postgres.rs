//! A PostgreSQL server of the test's own: made in a temporary directory, started on a free port of the loopback, and gone with
//! the process that started it, however that ends. Most tests share one per process and take a schema each; those that stop,
//! kill or replicate a server start their own.
//!
//! ```ignore
//! let url = hongyan_store_suite::postgres::shared().fresh_schema();
//! ```

use std::{
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::Write as _,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tempfile::TempDir;

use self::{
    postmaster::{LaunchError, Postmaster},
    programs::{Programs, run},
    watcher::Watcher,
};

mod postmaster;
mod programs;
mod watcher;

/// Long enough for anything that is going to happen, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Ports are taken from here, below those that the kernel gives to outgoing connections: a client that keeps dialling a server
/// that is down could otherwise take the server's port, or reach itself.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// How many ports are tried, should other processes take them between our look and the server's.
const PORT_TRIES: usize = 5;
/// What [`Server::standby`] calls itself towards its primary.
const STANDBY: &str = "standby1";

/// What every server runs with: as durable as a deployment, as small as a test.
const SETTINGS: [(&str, &str); 14] = [
    ("listen_addresses", "127.0.0.1"),
    // No socket in the file system at all: none is ever left behind.
    ("unix_socket_directories", ""),
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("full_page_writes", "on"),
    ("shared_buffers", "128MB"),
    ("huge_pages", "off"),
    ("max_connections", "400"),
    ("jit", "off"),
    // Shared memory in the server's own directory goes with the directory, also after kill -9.
    ("dynamic_shared_memory_type", "mmap"),
    // A standby that is away for the length of a test can catch up.
    ("wal_keep_size", "512MB"),
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
    ("logging_collector", "off"),
];

/// How a server is to be.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Lines for `postgresql.conf`; they win over the usual ones.
    pub settings: Vec<(String, String)>,
    /// The port; absent: a free one.
    pub port: Option<u16>,
    /// Where its directory is made; absent: in memory, where the machine has room there.
    pub place: Option<PathBuf>,
}

/// A PostgreSQL server. Dropping it ends it at once and removes its directory.
pub struct Server {
    programs: Programs,
    port: u16,
    state: Mutex<State>,
    place: TempDir,
}

/// Dropped in this order: the server, then the watcher, which finds nothing left to end and removes the directory.
struct State {
    /// The running server; absent while it is down.
    postmaster: Option<Postmaster>,
    watcher: Watcher,
}

/// The one server that the tests of this process share, started at the first use.
pub fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| Server::start(Options::default()))
}

/// Runs `query` by `psql` in the database that `url` means: one line per row, columns parted by `|`.
///
/// # Errors
/// What `psql` says, when the server cannot be reached or refuses the query.
pub fn sql(url: &str, query: &str) -> Result<String, String> {
    let mut psql = Programs::find().command_as_ourselves("psql");
    psql.env("PGCONNECT_TIMEOUT", "10").args(["-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", query]);
    run(psql).map(|said| said.trim_end().to_owned())
}

impl Server {
    /// Makes a new, empty server and starts it.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start.
    pub fn start(options: Options) -> Self {
        let programs = Programs::find();
        let (place, watcher) = new_place(&programs, options.place.as_deref());
        let mut initdb = programs.command("initdb", place.path());
        initdb.args(["--pgdata", "data", "--username", "postgres", "--auth", "trust", "--encoding", "UTF8"]);
        // initdb need not be durable: before the server runs, nothing has been promised.
        initdb.args(["--locale", "C", "--data-checksums", "--no-sync"]);
        run(initdb).unwrap_or_else(|error| panic!("initdb: {error}"));
        let usual = SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut lines = String::new();
        for (name, value) in usual.into_iter().chain(options.settings) {
            writeln!(lines, "{name} = '{}'", value.replace('\'', "''")).expect("a string takes everything");
        }
        append(&place.path().join("data/postgresql.conf"), &lines);
        Self::launch(programs, place, watcher, options.port)
    }

    /// A streaming standby of this server, on a port of its own. It runs beside this one and does not end with it.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn standby(&self) -> Self {
        let (place, watcher) = new_place(&self.programs, self.place.path().parent());
        let mut backup = self.programs.command("pg_basebackup", place.path());
        let primary = format!("host=127.0.0.1 port={} user=postgres application_name={STANDBY}", self.port);
        backup.args(["-d", &primary, "-D", "data", "--write-recovery-conf", "--wal-method", "stream"]);
        backup.args(["--checkpoint", "fast", "--no-sync"]);
        run(backup).unwrap_or_else(|error| panic!("pg_basebackup: {error}"));
        // What the primary requires is not required of the standby once it is promoted: it has no standby of its own.
        append(&place.path().join("data/postgresql.auto.conf"), "synchronous_standby_names = ''\n");
        Self::launch(self.programs.clone(), place, watcher, None)
    }

    fn launch(programs: Programs, place: TempDir, mut watcher: Watcher, port: Option<u16>) -> Self {
        for _ in 0..PORT_TRIES {
            let chosen = port.unwrap_or_else(free_port);
            match Postmaster::launch(&programs, place.path(), chosen, &mut watcher) {
                Ok(postmaster) => {
                    let state = Mutex::new(State { postmaster: Some(postmaster), watcher });
                    return Self { programs, port: chosen, state, place };
                }
                Err(LaunchError::PortTaken) if port.is_none() => {}
                Err(error) => panic!("PostgreSQL does not start on port {chosen}: {error}"),
            }
        }
        panic!("no free port for PostgreSQL in {PORT_TRIES} tries");
    }

    /// Where it listens on 127.0.0.1; the same after each start.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its directory: `data` and the file `log` are in it.
    pub fn directory(&self) -> &Path {
        self.place.path()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(log_of(self.place.path())).unwrap_or_default()
    }

    /// The process id of its postmaster; absent while it is down.
    pub fn pid(&self) -> Option<u32> {
        self.state().postmaster.as_ref().map(Postmaster::pid)
    }

    /// The connection string of its database.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// The connection string that leads to the schema `name`, which is made if there is none.
    ///
    /// # Panics
    /// When `name` is more than small letters, digits and underscores, or the server does not answer.
    pub fn schema_url(&self, name: &str) -> String {
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        assert!(!name.is_empty() && name.bytes().all(is_plain), "{name:?} is no plain name of a schema");
        self.sql(&format!("create schema if not exists {name}"));
        format!("{}?options=-csearch_path%3D{name}", self.url())
    }

    /// The connection string of a new schema that nobody else has.
    ///
    /// # Panics
    /// When the server does not answer.
    pub fn fresh_schema(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        self.schema_url(&format!("test_{}_{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    /// Runs `query` by `psql`: one line per row, columns parted by `|`.
    ///
    /// # Panics
    /// When the server does not answer or refuses the query.
    pub fn sql(&self, query: &str) -> String {
        self.try_sql(query).unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    /// The same for a server that may be away.
    ///
    /// # Errors
    /// What `psql` says.
    pub fn try_sql(&self, query: &str) -> Result<String, String> {
        sql(&self.url(), query)
    }

    /// Ends it in order, with its clients cut off; returns when it is down.
    pub fn stop_fast(&self) {
        self.end(|postmaster| postmaster.stop("INT"));
    }

    /// Ends it at once, without a checkpoint, as a crash of the server does; returns when it is down.
    pub fn stop_immediate(&self) {
        self.end(|postmaster| postmaster.stop("QUIT"));
    }

    /// kill -9 to all its processes; returns when they are gone.
    pub fn kill(&self) {
        self.end(|postmaster| postmaster.kill(self.place.path()));
    }

    fn end(&self, how: impl FnOnce(&mut Postmaster)) {
        let mut state = self.state();
        if let Some(mut postmaster) = state.postmaster.take() {
            how(&mut postmaster);
            state.watcher.watch(None);
        }
    }

    /// Starts it again where it was; does nothing while it runs.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_again(&self) {
        let mut state = self.state();
        let State { postmaster, watcher } = &mut *state;
        if postmaster.is_none() {
            let started = Postmaster::launch(&self.programs, self.place.path(), self.port, watcher);
            *postmaster = Some(started.unwrap_or_else(|error| panic!("PostgreSQL does not start again: {error}")));
        }
    }

    /// Stops all its processes where they stand (SIGSTOP): connections stay open and nothing answers.
    pub fn pause(&self) {
        if let Some(postmaster) = &self.state().postmaster {
            postmaster.pause();
        }
    }

    /// Lets them go on.
    pub fn resume(&self) {
        if let Some(postmaster) = &self.state().postmaster {
            postmaster.resume();
        }
    }

    /// From now on a commit waits for [`Server::standby`]; returns when the standby is one that is waited for.
    ///
    /// # Panics
    /// When there is no standby that keeps up.
    pub fn require_standby(&self) {
        self.sql(&format!("alter system set synchronous_standby_names = 'ANY 1 ({STANDBY})'"));
        self.sql("select pg_reload_conf()");
        let query = format!(
            "select count(*) from pg_stat_replication where application_name = '{STANDBY}' \
             and state = 'streaming' and sync_state in ('sync', 'quorum')"
        );
        wait_for("the standby to be required", || (self.sql(&query) != "0").then_some(()));
    }

    /// Makes a standby a primary; returns when it takes writes.
    ///
    /// # Panics
    /// When it does not become one.
    pub fn promote(&self) {
        assert_eq!(self.sql("select pg_promote(true, 60)"), "t", "the standby was not promoted");
        wait_for("the promoted server", || (self.sql("select pg_is_in_recovery()") == "f").then_some(()));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A directory that the server's user owns, and the watcher that removes it.
fn new_place(programs: &Programs, parent: Option<&Path>) -> (TempDir, Watcher) {
    let mut place = tempfile::Builder::new();
    place.prefix("hongyan-postgres-");
    let parent = match parent {
        Some(parent) => Some(parent),
        None => memory_backed(),
    };
    let place = match parent {
        Some(parent) => place.tempdir_in(parent),
        None => place.tempdir(),
    };
    let place = place.expect("a temporary directory");
    programs.give(place.path());
    let watcher = Watcher::start(place.path());
    (place, watcher)
}

/// A file system in memory with room to spare, where the machine has one: the many small files of many schemas cost little
/// there. What is tried is what survives a process, and that lives on in memory as it does in the cache of a disk.
fn memory_backed() -> Option<&'static Path> {
    const ROOM_KIB: u64 = 4 * 1024 * 1024;
    let place = Path::new("/dev/shm");
    let asked = Command::new("df").args(["--output=avail", "-k"]).arg(place).output().ok()?;
    let free = String::from_utf8_lossy(&asked.stdout).lines().nth(1)?.trim().parse::<u64>().ok()?;
    (free >= ROOM_KIB).then_some(place)
}

fn log_of(place: &Path) -> PathBuf {
    place.join("log")
}

fn append(path: &Path, text: &str) {
    let written = OpenOptions::new().append(true).open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.unwrap_or_else(|error| panic!("{} cannot be written: {error}", path.display()));
}

/// A port at which nobody listens now.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let ports = u32::from(PORTS.end - PORTS.start);
    // Processes that run at the same time begin at different places.
    let begin = process::id().wrapping_mul(97);
    let candidates = (0..ports).map(|_| begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % ports);
    let mut candidates = candidates.filter_map(|n| Some(PORTS.start + u16::try_from(n).ok()?));
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    candidates.find(is_free).expect("a free port")
}

/// Looks again and again until `check` answers something.
#[expect(
    clippy::disallowed_methods,
    reason = "the pause between two looks at another process; the look decides, not the pause"
)]
fn wait_for<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let begun = std::time::Instant::now();
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
