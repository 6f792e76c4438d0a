//! The tables, as a list of migrations: version n of the schema is what the first n of them make. Each runs in one
//! transaction that also raises `user_version`. A migration that a release has shipped is never edited, for stores that ran it
//! do not run it again; until then it may be, and stores made by unreleased builds are made anew.
//!
//! What shapes the tables (`guides/performance.md` 2): rowids that grow, so that every insert appends; the narrow `delivery`
//! is the only table that is updated often; what is large or cold lies apart; the only indexes of the hot table are partial
//! and hold what waits or is in flight, never history but that of accounts, who look at theirs.

use std::time::Duration;

use hongyan_core::{account::AccountNo, delivery::State};
use rusqlite::Connection;

/// Marks a file as ours: "HGYN".
pub(crate) const APPLICATION_ID: u32 = 0x4847_594E;

/// The page size of new files: 8 KiB, measured to be the fastest for this schema.
pub(crate) const PAGE_BYTES: u32 = 8_192;

/// The schema version that this program writes.
pub(crate) const VERSION: u32 = 5;

/// How long a connection waits for a lock: nobody of ours holds one for long, but an operator's shell may.
pub(crate) const BUSY_WAIT: Duration = Duration::from_secs(5);

const MIGRATIONS: [&str; VERSION as usize] = [V1, V2, V3, V4, V5];

/// These are written into partial indexes below.
const _: () = assert!(hongyan_core::limits::CRASHES_BEFORE_ALONE == 3 && State::Unknown.number() == 9);
const _: () = assert!(AccountNo(0).as_app().0 == 1_073_741_824);
const _: () = assert!(State::Undelivered.number() == 5 && State::Failed.number() == 7);
const _: () = assert!(State::Expired.number() == 8 && State::Skipped.number() == 10);

/// Brings the schema from version `from` to [`VERSION`].
pub(crate) fn migrate(db: &mut Connection, from: u32) -> rusqlite::Result<()> {
    for (version, sql) in (1u32..).zip(MIGRATIONS).skip(from as usize) {
        let step = db.transaction()?;
        step.execute_batch(sql)?;
        step.pragma_update(None, "user_version", version)?;
        step.commit()?;
    }
    Ok(())
}

const V1: &str = "
-- Times are milliseconds since 1970-01-01 UTC; ids are those of design 1; states are `State::number`.

-- One accepted request. Written once, but for its state.
CREATE TABLE message (
    id          INTEGER PRIMARY KEY,
    app         INTEGER NOT NULL,
    channel     INTEGER NOT NULL,
    dialect     TEXT NOT NULL,
    operation   TEXT NOT NULL,
    user        TEXT NOT NULL,
    priority    INTEGER NOT NULL,
    state       TEXT NOT NULL,
    accepted    INTEGER NOT NULL,
    expires     INTEGER NOT NULL,
    last        INTEGER NOT NULL,   -- the last delivery of the first page, which begins right after this id: finding a
                                    -- message's deliveries is a range over the primary key; its own id where there are none
    attachments INTEGER NOT NULL    -- how many
) STRICT;

-- What a message says, as JSON (`Content`): read once per try, so apart from the rows that are read to decide.
CREATE TABLE content (
    message INTEGER PRIMARY KEY,
    body    BLOB NOT NULL
) STRICT;

CREATE TABLE attachment (
    message INTEGER NOT NULL,
    no      INTEGER NOT NULL,
    body    BLOB NOT NULL,
    PRIMARY KEY (message, no)
) STRICT, WITHOUT ROWID;

-- One recipient of a message: the hot table, narrow.
CREATE TABLE delivery (
    id              INTEGER PRIMARY KEY,
    message         INTEGER NOT NULL,
    parcel          INTEGER NOT NULL,   -- the unit of claim: the id of its first delivery when it was stored
    channel         INTEGER NOT NULL,
    priority        INTEGER NOT NULL,
    app             INTEGER NOT NULL,
    state           INTEGER NOT NULL,
    lease           INTEGER NOT NULL,   -- grows at every claim, fences every write
    tries           INTEGER NOT NULL,
    crashes         INTEGER NOT NULL,   -- consecutive crashes of the node while this was in flight
    due             INTEGER NOT NULL,
    expires         INTEGER NOT NULL,
    first_try       INTEGER,            -- when a call that cannot be taken back was first begun
    maybe_duplicate INTEGER NOT NULL,
    reason          TEXT,
    recipient       TEXT NOT NULL,
    address         TEXT                -- absent: the same as the recipient, as it is for most mail
) STRICT;

