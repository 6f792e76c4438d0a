//! The tables, as a list of migrations: version n of the schema is what the first n of them make. They run in one transaction
//! under a lock, whichever of many nodes comes first. Migrations only add, so that the program before goes on working on what
//! the newer one has made; each says the oldest version of the program that may still use the result. A migration that a
//! release has shipped is never edited.
//!
//! What shapes the tables (design 6, `guides/scale.md`): `bucket`, the low bits of every id, leads each primary key, so that a
//! statement that names its bucket touches one place however the tables are distributed. `delivery` holds only what is open
//! and stays small; what is finished moves to `done`. What is kept for long is partitioned by the day in its ids, so that
//! retention drops whole days and nothing is deleted row by row.

mod indexes;
mod v1;
mod v5;

use self::{v1::V1, v5::V5};

pub(crate) use indexes::{anyones, anyones_failed, anyones_to, businesses, doubts, own, own_failed, own_to};

/// One step of the schema.
pub(crate) struct Migration {
    /// What it adds.
    pub sql: &'static str,
    /// The oldest schema version whose program may use the result.
    pub oldest: i32,
}

/// The schema version that this program makes.
pub(crate) const VERSION: i32 = MIGRATIONS.len() as i32;

/// The migrations, the first first.
pub(crate) const MIGRATIONS: [Migration; 5] = [
    Migration { sql: V1, oldest: 1 },
    Migration { sql: V2, oldest: 1 },
    Migration { sql: V3, oldest: 1 },
    Migration { sql: V4, oldest: 1 },
    Migration { sql: V5, oldest: 1 },
];

/// The tables that are kept by days: the table, and the column whose id says which day.
pub(crate) const KEPT_BY_DAY: [(&str, &str); 3] = [("message", "id"), ("attachment", "message"), ("done", "id")];

/// Every table, so that those of another program are known when they are met.
pub(crate) const TABLES: [&str; 36] = [
    "access_token",
    "account",
    "account_contact",
    "account_token",
    "attachment",
    "audience",
    "broadcast",
    "capture",
    "captured",
    "declaration",
    "delivery",
    "depth",
    "done",
    "erasure",
    "expansion",
    "follower",
    "follower_tag",
    "group_numbering",
    "idempotency",
    "inbox_item",
    "inbox_token",
    "member",
    "message",
    "meter",
    "node",
    "note",
    "numbering",
    "page",
    "people_group",
    "person",
    "presence",
    "quota_account",
    "quota_entry",
    "sent",
    "setup",
    "tally",
];

/// The limit is written into two partial indexes below.
const _: () = assert!(hongyan_core::limits::CRASHES_BEFORE_ALONE == 3);
/// Where the schema says of itself what it is; made before the first migration.
pub(crate) const SCHEMA_TABLE: &str = "
CREATE TABLE IF NOT EXISTS hongyan_schema (
    one     smallint PRIMARY KEY CHECK (one = 1),
    version integer NOT NULL,
    oldest  integer NOT NULL
);
INSERT INTO hongyan_schema VALUES (1, 0, 0) ON CONFLICT DO NOTHING;
";

