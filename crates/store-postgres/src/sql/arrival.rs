//! Statements of a move from another store. No node works on the database meanwhile, and rows come in the order of their keys,
//! of all buckets as they are: none of these names a bucket.

statements! {
    /// Who works on the database, whoever is about to leave included.
    WORKING = "SELECT number, epoch FROM node WHERE ended IS NULL AND lease_until >= clock_timestamp()";
    /// What is left in the database by a move that has not finished: the mark that it set.
    MARK = "SELECT n.value FROM note n WHERE n.key = 'migration'";
    /// The same while it belongs to the move with mark $1, held until the end of the transaction.
    MARK_HOLD = "SELECT n.value FROM note n WHERE n.key = 'migration' AND n.value = $1 FOR SHARE";
    /// Sets the mark, in place of one that is there; answers it and the database's time.
    MARK_SET = "INSERT INTO note (key, value) VALUES ('migration', gen_random_uuid()::text) \
        ON CONFLICT (key) DO UPDATE SET value = excluded.value \
        RETURNING value, (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    /// Takes the mark $1 away.
    MARK_REMOVE = "DELETE FROM note n WHERE n.key = 'migration' AND n.value = $1";
    /// What a database that is not empty has, for people.
    OCCUPIED = "SELECT w.what FROM (\
            SELECT 'messages' WHERE EXISTS (SELECT 1 FROM message) \
            UNION ALL SELECT 'deliveries' WHERE EXISTS (SELECT 1 FROM delivery) OR EXISTS (SELECT 1 FROM done) \
            UNION ALL SELECT 'declarations' WHERE EXISTS (SELECT 1 FROM declaration) OR EXISTS (SELECT 1 FROM numbering) \
            UNION ALL SELECT 'people' WHERE EXISTS (SELECT 1 FROM person) OR EXISTS (SELECT 1 FROM people_group) \
            UNION ALL SELECT 'inboxes' WHERE EXISTS (SELECT 1 FROM inbox_item) OR EXISTS (SELECT 1 FROM broadcast) \
            UNION ALL SELECT 'idempotency keys' WHERE EXISTS (SELECT 1 FROM idempotency) \
            UNION ALL SELECT 'captures' WHERE EXISTS (SELECT 1 FROM capture) \
            UNION ALL SELECT 'accounts' WHERE EXISTS (SELECT 1 FROM quota_account) OR EXISTS (SELECT 1 FROM meter) \
                OR EXISTS (SELECT 1 FROM tally) \
            UNION ALL SELECT 'accounts of the token API' WHERE EXISTS (SELECT 1 FROM account) \
            UNION ALL SELECT 'followers' WHERE EXISTS (SELECT 1 FROM follower) \
            UNION ALL SELECT 'access tokens' WHERE EXISTS (SELECT 1 FROM access_token) \
            UNION ALL SELECT 'notes of a node that has set it up' WHERE EXISTS (SELECT 1 FROM note)) w (what)";
    /// Forgets every note but the mark.
    NOTES_FORGET = "DELETE FROM note n WHERE n.key <> 'migration'";
    /// Ends what is on record of nodes that are not heard of any more.
    OVERDUE_END = "UPDATE node SET ended = clock_timestamp(), parcels = 0 \
        WHERE ended IS NULL AND lease_until < clock_timestamp()";
    /// Keeps a registration of number 0 that has ended, holding $2 parcels, for a store that was on host $1; answers its epoch.
    PREDECESSOR = "INSERT INTO node (number, epoch, host, version, started, heard, lease_until, reached, clock_ahead, pinged, \
            ended, parcels) \
        SELECT 0, coalesce(max(n.epoch), 0) + 1, $1, '', clock_timestamp(), clock_timestamp(), clock_timestamp(), 0, 0, 0, \
            clock_timestamp(), $2 FROM node n WHERE n.number = 0 RETURNING epoch";
    /// Messages, as columns.
    MESSAGES = "INSERT INTO message (bucket, id, app, channel, dialect, operation, caller, priority, accepted, expires, \
            last, attachments, content, client, label, business) \
        SELECT x.id & 63, x.id, x.app, x.channel, x.dialect, x.operation, x.caller, x.priority, x.accepted, x.expires, x.last, \
            x.attachments, x.content, x.client, x.label, x.business \
        FROM unnest($1::bigint[], $2::integer[], $3::integer[], $4::text[], $5::text[], $6::text[], $7::smallint[], \
            $8::bigint[], $9::bigint[], $10::bigint[], $11::integer[], $12::bytea[], $13::text[], $14::text[], $15::text[]) \
            x (id, app, channel, dialect, operation, caller, priority, accepted, expires, last, attachments, content, client, \
               label, business)";
    /// Messages ($1) have a secret that is to be erased.
    ERASURES = "INSERT INTO erasure (bucket, message) \
        SELECT x.message & 63, x.message FROM unnest($1::bigint[]) x (message)";
    /// Attachments, as columns.
    ATTACHMENTS = "INSERT INTO attachment (bucket, message, no, body) \
        SELECT x.message & 63, x.message, x.no, x.body FROM unnest($1::bigint[], $2::integer[], $3::bytea[]) x (message, no, body)";
    /// Deliveries that are still to come, as columns; what is held is held by node 0 in epoch $19 since $20.
    OPEN = "INSERT INTO delivery (bucket, id, message, parcel, channel, priority, app, state, lease, tries, crashes, \
            due, expires, first_try, maybe_duplicate, reason, recipient, address, attempts, node, epoch, leased) \
        SELECT x.id & 63, x.id, x.message, x.parcel, x.channel, x.priority, x.app, x.state, x.lease, x.tries, x.crashes, \
            x.due, x.expires, x.first_try, x.maybe_duplicate, x.reason, x.recipient, x.address, x.attempts::jsonb, \
            CASE WHEN x.state IN (1, 2) THEN 0 END, CASE WHEN x.state IN (1, 2) THEN $19::bigint END, \
            CASE WHEN x.state IN (1, 2) THEN $20::bigint END \
        FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::integer[], $5::smallint[], $6::integer[], $7::smallint[], \
            $8::integer[], $9::smallint[], $10::smallint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::boolean[], \
            $15::text[], $16::text[], $17::text[], $18::text[]) \
            x (id, message, parcel, channel, priority, app, state, lease, tries, crashes, due, expires, first_try, \
               maybe_duplicate, reason, recipient, address, attempts)";
    /// Deliveries that are over, as the same columns.
    OVER = "INSERT INTO done (bucket, id, message, parcel, channel, priority, app, state, lease, tries, crashes, \
            due, expires, first_try, maybe_duplicate, reason, recipient, address, attempts) \
        SELECT x.id & 63, x.id, x.message, x.parcel, x.channel, x.priority, x.app, x.state, x.lease, x.tries, x.crashes, \
            x.due, x.expires, x.first_try, x.maybe_duplicate, x.reason, x.recipient, x.address, x.attempts::jsonb \
        FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::integer[], $5::smallint[], $6::integer[], $7::smallint[], \
            $8::integer[], $9::smallint[], $10::smallint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::boolean[], \
            $15::text[], $16::text[], $17::text[], $18::text[]) \
            x (id, message, parcel, channel, priority, app, state, lease, tries, crashes, due, expires, first_try, \
               maybe_duplicate, reason, recipient, address, attempts)";
    /// Later pages, as columns.
    PAGES = "INSERT INTO page (bucket, message, first, last) \
        SELECT x.message & 63, x.message, x.first, x.last \
        FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) x (message, first, last)";
    /// How far messages ($1), which are there, are expanded (step $2 and mark $3), since when ($4), and who follows ($5) by which
    /// channels ($6, each an array as text).
    EXPANSIONS = "INSERT INTO expansion (bucket, message, cursor, mark, due, who, channels, app, template) \
        SELECT x.message & 63, x.message, x.cursor, x.mark, x.due, x.who, x.channels::integer[], coalesce(m.app, 0), \
            coalesce(nullif(m.label, '')::jsonb ->> 'template', '') \
        FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::bigint[], $5::bytea[], $6::text[]) \
            x (message, cursor, mark, due, who, channels) \
        LEFT JOIN message m ON m.bucket = x.message & 63 AND m.id = x.message";
    /// Idempotency keys, as columns.
    KEYS = "INSERT INTO idempotency (bucket, app, key, fingerprint, message, expires, answer) \
        SELECT x.bucket, x.app, x.key, x.fingerprint, x.message, x.expires, x.answer \
        FROM unnest($1::smallint[], $2::integer[], $3::text[], $4::bytea[], $5::bigint[], $6::bigint[], $7::text[]) \
            x (bucket, app, key, fingerprint, message, expires, answer)";
    /// What is declared has version $1, and the plan with hash $2 was applied last.
    SETUP = "UPDATE setup SET version = $1, plan = $2 WHERE one = 1";
    /// Notes, as columns.
    NOTES = "INSERT INTO note (key, value) SELECT x.key, x.value FROM unnest($1::text[], $2::text[]) x (key, value)";
    /// What accounts have used, as columns.
    ACCOUNTS = "INSERT INTO quota_account (bucket, account, seen, hour, day, day_begin, day_end) \
        SELECT x.bucket, x.account, x.seen, x.hour, x.day, x.day_begin, x.day_end \
        FROM unnest($1::smallint[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[]) \
            x (bucket, account, seen, hour, day, day_begin, day_end)";
    /// Admissions, as columns.
    ENTRIES = "INSERT INTO quota_entry (bucket, account, id, at, day, amount) \
        SELECT x.bucket, x.account, x.id, x.at, x.day, x.amount \
        FROM unnest($1::smallint[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[]) \
            x (bucket, account, id, at, day, amount)";
    /// Meters, as columns.
    METERS = "INSERT INTO meter (bucket, key, seen, ahead_ns) \
        SELECT x.bucket, x.key, x.seen, x.ahead_ns \
        FROM unnest($1::smallint[], $2::text[], $3::bigint[], $4::bigint[]) x (bucket, key, seen, ahead_ns)";
    /// Accounts of the token API, as columns.
    CALLERS = "INSERT INTO account (bucket, name, no, created, password, role, per_hour, per_day, available, enabled, phone, \
            email, wechat, epoch) \
        SELECT x.bucket, x.name, x.no, x.created, x.password, x.role, x.per_hour, x.per_day, x.available, x.enabled, x.phone, \
            x.email, x.wechat, 0 \
        FROM unnest($1::smallint[], $2::text[], $3::integer[], $4::bigint[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], \
            $9::boolean[], $10::boolean[], $11::text[], $12::text[], $13::text[]) \
            x (bucket, name, no, created, password, role, per_hour, per_day, available, enabled, phone, email, wechat)";
    /// Their contacts, as columns.
    CONTACTS = "INSERT INTO account_contact (bucket, kind, contact, account) \
        SELECT x.bucket, x.kind, x.contact, x.account \
        FROM unnest($1::smallint[], $2::smallint[], $3::text[], $4::text[]) x (bucket, kind, contact, account)";
    /// Those who follow official accounts, as columns.
    FOLLOWERS = "INSERT INTO follower (bucket, tag, provider, openid, subscribed) \
        SELECT x.tag & 63, x.tag, x.provider, x.openid, x.subscribed \
        FROM unnest($1::integer[], $2::integer[], $3::text[], $4::boolean[]) x (tag, provider, openid, subscribed)";
    /// Their tags, as columns.
    TAGS = "INSERT INTO follower_tag (bucket, provider, openid, tag) \
        SELECT x.bucket, x.provider, x.openid, x.tag \
        FROM unnest($1::smallint[], $2::integer[], $3::text[], $4::integer[]) x (bucket, provider, openid, tag)";
    /// When people were enabled, as columns.
    PRESENCES = "INSERT INTO presence (person, since, until) \
        SELECT x.person, x.since, x.until FROM unnest($1::text[], $2::bigint[], $3::bigint[]) x (person, since, until)";
    /// Items of inboxes and marks on broadcasts, as columns.
    ITEMS = "INSERT INTO inbox_item \
            (bucket, person, id, message, app, channel, business, kind, at, broadcast, read, archived, deleted) \
        SELECT x.bucket, x.person, x.id, x.message, x.app, x.channel, x.business, x.kind, x.at, x.broadcast, x.read, x.archived, \
            x.deleted \
        FROM unnest($1::smallint[], $2::text[], $3::bigint[], $4::bigint[], $5::integer[], $6::integer[], $7::text[], \
            $8::text[], $9::bigint[], $10::boolean[], $11::boolean[], $12::boolean[], $13::boolean[]) \
            x (bucket, person, id, message, app, channel, business, kind, at, broadcast, read, archived, deleted)";
    /// Broadcasts, as columns.
    BROADCASTS = "INSERT INTO broadcast (message, app, channel, business, kind, at) \
        SELECT x.message, x.app, x.channel, x.business, x.kind, x.at \
        FROM unnest($1::bigint[], $2::integer[], $3::integer[], $4::text[], $5::text[], $6::bigint[]) \
            x (message, app, channel, business, kind, at)";
    /// How many rows there are of each kind, but for deliveries and their attempts.
    COUNTS = "SELECT 'messages', count(*) FROM message \
        UNION ALL SELECT 'content_bytes', coalesce(sum(octet_length(content)), 0)::bigint FROM message \
        UNION ALL SELECT 'attachments', count(*) FROM attachment \
        UNION ALL SELECT 'attachment_bytes', coalesce(sum(octet_length(body)), 0)::bigint FROM attachment \
        UNION ALL SELECT 'pages', count(*) FROM page \
        UNION ALL SELECT 'expansions', count(*) FROM expansion \
        UNION ALL SELECT 'keys', count(*) FROM idempotency \
        UNION ALL SELECT 'declarations', count(*) FROM declaration \
        UNION ALL SELECT 'people', count(*) FROM person \
        UNION ALL SELECT 'presences', count(*) FROM presence \
        UNION ALL SELECT 'groups', count(*) FROM people_group \
        UNION ALL SELECT 'members', count(*) FROM member \
        UNION ALL SELECT 'items', count(*) FROM inbox_item \
        UNION ALL SELECT 'broadcasts', count(*) FROM broadcast \
        UNION ALL SELECT 'notes', count(*) FROM note WHERE key <> 'migration' \
        UNION ALL SELECT 'captures', count(*) FROM capture \
        UNION ALL SELECT 'accounts', count(*) FROM quota_account \
        UNION ALL SELECT 'admissions', count(*) FROM quota_entry \
        UNION ALL SELECT 'meters', count(*) FROM meter \
        UNION ALL SELECT 'callers', count(*) FROM account \
        UNION ALL SELECT 'followers', count(*) FROM follower";
    /// How many deliveries there are in each state, and how many attempts those have.
    DELIVERY_COUNTS = "SELECT d.state, count(*), sum(jsonb_array_length(d.attempts))::bigint FROM delivery d GROUP BY d.state \
        UNION ALL SELECT d.state, count(*), sum(jsonb_array_length(d.attempts))::bigint FROM done d GROUP BY d.state";
}
