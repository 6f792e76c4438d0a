//! Statements that take back what is held, or find what to take back. `$1` is always the bucket.

use crate::row::row_columns;

statements! {
    /// The highest id of anything stored.
    HIGHEST_ID = "SELECT greatest((SELECT max(m.id) FROM message m WHERE m.bucket = $1), \
        (SELECT max(d.id) FROM delivery d WHERE d.bucket = $1), (SELECT max(f.id) FROM done f WHERE f.bucket = $1), \
        (SELECT max(c.id) FROM capture c WHERE c.bucket = $1))";
    /// How many parcels registration $2, $3 holds.
    PARCELS_HELD = "SELECT count(DISTINCT d.parcel) FROM delivery d \
        WHERE d.bucket = $1 AND d.state IN (1, 2) AND d.node = $2 AND d.epoch = $3";
    /// Who holds anything.
    HOLDERS = "SELECT DISTINCT d.node, d.epoch FROM delivery d \
        WHERE d.bucket = $1 AND d.state IN (1, 2) AND d.node IS NOT NULL AND d.epoch IS NOT NULL";
    /// Which of these registrations ($2, $3) hold anything.
    HOLDERS_OF = "SELECT x.node, x.epoch FROM unnest($2::smallint[], $3::bigint[]) x (node, epoch) WHERE EXISTS (\
        SELECT 1 FROM delivery d WHERE d.bucket = $1 AND d.state IN (1, 2) AND d.node = x.node AND d.epoch = x.epoch)";
    /// What registration $2, $3 holds, parcel by parcel, at most $4 rows; what somebody is writing just now is left out.
    ORPHANS = concat!("SELECT ", row_columns!(), " FROM delivery d \
        WHERE d.bucket = $1 AND d.state IN (1, 2) AND d.node = $2 AND d.epoch = $3 \
        ORDER BY d.parcel, d.id LIMIT $4 FOR UPDATE OF d SKIP LOCKED");
    /// What registration $2, $3 has held since $4 or longer.
    HELD_SINCE = "SELECT d.id, d.state FROM delivery d \
        WHERE d.bucket = $1 AND d.state IN (1, 2) AND d.node = $2 AND d.epoch = $3 AND d.leased <= $4 ORDER BY d.id";
    /// The same, of these ids ($5), to be written; what somebody is writing just now is left out.
    STRAYS = concat!("SELECT ", row_columns!(), " FROM delivery d \
        WHERE d.bucket = $1 AND d.state IN (1, 2) AND d.node = $2 AND d.epoch = $3 AND d.leased <= $4 \
          AND d.id = ANY ($5::bigint[]) \
        ORDER BY d.id FOR UPDATE OF d SKIP LOCKED");
    /// Writes tracks of rows that nobody holds any more and whose delivery is still to come: ids ($2), the leases under which
    /// they were held ($3), and what changes.
    FREE = "UPDATE delivery d SET state = x.state, reason = x.reason, tries = x.tries, crashes = x.crashes, due = x.due, \
            first_try = x.first_try, maybe_duplicate = x.maybe_duplicate, node = NULL, epoch = NULL, leased = NULL \
        FROM unnest($2::bigint[], $3::integer[], $4::smallint[], $5::text[], $6::smallint[], $7::smallint[], $8::bigint[], \
            $9::bigint[], $10::boolean[]) x (id, lease, state, reason, tries, crashes, due, first_try, maybe_duplicate) \
        WHERE d.bucket = $1 AND d.id = ANY ($2::bigint[]) AND d.id = x.id AND d.lease = x.lease AND d.state IN (1, 2)";
    /// The same for rows whose delivery is over.
    END = "WITH d AS (\
            DELETE FROM delivery w USING unnest($2::bigint[], $3::integer[], $4::smallint[], $5::text[], $6::smallint[], \
                $7::smallint[], $8::bigint[], $9::bigint[], $10::boolean[]) \
                x (id, lease, state, reason, tries, crashes, due, first_try, maybe_duplicate) \
            WHERE w.bucket = $1 AND w.id = ANY ($2::bigint[]) AND w.id = x.id AND w.lease = x.lease AND w.state IN (1, 2) \
            RETURNING w.bucket, w.id, w.message, w.parcel, w.channel, w.priority, w.app, x.state, w.lease, x.tries, x.crashes, \
                x.due, w.expires, x.first_try, x.maybe_duplicate, x.reason, w.recipient, w.address, w.attempts) \
        INSERT INTO done (bucket, id, message, parcel, channel, priority, app, state, lease, tries, crashes, due, expires, \
            first_try, maybe_duplicate, reason, recipient, address, attempts) \
        SELECT bucket, id, message, parcel, channel, priority, app, state, lease, tries, crashes, due, expires, \
            first_try, maybe_duplicate, reason, recipient, address, attempts FROM d";
    /// Ends rows ($2) that cannot be read, in state $3 for reason $4, with a track that can be read again.
    SET_ASIDE = "WITH d AS (DELETE FROM delivery w WHERE w.bucket = $1 AND w.id = ANY ($2::bigint[]) RETURNING w.*) \
        INSERT INTO done (bucket, id, message, parcel, channel, priority, app, state, lease, tries, crashes, due, expires, \
            first_try, maybe_duplicate, reason, recipient, address, attempts) \
        SELECT d.bucket, d.id, d.message, d.parcel, greatest(d.channel, 0), least(greatest(d.priority, 1), 3), \
            greatest(d.app, 0), $3::smallint, 0, 0, 0, d.due, d.expires, NULL::bigint, d.maybe_duplicate, $4::text, d.recipient, d.address, d.attempts \
        FROM d";
}
