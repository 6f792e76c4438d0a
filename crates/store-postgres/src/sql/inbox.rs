//! Statements about inboxes. `$1` is the bucket of the person, who is `$2`, in all but the last few, which are about broadcasts
//! alone: tables that every node has.
//!
//! A broadcast is in the inbox of whoever was there and enabled when it fired; what they did with it is a row among their items.

/// The columns of an item that look-ups read, of the table `i`.
macro_rules! item_columns {
    () => {
        "i.id, i.broadcast, i.message, i.app, i.channel, i.at, i.read, i.archived"
    };
}

/// The same of the broadcast `b` with what somebody did with it, `k`.
macro_rules! broadcast_columns {
    () => {
        "b.message, true, b.message, b.app, b.channel, b.at, coalesce(k.read, false), coalesce(k.archived, false)"
    };
}

/// The broadcasts `b` that person $2 finds, with what they did with each, `k`.
macro_rules! broadcasts_found {
    () => {
        "FROM broadcast b LEFT JOIN LATERAL (\
            SELECT o.id, o.read, o.archived, o.deleted FROM inbox_item o \
            WHERE o.bucket = $1 AND o.person = $2 AND o.id = b.message LIMIT 1) k ON true \
         CROSS JOIN LATERAL (\
            SELECT 1 FROM presence v WHERE v.person = $2 AND v.since <= b.at AND (v.until IS NULL OR v.until > b.at) LIMIT 1) v \
         WHERE NOT coalesce(k.deleted, false)"
    };
}

/// What of the items `i` a filter selects: only those read or not ($3), put away or not ($4), of an app ($5), about something
/// ($6), of a type ($7).
macro_rules! items_selected {
    () => {
        " AND ($3::boolean IS NULL OR i.read = $3) AND ($4::boolean IS NULL OR i.archived = $4) \
          AND ($5::integer IS NULL OR i.app = $5) AND ($6::text IS NULL OR i.business = $6) AND ($7::text IS NULL OR i.kind = $7)"
    };
}

/// The same of broadcasts `b`.
macro_rules! broadcasts_selected {
    () => {
        " AND ($3::boolean IS NULL OR coalesce(k.read, false) = $3) AND ($4::boolean IS NULL OR coalesce(k.archived, false) = $4) \
          AND ($5::integer IS NULL OR b.app = $5) AND ($6::text IS NULL OR b.business = $6) AND ($7::text IS NULL OR b.kind = $7)"
    };
}

/// Marks items `i`: as read or not ($3), as put away or not ($4), as deleted ($5); and whether that changes anything.
macro_rules! marks {
    () => {
        "SET read = coalesce($3::boolean, i.read), archived = coalesce($4::boolean, i.archived), deleted = $5::boolean"
    };
}
macro_rules! marks_change {
    () => {
        "NOT i.deleted AND ($5::boolean OR coalesce(i.read <> $3::boolean, false) OR coalesce(i.archived <> $4::boolean, false))"
    };
}

/// Keeps such marks on the broadcasts that follow.
macro_rules! broadcasts_mark {
    () => {
        "INSERT INTO inbox_item AS i \
            (bucket, person, id, message, app, channel, business, kind, at, broadcast, read, archived, deleted) \
         SELECT $1, $2, b.message, b.message, b.app, b.channel, b.business, b.kind, b.at, true, coalesce($3::boolean, false), \
            coalesce($4::boolean, false), $5::boolean "
    };
}

/// Where there is a mark already it is changed; without one, only what is not so by itself is marked.
macro_rules! broadcasts_marked {
    () => {
        " AND (k.id IS NOT NULL OR $5::boolean OR coalesce($3::boolean, false) OR coalesce($4::boolean, false)) \
         ORDER BY b.message ON CONFLICT (bucket, id, person) DO UPDATE "
    };
}

