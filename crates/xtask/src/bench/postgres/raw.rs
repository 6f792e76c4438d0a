//! The reference: the work that the product's rows must cost in any case, in bare SQL. It is meant to be fast: prepared
//! statements with an array per column, a transaction per round trip, as many connections as the product works on, and nothing
//! decided in between.

mod complete;
mod insert;

pub use complete::{Drained, Sizes, drain, keep_backlog};
pub use insert::{Inserted, insert};
