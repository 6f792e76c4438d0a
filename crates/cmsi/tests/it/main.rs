//! The dialect from request bytes to reply bytes, on a store in memory: no channel, a clock that stands still. Other services of
//! a deployment are real servers on this machine.

mod admission;
mod authentication;
mod bad_input;
mod bodies;
mod callers;
mod directory;
mod hook;
mod idempotency;
mod judges;
mod jwt;
mod login;
mod logs;
mod notices;
mod peer;
mod phones;
mod properties;
mod store;
mod transport;
mod unused;
mod vectors;
mod world;