-- What waits, in the order in which it is handed out: rows of one parcel have one due and lie side by side. `expires` lets
-- the search for what is over stay inside the index.
CREATE INDEX ready ON delivery (channel, priority, app, due, parcel, expires) WHERE state = 0 AND crashes < 3;
-- What waits and must be sent alone because the node died with it again and again.
CREATE INDEX suspect ON delivery (channel, due, parcel, expires) WHERE state = 0 AND crashes >= 3;
-- What is in flight: what recovery takes back after a crash. Tiny.
CREATE INDEX held ON delivery (parcel) WHERE state IN (1, 2);

-- Tries, in the order in which they were recorded.
CREATE TABLE attempt (
    delivery INTEGER NOT NULL,
    no       INTEGER NOT NULL,
    provider INTEGER NOT NULL,
    started  INTEGER NOT NULL,
    took_ms  INTEGER NOT NULL,
    outcome  TEXT NOT NULL,
    reply    TEXT NOT NULL,
    PRIMARY KEY (delivery, no)
) STRICT, WITHOUT ROWID;

-- The later pages of large audiences: id ranges of deliveries. The first page needs no row here.
CREATE TABLE page (
    message INTEGER NOT NULL,
    first   INTEGER NOT NULL,
    last    INTEGER NOT NULL,
    PRIMARY KEY (message, first)
) STRICT, WITHOUT ROWID;

-- Messages whose audience is not yet expanded. The cursor, which moves, lies apart from the list, which is large.
CREATE TABLE expansion (
    message INTEGER PRIMARY KEY,
    cursor  INTEGER NOT NULL        -- how many of the rest are expanded
) STRICT;
CREATE TABLE audience (
    message INTEGER PRIMARY KEY,
    rest    BLOB NOT NULL           -- JSON: [[recipient, address, reason it is skipped or null], ...]
) STRICT;

