//! Why a store cannot be opened, in words for whoever starts the node.

use tokio_postgres::error::SqlState;

use crate::trouble::Trouble;

/// Why a store cannot be opened. Each says what is wrong and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The connection string is wrong.
    #[error("the connection string cannot be used: {0}")]
    Url(String),
    /// The database cannot be reached, or something went wrong on the way.
    #[error("{0}")]
    Away(String),
    /// The search path leads nowhere.
    #[error(
        "the database has no schema for the tables: none that search_path names exists (or the role may not use it); \
         make it by CREATE SCHEMA, or take search_path out of the connection string"
    )]
    NoSchema,
    /// The tables there are another program's.
    #[error(
        "the schema {schema:?} has a table {table:?} but no Hongyan store: it belongs to another program and was left \
         untouched; give the store a database or a schema of its own"
    )]
    Foreign {
        /// The schema.
        schema: String,
        /// A table that is in the way.
        table: String,
    },
    /// A newer version of the program made it into what this one cannot use.
    #[error(
        "the database has schema version {version}, which needs a program that knows version {oldest}; this one knows \
         versions up to {known}: use the newer program; the database was left untouched"
    )]
    Newer {
        /// Its version.
        version: i32,
        /// The oldest schema version whose program may use it.
        oldest: i32,
        /// Ours.
        known: i32,
    },
    /// The server is not one that a store can rest on.
    #[error("the server is not fit for a store: {}", .0.join("; "))]
    Unfit(Vec<String>),
    /// Another store was to be moved into it, and is not there whole.
    #[error(
        "a migration into this database has begun and not finished, so it is no store yet: run `hongyan migrate` again to its end \
         (with --start-over, which empties it first) before a node is started on it"
    )]
    Unfinished,
    /// The database refused.
    #[error("the database refused: {0}")]
    Refused(String),
}

impl OpenError {
    /// Whether the database could not be reached: the same may succeed later.
    pub const fn is_away(&self) -> bool {
        matches!(self, Self::Away(_))
    }

    pub(crate) fn from_trouble(trouble: Trouble) -> Self {
        match &trouble {
            Trouble::Sql(error) => match error.as_db_error() {
                Some(said) if *said.code() == SqlState::INSUFFICIENT_PRIVILEGE => Self::Refused(format!(
                    "{}; the store's role needs GRANT USAGE, CREATE ON SCHEMA, and to own the store's tables",
                    said.message()
                )),
                Some(said) => Self::Refused(format!("{} ({})", said.message(), said.code().code())),
                None => Self::Away(trouble.told().to_string()),
            },
            Trouble::Away(why) => Self::Away(why.clone()),
            _ => Self::Away(trouble.told().to_string()),
        }
    }
}
