//! The store suite on PostgreSQL, each case in a schema of its own.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use hongyan_core::store::Store;
use hongyan_store_postgres::{Options, open};
use hongyan_store_suite::{
    Bench, conformance,
    postgres::{shared, sql},
};

/// Every registration is dead from now on, as it would be by itself some seconds later.
const END_OF_LEASES: &str = "UPDATE node SET lease_until = clock_timestamp() - interval '1 s' WHERE ended IS NULL";

struct PostgresBench {
    url: String,
}

impl PostgresBench {
    fn new() -> Self {
        Self { url: shared().fresh_schema() }
    }
}

#[async_trait]
impl Bench for PostgresBench {
    async fn open(&self) -> Arc<dyn Store> {
        let options = Options { connections: 6, trust: Duration::ZERO, ..Options::default() };
        open(&self.url, options).await.expect("opens")
    }

    /// Dropping the store settles nothing and tells nobody.
    async fn crash(&self, store: Arc<dyn Store>) {
        assert_eq!(Arc::strong_count(&store), 1, "nothing else uses the store");
        drop(store);
        sql(&self.url, END_OF_LEASES).expect("the leases end");
    }

    fn has_many_nodes(&self) -> bool {
        true
    }
}

conformance!(PostgresBench::new());
