//! The dialect from request bytes to reply bytes, on a store in memory: no network, no channel, a clock that stands still.

mod authentication;
mod bad_input;
mod bodies;
mod callers;
mod idempotency;
mod logs;
mod properties;
mod store;
mod transport;
mod vectors;
mod world;
