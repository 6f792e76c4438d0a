//! The store suite on SQLite, each case on a file of its own.

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use hongyan_core::store::Store;
use hongyan_store_sqlite::{Options, open};
use hongyan_store_suite::{Bench, conformance};
use tempfile::TempDir;

struct SqliteBench {
    directory: TempDir,
}

impl SqliteBench {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a directory") }
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("hongyan.db")
    }
}

#[async_trait]
impl Bench for SqliteBench {
    async fn open(&self) -> Arc<dyn Store> {
        open(self.file(), Options::default()).await.expect("opens")
    }

    /// Dropping the store settles nothing; a process that is killed is tried in `crash.rs`.
    async fn crash(&self, store: Arc<dyn Store>) {
        assert_eq!(Arc::strong_count(&store), 1, "nothing else uses the store");
        drop(store);
    }
}

conformance!(SqliteBench::new());
