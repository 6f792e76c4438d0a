//! What the dialect is built on.

use std::sync::Arc;

use hongyan_intake::{AccountBook, Intake};

/// What the dialect is built on.
#[derive(Clone)]
pub struct ImsgDeps {
    /// The way in of the node.
    pub intake: Arc<Intake>,
    /// The accounts, with the store that keeps them.
    pub book: Arc<AccountBook>,
}
