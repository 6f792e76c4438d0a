//! Statements that a hot list must not have, each with what is said of it: what the rules are tried on.

pub(super) const REFUSED: &[(&str, &str)] = &[
    ("SELECT d.id FROM delivery d WHERE d.id = $2", "delivery d without"),
    ("SELECT id FROM delivery WHERE bucket = $2", "delivery delivery without"),
    ("SELECT d.id FROM delivery d WHERE d.bucket = $1 OR d.id = $2", "delivery d without"),
    ("SELECT d.id FROM delivery d WHERE d.bucket = ANY ($1)", "several buckets"),
    ("SELECT d.id FROM delivery d WHERE d.bucket IN ($1, $2)", "several buckets"),
    ("SELECT d.id FROM delivery d WHERE d.bucket = $1 AND d.bucket BETWEEN $2 AND $3", "several buckets"),
    ("SELECT d.id FROM delivery d WHERE d.id = ANY ($1) ORDER BY d.id FOR UPDATE SKIP LOCKED", "delivery d without"),
    ("SELECT m.id FROM delivery d JOIN message m ON m.id = d.message WHERE d.bucket = $1", "message m without"),
    ("SELECT m.id FROM delivery d, message m WHERE bucket = $1 AND m.bucket = $1", "delivery d without"),
    (
        "SELECT x.id FROM unnest($2::bigint[]) x (id) WHERE EXISTS (SELECT 1 FROM done f WHERE f.id = x.id)",
        "done f without",
    ),
    ("WITH c AS (SELECT d.id FROM delivery d LIMIT 1) SELECT c.id FROM c", "delivery d without"),
    ("UPDATE delivery d SET state = 1 FROM unnest($1::bigint[]) x (id) WHERE d.id = x.id", "delivery d without"),
    ("UPDATE delivery d SET bucket = 3 WHERE d.bucket = $1 AND d.id = $2", "another bucket"),
    ("UPDATE delivery d SET due = 0 WHERE d.bucket = $1 AND d.due < extract(epoch FROM now())", "calls now"),
    ("DELETE FROM page p WHERE p.message = $1", "page p without"),
    ("DELETE FROM audience a USING expansion e WHERE a.bucket = $1 AND a.message = e.message", "expansion e without"),
    ("WITH d AS (DELETE FROM delivery w RETURNING w.*) SELECT d.id FROM d", "delivery w without"),
    ("INSERT INTO page (message, bucket, first, last) VALUES ($2, $1, $3, $4)", "page without $1"),
    ("INSERT INTO page (bucket, message, first, last) VALUES ($2, $1, $3, $4)", "page without $1"),
    ("INSERT INTO page VALUES ($1, $2, $3, $4)", "page without $1"),
    (
        "INSERT INTO page (bucket, message, first, last) SELECT x.bucket, 1, 2, 3 FROM unnest($1::int[]) x (bucket)",
        "page without $1",
    ),
    (
        "INSERT INTO depth (bucket, channel, node, lane, ready) VALUES ($1, 1, 1, 1, 1) ON CONFLICT (channel) DO NOTHING",
        "conflict",
    ),
    (
        "INSERT INTO depth (bucket, channel, node, lane, ready) VALUES ($1, 1, 1, 1, 1) ON CONFLICT ON CONSTRAINT depth_pkey DO NOTHING",
        "conflict",
    ),
    ("SELECT d.id FROM delivery d WHERE d.bucket = $1 AND d.due <= clock_timestamp()", "calls clock_timestamp"),
    ("SELECT d.id FROM delivery d WHERE d.bucket = $1 AND random() < 0.5", "calls random"),
    ("SELECT nextval('numbers')", "calls nextval"),
    ("SELECT timeofday()", "calls timeofday"),
    ("SELECT pg_advisory_xact_lock($1)", "calls pg_advisory_xact_lock"),
    ("SELECT pg_try_advisory_lock($1)", "calls pg_try_advisory_lock"),
    ("SELECT pg_notify('ready', $1)", "calls pg_notify"),
    ("LISTEN ready", "no statement of a store"),
    ("NOTIFY ready", "no statement of a store"),
    (
        "WITH x AS (SELECT u.b AS bucket FROM unnest($2::int[]) u (b)) \
        INSERT INTO page (bucket, message, first, last) SELECT x.bucket, 1, 2, 3 FROM x",
        "page without $1",
    ),
    (
        "WITH x AS (DELETE FROM page p WHERE p.bucket = $1 RETURNING p.first AS bucket) \
        INSERT INTO page (bucket, message, first, last) SELECT x.bucket, 1, 2, 3 FROM x",
        "page without $1",
    ),
    ("INSERT INTO public.page (bucket, message, first, last) VALUES ($2, $1, $3, $4)", "page without $1"),
    ("SELECT d.id FROM public.delivery d WHERE d.id = $2", "delivery d without"),
    ("SELECT id FROM \"delivery\" WHERE id = $2", "delivery without"),
    ("SELECT id FROM DELIVERY WHERE id = $2", "delivery without"),
    ("SELECT d.id FROM delivery d WHERE d.bucket = $1 AND d.\"bucket\" IN ($2, $3)", "several buckets"),
    (
        "INSERT INTO depth (bucket, channel, node, lane, ready) VALUES ($1, 1, 1, 1, 1) \
        ON CONFLICT (bucket, channel, node, lane) DO UPDATE SET bucket = 3",
        "another bucket",
    ),
    ("UPDATE delivery d SET (bucket, due) = (3, 4) WHERE d.bucket = $1 AND d.id = $2", "another bucket"),
    ("UPDATE delivery d SET BUCKET = 3 WHERE d.bucket = $1 AND d.id = $2", "another bucket"),
    ("SELECT d.id FROM delivery d WHERE d.bucket = $1 AND d.at < 'now'::timestamptz", "a time that moves"),
    ("SELECT d.id FROM delivery d WHERE d.bucket = $1 AND d.at < timestamptz 'now'", "a time that moves"),
    ("SELECT d.id FROM delivery d WHERE d.bucket = $1 AND d.at < pg_catalog.now()", "calls now"),
    ("SELEC 1", "cannot be read"),
];