/// Accounts of the token API, what they sent, and who follows official accounts. A program of version 3 stores nothing of
/// accounts. It puts numbers of its own declarations into `numbering` together with all that it has read there, under the lock of
/// `setup`; whoever takes a number for an account or a tag holds that lock too.
///
/// The indexes of history are made for the days to come, as that of doubts is.
const V4: &str = concat!(
    "
ALTER TABLE message ADD COLUMN client text NOT NULL DEFAULT '';

-- Accounts, in the bucket of the name. Names are compared and ordered byte by byte.
CREATE TABLE account (
    bucket    smallint NOT NULL,
    name      text COLLATE \"C\" NOT NULL,
    no        integer NOT NULL,
    created   bigint NOT NULL,
    password  text NOT NULL,        -- its hash
    role      text NOT NULL,
    per_hour  bigint NOT NULL,
    per_day   bigint NOT NULL,
    available boolean NOT NULL,
    enabled   boolean NOT NULL,
    phone     text NOT NULL,        -- empty: none
    email     text NOT NULL,
    wechat    text NOT NULL,
    epoch     bigint NOT NULL,      -- grows when its tokens end
    PRIMARY KEY (bucket, name)
);
CREATE INDEX account_no ON account (bucket, no);

-- Whose a phone (kind 0), mail address (1) or WeChat id (2) is, in the bucket of what it is.
CREATE TABLE account_contact (
    bucket  smallint NOT NULL,
    kind    smallint NOT NULL,
    contact text COLLATE \"C\" NOT NULL,
    account text COLLATE \"C\" NOT NULL,
    PRIMARY KEY (bucket, kind, contact)
);

-- Tokens of accounts, in the bucket of the hash. One counts while its account has that number and epoch.
CREATE TABLE account_token (
    bucket  smallint NOT NULL,
    hash    bytea NOT NULL,
    account text COLLATE \"C\" NOT NULL,
    no      integer NOT NULL,
    epoch   bigint NOT NULL,
    expires bigint NOT NULL,
    PRIMARY KEY (bucket, hash)
);
CREATE INDEX account_token_expires ON account_token (bucket, expires);

-- How many deliveries of an account there are with ids of a day, open ones and those that are done, in the bucket of the ids.
CREATE TABLE sent (
    bucket     smallint NOT NULL,
    account    integer NOT NULL,
    day        integer NOT NULL,    -- since 1970-01-01 UTC
    deliveries bigint NOT NULL,
    PRIMARY KEY (bucket, account, day)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- Who has a tag, in the bucket of its low six bits; and which tag somebody has, in the bucket of who they are.
CREATE TABLE follower (
    bucket     smallint NOT NULL,
    tag        integer NOT NULL,
    provider   integer NOT NULL,
    openid     text NOT NULL,
    subscribed boolean NOT NULL,
    PRIMARY KEY (bucket, tag)
);
CREATE TABLE follower_tag (
    bucket   smallint NOT NULL,
    provider integer NOT NULL,
    openid   text COLLATE \"C\" NOT NULL,
    tag      integer NOT NULL,
    PRIMARY KEY (bucket, provider, openid)
);

-- What accounts sent, the newest last.
CREATE INDEX own ON delivery ",
    own!(),
    ";
CREATE INDEX anyones ON delivery ",
    anyones!(),
    ";
CREATE INDEX own_done ON ONLY done ",
    own!(),
    ";
CREATE INDEX anyones_done ON ONLY done ",
    anyones!(),
    ";
-- The same, by whom it is to and of what came to nothing.
CREATE INDEX own_to ON delivery ",
    own_to!(),
    ";
CREATE INDEX anyones_to ON delivery ",
    anyones_to!(),
    ";
CREATE INDEX own_failed ON delivery ",
    own_failed!(),
    ";
CREATE INDEX anyones_failed ON delivery ",
    anyones_failed!(),
    ";
CREATE INDEX own_to_done ON ONLY done ",
    own_to!(),
    ";
CREATE INDEX anyones_to_done ON ONLY done ",
    anyones_to!(),
    ";
CREATE INDEX own_failed_done ON ONLY done ",
    own_failed!(),
    ";
CREATE INDEX anyones_failed_done ON ONLY done ",
    anyones_failed!(),
    ";"
);

/// Access tokens, caps, secrets and doubts. None of it is known to a program of version 2, which stores nothing that would
/// need it.
///
/// The index of doubts is made for the days to come, not for the days that there are: all of the history would have to be read for
/// that while nobody may write to it. Those days are looked into by the primary key, from the youngest that may be asked about on; where
/// little is there they are given the index as well (`days`).
const V3: &str = concat!(
    "
-- Access tokens of providers (`core`, token), in the bucket of the key. The latter three of what was kept are null until
-- something was.
CREATE TABLE access_token (
    bucket     smallint NOT NULL,
    key        text NOT NULL,
    turn       bigint NOT NULL,     -- the number of the last turn to fetch one
    turn_until bigint,              -- until when nobody else may take the next
    version    bigint,              -- the turn in which the token was fetched that is kept
    sealed     text,
    expires    bigint,
    over       bigint NOT NULL,     -- from when on it may be forgotten
    PRIMARY KEY (bucket, key)
);
CREATE INDEX access_token_over ON access_token (bucket, over);

-- What was admitted lately under caps (`core`, cap), in the bucket of the key.
CREATE TABLE tally (
    bucket smallint NOT NULL,
    key    text NOT NULL,
    body   bytea NOT NULL,          -- `Tally::to_bytes`
    until  bigint NOT NULL,         -- from when on nothing of it counts any more, or a little later
    PRIMARY KEY (bucket, key)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE INDEX tally_until ON tally (bucket, until);

-- Messages whose content has a secret that is to be erased when nothing of them is to come any more.
CREATE TABLE erasure (
    bucket  smallint NOT NULL,
    message bigint NOT NULL,
    PRIMARY KEY (bucket, message)
);

-- Deliveries whose outcome nobody knows, unless because the store was restored.
CREATE INDEX doubt ON ONLY done ",
    doubts!(),
    ";"
);

/// A node says that it is about to leave; one of version 1 goes on preferring the buckets of such a node a little longer, no
/// more. The indexes of what waits end in the id, so that their order never has to be completed by sorting; what used the
/// shorter ones uses these.
const V2: &str = "
ALTER TABLE node ADD COLUMN stopping boolean NOT NULL DEFAULT false;
DROP INDEX ready;
DROP INDEX suspect;
CREATE INDEX ready ON delivery (bucket, channel, priority, app, due, parcel, id) WHERE state = 0 AND crashes < 3;
CREATE INDEX suspect ON delivery (bucket, channel, due, parcel, id) WHERE state = 0 AND crashes >= 3;
";
