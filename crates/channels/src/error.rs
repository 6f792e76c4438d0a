//! Why a declared provider cannot become a sender.

use crate::dkim;

/// Why a provider cannot be opened: what is declared is wrong, and stays wrong until it is declared anew.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A key of the provider has a value that it cannot have.
    #[error("{key}: {why}")]
    Key {
        /// The key as the plan names it.
        key: &'static str,
        /// What is wrong with its value.
        why: String,
    },
    /// The DKIM key cannot be used.
    #[error(transparent)]
    Dkim(#[from] dkim::KeyError),
}

impl OpenError {
    pub(crate) fn key(key: &'static str, why: impl ToString) -> Self {
        Self::Key { key, why: why.to_string() }
    }
}
