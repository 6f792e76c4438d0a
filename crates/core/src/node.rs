//! What a store says of the nodes that share it, and of how well their commits are shared.

use crate::time::Timestamp;

/// A node as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRecord {
    /// Its number, which is part of the ids that it makes.
    pub number: u8,
    /// Grows whenever the number is given out anew; what an older epoch held is taken over.
    pub epoch: i64,
    /// The machine and process, for people.
    pub host: String,
    /// The version of the program.
    pub version: String,
    /// When it began.
    pub started: Timestamp,
    /// When it was heard of last.
    pub heard: Timestamp,
    /// Whether it lives: its lease has not run out and it has not left.
    pub alive: bool,
    /// Whether it is about to leave: it finishes what it has, and the others prefer its buckets.
    pub stopping: bool,
    /// Whether it is the node that answers.
    pub this: bool,
    /// The buckets that it prefers; none where it is dead.
    pub buckets: Vec<u8>,
    /// How far its own clock runs ahead of the store's, in milliseconds.
    pub clock_ahead_ms: i64,
}

/// How well commits are shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Commits {
    /// Commits since the store was opened.
    pub commits: u64,
    /// Operations in them.
    pub operations: u64,
}
