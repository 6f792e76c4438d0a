//! Statements about what is declared, and about whole days of history: tables that every node has, now and then.

statements! {
    /// The version of what is declared.
    SETUP_VERSION = "SELECT s.version FROM setup s";
    /// Everything declared, with its version.
    DECLARATIONS = "SELECT s.version, d.kind, d.code, d.no, d.doc FROM setup s LEFT JOIN declaration d ON true \
        ORDER BY d.kind COLLATE \"C\", d.code COLLATE \"C\"";
    /// Raises the version for the plan with hash $1, unless that was the last. Whoever has raised it goes first.
    VERSION_RAISE = "UPDATE setup SET version = version + 1, plan = $1 WHERE one = 1 AND plan <> $1";
    /// Raises the version from $1, unless it is another. Whoever has raised it goes first.
    VERSION_RAISE_FROM = "UPDATE setup SET version = version + 1 WHERE one = 1 AND version = $1";
    /// What has these kinds ($1) and codes ($2) is declared no more.
    DECLARATIONS_REMOVE = "DELETE FROM declaration d USING unnest($1::text[], $2::text[]) x (kind, code) \
        WHERE d.kind = x.kind AND d.code = x.code";
    /// The numbers of everything declared.
    DECLARED = "SELECT d.kind, d.code, d.no FROM declaration d";
    /// The last number of each kind.
    NUMBERINGS = "SELECT n.kind, n.last FROM numbering n";
    /// Keeps the last numbers ($2) of kinds ($1).
    NUMBERINGS_KEEP = "INSERT INTO numbering (kind, last) SELECT x.kind, x.last FROM unnest($1::text[], $2::integer[]) x (kind, last) \
        ON CONFLICT (kind) DO UPDATE SET last = excluded.last";
    /// Holds off whoever applies a plan, and with it all numbers, until the end of the transaction.
    SETUP_HOLD = "SELECT s.one FROM setup s WHERE s.one = 1 FOR SHARE";
    /// Gives the next number of kind $1, the first of which is $2.
    NUMBER_NEXT = "INSERT INTO numbering (kind, last) VALUES ($1, $2) \
        ON CONFLICT (kind) DO UPDATE SET last = numbering.last + 1 RETURNING last";
    /// Keeps declarations: arrays of kind, code, number and the rest.
    DECLARATIONS_KEEP = "INSERT INTO declaration (kind, code, no, doc) \
        SELECT x.kind, x.code, x.no, x.doc FROM unnest($1::text[], $2::text[], $3::integer[], $4::text[]) x (kind, code, no, doc) \
        ON CONFLICT (kind, code) DO UPDATE SET doc = excluded.doc";
    /// Keeps people, as columns.
    PEOPLE_KEEP = "INSERT INTO person (code, name, email, phone, wecom, openid, enabled) \
        SELECT x.code, x.name, x.email, x.phone, x.wecom, x.openid, x.enabled \
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::boolean[]) \
            x (code, name, email, phone, wecom, openid, enabled) \
        ON CONFLICT (code) DO UPDATE SET name = excluded.name, email = excluded.email, phone = excluded.phone, \
            wecom = excluded.wecom, openid = excluded.openid, enabled = excluded.enabled";
    /// The people with codes ($1).
    PEOPLE = "SELECT p.code, p.name, p.email, p.phone, p.wecom, p.openid, p.enabled FROM person p WHERE p.code = ANY ($1::text[])";
    /// Keeps a note, unless there is one.
    NOTE_KEEP = "INSERT INTO note (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING RETURNING value";
    /// A note.
    NOTE = "SELECT n.value FROM note n WHERE n.key = $1";
    /// The tables that hold messages, a day each.
    DAYS = "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
        WHERE i.inhparent = 'message'::regclass";
    /// Whether a message from $1 on and before $2 is not yet expanded.
    UNEXPANDED_OF = "SELECT EXISTS (SELECT 1 FROM expansion e WHERE e.message >= $1 AND e.message < $2)";
    /// Whether something is still to come of a message before $1, but for those that wait for a time after $2. A delivery's id lies behind its message's: of the first pages
    /// a look into each bucket says it, of later pages the list of pages.
    OPEN_BEFORE = "SELECT EXISTS (SELECT 1 FROM generate_series(0, 63) b (no) \
                WHERE (SELECT min(d.id) FROM delivery d WHERE d.bucket = b.no) < $1) \
        OR EXISTS (SELECT 1 FROM expansion e WHERE e.message < $1 AND NOT (e.due > $2 AND e.cursor = 0 AND e.mark = '')) \
        OR EXISTS (SELECT 1 FROM page p CROSS JOIN LATERAL (\
                SELECT d.id FROM delivery d WHERE d.bucket = p.last & 63 AND d.id BETWEEN p.first AND p.last \
                AND d.message = p.message LIMIT 1) o WHERE p.message < $1 AND p.last >= $1)";
}
