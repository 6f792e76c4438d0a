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
            SELECT d.id, d.priority, d.app, d.due, d.parcel FROM delivery d \
            WHERE d.bucket = $1 AND d.id = ANY ($3::bigint[]) AND d.channel = $2 AND d.state = 0 AND d.crashes < 3 \
              AND d.due <= $4::bigint AND EXISTS (SELECT 1 FROM node n WHERE n.number = $5 AND n.epoch = $6 AND n.ended IS NULL) \
            ORDER BY d.id FOR UPDATE OF d SKIP LOCKED), \
        d AS (\
            UPDATE delivery w SET state = 1, lease = w.lease + 1, node = $5, epoch = $6, leased = $4 FROM h \
            WHERE w.bucket = $1 AND w.channel = $2 AND w.priority = h.priority AND w.app = h.app AND w.due = h.due \
              AND w.parcel = h.parcel AND w.state = 0 AND w.crashes < 3 \
            RETURNING w.*, h.id AS head), \
        k AS (\
            INSERT INTO depth (bucket, channel, node, lane, ready) \
            SELECT $1, $2, $5, $7, -count(*) FROM d HAVING count(*) > 0 \
            ON CONFLICT (bucket, channel, node, lane) DO UPDATE SET ready = depth.ready + excluded.ready) \
        SELECT ", row_columns!(), ", coalesce(d.address, d.recipient), m.accepted, \
            CASE WHEN m.attachments = 0 AND octet_length(m.content) <= $8 THEN m.content END \
        FROM d LEFT JOIN message m ON m.bucket = $1 AND m.id = CASE WHEN d.id = d.head THEN d.message END \
        ORDER BY d.parcel, d.id");
    /// The first parcel of channel $2 that waits to be sent alone and is due at $3: its due time, number and first row.
    SUSPECT = "SELECT d.due, d.parcel, d.id FROM delivery d \
        WHERE d.bucket = $1 AND d.channel = $2 AND d.state = 0 AND d.crashes >= 3 AND d.due <= $3 \
        ORDER BY d.due, d.parcel, d.id LIMIT 1";
    /// Leases one such parcel, as `CLAIM` does.
    CLAIM_SUSPECT = concat!("WITH h AS (\
            SELECT d.id, d.due, d.parcel FROM delivery d \
            WHERE d.bucket = $1 AND d.id = $3 AND d.channel = $2 AND d.state = 0 AND d.crashes >= 3 \
              AND d.due <= $4::bigint AND EXISTS (SELECT 1 FROM node n WHERE n.number = $5 AND n.epoch = $6 AND n.ended IS NULL) \
            FOR UPDATE OF d SKIP LOCKED), \
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
        FROM d LEFT JOIN message m ON m.bucket = $1 AND m.id = CASE WHEN d.id = d.head THEN d.message END \
        ORDER BY d.parcel, d.id");
    /// When messages ($2) of another bucket than their deliveries' were accepted, and their content up to $3 bytes.
    MESSAGES_OF_PAGES = "SELECT m.id, m.accepted, \
            CASE WHEN m.attachments = 0 AND octet_length(m.content) <= $3 THEN m.content END \
        FROM message m WHERE m.bucket = $1 AND m.id = ANY ($2::bigint[])";
    /// Adds to the depths of channels ($4) so many rows ($5), for lane $3 of node $2.
    DEPTH_ADD = "INSERT INTO depth (bucket, channel, node, lane, ready) \
        SELECT $1, x.channel, $2, $3, x.by FROM unnest($4::integer[], $5::bigint[]) x (channel, by) \
        ON CONFLICT (bucket, channel, node, lane) DO UPDATE SET ready = depth.ready + excluded.ready";
}
