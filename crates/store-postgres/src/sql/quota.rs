//! Statements of quotas, paces and caps. `$1` is always the bucket, of the account's, pace's or cap's name. Whoever changes
//! anything of an account has its row locked; a statement that follows the lock sees all that was committed under the lock before.

statements! {
    /// Begins account $2, unless it is known.
    ACCOUNT_BEGIN = "INSERT INTO quota_account (bucket, account, seen, hour, day, day_begin, day_end) \
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
    /// Locks account $2.
    ACCOUNT_LOCK = "SELECT a.seen FROM quota_account a WHERE a.bucket = $1 AND a.account = $2 FOR UPDATE";
    /// Account $2, the sum of its entries that are `Account::retiring` when it moves on to $3, and the time of its oldest entry;
    /// $4 is the length of the hour. The span is worked out here so that account and sum are of one moment, and nobody waits while
    /// it goes to and fro.
    ACCOUNT = "SELECT a.seen, a.hour, a.day, a.day_begin, a.day_end, \
            (SELECT coalesce(sum(e.amount), 0)::bigint FROM quota_entry e \
             WHERE e.bucket = $1 AND e.account = $2 AND e.at > 0 \
               AND e.at > a.seen - $4::bigint AND e.at <= greatest(a.seen, $3::bigint) - $4::bigint), \
            (SELECT e.at FROM quota_entry e WHERE e.bucket = $1 AND e.account = $2 AND e.at > 0 ORDER BY e.at LIMIT 1) \
        FROM quota_account a WHERE a.bucket = $1 AND a.account = $2";
    /// What is kept of account $2.
    ACCOUNT_WRITE = "UPDATE quota_account a SET seen = $3, hour = $4, day = $5, day_begin = $6, day_end = $7 \
        WHERE a.bucket = $1 AND a.account = $2";
    /// Those of the entries $3 that account $2 has.
    ENTRIES = "SELECT f.id, f.at, f.day, f.amount FROM unnest($3::bigint[]) x (id) CROSS JOIN LATERAL (\
            SELECT e.id, e.at, e.day, e.amount FROM quota_entry e \
            WHERE e.bucket = $1 AND e.account = $2 AND e.id = x.id LIMIT 1) f";
    /// New entries of account $2: arrays of id ($3), time ($4), day ($5) and amount ($6).
    ENTRIES_ADD = "INSERT INTO quota_entry (bucket, account, id, at, day, amount) \
        SELECT $1, $2, x.id, x.at, x.day, x.amount \
        FROM unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[]) x (id, at, day, amount)";
    /// What is left of entry $3 of account $2.
    ENTRY_LOWER = "UPDATE quota_entry e SET amount = $4 WHERE e.bucket = $1 AND e.account = $2 AND e.id = $3";
    /// For each excess ($4) the time of that entry of account $2 after $3 with which, the oldest first, it is reached.
    LAST_TO_LEAVE = "SELECT x.excess, l.at FROM unnest($4::bigint[]) x (excess) CROSS JOIN LATERAL (\
            SELECT s.at FROM (\
                SELECT e.at, sum(e.amount) OVER (ORDER BY e.at) AS freed FROM quota_entry e \
                WHERE e.bucket = $1 AND e.account = $2 AND e.at > 0 AND e.at > $3) s \
            WHERE s.freed >= x.excess ORDER BY s.at LIMIT 1) l";
    /// Deletes entries of account $2 that are no younger than $3 and of days before $4: about $5 of them, the oldest first.
    OUTDATED_DELETE = "DELETE FROM quota_entry k \
        WHERE k.bucket = $1 AND k.account = $2 AND k.at > 0 AND k.day < $4 AND k.at <= (\
            SELECT max(o.at) FROM (\
                SELECT e.at FROM quota_entry e WHERE e.bucket = $1 AND e.account = $2 AND e.at > 0 AND e.at <= $3 \
                ORDER BY e.at LIMIT $5) o)";
    /// Begins pace $2, unless it is known.
    METER_BEGIN = "INSERT INTO meter (bucket, key, seen, ahead_ns) VALUES ($1, $2, $3, 0) ON CONFLICT DO NOTHING";
    /// Pace $2, locked.
    METER_LOCK = "SELECT m.seen, m.ahead_ns FROM meter m WHERE m.bucket = $1 AND m.key = $2 FOR UPDATE";
    /// What is kept of pace $2.
    METER_WRITE = "UPDATE meter m SET seen = $3, ahead_ns = $4 WHERE m.bucket = $1 AND m.key = $2";
    /// Begins the tallies under keys ($2), each once, but for those that are known.
    TALLIES_BEGIN = "INSERT INTO tally (bucket, key, body, until) \
        SELECT $1, x.key, ''::bytea, 0 FROM unnest($2::text[]) x (key) ORDER BY x.key ON CONFLICT DO NOTHING";
    /// The tallies under keys ($2), locked in their order.
    TALLIES_LOCK = "SELECT t.key, t.body FROM tally t WHERE t.bucket = $1 AND t.key = ANY ($2::text[]) ORDER BY t.key FOR UPDATE";
    /// What is kept under keys ($2): tallies ($3), each until $4.
    TALLIES_WRITE = "UPDATE tally t SET body = x.body, until = x.until \
        FROM unnest($2::text[], $3::bytea[], $4::bigint[]) x (key, body, until) \
        WHERE t.bucket = $1 AND t.key = ANY ($2::text[]) AND t.key = x.key";
    /// How many tallies count nowhere any more at $2, as far as $3.
    TALLIES_OVER = "SELECT count(*) FROM (\
        SELECT t.until FROM tally t WHERE t.bucket = $1 AND t.until <= $2 ORDER BY t.until LIMIT $3) o";
    /// Forgets at most $3 of them.
    TALLIES_FORGET = "WITH o AS (\
            SELECT t.key FROM tally t WHERE t.bucket = $1 AND t.until <= $2 ORDER BY t.until LIMIT $3 FOR UPDATE SKIP LOCKED) \
        DELETE FROM tally k USING o WHERE k.bucket = $1 AND k.key = o.key";
}
