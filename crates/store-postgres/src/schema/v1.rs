//! The first tables.

pub(super) const V1: &str = "
-- Times are milliseconds since 1970-01-01 UTC; ids are those of design 1, their low six bits are the bucket; states are
-- `State::number`.

-- One accepted request and what it says, as JSON (`Content`). Written once; while it has a row in `expansion`, more of its
-- audience follows.
CREATE TABLE message (
    bucket      smallint NOT NULL,
    id          bigint NOT NULL,
    app         integer NOT NULL,
    channel     integer NOT NULL,
    dialect     text NOT NULL,
    operation   text NOT NULL,
    caller      text NOT NULL,
    priority    smallint NOT NULL,
    accepted    bigint NOT NULL,
    expires     bigint NOT NULL,
    last        bigint NOT NULL,    -- the last delivery of the first page, which begins right after this id
    attachments integer NOT NULL,   -- how many
    content     bytea NOT NULL,
    PRIMARY KEY (bucket, id)
) PARTITION BY RANGE (id);

CREATE TABLE attachment (
    bucket  smallint NOT NULL,
    message bigint NOT NULL,
    no      integer NOT NULL,
    body    bytea NOT NULL,
    PRIMARY KEY (bucket, message, no)
) PARTITION BY RANGE (message);

-- One recipient of a message to whom delivery is still to come: the hot table. Its dead rows are many, so they are swept often.
CREATE TABLE delivery (
    bucket          smallint NOT NULL,
    id              bigint NOT NULL,
    message         bigint NOT NULL,
    parcel          bigint NOT NULL,    -- the unit of claim: the id of its first delivery when it was stored
    channel         integer NOT NULL,
    priority        smallint NOT NULL,
    app             integer NOT NULL,
    state           smallint NOT NULL,
    lease           integer NOT NULL,   -- grows at every claim, fences every write
    tries           smallint NOT NULL,
    crashes         smallint NOT NULL,  -- consecutive crashes of a node while this was in flight
    due             bigint NOT NULL,
    expires         bigint NOT NULL,
    first_try       bigint,             -- when a call that cannot be taken back was first begun
    maybe_duplicate boolean NOT NULL,
    reason          text,
    recipient       text NOT NULL,
    address         text,               -- absent: the same as the recipient, as it is for most mail
    node            smallint,           -- which node holds it, in which epoch, since when
    epoch           bigint,
    leased          bigint,
    attempts        jsonb NOT NULL DEFAULT '[]',    -- [[provider, started, took_ms, outcome, reply], ...]
    PRIMARY KEY (bucket, id)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
        autovacuum_vacuum_insert_threshold = -1, autovacuum_vacuum_cost_delay = 0,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 100000);
-- What waits, in the order in which it is handed out: rows of one parcel have one due time and lie side by side.
CREATE INDEX ready ON delivery (bucket, channel, priority, app, due, parcel) WHERE state = 0 AND crashes < 3;
-- What waits and must be sent alone because a node died with it again and again.
CREATE INDEX suspect ON delivery (bucket, channel, due, parcel) WHERE state = 0 AND crashes >= 3;
-- What is in flight, and by whom.
CREATE INDEX held ON delivery (bucket, node, epoch) WHERE state IN (1, 2);

-- A recipient whose delivery is over, or was never begun. Only a later truth changes it.
CREATE TABLE done (
    bucket          smallint NOT NULL,
    id              bigint NOT NULL,
    message         bigint NOT NULL,
    parcel          bigint NOT NULL,
    channel         integer NOT NULL,
    priority        smallint NOT NULL,
    app             integer NOT NULL,
    state           smallint NOT NULL,
    lease           integer NOT NULL,
    tries           smallint NOT NULL,
    crashes         smallint NOT NULL,
    due             bigint NOT NULL,
    expires         bigint NOT NULL,
    first_try       bigint,
    maybe_duplicate boolean NOT NULL,
    reason          text,
    recipient       text NOT NULL,
    address         text,
    attempts        jsonb NOT NULL DEFAULT '[]',
    PRIMARY KEY (bucket, id)
) PARTITION BY RANGE (id);

-- The later pages of large audiences: id ranges of deliveries, in the bucket of the message. The first page needs no row here.
CREATE TABLE page (
    bucket  smallint NOT NULL,
    message bigint NOT NULL,
    first   bigint NOT NULL,
    last    bigint NOT NULL,
    PRIMARY KEY (bucket, message, first)
);

-- Messages whose audience is not yet expanded. The cursor, which moves, lies apart from the list, which is large.
CREATE TABLE expansion (
    bucket  smallint NOT NULL,
    message bigint NOT NULL,
    cursor  integer NOT NULL,       -- how many of the rest are expanded
    PRIMARY KEY (bucket, message)
);
CREATE TABLE audience (
    bucket  smallint NOT NULL,
    message bigint NOT NULL,
    rest    bytea NOT NULL,         -- JSON: [[recipient, address, reason it is skipped or null], ...]
    PRIMARY KEY (bucket, message)
);

