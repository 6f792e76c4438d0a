//! Why a request is not accepted.

use hongyan_core::{id::IdsExhausted, ports::SealError, quota, store::StoreError};

/// Why a submission was not accepted. Nothing was stored, except where a [`StoreError`] says that it cannot know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The idempotency key came before with another request.
    #[error("the idempotency key was used before with another request")]
    KeyReused,
    /// The node's ids have run ahead of its clock.
    #[error(transparent)]
    Ids(#[from] IdsExhausted),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The account's limits have no room for it.
    #[error("over the account's limits")]
    OverLimit(quota::Refusal),
    /// A secret in the content cannot be sealed.
    #[error("a secret cannot be sealed: {0}")]
    Seal(#[from] SealError),
}