statements! {
    /// Puts items into inboxes: arrays of person ($2), id ($3), message ($4), app ($5), channel ($6), business ($7), type ($8) and
    /// when ($9). What is there stays as it is.
    ITEMS_PUT = "INSERT INTO inbox_item \
            (bucket, person, id, message, app, channel, business, kind, at, broadcast, read, archived, deleted) \
        SELECT $1, x.person, x.id, x.message, x.app, x.channel, x.business, x.kind, x.at, false, false, false, false \
        FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::integer[], $6::integer[], $7::text[], $8::text[], $9::bigint[]) \
            x (person, id, message, app, channel, business, kind, at) \
        ORDER BY x.id, x.person ON CONFLICT DO NOTHING";
    /// When item $3 came.
    PLACE = "SELECT i.at FROM inbox_item i WHERE i.bucket = $1 AND i.person = $2 AND i.id = $3 \
        UNION ALL SELECT b.at FROM broadcast b WHERE b.message = $3";
    /// The first $10 own items before the one of $8 with id $9, the newest first.
    ITEMS = concat!("SELECT ", item_columns!(), " FROM inbox_item i \
        WHERE i.bucket = $1 AND i.person = $2 AND NOT i.broadcast AND NOT i.deleted AND i.at >= 0 AND (i.at, i.id) < ($8, $9)", items_selected!(), " \
        ORDER BY i.at DESC, i.id DESC LIMIT $10");
    /// The same of broadcasts.
    BROADCASTS = concat!("SELECT ", broadcast_columns!(), " ", broadcasts_found!(), " AND (b.at, b.message) < ($8, $9)",
        broadcasts_selected!(), " ORDER BY b.at DESC, b.message DESC LIMIT $10");
    /// Own item $3.
    ITEM = concat!("SELECT ", item_columns!(), " FROM inbox_item i \
        WHERE i.bucket = $1 AND i.person = $2 AND i.id = $3 AND NOT i.broadcast AND NOT i.deleted");
    /// Broadcast $3.
    BROADCAST = concat!("SELECT ", broadcast_columns!(), " ", broadcasts_found!(), " AND b.message = $3");
    /// How many own items are unread and not put away.
    UNREAD = "SELECT count(*) FROM inbox_item i \
        WHERE i.bucket = $1 AND i.person = $2 AND NOT i.broadcast AND NOT i.deleted AND i.at >= 0 AND NOT i.read AND NOT i.archived";
    /// The same of broadcasts.
    BROADCASTS_UNREAD = concat!("SELECT count(*) ", broadcasts_found!(), " AND NOT coalesce(k.read OR k.archived, false)");
    /// Marks own items ($6, each once). As rows that are in the way of themselves they are found by their key, whatever the planner
    /// knows of the table.
    ITEMS_MARK = concat!("INSERT INTO inbox_item AS i \
            (bucket, person, id, message, app, channel, business, kind, at, broadcast, read, archived, deleted) \
        SELECT $1, n.person, n.id, n.message, n.app, n.channel, n.business, n.kind, n.at, n.broadcast, n.read, n.archived, n.deleted \
        FROM unnest($6::bigint[]) x (id) CROSS JOIN LATERAL (\
            SELECT * FROM inbox_item o WHERE o.bucket = $1 AND o.id = x.id AND o.person = $2 LIMIT 1) n \
        WHERE NOT n.broadcast ORDER BY n.id ON CONFLICT (bucket, id, person) DO UPDATE ", marks!(), " WHERE ", marks_change!(), " \
        RETURNING i.id");
    /// Marks broadcasts ($6).
    BROADCASTS_MARK = concat!(broadcasts_mark!(), broadcasts_found!(), " AND b.message = ANY ($6::bigint[])", broadcasts_marked!(),
        marks!(), " WHERE ", marks_change!(), " RETURNING i.id");
    /// The first $4 own items of each of these people ($2) that came after a moment ($3), the oldest first.
    ITEMS_SINCE = concat!("SELECT ", item_columns!(), ", x.no FROM unnest($2::text[], $3::bigint[]) WITH ORDINALITY x (person, after, no) \
        CROSS JOIN LATERAL (\
            SELECT * FROM inbox_item o \
            WHERE o.bucket = $1 AND o.person = x.person AND NOT o.broadcast AND NOT o.deleted AND o.at >= 0 AND o.at > x.after \
            ORDER BY o.at, o.id LIMIT $4) i");
    /// The same of broadcasts.
    BROADCASTS_SINCE = concat!("SELECT ", item_columns!(), ", x.no FROM unnest($2::text[], $3::bigint[]) WITH ORDINALITY x (person, after, no) \
        CROSS JOIN LATERAL (\
            SELECT b.message AS id, true AS broadcast, b.message, b.app, b.channel, b.at, coalesce(k.read, false) AS read, \
                coalesce(k.archived, false) AS archived \
            FROM broadcast b LEFT JOIN LATERAL (\
                SELECT o.read, o.archived, o.deleted FROM inbox_item o \
                WHERE o.bucket = $1 AND o.person = x.person AND o.id = b.message LIMIT 1) k ON true \
            CROSS JOIN LATERAL (\
                SELECT 1 FROM presence p \
                WHERE p.person = x.person AND p.since <= b.at AND (p.until IS NULL OR p.until > b.at) LIMIT 1) v \
            WHERE b.at > x.after AND NOT coalesce(k.deleted, false) \
            ORDER BY b.at, b.message LIMIT $4) i");
    /// How many rows of messages from $2 on and before $3 there are, as far as $4, and the last message of those.
    GONE = "SELECT count(*), max(o.message) FROM (\
        SELECT i.message FROM inbox_item i WHERE i.bucket = $1 AND i.message >= $2 AND i.message < $3 \
        ORDER BY i.message LIMIT $4) o";
    /// Forgets the rows of messages from $2 to $3.
    GONE_FORGET = "DELETE FROM inbox_item i WHERE i.bucket = $1 AND i.message >= $2 AND i.message <= $3";
    /// Keeps the token with hash $2: of person $3, minted by app $4, until $5.
    TOKEN_ADD = "INSERT INTO inbox_token (bucket, hash, person, app, expires) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
    /// Whose token the one with hash $2 is, and until when it counts, if they are enabled.
    TOKEN = "SELECT t.person, t.app, t.expires FROM inbox_token t CROSS JOIN LATERAL (\
            SELECT o.enabled FROM person o WHERE o.code COLLATE \"C\" = t.person LIMIT 1) p \
        WHERE t.bucket = $1 AND t.hash = $2 AND p.enabled";
    /// How many tokens are over at $2, as far as $3.
    TOKENS_OVER = "SELECT count(*) FROM (\
        SELECT t.expires FROM inbox_token t WHERE t.bucket = $1 AND t.expires <= $2 ORDER BY t.expires LIMIT $3) o";
    /// Forgets at most $3 of them.
    TOKENS_FORGET = "WITH o AS (\
            SELECT t.hash FROM inbox_token t WHERE t.bucket = $1 AND t.expires <= $2 ORDER BY t.expires LIMIT $3 \
            FOR UPDATE SKIP LOCKED) \
        DELETE FROM inbox_token k USING o WHERE k.bucket = $1 AND k.hash = o.hash";
    /// Keeps message $1 of app $2 as a broadcast on channel $3 about $4 of type $5, fired at $6.
    BROADCAST_ADD = "INSERT INTO broadcast (message, app, channel, business, kind, at) VALUES ($1, $2, $3, $4, $5, $6) \
        ON CONFLICT DO NOTHING";
    /// When the last broadcast fired.
    BROADCAST_LAST = "SELECT b.at FROM broadcast b ORDER BY b.at DESC LIMIT 1";
    /// Forgets broadcasts of messages from $1 on and before $2.
    BROADCASTS_FORGET = "DELETE FROM broadcast b WHERE b.message >= $1 AND b.message < $2";
}
