//! Statements that run now and then, or are about tables that every node has: set-up, nodes, what is declared, operators.

statements! {
    /// Holds everybody else who changes the schema until the end of the transaction.
    SCHEMA_LOCK = "SELECT version, oldest FROM hongyan_schema WHERE one = 1 FOR UPDATE";
    /// The database's clock, in milliseconds.
    CLOCK = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    /// How much of each channel waits.
    DEPTHS = "SELECT channel, sum(ready)::bigint FROM depth GROUP BY channel HAVING sum(ready) <> 0";
}
