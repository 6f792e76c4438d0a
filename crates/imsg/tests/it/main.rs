//! The dialect from request bytes to reply bytes, on a store in memory: no channel, a clock that is moved by hand.

mod accounts;
mod bad_input;
mod codes;
mod history;
mod limits;
mod properties;
mod sending;
mod store;
mod tokens;
mod transport;
mod unused;
mod world;
