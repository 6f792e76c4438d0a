//! The store of many nodes: every trait of [`hongyan_core::store`] on one PostgreSQL database that equal nodes share (design 5, 6).
//!
//! Concurrent requests share commits; what waits is claimed in batches, a bucket at a time; what is finished leaves the hot
//! table. Nodes meet only in the database: each has a number and an epoch, says every few seconds that it lives, and takes
//! over what the dead held. Correctness rests on the lease number of each row alone; buckets, lanes and heartbeats decide who
//! looks where and when.
//!
//! | module | question it answers |
//! |---|---|
//! | `target`, `session`, `pool` | how the database is reached, and what a connection is |
//! | `open`, `checks`, `migrate`, `refusal` | may this database be used: is it durable, is its schema ours |
//! | `schema`, `days` | which tables there are, and which days of them |
//! | `sql` | every statement, and the rules that they keep |
//! | `store` | which part does what the port asks for |
//! | `submit`, `settle` | how requests and outcomes are stored, many in a commit |
//! | `queue`, `workers` | what waits for such a commit, and who makes it |
//! | `claim` | what this node sends next |
//! | `finish`, `refunds`, `audience` | how a delivery ends, what its account gets back, and how a large audience is expanded |
//! | `windows` | what accounts may send, admitted and given back |
//! | `ops`, `reads` | the other operations, and the look-ups |
//! | `engine`, `stage` | how an operation runs, and what follows its commit |
//! | `memory`, `lanes` | what this node holds, and where something waits |
//! | `life`, `nodes`, `buckets`, `clock` | how a node lives among others, and who is dead |
//! | `row`, `columns`, `trouble` | rows and errors, from and to SQL |
//! | `arrival` | how another store is moved into it |

mod arrival;
mod audience;
mod buckets;
mod checks;
mod claim;
mod clock;
mod columns;
mod days;
mod engine;
mod finish;
mod lanes;
mod life;
mod links;
mod memory;
mod migrate;
mod nodes;
mod open;
mod ops;
mod pool;
mod queue;
mod reads;
mod refunds;
mod refusal;
mod retry;
mod row;
mod schema;
mod session;
mod settle;
mod sql;
mod stage;
mod store;
mod submit;
mod target;
mod trouble;
mod windows;
mod workers;

pub use arrival::{Arrival, ArrivalError, PAGES_AT_ONCE};
pub use checks::{Finding, Grade};
pub use open::{Inspected, Options, inspect, open};
pub use refusal::OpenError;
pub use store::PostgresStore;
