//! The dialect from request bytes to reply bytes, on a store in memory: no network, no channel, a clock that stands still.

mod admission;
mod authentication;
mod bad_input;
mod bodies;
mod callers;
mod directory;
mod hook;
mod idempotency;
mod jwt;
mod login;
mod logs;
mod notices;
mod peer;
mod phones;
mod properties;
mod store;
mod transport;
mod vectors;
mod world;
