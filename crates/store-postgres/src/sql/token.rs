//! Statements about access tokens. `$1` is always the bucket, of the token's key.

/// The columns of a token's row, of the table `t`.
macro_rules! token_columns {
    () => {
        "t.turn, t.turn_until, t.version, t.sealed, t.expires"
    };
}

statements! {
    /// The row of token $2.
    TOKEN = concat!("SELECT ", token_columns!(), " FROM access_token t WHERE t.bucket = $1 AND t.key = $2");
    /// Begins token $2, unless it is known.
    TOKEN_BEGIN = "INSERT INTO access_token (bucket, key, turn) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING";
    /// The row of token $2, locked.
    TOKEN_LOCK = concat!("SELECT ", token_columns!(), " FROM access_token t WHERE t.bucket = $1 AND t.key = $2 FOR UPDATE");
    /// What is kept of token $2.
    TOKEN_WRITE = "UPDATE access_token t SET turn = $3, turn_until = $4, version = $5, sealed = $6, expires = $7 \
        WHERE t.bucket = $1 AND t.key = $2";
}
