//! The embedded store: every trait of [`hongyan_core::store`] on one SQLite file, for a node that runs alone (design 5).
//!
//! One thread owns the write connection. It takes whatever waits from a bounded queue and commits it as one transaction, so
//! that many requests share one flush to disk; an operation that fails does so alone. Readers have connections of their own,
//! checkpoints a thread of their own. The writer sees every write, so the order of the ready deliveries is kept in memory
//! over an index (`ready`), as is what this node holds (`held`); both are caches that can be thrown away.
//!
//! | module | question it answers |
//! |---|---|
//! | `open` | may this file be used: ours, whole, not newer, not in use |
//! | `place` | where it lies, whatever it is called, and who may read it |
//! | `schema` | which tables there are, and why each column |
//! | `writer`, `operation`, `transaction` | how operations share a commit and what an operation may do |
//! | `ops` | what each writing operation does |
//! | `ready`, `held`, `memory` | whose turn it is, what is in flight |
//! | `windows` | what accounts have used of their limits |
//! | `readers`, `reads` | how looking things up stays out of the writer's way |
//! | `accounts`, `history` | accounts, tokens and followers, and what accounts have sent, as they are looked up |
//! | `directory`, `inbox` | people and what they belong to, and what they find in their inbox, as it is looked up |
//! | `backup`, `restore`, `held_rest`, `review` | how a copy is made beside a node, how it comes back, what is held because of it |
//! | `look` | what a plan would meet in it |
//! | `source` | what is in it, for a move to another store |
//! | `checkpoint` | how the write-ahead log stays short |
//! | `row`, `audience`, `trouble` | rows, stored audiences and errors, from and to SQL |

mod accounts;
mod audience;
mod backup;
mod checkpoint;
mod directory;
mod held;
mod held_rest;
mod history;
mod inbox;
mod look;
mod memory;
mod open;
mod operation;
mod ops;
mod place;
mod readers;
mod reads;
mod ready;
mod restore;
mod review;
mod row;
mod schema;
mod source;
mod store;
mod transaction;
mod trouble;
mod windows;
mod writer;

pub use backup::{BackupError, Holdings, backup};
pub use look::{Look, look};
pub use open::{Inspected, OpenError, Options, inspect, open};
pub use restore::{Restore, RestoreError};
pub use review::{HeldMessage, review};
pub use source::{Source, SourceError};
pub use store::SqliteStore;
