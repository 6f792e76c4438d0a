//! Statements that run per message, parcel or page. `$1` is always the bucket.

use crate::row::row_columns;

statements! {
    /// The lanes in which something waits, with their earliest due times: hops over the index from lane to lane.
    LANES = "WITH RECURSIVE lane AS (\
        (SELECT d.channel, d.priority, d.app, d.due FROM delivery d WHERE d.bucket = $1 AND d.state = 0 AND d.crashes < 3 \
         ORDER BY d.channel, d.priority, d.app, d.due LIMIT 1) \
        UNION ALL \
        SELECT n.channel, n.priority, n.app, n.due FROM lane l CROSS JOIN LATERAL (\
            SELECT d.channel, d.priority, d.app, d.due FROM delivery d \
            WHERE d.bucket = $1 AND d.state = 0 AND d.crashes < 3 \
              AND (d.channel, d.priority, d.app) > (l.channel, l.priority, l.app) \
            ORDER BY d.channel, d.priority, d.app, d.due LIMIT 1) n) \
        SELECT channel, priority, app, due FROM lane";
    /// The channels in which something waits to be sent alone, with the earliest due times.
    SUSPECT_LANES = "SELECT d.channel, min(d.due) FROM delivery d \
        WHERE d.bucket = $1 AND d.state = 0 AND d.crashes >= 3 GROUP BY d.channel";
    /// The first rows that wait in some lanes of a channel ($2), each behind a place: lanes as arrays of priority ($3), app
    /// ($4), due ($5) and parcel ($6); at most $7 rows of each.
    CANDIDATES = "SELECT l.no, p.due, p.parcel, p.id \
        FROM unnest($3::smallint[], $4::integer[], $5::bigint[], $6::bigint[]) WITH ORDINALITY l (priority, app, due, parcel, no) \
        CROSS JOIN LATERAL (\
            SELECT d.due, d.parcel, d.id FROM delivery d \
            WHERE d.bucket = $1 AND d.channel = $2 AND d.priority = l.priority AND d.app = l.app \
              AND d.state = 0 AND d.crashes < 3 AND (d.due, d.parcel) > (l.due, l.parcel) \
            ORDER BY d.due, d.parcel, d.id LIMIT $7) p \
        ORDER BY l.no, p.due, p.parcel, p.id";
    /// Leases the parcels of channel $2 whose first rows are $3, at $4, to node $5 in epoch $6, and counts on lane $7 of the
    /// depth; answers every row, the first of each parcel with its message's time and, up to $8 bytes, content. The first
    /// row is the gate: two nodes that want one parcel cannot each get a part of it.
    CLAIM = concat!("WITH h AS (\
            SELECT g.id, g.priority, g.app, g.due, g.parcel FROM unnest($3::bigint[]) x (id) CROSS JOIN LATERAL (\
                SELECT d.id, d.channel, d.priority, d.app, d.due, d.parcel, d.state, d.crashes FROM delivery d \
                WHERE d.bucket = $1 AND d.id = x.id LIMIT 1 FOR UPDATE SKIP LOCKED) g \
            WHERE g.channel = $2 AND g.state = 0 AND g.crashes < 3 AND g.due <= $4::bigint \
              AND EXISTS (SELECT 1 FROM node n WHERE n.number = $5 AND n.epoch = $6 AND n.ended IS NULL)), \
        r AS (\
            SELECT f.id FROM h CROSS JOIN LATERAL (\
                SELECT d.id FROM delivery d \
                WHERE d.bucket = $1 AND d.channel = $2 AND d.priority = h.priority AND d.app = h.app AND d.due = h.due \
                  AND d.parcel = h.parcel AND d.state = 0 AND d.crashes < 3 LIMIT 100000) f), \
        d AS (\
            UPDATE delivery w SET state = 1, lease = w.lease + 1, node = $5, epoch = $6, leased = $4 \
            WHERE w.bucket = $1 AND w.id = ANY (ARRAY(SELECT r.id FROM r)) AND w.state < 1 AND w.crashes < 3 \
            RETURNING w.*), \
        k AS (\
            INSERT INTO depth (bucket, channel, node, lane, ready) \
            SELECT $1, $2, $5, $7, -count(*) FROM d HAVING count(*) > 0 \
            ON CONFLICT (bucket, channel, node, lane) DO UPDATE SET ready = depth.ready + excluded.ready) \
        SELECT ", row_columns!(), ", coalesce(d.address, d.recipient), m.accepted, \
            CASE WHEN m.attachments = 0 AND octet_length(m.content) <= $8 THEN m.content END \
        FROM d LEFT JOIN LATERAL (\
            SELECT o.accepted, o.attachments, o.content FROM message o \
            WHERE o.bucket = $1 AND o.id = CASE WHEN d.id IN (SELECT h.id FROM h) THEN d.message END LIMIT 1) m ON true \
        ORDER BY d.parcel, d.id");
    /// The first parcel of channel $2 that waits to be sent alone and is due at $3: its due time, number and first row.
    SUSPECT = "SELECT d.due, d.parcel, d.id FROM delivery d \
        WHERE d.bucket = $1 AND d.channel = $2 AND d.state = 0 AND d.crashes >= 3 AND d.due <= $3 \
        ORDER BY d.due, d.parcel, d.id LIMIT 1";
    /// The first due time after $3 among what waits in channel $2 to be sent alone.
    SUSPECT_AFTER = "SELECT min(d.due) FROM delivery d \
        WHERE d.bucket = $1 AND d.channel = $2 AND d.state = 0 AND d.crashes >= 3 AND d.due > $3";
    /// Leases one such parcel, as `CLAIM` does.
    CLAIM_SUSPECT = concat!("WITH h AS (\
            SELECT g.id, g.due, g.parcel FROM unnest($3::bigint[]) x (id) CROSS JOIN LATERAL (\
                SELECT d.id, d.channel, d.due, d.parcel, d.state, d.crashes FROM delivery d \
                WHERE d.bucket = $1 AND d.id = x.id LIMIT 1 FOR UPDATE SKIP LOCKED) g \
            WHERE g.channel = $2 AND g.state = 0 AND g.crashes >= 3 AND g.due <= $4::bigint \
              AND EXISTS (SELECT 1 FROM node n WHERE n.number = $5 AND n.epoch = $6 AND n.ended IS NULL)), \
        d AS (\
            UPDATE delivery w SET state = 1, lease = w.lease + 1, node = $5, epoch = $6, leased = $4 FROM h \
            WHERE w.bucket = $1 AND w.channel = $2 AND w.due = h.due AND w.parcel = h.parcel AND w.state = 0 AND w.crashes >= 3 \
            RETURNING w.*, h.id AS head), \
        k AS (\
            INSERT INTO depth (bucket, channel, node, lane, ready) \
            SELECT $1, $2, $5, $7, -count(*) FROM d HAVING count(*) > 0 \
            ON CONFLICT (bucket, channel, node, lane) DO UPDATE SET ready = depth.ready + excluded.ready) \
        SELECT ", row_columns!(), ", coalesce(d.address, d.recipient), m.accepted, \
            CASE WHEN m.attachments = 0 AND octet_length(m.content) <= $8 THEN m.content END \
        FROM d LEFT JOIN LATERAL (\
            SELECT o.accepted, o.attachments, o.content FROM message o \
            WHERE o.bucket = $1 AND o.id = CASE WHEN d.id = d.head THEN d.message END LIMIT 1) m ON true \
        ORDER BY d.parcel, d.id");
    /// When messages ($2) of another bucket than their deliveries' were accepted, and their content up to $3 bytes.
    MESSAGES_OF_PAGES = "SELECT m.id, m.accepted, \
            CASE WHEN m.attachments = 0 AND octet_length(m.content) <= $3 THEN m.content END \
        FROM unnest($2::bigint[]) x (id) CROSS JOIN LATERAL (\
            SELECT o.id, o.accepted, o.attachments, o.content FROM message o WHERE o.bucket = $1 AND o.id = x.id LIMIT 1) m";
    /// Adds to the depths of channels ($4) so many rows ($5), for lane $3 of node $2.
    DEPTH_ADD = "INSERT INTO depth (bucket, channel, node, lane, ready) \
        SELECT $1, x.channel, $2, $3, x.by FROM unnest($4::integer[], $5::bigint[]) x (channel, by) \
        ON CONFLICT (bucket, channel, node, lane) DO UPDATE SET ready = depth.ready + excluded.ready";
    /// Keeps idempotency keys: arrays of app ($2), key ($3), fingerprint ($4), message ($5) and when they are forgotten ($6). A key
    /// that is known stays as it is, unless it was to be forgotten by $7.
    KEYS_KEEP = "INSERT INTO idempotency AS i (bucket, app, key, fingerprint, message, expires) \
        SELECT $1, x.app, x.key, x.fingerprint, x.message, x.expires \
        FROM unnest($2::integer[], $3::text[], $4::bytea[], $5::bigint[], $6::bigint[]) x (app, key, fingerprint, message, expires) \
        ORDER BY x.app, x.key \
        ON CONFLICT (bucket, app, key) DO UPDATE \
            SET fingerprint = excluded.fingerprint, message = excluded.message, expires = excluded.expires, answer = NULL \
            WHERE i.expires <= $7";
    /// Forgets keys, arrays of app ($2) and key ($3), where they lead to messages ($4) that were not stored.
    KEYS_DROP = "DELETE FROM idempotency i USING unnest($2::integer[], $3::text[], $4::bigint[]) x (app, key, message) \
        WHERE i.bucket = $1 AND i.app = x.app AND i.key = x.key AND i.message = x.message";
    /// What is kept under keys: arrays of app ($2) and key ($3).
    KEYS_READ = "SELECT i.app, i.key, i.message, i.fingerprint \
        FROM unnest($2::integer[], $3::text[]) x (app, key) JOIN idempotency i ON i.bucket = $1 AND i.app = x.app AND i.key = x.key";
    /// New messages, as columns.
    MESSAGE_INSERT = "INSERT INTO message (bucket, id, app, channel, dialect, operation, caller, priority, accepted, expires, \
            last, attachments, content, client, label, business) \
        SELECT $1, x.id, x.app, x.channel, x.dialect, x.operation, x.caller, x.priority, x.accepted, x.expires, x.last, \
            x.attachments, x.content, x.client, x.label, x.business \
        FROM unnest($2::bigint[], $3::integer[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::smallint[], \
            $9::bigint[], $10::bigint[], $11::bigint[], $12::integer[], $13::bytea[], $14::text[], $15::text[], $16::text[]) \
            x (id, app, channel, dialect, operation, caller, priority, accepted, expires, last, attachments, content, client, \
               label, business)";
    /// Attachments of new messages, as columns.
    ATTACHMENT_INSERT = "INSERT INTO attachment (bucket, message, no, body) \
        SELECT $1, x.message, x.no, x.body FROM unnest($2::bigint[], $3::integer[], $4::bytea[]) x (message, no, body)";
    /// New deliveries that are to come, as columns; those in state 1 are held by node $15 in epoch $16 since $17.
    DELIVERY_INSERT = "INSERT INTO delivery (bucket, id, message, parcel, channel, priority, app, state, lease, tries, crashes, \
            due, expires, maybe_duplicate, reason, recipient, address, node, epoch, leased) \
        SELECT $1, x.id, x.message, x.parcel, x.channel, x.priority, x.app, x.state, x.lease, 0, 0, x.due, x.expires, false, \
            x.reason, x.recipient, x.address, CASE WHEN x.state = 1 THEN $15::smallint END, \
            CASE WHEN x.state = 1 THEN $16::bigint END, CASE WHEN x.state = 1 THEN $17::bigint END \
        FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::integer[], $6::smallint[], $7::integer[], $8::smallint[], \
            $9::integer[], $10::bigint[], $11::bigint[], $12::text[], $13::text[], $14::text[]) \
            x (id, message, parcel, channel, priority, app, state, lease, due, expires, reason, recipient, address)";
    /// New deliveries that will never be tried, as the same columns.
    DONE_INSERT = "INSERT INTO done (bucket, id, message, parcel, channel, priority, app, state, lease, tries, crashes, \
            due, expires, maybe_duplicate, reason, recipient, address) \
        SELECT $1, x.id, x.message, x.parcel, x.channel, x.priority, x.app, x.state, x.lease, 0, 0, x.due, x.expires, false, \
            x.reason, x.recipient, x.address \
        FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::integer[], $6::smallint[], $7::integer[], $8::smallint[], \
            $9::integer[], $10::bigint[], $11::bigint[], $12::text[], $13::text[], $14::text[]) \
            x (id, message, parcel, channel, priority, app, state, lease, due, expires, reason, recipient, address)";
    /// Counts so many ($4) deliveries more of accounts ($2) on days ($3), arrays all.
    SENT_ADD = "INSERT INTO sent (bucket, account, day, deliveries) \
        SELECT $1, x.account, x.day, x.by FROM unnest($2::integer[], $3::integer[], $4::bigint[]) x (account, day, by) \
        ORDER BY x.account, x.day \
        ON CONFLICT (bucket, account, day) DO UPDATE SET deliveries = sent.deliveries + excluded.deliveries";
    /// Who follows ($4) of messages ($2) from $3 on, and by what those are looked for that wait: app ($5), template ($6) and
    /// channels ($7, each an array as text).
    EXPANSION_INSERT = "INSERT INTO expansion (bucket, message, cursor, due, who, app, template, channels) \
        SELECT $1, x.message, 0, x.due, x.who, x.app, x.template, x.channels::integer[] \
        FROM unnest($2::bigint[], $3::bigint[], $4::bytea[], $5::integer[], $6::text[], $7::text[]) \
            x (message, due, who, app, template, channels)";
    /// Ends deliveries: arrays of id ($2), the lease ($3) and state ($4) at which they must stand, and where they stand then: state
    /// ($5), reason ($6), tries ($7), crashes ($8), first try ($9), perhaps sent before ($10), more attempts ($11), due ($14). Counts
    /// on lane $13 of node $12. Answers those that stood so.
    FINISH = "WITH x AS (\
            SELECT * FROM unnest($2::bigint[], $3::integer[], $4::smallint[], $5::smallint[], $6::text[], $7::smallint[], \
                $8::smallint[], $9::bigint[], $10::boolean[], $11::text[], $14::bigint[]) \
                x (id, lease, was, state, reason, tries, crashes, first_try, maybe_duplicate, attempts, due)), \
        f AS (\
            SELECT d.id, d.message, d.parcel, d.channel, d.priority, d.app, x.was, x.state, x.reason, d.lease, x.tries, \
                x.crashes, x.due, d.expires, x.first_try, x.maybe_duplicate, d.recipient, d.address, \
                d.attempts || x.attempts::jsonb AS attempts \
            FROM x CROSS JOIN LATERAL (\
                SELECT * FROM delivery o WHERE o.bucket = $1 AND o.id = x.id LIMIT 1 FOR UPDATE) d \
            WHERE d.lease = x.lease AND d.state = x.was), \
        g AS (DELETE FROM delivery d WHERE d.bucket = $1 AND d.id = ANY (ARRAY(SELECT f.id FROM f))), \
        k AS (\
            INSERT INTO depth (bucket, channel, node, lane, ready) \
            SELECT $1, f.channel, $12, $13, -count(*) FROM f WHERE f.was = 0 GROUP BY f.channel \
            ON CONFLICT (bucket, channel, node, lane) DO UPDATE SET ready = depth.ready + excluded.ready) \
        INSERT INTO done (bucket, id, message, parcel, channel, priority, app, state, lease, tries, crashes, due, expires, \
            first_try, maybe_duplicate, reason, recipient, address, attempts) \
        SELECT $1, f.id, f.message, f.parcel, f.channel, f.priority, f.app, f.state, f.lease, f.tries, f.crashes, f.due, \
            f.expires, f.first_try, f.maybe_duplicate, f.reason, f.recipient, f.address, f.attempts FROM f \
        RETURNING id";
    /// Moves deliveries that are still to come, as `FINISH` does. A call that cannot be taken back (state
    /// 2) may be begun only by a node whose lease lasts beyond $15.
    KEEP = "WITH x AS (\
            SELECT * FROM unnest($2::bigint[], $3::integer[], $4::smallint[], $5::smallint[], $6::text[], $7::smallint[], \
                $8::smallint[], $9::bigint[], $10::boolean[], $11::text[], $14::bigint[]) \
                x (id, lease, was, state, reason, tries, crashes, first_try, maybe_duplicate, attempts, due)), \
        d AS (\
            UPDATE delivery w SET state = x.state, reason = x.reason, tries = x.tries, crashes = x.crashes, due = x.due, \
                first_try = x.first_try, maybe_duplicate = x.maybe_duplicate, attempts = w.attempts || x.attempts::jsonb, \
                node = CASE WHEN x.state <> 0 THEN w.node END, epoch = CASE WHEN x.state <> 0 THEN w.epoch END, \
                leased = CASE WHEN x.state <> 0 THEN w.leased END \
            FROM x WHERE w.bucket = $1 AND w.id = ANY ($2::bigint[]) AND w.id = x.id AND w.lease = x.lease AND w.state = x.was \
              AND (x.state <> 2 OR EXISTS (SELECT 1 FROM node n WHERE n.number = w.node AND n.epoch = w.epoch \
                   AND n.ended IS NULL AND n.lease_until > to_timestamp($15::bigint / 1000.0))) \
            RETURNING w.id, w.channel, x.was, x.state), \
        k AS (\
            INSERT INTO depth (bucket, channel, node, lane, ready) \
            SELECT $1, d.channel, $12, $13, count(*) FILTER (WHERE d.was <> 0) - count(*) FILTER (WHERE d.state <> 0) \
            FROM d WHERE (d.was = 0) <> (d.state = 0) GROUP BY d.channel \
            ON CONFLICT (bucket, channel, node, lane) DO UPDATE SET ready = depth.ready + excluded.ready) \
        SELECT d.id FROM d";
    /// Changes deliveries that are done, of which a later truth is known, as `FINISH` does.
    DONE_CHANGE = "UPDATE done d SET state = x.state, reason = x.reason, tries = x.tries, crashes = x.crashes, \
            first_try = x.first_try, maybe_duplicate = x.maybe_duplicate, attempts = d.attempts || x.attempts::jsonb \
        FROM unnest($2::bigint[], $3::integer[], $4::smallint[], $5::smallint[], $6::text[], $7::smallint[], \
            $8::smallint[], $9::bigint[], $10::boolean[], $11::text[]) \
            x (id, lease, was, state, reason, tries, crashes, first_try, maybe_duplicate, attempts) \
        WHERE d.bucket = $1 AND d.id = x.id AND d.lease = x.lease AND d.state = x.was \
          AND d.id BETWEEN (SELECT min(i.id) FROM unnest($2::bigint[]) i (id)) AND (SELECT max(i.id) FROM unnest($2::bigint[]) i (id)) \
        RETURNING d.id";
    /// Open deliveries ($2), locked in the order of their ids, with their attempts.
    LOCK = concat!("SELECT ", row_columns!(), ", d.attempts::text FROM delivery d \
        WHERE d.bucket = $1 AND d.id = ANY ($2::bigint[]) ORDER BY d.id FOR UPDATE");
    /// Deliveries ($2) that are done, likewise.
    LOCK_DONE = concat!("SELECT ", row_columns!(), ", d.attempts::text \
        FROM (SELECT i.id FROM unnest($2::bigint[]) i (id) ORDER BY i.id) x CROSS JOIN LATERAL (\
            SELECT * FROM done o WHERE o.bucket = $1 AND o.id = x.id LIMIT 1 FOR UPDATE) d");
}
