//! The senders against peers: a server that misbehaves on command, a real one, a foreign one, and Python's own reading of the
//! messages. What is needed and missing makes a test fail, never skip.

mod capture;
mod dkim;
mod failures;
mod injection;
mod message;
mod parcels;
mod peers;
mod pooling;
mod python;
mod sink;
mod tls;
