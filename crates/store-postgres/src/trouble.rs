//! What can go wrong between an operation and the database, and what the caller is told of it. Refusals are answers, not
//! trouble. What matters most is whether an operation certainly did not happen: before its COMMIT was sent that is certain,
//! after it only the server's word is.

use hongyan_core::store::StoreError;
use tokio_postgres::error::{Error as SqlError, SqlState};

/// Why an operation did not happen.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// PostgreSQL said no, or cannot be reached.
    Sql(SqlError),
    /// A stored value is not one that this program writes.
    Damaged(String),
    /// The connection could not be made, or was given up.
    Away(String),
    /// What is asked for does not fit what is there.
    Refused(String),
    /// Too much waits already.
    Busy(&'static str),
    /// The commit was sent and its outcome is not known.
    Unconfirmed(String),
}

/// The result of a step of an operation.
pub(crate) type Outcome<T> = Result<T, Trouble>;

impl From<SqlError> for Trouble {
    fn from(error: SqlError) -> Self {
        Self::Sql(error)
    }
}

impl Trouble {
    /// Whoever was at it is gone without a word: nobody knows how far it came.
    pub(crate) fn unanswered() -> Self {
        Self::Unconfirmed("the store gave no answer".to_owned())
    }

    /// What the caller is told.
    pub(crate) fn told(&self) -> StoreError {
        let unavailable = |why: &str| StoreError::Unavailable { why: why.to_owned(), certain: true };
        match self {
            Self::Damaged(what) => StoreError::Corrupt(what.clone()),
            Self::Refused(why) => StoreError::Conflict(why.clone()),
            Self::Away(why) => unavailable(why),
            Self::Busy(what) => StoreError::Busy((*what).to_owned()),
            Self::Unconfirmed(why) => StoreError::Unavailable { why: why.clone(), certain: false },
            Self::Sql(error) => match error.as_db_error() {
                None => unavailable(&format!("the database cannot be reached: {}", words(error))),
                Some(said) => match said.code() {
                    &SqlState::DATA_CORRUPTED | &SqlState::INDEX_CORRUPTED => {
                        StoreError::Corrupt(said.message().to_owned())
                    }
                    code if code.code().starts_with("23") => StoreError::Conflict(said.message().to_owned()),
                    // Tried again and again in vain: whoever must not give up waits and comes back.
                    code if code.code().starts_with("40") => StoreError::Busy(said.message().to_owned()),
                    code => unavailable(&format!("the database refused: {} ({})", said.message(), code.code())),
                },
            },
        }
    }

    /// Whether the server ended this because of another transaction, so that the same may succeed now.
    pub(crate) fn is_collision(&self) -> bool {
        self.code().is_some_and(|code| {
            *code == SqlState::T_R_SERIALIZATION_FAILURE
                || *code == SqlState::T_R_DEADLOCK_DETECTED
                || *code == SqlState::LOCK_NOT_AVAILABLE
        })
    }

    /// Whether a statement was refused for what it says, so that others may succeed without it.
    pub(crate) fn is_refusal(&self) -> bool {
        self.code().is_some_and(|code| code.code().starts_with("22") || code.code().starts_with("23"))
    }

    /// Whether the connection is of no more use: closed, on a server that stops or is a standby by now, or with statements
    /// that were prepared against another schema.
    pub(crate) fn spoils_connection(&self) -> bool {
        match self {
            Self::Sql(error) => error.code().is_none_or(|code| {
                let code = code.code();
                ["08", "57", "25", "XX"].iter().any(|class| code.starts_with(class))
                    || code == "0A000"
                    || code == "26000"
            }),
            Self::Away(_) | Self::Unconfirmed(_) => true,
            Self::Damaged(_) | Self::Refused(_) | Self::Busy(_) => false,
        }
    }

    /// The same trouble, met while the commit was under way: only where the server says that it rolled back is it certain.
    pub(crate) fn during_commit(self) -> Self {
        if self.is_collision() || self.is_refusal() {
            return self;
        }
        Self::Unconfirmed(format!("the commit was not confirmed: {}", self.told()))
    }

    fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Sql(error) => error.code(),
            _ => None,
        }
    }
}

/// An error with its causes, in one line.
pub(crate) fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}
