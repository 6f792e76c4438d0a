//! Which files are opened: our own, whole, not newer, one process at a time. What is refused is left as it was.

use std::{
    fs::{self, File},
    io::{Seek, SeekFrom, Write},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::Arc,
};

use hongyan_core::{
    id::IdSource,
    store::{Messages, Upkeep},
    time::Timestamp,
};
use hongyan_store_sqlite::{OpenError, Options, SqliteStore, inspect, open};
use hongyan_store_suite::sample;
use tempfile::TempDir;

const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("hongyan.db");
    (directory, file)
}

async fn opened(file: &Path) -> Result<Arc<SqliteStore>, OpenError> {
    open(file, Options::default()).await
}

/// Opening fails, says so about this file, and leaves it as it was.
async fn refused(file: &Path) -> OpenError {
    let before = fs::read(file).expect("reads");
    let Err(error) = opened(file).await else { panic!("{} was opened", file.display()) };
    assert!(error.to_string().contains("hongyan.db"), "{error}");
    assert_eq!(fs::read(file).expect("reads"), before, "left untouched");
    error
}

/// A store with something in it, closed.
async fn filled(file: &Path, messages: usize) {
    let store = opened(file).await.expect("opens");
    let ids = IdSource::new(0, None);
    for _ in 0..messages {
        let batch = sample(&ids, NOW, &"text ".repeat(200)).expect("ids");
        store.submit(batch, NOW).await.expect("stored");
    }
    store.close().await;
}

#[tokio::test]
async fn makes_directories_and_leaves_nothing_behind() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("data/deep/hongyan.db");
    let store = opened(&file).await.expect("opens");
    store.close().await;
    let mut left: Vec<_> = fs::read_dir(directory.path().join("data/deep"))
        .expect("lists")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect();
    left.sort();
    assert_eq!(left, ["hongyan.db", "hongyan.db.lock"]);
}

#[tokio::test]
async fn a_second_opener_is_refused_until_the_first_is_gone() {
    let (_directory, file) = place();
    let store = opened(&file).await.expect("opens");
    let Err(error) = opened(&file).await else { panic!("opened twice") };
    assert!(matches!(error, OpenError::InUse { .. }));
    let said = error.to_string();
    assert!(said.contains("hongyan.db") && said.contains("in use by another process"), "{said}");
    store.ping(NOW).await.expect("the first one is not disturbed");
    drop(store);
    let store = opened(&file).await.expect("free again");
    store.close().await;
    opened(&file).await.expect("free again, although the closed one is still there");
}

#[tokio::test]
async fn other_files_are_refused() {
    let (_directory, file) = place();
    fs::write(&file, "To whom it may concern\n").expect("writes");
    assert!(refused(&file).await.to_string().contains("not a Hongyan store"));
    fs::write(&file, "To whom it may concern\n".repeat(1_000)).expect("writes");
    assert!(refused(&file).await.to_string().contains("not an SQLite database"));
    assert!(!file.with_file_name("hongyan.db.lock").exists(), "nothing is put beside a stranger's file");

    fs::remove_file(&file).expect("removes");
    let other = rusqlite::Connection::open(&file).expect("opens");
    other.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)").expect("writes");
    drop(other);
    assert!(refused(&file).await.to_string().contains("another program"));

    fs::remove_file(&file).expect("removes");
    fs::create_dir(&file).expect("makes");
    assert!(matches!(opened(&file).await, Err(OpenError::Unusable { .. })));
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let (_directory, file) = place();
    filled(&file, 1).await;
    let db = rusqlite::Connection::open(&file).expect("opens");
    db.pragma_update(None, "user_version", 99).expect("writes");
    drop(db);
    let error = refused(&file).await;
    assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error}");
    assert!(error.to_string().contains("use the newer program"));
}

#[tokio::test]
async fn damage_is_refused() {
    let (_directory, file) = place();
    filled(&file, 200).await;
    let whole = fs::read(&file).expect("reads");

    fs::write(&file, &whole[..whole.len() / 2]).expect("writes");
    assert!(matches!(refused(&file).await, OpenError::Damaged { .. }));

    fs::write(&file, &whole[..8_192 + 100]).expect("writes");
    assert!(matches!(refused(&file).await, OpenError::Damaged { .. }));

    for page in 1..whole.len() / 8_192 {
        fs::write(&file, &whole).expect("writes");
        let mut damaged = File::options().write(true).open(&file).expect("opens");
        damaged.seek(SeekFrom::Start(page as u64 * 8_192)).expect("seeks");
        damaged.write_all(&[0xA5; 512]).expect("writes");
        drop(damaged);
        let error = refused(&file).await;
        assert!(matches!(error, OpenError::Damaged { .. }), "page {page}: {error}");
        assert!(error.to_string().contains("damaged"), "{error}");
    }

    fs::write(&file, &whole).expect("writes");
    let store = opened(&file).await.expect("whole again");
    store.close().await;
}

