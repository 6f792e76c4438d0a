//! The PostgreSQL servers that tests use: they start, fail over and restart, and none outlives the process that started it.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use hongyan_store_suite::postgres::{Options, Server, shared, sql};

/// Long enough for anything that is going to happen, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn starts_as_durable_as_a_deployment() {
    let server = shared();
    for (setting, value) in [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("data_checksums", "on"),
        ("server_encoding", "UTF8"),
        ("lc_collate", "C"),
        ("max_connections", "400"),
        ("listen_addresses", "127.0.0.1"),
        ("unix_socket_directories", ""),
    ] {
        assert_eq!(server.sql(&format!("show {setting}")), value, "{setting}");
    }
    assert_eq!(server.url(), format!("postgres://postgres@127.0.0.1:{}/postgres", server.port()));
    assert!(server.try_sql("select nothing").expect_err("refused").contains("\"nothing\" does not exist"));
}

#[test]
fn schemas_are_apart() {
    let (one, other) = (shared().fresh_schema(), shared().fresh_schema());
    assert_ne!(one, other);
    for (url, value) in [(&one, "鸿雁"), (&other, "geese")] {
        sql(url, &format!("create table thing (value text); insert into thing values ('{value}')")).expect("done");
    }
    assert_eq!(sql(&one, "select value from thing").expect("read"), "鸿雁");
    assert_eq!(sql(&other, "select value from thing").expect("read"), "geese");
    assert!(shared().try_sql("select value from thing").is_err(), "and not in the schema that everybody sees");
    assert_eq!(shared().schema_url("mine"), shared().schema_url("mine"), "a schema that is there is kept");
}

#[test]
fn takes_settings_and_comes_back_as_it_was() {
    let settings = vec![("max_connections".into(), "20".into()), ("log_line_prefix".into(), "it's %p ".into())];
    let server = Server::start(Options { settings, ..Options::default() });
    assert_eq!(server.sql("show max_connections"), "20");
    assert_eq!(server.sql("show log_line_prefix"), "it's %p");
    server.sql("create table kept (n int)");
    let rounds: [fn(&Server); 3] = [Server::stop_fast, Server::stop_immediate, Server::kill];
    for (n, end) in rounds.into_iter().enumerate() {
        server.sql(&format!("insert into kept values ({n})"));
        let pid = server.pid().expect("it runs");
        end(&server);
        assert!(is_gone(pid) && server.pid().is_none());
        assert!(server.try_sql("select 1").expect_err("it is down").contains("Connection refused"));
        server.start_again();
        assert_eq!(server.sql("select count(*) from kept"), (n + 1).to_string());
    }
    let (directory, port) = (server.directory().to_owned(), server.port());
    drop(server);
    assert!(!directory.exists());
    let server = Server::start(Options { port: Some(port), ..Options::default() });
    assert_eq!(server.port(), port);
}

#[test]
fn a_paused_server_goes_on() {
    let server = Server::start(Options::default());
    let url = server.fresh_schema();
    server.pause();
    thread::scope(|scope| {
        let (said, heard) = std::sync::mpsc::sync_channel(1);
        scope.spawn(move || said.send(sql(&url, "select 7")));
        assert!(heard.recv_timeout(Duration::from_millis(500)).is_err(), "it does not answer");
        server.resume();
        assert_eq!(heard.recv_timeout(PATIENCE).expect("it answers").expect("well"), "7");
    });
    server.pause();
    let directory = server.directory().to_owned();
    drop(server);
    assert!(!directory.exists(), "a paused server can be ended, too");
}

#[test]
fn a_standby_has_everything_when_the_primary_dies() {
    let primary = Server::start(Options::default());
    primary.sql("create table kept (n int)");
    let standby = primary.standby();
    primary.require_standby();
    for n in 0..20 {
        primary.sql(&format!("insert into kept values ({n})"));
    }
    assert!(standby.try_sql("insert into kept values (0)").expect_err("refused").contains("read-only"));
    primary.kill();
    standby.promote();
    assert_eq!(standby.sql("select count(*) from kept"), "20");
    standby.sql("insert into kept values (20)");
    assert_eq!(standby.sql("show synchronous_standby_names"), "", "it waits for nobody");
}

#[test]
fn nothing_outlives_a_process_that_was_killed() {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "child_with_a_server", "--nocapture"])
        .env("HONGYAN_TEST_CHILD", "postgres")
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let said = BufReader::new(child.stdout.take().expect("piped"));
    let found = said.lines().map_while(Result::ok).find_map(|line| {
        let (pid, directory) = line.strip_prefix("server ")?.split_once(' ')?;
        Some((pid.parse::<u32>().ok()?, directory.to_owned()))
    });
    let (pid, directory) = found.expect("it says where its server is");
    assert!(!is_gone(pid) && Path::new(&directory).exists() && is_used(&directory));
    child.kill().expect("kills");
    child.wait().expect("ends");
    let begun = Instant::now();
    while !is_gone(pid) || Path::new(&directory).exists() || is_used(&directory) {
        assert!(begun.elapsed() < PATIENCE, "something is left of {pid} in {directory}");
        thread::park_timeout(Duration::from_millis(20));
    }
}

/// Does nothing but as the child of the test above: starts the shared server, says where it is, and waits to be killed.
#[test]
fn child_with_a_server() {
    if std::env::var_os("HONGYAN_TEST_CHILD").is_none() {
        return;
    }
    let server = shared();
    println!("\nserver {} {}", server.pid().expect("it runs"), server.directory().display());
    std::io::stdout().flush().expect("heard");
    loop {
        thread::park();
    }
}

/// Ended; where nobody waits for orphans, its entry may stay.
fn is_gone(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
}

/// Whether a process works in this directory.
fn is_used(directory: &str) -> bool {
    let processes = fs::read_dir("/proc").expect("processes").flatten();
    processes.filter_map(|entry| fs::read_link(entry.path().join("cwd")).ok()).any(|cwd| cwd.starts_with(directory))
}
