//! Statements about the pages of large audiences, and about what waits of a message. `$1` is always the bucket.

use crate::row::row_columns;

statements! {
    /// Moves the expansion of message $2 from step $3 and mark $4 to $5 and $6, unless somebody was faster, and keeps the page of
    /// the ids from $7 to $8, where there is one. Answers what the message's deliveries have in common, and its label; no row: it
    /// was elsewhere.
    PAGE_BEGIN = "WITH e AS (\
            UPDATE expansion x SET cursor = $5, mark = $6 \
            WHERE x.bucket = $1 AND x.message = $2 AND x.cursor = $3 AND x.mark = $4 RETURNING x.message), \
        p AS (\
            INSERT INTO page (bucket, message, first, last) \
            SELECT $1, e.message, $7::bigint, $8::bigint FROM e WHERE $7::bigint IS NOT NULL) \
        SELECT m.app, m.priority, m.label FROM e LEFT JOIN message m ON m.bucket = $1 AND m.id = $2";
    /// Ends the expansion of message $2.
    EXPANSION_END = "WITH a AS (DELETE FROM audience l WHERE l.bucket = $1 AND l.message = $2) \
        DELETE FROM expansion x WHERE x.bucket = $1 AND x.message = $2";
    /// Makes message $2 fire at $3 that waits for a later time: it counts as due when it was accepted.
    HASTEN = "UPDATE expansion x SET due = least(m.accepted, $3) FROM message m \
        WHERE x.bucket = $1 AND x.message = $2 AND x.due > $3 AND x.cursor = 0 AND x.mark = '' \
          AND m.bucket = $1 AND m.id = $2";
    /// Deliveries ($2), locked before, that wait untried are due at $3.
    DUE_NOW = "UPDATE delivery d SET due = $3 WHERE d.bucket = $1 AND d.id = ANY ($2::bigint[]) AND d.state = 0";
    /// What waits of message $4 in the page of the ids from $2 to $3, locked in the order of the ids.
    WAITING_OF_PAGE = concat!("SELECT ", row_columns!(), " FROM delivery d \
        WHERE d.bucket = $1 AND d.id BETWEEN $2 AND $3 AND d.message = $4 AND d.state = 0 ORDER BY d.id FOR UPDATE");
    /// Of the next $3 open deliveries behind $2: how many there are, the last of them, and those that wait although their time
    /// is over at $4.
    OVER = "WITH seen AS (\
            SELECT d.id, d.state, d.expires FROM delivery d WHERE d.bucket = $1 AND d.id > $2 ORDER BY d.id LIMIT $3) \
        SELECT count(*), max(id), array_agg(id ORDER BY id) FILTER (WHERE state = 0 AND expires <= $4) FROM seen";
    /// Deliveries ($2) that wait still and that nobody is at, locked.
    LOCK_WAITING = concat!("SELECT ", row_columns!(), " FROM delivery d \
        WHERE d.bucket = $1 AND d.id = ANY ($2::bigint[]) AND d.state = 0 ORDER BY d.id FOR UPDATE SKIP LOCKED");
    /// Forgets the pages of messages from $2 on and before $3.
    PAGES_FORGET = "DELETE FROM page p WHERE p.bucket = $1 AND p.message >= $2 AND p.message < $3";
}
