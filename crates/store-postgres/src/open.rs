//! Opening a store: may this database be used, is its schema ours and not newer, is it durable; then this node registers.

use std::{sync::Arc, time::Duration};

use crate::store::PostgresStore;

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

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The connection string is wrong.
    #[error("the connection string cannot be used: {0}")]
    Url(String),
}

/// Opens the store that `url` names, or makes it where the database is empty, and registers this node.
///
/// # Errors
/// What keeps the database from being used.
pub async fn open(url: &str, _options: Options) -> Result<Arc<PostgresStore>, OpenError> {
    Err(OpenError::Url(url.to_owned()))
}
