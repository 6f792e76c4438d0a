//! Statements of look-ups and of what is kept beside messages. `$1` is always the bucket.

use crate::row::row_columns;

/// The columns of a message that look-ups read, of the table `m`, and how far its audience is expanded
/// (`MessageState`), by the table `e`.
macro_rules! message_columns {
    () => {
        "m.id, m.app, m.dialect, m.operation, m.caller, m.priority, m.accepted, m.expires, m.channel, m.client, \
         m.label, \
         CASE WHEN e.message IS NULL THEN 'expanded' WHEN e.due > m.accepted AND e.cursor = 0 AND e.mark = '' THEN 'scheduled' \
            ELSE 'expanding' END"
    };
}

statements! {
    /// Message $2, and when those who follow are due.
    MESSAGE = concat!("SELECT ", message_columns!(), ", e.due FROM message m \
        LEFT JOIN expansion e ON e.bucket = $1 AND e.message = $2 WHERE m.bucket = $1 AND m.id = $2");
    /// The id ranges of the pages of messages ($2): the first page follows the message's own id.
    RANGES = "SELECT m.id, m.id + 1, m.last FROM unnest($2::bigint[]) x (id) \
            CROSS JOIN LATERAL (SELECT o.id, o.last FROM message o WHERE o.bucket = $1 AND o.id = x.id LIMIT 1) m \
        UNION ALL SELECT p.message, p.first, p.last FROM unnest($2::bigint[]) x (id) \
            JOIN page p ON p.bucket = $1 AND p.message = x.id";
    /// The deliveries of message $2 with ids from $3 to $4, with who they are for and their attempts.
    DELIVERIES = concat!(
        "SELECT ", row_columns!(), ", d.recipient, coalesce(d.address, d.recipient), d.attempts::text FROM delivery d \
            WHERE d.bucket = $1 AND d.message = $2 AND d.id BETWEEN $3 AND $4 \
        UNION ALL \
        SELECT ", row_columns!(), ", d.recipient, coalesce(d.address, d.recipient), d.attempts::text FROM done d \
            WHERE d.bucket = $1 AND d.message = $2 AND d.id BETWEEN $3 AND $4");
    /// Where deliveries stand: those of messages ($2) with ids from $3 to $4, arrays all, and at most $5 of each range. The limit
    /// is what a page can hold; it also keeps the planner from anything but one look into the primary key per range.
    OUTCOMES = concat!(
        "SELECT ", row_columns!(), " FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) x (message, first, last) \
            CROSS JOIN LATERAL (\
                SELECT * FROM delivery o WHERE o.bucket = $1 AND o.id BETWEEN x.first AND x.last AND o.message = x.message \
                ORDER BY o.id LIMIT $5) d \
        UNION ALL \
        SELECT ", row_columns!(), " FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) x (message, first, last) \
            CROSS JOIN LATERAL (\
                SELECT * FROM done o WHERE o.bucket = $1 AND o.id BETWEEN x.first AND x.last AND o.message = x.message \
                ORDER BY o.id LIMIT $5) d");
    /// The first $4 deliveries of channel $2 behind $3 whose outcome nobody knows: whom they were for, their tries, and when the
    /// last was if it is not among them.
    DOUBTS = "SELECT d.id, coalesce(d.address, d.recipient), d.attempts::text, coalesce(d.first_try, d.due) FROM done d \
        WHERE d.bucket = $1 AND d.channel = $2 AND d.id > $3 AND d.state = 9 AND d.reason IS DISTINCT FROM 'restored' \
        ORDER BY d.id LIMIT $4";
    /// The attachments of messages ($2), in order.
    ATTACHMENTS = "SELECT a.message, a.body FROM unnest($2::bigint[]) x (id) \
        JOIN attachment a ON a.bucket = $1 AND a.message = x.id ORDER BY a.message, a.no";
    /// What messages ($2) say, and how many attachments they have.
    CONTENTS = "SELECT m.id, m.content, m.attachments FROM unnest($2::bigint[]) x (id) CROSS JOIN LATERAL (\
            SELECT o.id, o.content, o.attachments FROM message o WHERE o.bucket = $1 AND o.id = x.id LIMIT 1) m";
    /// The first $5 messages that are to be expanded and due by $4, behind the one due at $2 with id $3.
    EXPANDING = "SELECT e.due, e.message FROM expansion e \
        WHERE e.bucket = $1 AND e.due >= 0 AND (e.due, e.message) > ($2, $3) AND e.due <= $4 ORDER BY e.due, e.message LIMIT $5";
    /// Messages ($2) that are being expanded, how far they are, since when they are due, and who follows.
    EXPANSIONS = concat!("SELECT ", message_columns!(), ", e.cursor, e.mark, e.due, coalesce(e.who, a.rest) \
        FROM unnest($2::bigint[]) x (id) \
        CROSS JOIN LATERAL (SELECT * FROM expansion o WHERE o.bucket = $1 AND o.message = x.id LIMIT 1) e \
        CROSS JOIN LATERAL (SELECT * FROM message o WHERE o.bucket = $1 AND o.id = x.id LIMIT 1) m \
        LEFT JOIN LATERAL (SELECT o.rest FROM audience o WHERE o.bucket = $1 AND o.message = x.id LIMIT 1) a ON true");
    /// The first $4 messages that wait for a time after $2, behind the one due at $2 with id $3: of app $5, of template $6, with
    /// channel $7, or of any.
    SCHEDULED = "SELECT e.due, e.message, e.channels FROM expansion e \
        WHERE e.bucket = $1 AND e.due >= 0 AND (e.due, e.message) > ($2, $3) AND e.cursor = 0 AND e.mark = '' \
          AND ($5::integer IS NULL OR e.app = $5) AND ($6::text IS NULL OR e.template = $6) \
          AND ($7::integer IS NULL OR e.channels @> ARRAY[$7::integer]) \
        ORDER BY e.due, e.message LIMIT $4";
    /// Messages ($2).
    MESSAGES = concat!("SELECT ", message_columns!(), " FROM unnest($2::bigint[]) x (id) CROSS JOIN LATERAL (\
            SELECT * FROM message o WHERE o.bucket = $1 AND o.id = x.id LIMIT 1) m \
        LEFT JOIN LATERAL (SELECT * FROM expansion o WHERE o.bucket = $1 AND o.message = x.id LIMIT 1) e ON true");
    /// What app $2 was answered to a request with key $3.
    ANSWER = "SELECT i.answer FROM idempotency i WHERE i.bucket = $1 AND i.app = $2 AND i.key = $3";
    /// Keeps that answer ($4), unless there is one.
    ANSWER_KEEP = "UPDATE idempotency i SET answer = $4 \
        WHERE i.bucket = $1 AND i.app = $2 AND i.key = $3 AND i.answer IS NULL RETURNING i.answer";
    /// How many keys are to be forgotten by $2, as far as $3.
    KEYS_OVER = "SELECT count(*) FROM (\
        SELECT i.expires FROM idempotency i WHERE i.bucket = $1 AND i.expires <= $2 LIMIT $3) o";
    /// Forgets at most $3 keys that are to be forgotten by $2.
    KEYS_FORGET = "WITH o AS (\
            SELECT i.app, i.key FROM idempotency i WHERE i.bucket = $1 AND i.expires <= $2 ORDER BY i.expires LIMIT $3 \
            FOR UPDATE SKIP LOCKED) \
        DELETE FROM idempotency k USING o WHERE k.bucket = $1 AND k.app = o.app AND k.key = o.key";
    /// Captures before $2, the newest first: at most $3, and after the first as many as have $4 bytes together.
    CAPTURES = "SELECT c.id, c.message, c.provider, c.at, c.sender, c.recipients, c.body FROM (\
            SELECT n.id, row_number() OVER (ORDER BY n.id DESC) AS no, (sum(n.bytes) OVER (ORDER BY n.id DESC))::bigint AS bytes \
            FROM (SELECT f.id, octet_length(f.body)::bigint AS bytes FROM capture f \
                  WHERE f.bucket = $1 AND f.id < $2 ORDER BY f.id DESC LIMIT $3) n) p \
        JOIN capture c ON c.bucket = $1 AND c.id = p.id WHERE p.no = 1 OR p.bytes <= $4 ORDER BY c.id DESC";
    /// Counts so many captures ($2) and bytes ($3) more, or less; answers how many there are. Whoever has counted goes first.
    CAPTURED = "INSERT INTO captured (bucket, captures, bytes) VALUES ($1, $2, $3) \
        ON CONFLICT (bucket) DO UPDATE \
            SET captures = captured.captures + excluded.captures, bytes = captured.bytes + excluded.bytes \
        RETURNING captures, bytes";
    /// Keeps captures, as columns.
    CAPTURE_INSERT = "INSERT INTO capture (bucket, id, message, provider, at, sender, recipients, body) \
        SELECT $1, x.id, x.message, x.provider, x.at, x.sender, x.recipients, x.body \
        FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::bytea[]) \
            x (id, message, provider, at, sender, recipients, body)";
    /// Of the oldest captures, at most $2, forgets so many ($3), and so many more that they have so many bytes ($4). Answers how
    /// many went, and their bytes.
    CAPTURES_FORGET = "WITH o AS (\
            SELECT f.id, f.bytes, row_number() OVER (ORDER BY f.id) AS no, (sum(f.bytes) OVER (ORDER BY f.id))::bigint AS upto \
            FROM (SELECT c.id, octet_length(c.body)::bigint AS bytes FROM capture c \
                  WHERE c.bucket = $1 ORDER BY c.id LIMIT $2) f), \
        g AS (\
            DELETE FROM capture k USING o WHERE k.bucket = $1 AND k.id = o.id AND (o.no <= $3 OR o.upto - o.bytes < $4) \
            RETURNING o.bytes) \
        SELECT count(*), coalesce(sum(g.bytes), 0)::bigint FROM g";
}
