//! Statements about accounts of the token API. `$1` is always the bucket: of the account's name, of a contact, of a token's hash.

/// The columns of an account, of the table `a`.
macro_rules! account_columns {
    () => {
        "a.no, a.name, a.created, a.password, a.role, a.per_hour, a.per_day, a.available, a.enabled, a.phone, a.email, \
         a.wechat, a.epoch"
    };
}

statements! {
    /// Account $2.
    ACCOUNT = concat!("SELECT ", account_columns!(), " FROM account a WHERE a.bucket = $1 AND a.name = $2");
    /// Account $2, locked.
    ACCOUNT_LOCK = concat!("SELECT ", account_columns!(), " FROM account a WHERE a.bucket = $1 AND a.name = $2 FOR UPDATE");
    /// The first $3 accounts whose names lie behind $2.
    ACCOUNTS = concat!("SELECT ", account_columns!(), " FROM account a WHERE a.bucket = $1 AND a.name > $2 ORDER BY a.name LIMIT $3");
    /// The names of accounts with numbers ($2).
    NAMES = "SELECT f.no, f.name FROM unnest($2::integer[]) x (no) CROSS JOIN LATERAL (\
            SELECT a.no, a.name FROM account a WHERE a.bucket = $1 AND a.no = x.no LIMIT 1) f";
    /// Adds account $2, made at $3, whose number is not known yet, unless there is one of that name.
    ACCOUNT_ADD = "INSERT INTO account (bucket, name, no, created, password, role, per_hour, per_day, available, enabled, phone, \
            email, wechat, epoch) \
        VALUES ($1, $2, 0, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0) ON CONFLICT DO NOTHING RETURNING no";
    /// The number of account $2 is $3.
    ACCOUNT_NUMBER = "UPDATE account a SET no = $3 WHERE a.bucket = $1 AND a.name = $2";
    /// What is kept of account $2.
    ACCOUNT_WRITE = "UPDATE account a SET password = $3, role = $4, per_hour = $5, per_day = $6, available = $7, enabled = $8, \
            epoch = $9 \
        WHERE a.bucket = $1 AND a.name = $2";
    /// Removes account $2; answers its contacts.
    ACCOUNT_REMOVE = "DELETE FROM account a WHERE a.bucket = $1 AND a.name = $2 RETURNING a.phone, a.email, a.wechat";
    /// The contact $3 of kind $2 is account $4's, unless it is another's.
    CONTACT_ADD = "INSERT INTO account_contact (bucket, kind, contact, account) VALUES ($1, $2, $3, $4) \
        ON CONFLICT DO NOTHING RETURNING kind";
    /// The contact $3 of kind $2 is nobody's any more.
    CONTACT_REMOVE = "DELETE FROM account_contact c WHERE c.bucket = $1 AND c.kind = $2 AND c.contact = $3";
    /// Keeps the token with hash $2: of account $3 with number $4 in epoch $5, until $6.
    TOKEN_ADD = "INSERT INTO account_token (bucket, hash, account, no, epoch, expires) VALUES ($1, $2, $3, $4, $5, $6) \
        ON CONFLICT DO NOTHING";
    /// The token with hash $2.
    TOKEN = "SELECT t.account, t.no, t.epoch, t.expires FROM account_token t WHERE t.bucket = $1 AND t.hash = $2";
    /// How many tokens are over at $2, as far as $3.
    TOKENS_OVER = "SELECT count(*) FROM (\
        SELECT t.expires FROM account_token t WHERE t.bucket = $1 AND t.expires <= $2 ORDER BY t.expires LIMIT $3) o";
    /// Forgets at most $3 of them.
    TOKENS_FORGET = "WITH o AS (\
            SELECT t.hash FROM account_token t WHERE t.bucket = $1 AND t.expires <= $2 ORDER BY t.expires LIMIT $3 \
            FOR UPDATE SKIP LOCKED) \
        DELETE FROM account_token k USING o WHERE k.bucket = $1 AND k.hash = o.hash";
}
