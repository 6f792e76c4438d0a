//! Statements about secrets that are to be erased. `$1` is always the bucket.

statements! {
    /// Messages ($2) have a secret that is to be erased.
    ERASURE_INSERT = "INSERT INTO erasure (bucket, message) SELECT $1, x.message FROM unnest($2::bigint[]) x (message)";
    /// The first $3 messages behind $2 that have one.
    ERASURES = "SELECT e.message FROM erasure e WHERE e.bucket = $1 AND e.message > $2 ORDER BY e.message LIMIT $3";
    /// Those of messages ($2) that are being expanded.
    EXPANDING_OF = "SELECT x.message FROM unnest($2::bigint[]) x (message) CROSS JOIN LATERAL (\
        SELECT 1 FROM expansion e WHERE e.bucket = $1 AND e.message = x.message LIMIT 1) o";
    /// Of which of these pages something is to come: messages ($2) with ids from $3 to $4, arrays all. The limit keeps the planner
    /// from anything but one look into the primary key per page.
    OPEN_OF = "SELECT x.message FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) x (message, first, last) \
        CROSS JOIN LATERAL (\
            SELECT 1 FROM delivery o WHERE o.bucket = $1 AND o.id BETWEEN x.first AND x.last AND o.message = x.message \
            LIMIT 1) d";
    /// Those of messages ($2) that still have one, locked; what somebody is erasing just now is left out.
    ERASURES_LOCK = "SELECT e.message FROM erasure e WHERE e.bucket = $1 AND e.message = ANY ($2::bigint[]) \
        ORDER BY e.message FOR UPDATE SKIP LOCKED";
    /// What messages ($2) say from now on ($3).
    CONTENT_WRITE = "UPDATE message m SET content = x.content FROM unnest($2::bigint[], $3::bytea[]) x (id, content) \
        WHERE m.bucket = $1 AND m.id = x.id \
          AND m.id BETWEEN (SELECT min(i.id) FROM unnest($2::bigint[]) i (id)) AND (SELECT max(i.id) FROM unnest($2::bigint[]) i (id))";
    /// Nothing is to be erased of messages ($2) any more.
    ERASURES_END = "DELETE FROM erasure e WHERE e.bucket = $1 AND e.message = ANY ($2::bigint[])";
}
