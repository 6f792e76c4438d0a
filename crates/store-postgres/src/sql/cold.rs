//! Statements that run now and then, or are about tables that every node has: set-up, nodes, what is declared, operators.

statements! {
    /// Settings of the server and of this session ($1), and what is no setting: whether it is a standby, whether the connection
    /// is encrypted. Whatever a server does not know is not there.
    SETTINGS = "SELECT name::text, setting::text FROM pg_settings WHERE name = ANY ($1) \
        UNION ALL SELECT 'in_recovery', CASE WHEN pg_is_in_recovery() THEN 'on' ELSE 'off' END \
        UNION ALL SELECT 'is_encrypted', s.ssl::text FROM pg_stat_ssl s WHERE s.pid = pg_backend_pid()";
    /// Holds everybody else who changes the schema until the end of the transaction.
    SCHEMA_LOCK = "SELECT version, oldest FROM hongyan_schema WHERE one = 1 FOR UPDATE";
    /// The database's clock, in milliseconds.
    CLOCK = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    /// The messages of app $1 about $2 before $3, the newest first, at most $4. One look over all buckets (`businesses!`).
    OF_BUSINESS = "SELECT m.id FROM message m WHERE m.app = $1 AND m.business = $2 AND m.business <> '' AND m.id < $3 \
        ORDER BY m.id DESC LIMIT $4";
    /// How much of each channel waits.
    DEPTHS = "SELECT channel, sum(ready)::bigint FROM depth GROUP BY channel HAVING sum(ready) <> 0";
}
