//! Statements about people and what they belong to: tables that every node has. Codes are compared byte by byte: where a column is
//! not kept so (`person`), the index on it is.

/// The columns of a person, of the table `p`.
macro_rules! person_columns {
    () => {
        "p.code, p.name, p.email, p.phone, p.wecom, p.openid, p.enabled"
    };
}

/// The columns of a group, of the table `g`.
macro_rules! group_columns {
    () => {
        "g.no, g.kind, g.code, g.name, g.parent"
    };
}

statements! {
    /// The last number given to a group; whoever has read it so changes the directory, and the next waits.
    HOLD = "SELECT n.last FROM group_numbering n WHERE n.one = 1 FOR UPDATE";
    /// The last number given to a group is $1, or a higher one.
    LAST_KEEP = "UPDATE group_numbering SET last = greatest(last, $1) WHERE one = 1";
    /// Every group.
    GROUPS = concat!("SELECT ", group_columns!(), " FROM people_group g");
    /// The groups of kind $1 with codes $2.
    GROUPS_NAMED = concat!("SELECT ", group_columns!(), " FROM people_group g WHERE g.kind = $1 AND g.code = ANY ($2::text[])");
    /// The first $3 groups of kind $1 behind the code $2.
    GROUPS_PAGE = concat!("SELECT ", group_columns!(), " FROM people_group g WHERE g.kind = $1 AND g.code > $2 \
        ORDER BY g.code LIMIT $3");
    /// These groups ($1) and whatever is below one of them.
    GROUPS_BELOW = "WITH RECURSIVE below AS (\
            SELECT g.no FROM people_group g WHERE g.no = ANY ($1::integer[]) \
            UNION SELECT c.no FROM below b JOIN people_group c ON c.parent = b.no) \
        SELECT b.no FROM below b ORDER BY b.no";
    /// Keeps groups, as columns.
    GROUPS_KEEP = "INSERT INTO people_group (no, kind, code, name, parent) \
        SELECT x.no, x.kind, x.code, x.name, x.parent \
        FROM unnest($1::integer[], $2::text[], $3::text[], $4::text[], $5::integer[]) x (no, kind, code, name, parent) \
        ON CONFLICT (no) DO UPDATE SET name = excluded.name, parent = excluded.parent";
    /// The people with codes ($1) and the groups to which each belongs, in order.
    PEOPLE_IN_GROUPS = concat!("SELECT ", person_columns!(), ", \
            ARRAY(SELECT m.team FROM member m WHERE m.person = p.code ORDER BY m.team) \
        FROM unnest($1::text[]) x (code) CROSS JOIN LATERAL (\
            SELECT * FROM person o WHERE o.code COLLATE \"C\" = x.code LIMIT 1) p");
    /// The people with codes ($1) and the groups to which each belongs, by kind and code with a `/` between.
    ENTRIES = concat!("SELECT ", person_columns!(), ", \
            ARRAY(SELECT g.kind || '/' || g.code FROM member m CROSS JOIN LATERAL (\
                SELECT o.kind, o.code FROM people_group o WHERE o.no = m.team LIMIT 1) g \
                WHERE m.person = p.code ORDER BY m.team) \
        FROM unnest($1::text[]) x (code) CROSS JOIN LATERAL (\
            SELECT * FROM person o WHERE o.code COLLATE \"C\" = x.code LIMIT 1) p");
    /// The people with mail addresses ($1, in small letters) or phone numbers ($2).
    REACHED = concat!("SELECT ", person_columns!(), " FROM person p \
            WHERE p.email <> '' AND lower(p.email COLLATE \"C\") = ANY ($1::text[]) \
        UNION SELECT ", person_columns!(), " FROM person p \
            WHERE p.phone <> '' AND p.phone COLLATE \"C\" = ANY ($2::text[])");
    /// The first $2 people behind the code $1.
    PEOPLE_PAGE = concat!("SELECT ", person_columns!(), " FROM person p WHERE p.code COLLATE \"C\" > $1 \
        ORDER BY p.code COLLATE \"C\" LIMIT $2");
    /// The first $3 members of groups ($1), group by group in that order, in each behind a code ($2); with all their groups. Each
    /// group gives no more than are asked for, in the order of its index, so that a department of any size is never sorted.
    MEMBERS = concat!("SELECT ", person_columns!(), ", ARRAY(SELECT o.team FROM member o WHERE o.person = f.person ORDER BY o.team), \
            f.team \
        FROM (SELECT l.no, l.team, m.person \
            FROM unnest($1::integer[], $2::text[]) WITH ORDINALITY l (team, behind, no) CROSS JOIN LATERAL (\
                SELECT o.person FROM member o WHERE o.team = l.team AND o.person > l.behind ORDER BY o.person LIMIT $3) m \
            ORDER BY l.no, m.person LIMIT $3) f \
        CROSS JOIN LATERAL (SELECT * FROM person o WHERE o.code COLLATE \"C\" = f.person LIMIT 1) p \
        ORDER BY f.no, f.person");
    /// These people ($2) belong to these groups ($1).
    MEMBERS_ADD = "INSERT INTO member (team, person) SELECT x.team, x.person FROM unnest($1::integer[], $2::text[]) x (team, person) \
        ON CONFLICT DO NOTHING";
    /// These people ($2) belong to these groups ($1) no more.
    MEMBERS_REMOVE = "DELETE FROM member m USING unnest($1::integer[], $2::text[]) x (team, person) \
        WHERE m.team = x.team AND m.person = x.person";
    /// These people ($1) are enabled from $2 on. Who was so and not in one moment is so on.
    PRESENCE_BEGIN = "INSERT INTO presence (person, since) SELECT x.person, $2 FROM unnest($1::text[]) x (person) \
        ON CONFLICT (person, since) DO UPDATE SET until = NULL";
    /// These people ($1) are enabled until $2.
    PRESENCE_END = "UPDATE presence v SET until = greatest(v.since, $2) \
        WHERE v.person = ANY ($1::text[]) AND v.until IS NULL";
    /// Whom a program that knows nothing of presence has added was always there.
    PRESENCE_MEND = "INSERT INTO presence (person, since) SELECT p.code, 0 FROM person p \
        WHERE p.enabled AND NOT EXISTS (SELECT 1 FROM presence v WHERE v.person = p.code) ON CONFLICT DO NOTHING";
}
