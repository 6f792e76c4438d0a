//! What dialects have in common about requests, before they differ: where one comes from, its body within bounds of size, time
//! and memory, JSON within bounds of depth and number, the idempotency key, the caller's secret, what kind of file an attachment is.

mod body;
mod json;
mod key;
pub mod mime;
mod room;
mod secret;

use std::net::IpAddr;

pub use body::read_body;
pub use json::{Json, ValueSeed};
pub use key::{BadKey, idempotency_key};
pub use room::{Held, Room};
pub use secret::is_one_of;

/// Where a request comes from, as an extension of it: the address of the connection, or what a proxy that the operator trusts
/// says that it is. A request without one comes from nowhere that any list of addresses holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Over [`hongyan_core::limits::BODY_BYTES_MAX`].
    #[error("the body is too large")]
    TooLarge,
    /// Not within [`hongyan_core::limits::BODY_TIME_MAX`], or too slow for the room it took.
    #[error("the body did not arrive in time")]
    TooSlow,
    /// The connection broke.
    #[error("the body did not arrive whole")]
    CutOff,
    /// Compressed: nothing is ever decompressed (`guides/reliability.md` S3).
    #[error("the body is encoded")]
    Encoded,
    /// Other large bodies hold all the memory there is for them.
    #[error("there is no room for the body now")]
    NoRoom,
}
