//! Statements about what accounts have sent. `$1` is always the bucket. Which rows a page has is found by their ids alone, in the
//! indexes of accounts' deliveries (`schema/indexes.rs`), newest first; then those rows are read, and what their messages say.

/// Of the accounts' deliveries in a table those that are asked for, the newest first. Ids from $2 on and before $3; at most $4.
/// Channels ($5), recipient ($6) and states ($7) where they matter. When the message was accepted, from $8 on and before $9,
/// is asked only where the id, which may run ahead of it, leaves it open: not from $10 on and before $11.
macro_rules! selected {
    ($table:literal, $account:literal) => {
        concat!(
            "(SELECT d.id FROM ", $table, " d WHERE d.bucket = $1 AND ", $account,
            " AND d.id >= $2 AND d.id < $3 \
              AND ($5::integer[] IS NULL OR d.channel = ANY ($5)) AND ($6::text IS NULL OR d.recipient = $6) \
              AND ($7::smallint[] IS NULL OR d.state = ANY ($7)) \
              AND (d.id >= $10::bigint AND d.id < $11::bigint OR EXISTS (\
                SELECT 1 FROM message m WHERE m.bucket = $1 AND m.id = d.message AND m.accepted >= $8 AND m.accepted < $9)) \
              ORDER BY d.id DESC LIMIT $4)"
        )
    };
}

/// How many those are, as far as $4, and the first $12 of them.
macro_rules! page {
    ($account:literal) => {
        concat!(
            "WITH s AS MATERIALIZED (\
                SELECT u.id FROM (",
            selected!("delivery", $account),
            " UNION ALL ",
            selected!("done", $account),
            ") u \
                ORDER BY u.id DESC LIMIT $4) \
            SELECT s.id, (SELECT count(*) FROM s) FROM s ORDER BY s.id DESC LIMIT $12"
        )
    };
}

statements! {
    /// How many deliveries account $2 has, by day.
    SENT = "SELECT s.day, s.deliveries FROM sent s WHERE s.bucket = $1 AND s.account = $2";
    /// How many deliveries accounts have, by day.
    SENT_BY_ALL = "SELECT s.day, sum(s.deliveries)::bigint FROM sent s WHERE s.bucket = $1 GROUP BY s.day";
    /// Forgets what was counted on day $2 and before.
    SENT_FORGET = "DELETE FROM sent s WHERE s.bucket = $1 AND s.day <= $2";
    /// A page of the deliveries of the account whose messages have app number $13.
    OWN = page!("d.app = $13 AND d.app >= 1073741824");
    /// A page of the deliveries of all accounts.
    ALL_ACCOUNTS = page!("d.app / 1073741824 = 1");
    /// The same as [`OWN`], to recipient $6.
    OWN_TO = page!("d.app = $13 AND d.app >> 30 = 1 \
        AND left(d.recipient, 64) COLLATE \"C\" = left($6::text, 64) COLLATE \"C\"");
    /// The same as [`ALL_ACCOUNTS`], to recipient $6.
    ALL_ACCOUNTS_TO = page!("d.app & 1073741824 > 0 \
        AND left(d.recipient, 64) COLLATE \"C\" = left($6::text, 64) COLLATE \"C\"");
    /// The same as [`OWN`], of what came to nothing.
    OWN_FAILED = page!("d.app = $13 AND d.app >> 30 > 0 AND d.state IN (5, 7, 8, 10)");
    /// The same as [`ALL_ACCOUNTS`], of what came to nothing.
    ALL_ACCOUNTS_FAILED = page!("d.app & 1073741824 <> 0 AND d.state IN (5, 7, 8, 10)");
    /// Deliveries ($2), with what the provider said last.
    ROWS = "SELECT d.id, d.message, d.app, d.channel, d.recipient, d.state, d.reason, d.attempts -> -1 ->> 4 \
            FROM unnest($2::bigint[]) x (id) CROSS JOIN LATERAL (\
                SELECT * FROM delivery o WHERE o.bucket = $1 AND o.id = x.id LIMIT 1) d \
        UNION ALL \
        SELECT d.id, d.message, d.app, d.channel, d.recipient, d.state, d.reason, d.attempts -> -1 ->> 4 \
            FROM unnest($2::bigint[]) x (id) CROSS JOIN LATERAL (\
                SELECT * FROM done o WHERE o.bucket = $1 AND o.id = x.id LIMIT 1) d";
    /// When messages ($2) were accepted, from which address, and what they say.
    MESSAGES = "SELECT m.id, m.accepted, m.client, m.content FROM unnest($2::bigint[]) x (id) CROSS JOIN LATERAL (\
            SELECT o.id, o.accepted, o.client, o.content FROM message o WHERE o.bucket = $1 AND o.id = x.id LIMIT 1) m";
}
