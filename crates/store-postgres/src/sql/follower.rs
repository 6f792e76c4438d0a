//! Statements about those who follow official accounts. `$1` is always the bucket: of the tag, or of who has it.

statements! {
    /// The tag of $3 at provider $2.
    TAG = "SELECT t.tag FROM follower_tag t WHERE t.bucket = $1 AND t.provider = $2 AND t.openid = $3";
    /// $3 at provider $2 is about to get a tag, unless they have one.
    TAG_BEGIN = "INSERT INTO follower_tag (bucket, provider, openid, tag) VALUES ($1, $2, $3, 0) \
        ON CONFLICT DO NOTHING RETURNING tag";
    /// It is $4.
    TAG_WRITE = "UPDATE follower_tag t SET tag = $4 WHERE t.bucket = $1 AND t.provider = $2 AND t.openid = $3";
    /// Tag $2 is that of $4 at provider $3, who follows.
    FOLLOWER_ADD = "INSERT INTO follower (bucket, tag, provider, openid, subscribed) VALUES ($1, $2, $3, $4, true)";
    /// Whether whoever has tag $2 follows still ($3).
    SUBSCRIBED = "UPDATE follower f SET subscribed = $3 WHERE f.bucket = $1 AND f.tag = $2 AND f.subscribed <> $3";
    /// Those at provider $2 who have tags ($3).
    FOLLOWERS = "SELECT f.tag, f.openid, f.subscribed FROM unnest($3::integer[]) x (tag) CROSS JOIN LATERAL (\
            SELECT o.tag, o.provider, o.openid, o.subscribed FROM follower o WHERE o.bucket = $1 AND o.tag = x.tag LIMIT 1) f \
        WHERE f.provider = $2";
}
