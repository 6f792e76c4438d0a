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
    TOKEN_BEGIN = "INSERT INTO access_token (bucket, key, turn, over) VALUES ($1, $2, 0, 9223372036854775807) ON CONFLICT DO NOTHING";
    /// The row of token $2, locked.
    TOKEN_LOCK = concat!("SELECT ", token_columns!(), " FROM access_token t WHERE t.bucket = $1 AND t.key = $2 FOR UPDATE");
    /// What is kept of token $2.
    TOKEN_WRITE = "UPDATE access_token t SET turn = $3, turn_until = $4, version = $5, sealed = $6, expires = $7, over = $8 \
        WHERE t.bucket = $1 AND t.key = $2";
    /// How many tokens serve nobody any more at $2, as far as $3.
    TOKENS_OVER = "SELECT count(*) FROM (\
        SELECT t.over FROM access_token t WHERE t.bucket = $1 AND t.over <= $2 ORDER BY t.over LIMIT $3) o";
    /// Forgets at most $3 of them.
    TOKENS_FORGET = "WITH o AS (\
            SELECT t.key FROM access_token t WHERE t.bucket = $1 AND t.over <= $2 ORDER BY t.over LIMIT $3 FOR UPDATE SKIP LOCKED) \
        DELETE FROM access_token k USING o WHERE k.bucket = $1 AND k.key = o.key";
}
