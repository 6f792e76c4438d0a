//! Servers that do not keep what they confirm are refused in words, or gone on with loudly.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use hongyan_store_postgres::{Grade, OpenError, Options, inspect, open};
use hongyan_store_suite::postgres::{self, Server, shared};
use tracing_subscriber::fmt::MakeWriter;

/// What is logged, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()).expect("text")
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Everything that this thread logs from now on, at every level.
fn logged() -> (Log, tracing::subscriber::DefaultGuard) {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(log.clone())
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .finish();
    (log, tracing::subscriber::set_default(subscriber))
}

async fn refusal(url: &str, options: Options) -> OpenError {
    match open(url, options).await {
        Ok(_) => panic!("{url} is refused"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_server_that_forgets_is_refused_or_gone_on_with_loudly() {
    let settings = [("fsync", "off"), ("full_page_writes", "off"), ("data_sync_retry", "on")];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let server = Server::start(postgres::Options { settings, ..Default::default() });
    let said = refusal(&server.url(), Options::default()).await.to_string();
    for part in ["fsync is off", "set fsync = on", "full_page_writes is off", "data_sync_retry is on"] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(server.sql("select count(*) from pg_tables where schemaname = 'public'"), "0", "nothing was made");

    let (log, guard) = logged();
    let store =
        open(&server.url(), Options { is_unsafe: true, ..Options::default() }).await.expect("opens all the same");
    drop(guard);
    let log = log.text();
    let loud: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(loud.len(), 3, "{log}");
    assert!(loud.iter().all(|line| line.contains("NOT DURABLE")), "{log}");
    drop(store);
}

#[tokio::test]
async fn settings_of_a_role_or_of_the_connection_string_count() {
    for (setting, value) in [
        ("synchronous_commit", "off"),
        ("synchronous_commit", "local"),
        ("synchronous_commit", "remote_write"),
        ("zero_damaged_pages", "on"),
        ("ignore_checksum_failure", "on"),
    ] {
        let url = format!("{}?options=-c%20{setting}%3D{value}", shared().url());
        let said = refusal(&url, Options::default()).await.to_string();
        assert!(said.contains(&format!("{setting} is {value}")), "{said}");
    }
    let url = format!("{}%20-csynchronous_commit%3Dremote_apply", shared().fresh_schema());
    open(&url, Options::default()).await.expect("remote_apply is more than on");
}

#[tokio::test]
async fn what_takes_no_writes_is_refused_even_so() {
    let url = format!("{}?options=-cdefault_transaction_read_only%3Don", shared().url());
    let said = refusal(&url, Options { is_unsafe: true, ..Options::default() }).await.to_string();
    assert!(said.contains("default_transaction_read_only"), "{said}");

    let primary = Server::start(postgres::Options::default());
    let standby = primary.standby();
    let said = refusal(&standby.url(), Options { is_unsafe: true, ..Options::default() }).await.to_string();
    assert!(said.contains("in recovery"), "{said}");
    // Of both, the primary is found, wherever it stands in the list.
    let both = format!("postgres://postgres@127.0.0.1:{},127.0.0.1:{}/postgres", standby.port(), primary.port());
    open(&both, Options::default()).await.expect("the primary takes writes");
    assert_eq!(primary.sql("select count(*) from node"), "1");
    primary.stop_fast();
    let said = refusal(&both, Options::default()).await;
    assert!(said.is_away() && said.to_string().contains("does not allow writes"), "{said}");
}

#[tokio::test]
async fn a_look_changes_nothing() {
    let server = shared();
    let url = server.fresh_schema();
    let schema = url.rsplit("%3D").next().expect("its name");
    let tables = format!("select count(*) from pg_tables where schemaname = '{schema}'");
    let seen = inspect(&url).await.expect("is looked at");
    assert_eq!(seen.schema_version, None);
    assert_eq!(server.sql(&tables), "0");
    assert!(seen.server_version.starts_with(|first: char| first.is_ascii_digit()), "{}", seen.server_version);
    assert!(seen.findings.iter().all(|finding| finding.grade == Grade::Note), "{:?}", seen.findings);

    drop(open(&url, Options::default()).await.expect("opens"));
    let nodes = format!("select count(*) from {schema}.node");
    let before = server.sql(&nodes);
    let seen = inspect(&url).await.expect("is looked at again");
    assert_eq!(seen.schema_version, Some(seen.known_version));
    assert_eq!(server.sql(&nodes), before);
}

#[tokio::test]
async fn a_password_is_never_told() {
    let server = Server::start(postgres::Options::default());
    server.sql("create role guarded login password 'correct horse'");
    let rules = server.directory().join("data/pg_hba.conf");
    std::fs::write(&rules, "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        .expect("rules");
    server.sql("select pg_reload_conf()");
    let (log, guard) = logged();
    let mut said = String::new();
    for url in [
        format!("postgres://guarded:battery%20staple@127.0.0.1:{}/postgres", server.port()),
        format!("host=127.0.0.1 port={} dbname=postgres user=guarded password='battery staple'", server.port()),
        "postgres://guarded:battery%20staple@127.0.0.1:1/postgres".to_owned(),
        "postgres://guarded:battery%20staple@nowhere.invalid/postgres".to_owned(),
        "postgres:/guarded:battery staple@127.0.0.1/postgres".to_owned(),
    ] {
        let error = refusal(&url, Options::default()).await;
        said += &format!("{error} {error:?}\n");
    }
    drop(guard);
    assert!(said.contains("password authentication failed"), "{said}");
    let all = said + &log.text();
    for part in ["battery", "staple"] {
        assert!(!all.contains(part), "{all}");
    }
}
