//! What look-ups read.

use hongyan_core::{
    id::Id,
    ports::Moved,
    setup::{AppNo, User},
    store::{Capture, Cargo, Declaration, Depth, Expansion, MessageRecord},
};

use crate::{engine::Engine, trouble::Outcome};

/// The answer that was kept for an idempotency key.
pub(crate) async fn answer(_engine: &Engine, _app: AppNo, _key: &str) -> Outcome<Option<String>> {
    Err(crate::pool::closed())
}
/// Messages of these buckets that are being expanded.
pub(crate) async fn expansions(
    _engine: &Engine,
    _buckets: Vec<u8>,
    _after: Option<Id>,
    _limit: usize,
) -> Outcome<Vec<Expansion>> {
    Err(crate::pool::closed())
}
/// A message with its deliveries and their attempts, as of one moment.
pub(crate) async fn message(_engine: &Engine, _id: Id) -> Outcome<Option<MessageRecord>> {
    Err(crate::pool::closed())
}
/// Where the deliveries of these messages stand, of those of which nothing is held here.
pub(crate) async fn outcomes(_engine: &Engine, _messages: Vec<Id>) -> Outcome<Vec<Moved>> {
    Err(crate::pool::closed())
}
/// Contents and attachments.
pub(crate) async fn cargo(_engine: &Engine, _messages: Vec<Id>) -> Outcome<Vec<(Id, Cargo)>> {
    Err(crate::pool::closed())
}
/// How much of each channel waits.
pub(crate) async fn depths(_engine: &Engine) -> Outcome<Vec<Depth>> {
    Err(crate::pool::closed())
}
/// The version of what is declared.
pub(crate) async fn setup_version(_engine: &Engine) -> Outcome<i64> {
    Err(crate::pool::closed())
}
/// Everything declared, with its version, as of one moment.
pub(crate) async fn declarations(_engine: &Engine) -> Outcome<(i64, Vec<Declaration>)> {
    Err(crate::pool::closed())
}
/// The people with these codes.
pub(crate) async fn users(_engine: &Engine, _codes: Vec<String>) -> Outcome<Vec<User>> {
    Err(crate::pool::closed())
}
/// A note.
pub(crate) async fn note(_engine: &Engine, _key: &str) -> Outcome<Option<String>> {
    Err(crate::pool::closed())
}
/// Captures, the newest first.
pub(crate) async fn captures(_engine: &Engine, _before: Option<Id>, _limit: usize) -> Outcome<Vec<Capture>> {
    Err(crate::pool::closed())
}