CREATE TABLE idempotency (
    app         INTEGER NOT NULL,
    key         TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    message     INTEGER NOT NULL,
    expires     INTEGER NOT NULL,
    answer      TEXT,               -- what the caller was told, as intake writes it; null until it was
    PRIMARY KEY (app, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_expires ON idempotency (expires);

-- What a plan declared: apps, channels, providers, settings.
CREATE TABLE declaration (
    kind TEXT NOT NULL,
    code TEXT NOT NULL,
    no   INTEGER NOT NULL,
    doc  TEXT NOT NULL,
    PRIMARY KEY (kind, code)
) STRICT, WITHOUT ROWID;
-- The last number given to each kind, so that no number is given twice even when what had it is gone.
CREATE TABLE numbering (
    kind TEXT PRIMARY KEY,
    last INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- One row: the version of what is declared, the hash of the plan applied last, when the store was last found writable.
CREATE TABLE setup (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL,
    plan    TEXT NOT NULL,
    pinged  INTEGER NOT NULL
) STRICT;
INSERT INTO setup VALUES (1, 0, '', 0);

CREATE TABLE person (
    code    TEXT PRIMARY KEY,
    name    TEXT NOT NULL,
    email   TEXT NOT NULL,
    phone   TEXT NOT NULL,
    wecom   TEXT NOT NULL,
    openid  TEXT NOT NULL,
    enabled INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE note (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE capture (
    seq        INTEGER PRIMARY KEY, -- without gaps, so that the oldest are found without counting
    id         INTEGER NOT NULL UNIQUE,
    message    INTEGER NOT NULL,
    provider   TEXT NOT NULL,
    at         INTEGER NOT NULL,
    sender     TEXT NOT NULL,
    recipients TEXT NOT NULL,       -- JSON array
    body       BLOB NOT NULL
) STRICT;
";

const V2: &str = "
-- What accounts have used of their windows (`core`, quota): one row of sums, one row per admission.
CREATE TABLE quota_account (
    account   TEXT PRIMARY KEY,
    seen      INTEGER NOT NULL,     -- the latest moment that an admission has named
    hour      INTEGER NOT NULL,     -- admitted in the hour before `seen`
    day       INTEGER NOT NULL,     -- admitted in the day
    day_begin INTEGER NOT NULL,
    day_end   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE quota_entry (
    account TEXT NOT NULL,
    id      INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    day     INTEGER NOT NULL,       -- the beginning of the day in which it counts
    amount  INTEGER NOT NULL,       -- what has not been given back
    PRIMARY KEY (account, id)
) STRICT, WITHOUT ROWID;
-- What leaves the hour, and what counts nowhere any more: always the oldest.
CREATE INDEX quota_entry_at ON quota_entry (account, at);

-- For how long tokens of a pace are given out already (`core`, pace).
CREATE TABLE meter (
    key      TEXT PRIMARY KEY,
    seen     INTEGER NOT NULL,
    ahead_ns INTEGER NOT NULL       -- after `seen`, in nanoseconds
) STRICT, WITHOUT ROWID;
";

const V3: &str = "
-- What was admitted under caps (`core`, cap), by key.
CREATE TABLE tally (
    key   TEXT PRIMARY KEY,
    body  BLOB NOT NULL,            -- `Tally::to_bytes`
    until INTEGER NOT NULL          -- when nothing of it counts any more
) STRICT, WITHOUT ROWID;
CREATE INDEX tally_until ON tally (until);

-- The access tokens of providers, and whose turn it is to fetch one (`core`, token).
CREATE TABLE access_token (
    key        TEXT PRIMARY KEY,
    version    INTEGER,             -- of what is kept; this and the next two are null until something is
    sealed     TEXT,
    expires    INTEGER,
    turn       INTEGER NOT NULL,
    turn_until INTEGER,
    over       INTEGER NOT NULL     -- from when on it may be forgotten
) STRICT, WITHOUT ROWID;
CREATE INDEX access_token_over ON access_token (over);

-- Messages whose content holds a secret, which is erased when nothing of them is to come.
CREATE TABLE erasure (
    message INTEGER PRIMARY KEY
) STRICT;

-- Whose outcome nobody knows, but for what a restore made so: what providers are asked about, in the order of ids.
CREATE INDEX doubt ON delivery (channel) WHERE state = 9 AND reason IS NOT 'restored';
";

const V4: &str = "
-- The address from which a message's caller called; empty where its API does not tell it again.
ALTER TABLE message ADD COLUMN client TEXT NOT NULL DEFAULT '';

-- Accounts of the token API (`core`, account).
CREATE TABLE account (
    no        INTEGER PRIMARY KEY,
    name      TEXT NOT NULL UNIQUE,
    created   INTEGER NOT NULL,
    password  TEXT NOT NULL,
    role      TEXT NOT NULL,
    per_hour  INTEGER NOT NULL,
    per_day   INTEGER NOT NULL,
    available INTEGER NOT NULL,
    enabled   INTEGER NOT NULL,
    phone     TEXT NOT NULL,
    email     TEXT NOT NULL,
    wechat    TEXT NOT NULL,
    epoch     INTEGER NOT NULL      -- of its tokens: those of an earlier one have ended
) STRICT;
CREATE UNIQUE INDEX account_phone ON account (phone) WHERE phone <> '';
CREATE UNIQUE INDEX account_email ON account (email) WHERE email <> '';
CREATE UNIQUE INDEX account_wechat ON account (wechat) WHERE wechat <> '';
CREATE TABLE account_token (
    hash    BLOB PRIMARY KEY,
    account INTEGER NOT NULL,
    epoch   INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX account_token_expires ON account_token (expires);

-- Those who follow official accounts, by the number of their tag.
CREATE TABLE follower (
    tag        INTEGER PRIMARY KEY,
    provider   INTEGER NOT NULL,
    openid     TEXT NOT NULL,
    subscribed INTEGER NOT NULL,
    UNIQUE (provider, openid)
) STRICT;

-- What accounts have sent, each account's and all of them, in the order of ids: the one exception to history in no index, for
-- it is read from its newest end. Each way of narrowing it has its own, so that finding little does not read all. Nothing
-- that moves is in these, but that what fails enters those of failures (undelivered, failed, expired, skipped).
CREATE INDEX history_own ON delivery (app, id) WHERE app >= 1073741824;
CREATE INDEX history_all ON delivery (id) WHERE app >= 1073741824;
CREATE INDEX history_own_recipient ON delivery (app, recipient, id) WHERE app >= 1073741824;
CREATE INDEX history_all_recipient ON delivery (recipient, id) WHERE app >= 1073741824;
CREATE INDEX history_own_failed ON delivery (app, id) WHERE app >= 1073741824 AND state IN (5, 7, 8, 10);
CREATE INDEX history_all_failed ON delivery (id) WHERE app >= 1073741824 AND state IN (5, 7, 8, 10);
CREATE INDEX history_own_channel ON delivery (app, channel, id) WHERE app >= 1073741824;
CREATE INDEX history_all_channel ON delivery (channel, id) WHERE app >= 1073741824;
-- How many rows those have: of each account (by its app), and, under 0, of all.
CREATE TABLE history_total (
    app  INTEGER PRIMARY KEY,
    kept INTEGER NOT NULL
) STRICT;
";

const V5: &str = "
-- What the caller said of a message for its own ends (`Label`), and of that the businessId, by which messages are found.
ALTER TABLE message ADD COLUMN label TEXT NOT NULL DEFAULT '';
ALTER TABLE message ADD COLUMN business TEXT NOT NULL DEFAULT '';
CREATE INDEX message_business ON message (app, business, id) WHERE business <> '';

-- An expansion has its time, and a place that need not be a number of rows. What it was before V5: under way since its message
-- was accepted, on its message's one channel.
ALTER TABLE expansion RENAME COLUMN cursor TO step;
ALTER TABLE expansion ADD COLUMN mark TEXT NOT NULL DEFAULT '';     -- behind whom the next page of people begins
ALTER TABLE expansion ADD COLUMN due INTEGER NOT NULL DEFAULT 0;
ALTER TABLE expansion ADD COLUMN channels TEXT NOT NULL DEFAULT ''; -- numbers with commas between them: those of the audience
UPDATE expansion SET (due, channels) = (SELECT m.accepted, m.channel FROM message m WHERE m.id = expansion.message)
 WHERE message IN (SELECT id FROM message);
CREATE INDEX expansion_due ON expansion (due, message);

-- The directory. People are found by what reaches them, too; the case of mail addresses does not count.
CREATE INDEX person_email ON person (lower(email)) WHERE email <> '';
CREATE INDEX person_phone ON person (phone) WHERE phone <> '';
CREATE TABLE directory_group (
    no     INTEGER PRIMARY KEY,
    kind   TEXT NOT NULL,
    code   TEXT NOT NULL,
    name   TEXT NOT NULL,
    parent INTEGER,             -- the department above; null at the top
    UNIQUE (kind, code)
) STRICT;
CREATE INDEX directory_group_parent ON directory_group (parent) WHERE parent IS NOT NULL;
-- Who belongs to what: a group's members in the order of their codes, and by the index a person's groups.
CREATE TABLE directory_member (
    party INTEGER NOT NULL,     -- the group
    user  TEXT NOT NULL,
    PRIMARY KEY (party, user)
) STRICT, WITHOUT ROWID;
CREATE INDEX directory_member_user ON directory_member (user, party);
-- When people are enabled: from `since` until just before `until`, which is null where they are still. Who was enabled
-- before V5 was so ever since.
CREATE TABLE presence (
    user  TEXT NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER,
    PRIMARY KEY (user, since)
) STRICT, WITHOUT ROWID;
INSERT INTO presence SELECT code, 0, NULL FROM person WHERE enabled = 1;

-- The in-app inbox: an item has the id of its delivery. What it says is the message's content.
CREATE TABLE inbox_item (
    id       INTEGER PRIMARY KEY,
    user     TEXT NOT NULL,
    message  INTEGER NOT NULL,
    app      INTEGER NOT NULL,
    channel  INTEGER NOT NULL,
    business TEXT NOT NULL,
    kind     TEXT NOT NULL,
    at       INTEGER NOT NULL,
    read     INTEGER NOT NULL,
    archived INTEGER NOT NULL,
    deleted  INTEGER NOT NULL   -- the row stays, so that the item does not come again
) STRICT;
-- A person's items, read from the newest end, by when they came: all, those not read, those of a businessId; and what came since a
-- moment, put away or not.
CREATE INDEX inbox_all ON inbox_item (user, archived, at, id) WHERE deleted = 0;
CREATE INDEX inbox_unread ON inbox_item (user, archived, at, id) WHERE deleted = 0 AND read = 0;
CREATE INDEX inbox_business ON inbox_item (user, business, at, id) WHERE deleted = 0 AND business <> '';
CREATE INDEX inbox_at ON inbox_item (user, at, id) WHERE deleted = 0;
-- One row for everybody; what a reader did with it, if anything.
CREATE TABLE broadcast (
    message  INTEGER PRIMARY KEY,
    app      INTEGER NOT NULL,
    channel  INTEGER NOT NULL,
    business TEXT NOT NULL,
    kind     TEXT NOT NULL,
    at       INTEGER NOT NULL
) STRICT;
CREATE INDEX broadcast_at ON broadcast (at, message);
CREATE TABLE broadcast_mark (
    user     TEXT NOT NULL,
    message  INTEGER NOT NULL,
    read     INTEGER NOT NULL,
    archived INTEGER NOT NULL,
    deleted  INTEGER NOT NULL,
    PRIMARY KEY (user, message)
) STRICT, WITHOUT ROWID;
-- They go with their message.
CREATE INDEX broadcast_mark_message ON broadcast_mark (message);
CREATE TABLE inbox_token (
    hash    BLOB PRIMARY KEY,
    user    TEXT NOT NULL,
    app     INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX inbox_token_expires ON inbox_token (expires);
";

#[cfg(test)]
mod plans;
#[cfg(test)]
pub(crate) mod tests;