/// A crash while a new store was being made leaves a file under another name, which is no store and in nobody's way.
#[tokio::test]
async fn a_store_half_made_is_made_anew() {
    let (_directory, file) = place();
    fs::write(file.with_file_name("hongyan.db.new"), [0; 4_096]).expect("writes");
    fs::write(&file, []).expect("writes");
    filled(&file, 1).await;
    assert!(!file.with_file_name("hongyan.db.new").exists());
    opened(&file).await.expect("opens");
}

/// Where nothing can be written the message says so. (Root may write everywhere; a directory that is a file stops root too.)
#[tokio::test]
async fn a_place_that_cannot_be_written_is_named() {
    let (directory, _) = place();
    let blocked = directory.path().join("file");
    fs::write(&blocked, "in the way").expect("writes");
    let Err(error) = opened(&blocked.join("hongyan.db")).await else { panic!("opened") };
    assert!(matches!(error, OpenError::Unusable { .. }));
    assert!(error.to_string().contains("hongyan.db") && error.to_string().contains("cannot be"), "{error}");

    let locked = directory.path().join("locked");
    fs::create_dir(&locked).expect("makes");
    let mut permissions = fs::metadata(&locked).expect("reads").permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&locked, permissions).expect("sets");
    if fs::write(locked.join("probe"), "").is_err() {
        let Err(error) = opened(&locked.join("hongyan.db")).await else { panic!("opened") };
        assert!(error.to_string().contains("its directory must be writable"), "{error}");
    }
}

/// However a store is reached, it is one store: by a link to it, to its directory, or to where it will be.
#[tokio::test]
async fn links_do_not_get_round_the_lock() {
    let (directory, _) = place();
    let real = directory.path().join("real");
    fs::create_dir(&real).expect("makes");
    let file = real.join("hongyan.db");
    let (to_file, to_directory) = (directory.path().join("hongyan.db.link"), directory.path().join("link"));
    symlink("real/hongyan.db", &to_file).expect("links");
    symlink(&real, &to_directory).expect("links");
    // The first one makes it, through a link to what is not there yet.
    let store = opened(&to_file).await.expect("opens");
    assert!(file.is_file() && to_file.is_symlink(), "made where the link leads");
    for way in [&file, &to_file, &to_directory.join("hongyan.db"), &real.join("../real/hongyan.db")] {
        let Err(error) = opened(way).await else { panic!("{} was opened, too", way.display()) };
        assert!(matches!(error, OpenError::InUse { .. }), "{}: {error}", way.display());
    }
    store.close().await;
    let round = directory.path().join("round");
    symlink("round", &round).expect("links");
    assert!(matches!(opened(&round).await, Err(OpenError::Unusable { .. })));
}

/// A log without its database holds what was written last: it is neither lost nor mixed into a new store.
#[tokio::test]
async fn a_log_without_its_database_is_refused() {
    let (_directory, file) = place();
    filled(&file, 1).await;
    // A connection that stays keeps the log.
    let store = opened(&file).await.expect("opens");
    store.ping(NOW).await.expect("writes");
    let log = file.with_file_name("hongyan.db-wal");
    let (database, logged) = (fs::read(&file).expect("reads"), fs::read(&log).expect("reads"));
    assert!(!logged.is_empty());
    store.close().await;

    fs::remove_file(&file).expect("removes");
    fs::write(&log, &logged).expect("writes");
    for empty in [false, true] {
        if empty {
            fs::write(&file, []).expect("writes");
        }
        let Err(error) = opened(&file).await else { panic!("opened") };
        assert!(matches!(error, OpenError::Bereft { .. }), "{error}");
        assert!(error.to_string().contains("hongyan.db-wal"), "{error}");
        assert!(inspect(&file).is_err(), "looking finds the same");
        assert_eq!(fs::read(&log).expect("reads"), logged, "left untouched");
        assert_eq!(file.exists(), empty, "nothing is made");
    }
    fs::write(&file, database).expect("writes");
    opened(&file).await.expect("the database is back beside its log");
}

/// What messages say and whom they go to is nobody else's business on the machine.
#[tokio::test]
async fn files_and_directories_are_private() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("data/deep/hongyan.db");
    let store = opened(&file).await.expect("opens");
    store.ping(NOW).await.expect("writes");
    let mode = |path: &Path| fs::metadata(path).expect("is there").permissions().mode() & 0o777;
    for name in ["hongyan.db", "hongyan.db-wal", "hongyan.db-shm", "hongyan.db.lock"] {
        assert_eq!(mode(&file.with_file_name(name)), 0o600, "{name}");
    }
    assert_eq!(mode(&directory.path().join("data/deep")), 0o700);
    assert_eq!(mode(&directory.path().join("data")), 0o700);
}