-- Callers' keys, in the bucket of the key (`bucket_of_key`).
CREATE TABLE idempotency (
    bucket      smallint NOT NULL,
    app         integer NOT NULL,
    key         text NOT NULL,
    fingerprint bytea NOT NULL,
    message     bigint NOT NULL,
    expires     bigint NOT NULL,
    answer      text,               -- what the caller was told, as intake writes it; null until it was
    PRIMARY KEY (bucket, app, key)
);
CREATE INDEX idempotency_expires ON idempotency (bucket, expires);

-- How many rows of a channel are ready, as a sum: each connection of each node keeps what it added and took away in a row of
-- its own, in the transaction that did it, so that nobody waits for another's row.
CREATE TABLE depth (
    bucket  smallint NOT NULL,
    channel integer NOT NULL,
    node    smallint NOT NULL,
    lane    smallint NOT NULL,
    ready   bigint NOT NULL,
    PRIMARY KEY (bucket, channel, node, lane)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- What accounts have used of their windows (`core`, quota), in the bucket of the account's name (`bucket_of_name`): one row of
-- sums, which whoever admits or refunds locks, and one row per admission.
CREATE TABLE quota_account (
    bucket    smallint NOT NULL,
    account   text NOT NULL,
    seen      bigint NOT NULL,      -- the latest moment that an admission has named
    hour      bigint NOT NULL,      -- admitted in the hour before `seen`
    day       bigint NOT NULL,      -- admitted in the day
    day_begin bigint NOT NULL,
    day_end   bigint NOT NULL,
    PRIMARY KEY (bucket, account)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE TABLE quota_entry (
    bucket  smallint NOT NULL,
    id      bigint NOT NULL,
    account text NOT NULL,
    at      bigint NOT NULL,
    day     bigint NOT NULL,        -- the beginning of the day in which it counts
    amount  bigint NOT NULL,        -- what has not been given back
    PRIMARY KEY (bucket, id, account)
) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
        autovacuum_vacuum_cost_delay = 0);
-- What leaves the hour, and what counts nowhere any more: always the oldest. The condition, which always holds, is there to
-- keep look-ups by id, which do not name it, off this index: where most accounts are small the planner takes it to be as good
-- as the primary key, and reads all that a large account has.
CREATE INDEX quota_entry_at ON quota_entry (bucket, account, at) WHERE at > 0;

-- For how long tokens of a pace are given out already (`core`, pace), in the bucket of its key.
CREATE TABLE meter (
    bucket   smallint NOT NULL,
    key      text NOT NULL,
    seen     bigint NOT NULL,
    ahead_ns bigint NOT NULL,       -- after `seen`, in nanoseconds
    PRIMARY KEY (bucket, key)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- What capture providers keep, and how much that is.
CREATE TABLE capture (
    bucket     smallint NOT NULL,
    id         bigint NOT NULL,
    message    bigint NOT NULL,
    provider   text NOT NULL,
    at         bigint NOT NULL,
    sender     text NOT NULL,
    recipients text NOT NULL,       -- JSON array
    body       bytea NOT NULL,
    PRIMARY KEY (bucket, id)
);
CREATE TABLE captured (
    bucket   smallint PRIMARY KEY,
    captures bigint NOT NULL,
    bytes    bigint NOT NULL
);

-- Registrations of nodes: a number that is given out anew has a higher epoch. `ended` is when it left or was declared dead.
CREATE TABLE node (
    number      smallint NOT NULL,
    epoch       bigint NOT NULL,
    host        text NOT NULL,
    version     text NOT NULL,
    started     timestamptz NOT NULL,
    heard       timestamptz NOT NULL,
    lease_until timestamptz NOT NULL,
    reached     bigint NOT NULL,    -- no id of this registration lies behind this moment
    clock_ahead bigint NOT NULL,    -- how far the node's own clock runs ahead of this database's
    pinged      bigint NOT NULL,    -- when it last found out that it can write
    ended       timestamptz,
    parcels     integer,            -- how many parcels it held when it was declared dead
    PRIMARY KEY (number, epoch)
);

-- What a plan declared: apps, channels, providers, settings.
CREATE TABLE declaration (
    kind text NOT NULL,
    code text NOT NULL,
    no   integer NOT NULL,
    doc  text NOT NULL,
    PRIMARY KEY (kind, code)
);
-- The last number given to each kind, so that no number is given twice even when what had it is gone.
CREATE TABLE numbering (
    kind text PRIMARY KEY,
    last integer NOT NULL
);
-- One row: the version of what is declared, and the hash of the plan applied last.
CREATE TABLE setup (
    one     smallint PRIMARY KEY CHECK (one = 1),
    version bigint NOT NULL,
    plan    text NOT NULL
);
INSERT INTO setup (one, version, plan) VALUES (1, 0, '');

CREATE TABLE person (
    code    text PRIMARY KEY,
    name    text NOT NULL,
    email   text NOT NULL,
    phone   text NOT NULL,
    wecom   text NOT NULL,
    openid  text NOT NULL,
    enabled boolean NOT NULL
);

CREATE TABLE note (
    key   text PRIMARY KEY,
    value text NOT NULL
);
";
