//! What can go wrong inside an operation, and what the caller is told of it. Refusals are answers, not trouble.

use hongyan_core::store::StoreError;
use rusqlite::{Error as SqlError, ErrorCode, ffi};

/// Why an operation did not happen.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// SQLite said no.
    Sql(SqlError),
    /// A stored value is not one that this program writes.
    Damaged(String),
    /// What was asked for does not fit what is there.
    Refused(String),
    /// The operation's own code panicked.
    Panicked,
}

/// The result of a step of an operation.
pub(crate) type Outcome<T> = Result<T, Trouble>;

impl From<SqlError> for Trouble {
    fn from(error: SqlError) -> Self {
        Self::Sql(error)
    }
}

impl Trouble {
    /// What the caller of an operation that was rolled back is told.
    pub(crate) fn told(&self) -> StoreError {
        match self {
            Self::Sql(error) => told_sql(error),
            Self::Damaged(what) => StoreError::Corrupt(what.clone()),
            Self::Refused(why) => StoreError::Conflict(why.clone()),
            Self::Panicked => {
                StoreError::Unavailable { why: "the operation failed inside the store".to_owned(), certain: true }
            }
        }
    }

    /// Whether what is stored is at fault, so that trying again finds the same.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Sql(error) => {
                use SqlError as E;
                error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt)
                    || matches!(
                        error,
                        E::FromSqlConversionFailure(..)
                            | E::IntegralValueOutOfRange(..)
                            | E::InvalidColumnType(..)
                            | E::Utf8Error(..)
                    )
            }
            Self::Damaged(_) => true,
            Self::Refused(_) | Self::Panicked => false,
        }
    }

    /// What the caller is told when the COMMIT itself failed. SQLite rolls a failed COMMIT back; only when the flush failed
    /// may the frames be in the log already, to be found there if the process stops before it writes again.
    pub(crate) fn told_after_commit(&self) -> StoreError {
        match self {
            Self::Sql(SqlError::SqliteFailure(failure, _)) if is_flush(failure.extended_code) => {
                StoreError::Unavailable { why: "the disk did not confirm the write".to_owned(), certain: false }
            }
            other => other.told(),
        }
    }
}

const fn is_flush(code: i32) -> bool {
    matches!(code, ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC)
}

/// What the caller of a statement that failed is told.
pub(crate) fn told_sql(error: &SqlError) -> StoreError {
    let unavailable = |why: String| StoreError::Unavailable { why, certain: true };
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt(error.to_string()),
        Some(ErrorCode::ConstraintViolation) => StoreError::Conflict(error.to_string()),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            StoreError::Busy("another program holds the database's write lock".to_owned())
        }
        Some(ErrorCode::DiskFull) => unavailable("the disk is full".to_owned()),
        Some(ErrorCode::ReadOnly) => unavailable("the database cannot be written: it is read-only".to_owned()),
        _ => unavailable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(code: i32) -> (StoreError, StoreError) {
        let trouble = || Trouble::Sql(SqlError::SqliteFailure(ffi::Error::new(code), None));
        (trouble().told(), trouble().told_after_commit())
    }

    #[test]
    fn only_an_unconfirmed_flush_leaves_doubt() {
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_READONLY, ffi::SQLITE_BUSY] {
            let (statement, commit) = told(code);
            assert!(statement.certainly_not_done() && commit.certainly_not_done(), "{code}");
        }
        let (statement, commit) = told(ffi::SQLITE_IOERR_FSYNC);
        assert!(statement.certainly_not_done() && !commit.certainly_not_done());
    }

    #[test]
    fn says_what_kind_of_trouble_it_is() {
        assert!(matches!(told(ffi::SQLITE_CORRUPT).0, StoreError::Corrupt(_)));
        assert!(matches!(told(ffi::SQLITE_NOTADB).0, StoreError::Corrupt(_)));
        assert!(matches!(told(ffi::SQLITE_CONSTRAINT_PRIMARYKEY).0, StoreError::Conflict(_)));
        assert!(matches!(told(ffi::SQLITE_FULL).0, StoreError::Unavailable { certain: true, .. }));
        assert!(matches!(told(ffi::SQLITE_BUSY).0, StoreError::Busy(_)));
    }
}
