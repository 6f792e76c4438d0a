//! Several channels, people and times to come.

use super::businesses;

/// What callers say of messages, when those fire, the directory and inboxes.
///
/// A program of version 4 stores messages without a label, and expansions that are due at once and whose list lies in `audience`.
/// For what this one stores it finds no list there, and leaves it to the nodes that can read it. It knows nothing of presence: whom it adds has none on record, and counts as there for as long as they are
/// enabled. Its plans write all numbers that they have read back into `numbering`, so that those of groups are kept elsewhere.
///
/// The index of businesses is made for the days to come, as that of doubts is.
pub(super) const V5: &str = concat!(
    "
ALTER TABLE message ADD COLUMN label text NOT NULL DEFAULT '',  -- JSON (`Label`); empty: nothing is said
    ADD COLUMN business text NOT NULL DEFAULT '';               -- what the label says of it
CREATE INDEX businesses ON ONLY message ",
    businesses!(),
    ";

-- Since which moment a message may be expanded, behind whom it goes on (`cursor` is the step) and who follows (`Who`; null: they are
-- in `audience`). What else is here is what scheduled messages are looked for by.
ALTER TABLE expansion ADD COLUMN due bigint NOT NULL DEFAULT 0,
    ADD COLUMN mark text NOT NULL DEFAULT '',
    ADD COLUMN who bytea,
    ADD COLUMN app integer NOT NULL DEFAULT 0,
    ADD COLUMN template text NOT NULL DEFAULT '',
    ADD COLUMN channels integer[] NOT NULL DEFAULT '{}';
-- The condition, which always holds, here and below, keeps look-ups by id, which do not name it, off this index: while there is little
-- the planner takes it to be as good as the primary key.
CREATE INDEX expansion_due ON expansion (bucket, due, message) WHERE due >= 0;

-- One row: the last number given to a group. Whoever changes the directory holds it.
CREATE TABLE group_numbering (
    one  smallint PRIMARY KEY CHECK (one = 1),
    last integer NOT NULL
);
INSERT INTO group_numbering (one, last) VALUES (1, 0);

-- Departments, posts and roles. Codes are compared and ordered byte by byte.
CREATE TABLE people_group (
    no     integer PRIMARY KEY,
    kind   text COLLATE \"C\" NOT NULL,
    code   text COLLATE \"C\" NOT NULL,
    name   text NOT NULL,
    parent integer                  -- the department above; null: none
);
CREATE UNIQUE INDEX people_group_code ON people_group (kind, code);
CREATE INDEX people_group_parent ON people_group (parent);

-- Who belongs to which group.
CREATE TABLE member (
    team   integer NOT NULL,
    person text COLLATE \"C\" NOT NULL,
    PRIMARY KEY (team, person)
);
CREATE INDEX member_person ON member (person, team);

-- When people were enabled. An enabled person of whom nothing is here always was.
CREATE TABLE presence (
    person text COLLATE \"C\" NOT NULL,
    since  bigint NOT NULL,
    until  bigint,                  -- null: they are still
    PRIMARY KEY (person, since)
);
INSERT INTO presence (person, since) SELECT code, 0 FROM person WHERE enabled;

CREATE UNIQUE INDEX person_code ON person (code COLLATE \"C\");
CREATE INDEX person_email ON person (lower(email COLLATE \"C\")) WHERE email <> '';
CREATE INDEX person_phone ON person (phone COLLATE \"C\") WHERE phone <> '';

-- What lies in somebody's inbox, and what somebody did with a broadcast, whose number is its message's: in the bucket of the
-- person (`inbox_bucket`).
CREATE TABLE inbox_item (
    bucket    smallint NOT NULL,
    person    text COLLATE \"C\" NOT NULL,
    id        bigint NOT NULL,
    message   bigint NOT NULL,
    app       integer NOT NULL,
    channel   integer NOT NULL,
    business  text NOT NULL,
    kind      text NOT NULL,
    at        bigint NOT NULL,      -- when it came
    broadcast boolean NOT NULL,
    read      boolean NOT NULL,
    archived  boolean NOT NULL,
    deleted   boolean NOT NULL,     -- kept, so that it does not come again
    PRIMARY KEY (bucket, id, person)    -- in this order, for what somebody has is found by the indexes below
);
CREATE INDEX inbox_own ON inbox_item (bucket, person, at, id) WHERE NOT broadcast AND NOT deleted AND at >= 0;
CREATE INDEX inbox_unread ON inbox_item (bucket, person, at, id) WHERE NOT broadcast AND NOT deleted AND at >= 0 AND NOT read;
CREATE INDEX inbox_message ON inbox_item (bucket, message);

-- What everybody finds in their inbox who was there at the moment.
CREATE TABLE broadcast (
    message  bigint PRIMARY KEY,
    app      integer NOT NULL,
    channel  integer NOT NULL,
    business text NOT NULL,
    kind     text NOT NULL,
    at       bigint NOT NULL
);
CREATE INDEX broadcast_at ON broadcast (at, message);

-- Tokens by which people speak for their inboxes, in the bucket of the hash.
CREATE TABLE inbox_token (
    bucket  smallint NOT NULL,
    hash    bytea NOT NULL,
    person  text COLLATE \"C\" NOT NULL,
    app     integer NOT NULL,
    expires bigint NOT NULL,
    PRIMARY KEY (bucket, hash)
);
CREATE INDEX inbox_token_expires ON inbox_token (bucket, expires);
"
);
