//! The statements about who is to follow, the directory and inboxes.

use super::{Case, case, id, ids};
use crate::sql::{cold, directory, hot, inbox, page, plan, read};

/// 50,000 messages that wait for their time, every fifth due by the 1,000th second; 100,000 people in a thousand departments below
/// ten, half of them in one; in one bucket 20,000 items of somebody, as many of others, and 2,000 broadcasts.
pub(super) const FILL: &str = "
INSERT INTO expansion (bucket, message, cursor, due, who, app, channels)
SELECT 5, (215000000000 + g << 22) + 5, 0, CASE WHEN g % 5 = 0 THEN g / 50 ELSE 2000000000000 + g END, '[]', g % 20, '{1}'
FROM generate_series(0, 49999) g;
INSERT INTO message (bucket, id, app, channel, dialect, operation, caller, priority, accepted, expires, last, attachments, content,
    business)
SELECT 6, (215000000000 + g << 22) + 6, g % 3, 1, 'push', 'send', 'x', 2, 1, 1, 1, 0, 'content', 'order ' || g % 5000
FROM generate_series(0, 49999) g;
INSERT INTO people_group
SELECT g, 'department', 'd' || g, 'name', CASE WHEN g > 10 THEN 1 + g % 10 END FROM generate_series(1, 1010) g;
INSERT INTO person
SELECT 'u' || g, 'name', 'U' || g || '@example.com', '+86138' || g, '', '', true FROM generate_series(1, 100000) g;
INSERT INTO member SELECT CASE WHEN g % 2 = 0 THEN 500 ELSE 11 + g % 1000 END, 'u' || g FROM generate_series(1, 100000) g;
INSERT INTO member SELECT 7, 'u' || g FROM generate_series(1, 100000, 10) g;
INSERT INTO presence SELECT 'u' || g, 0 FROM generate_series(1, 100000) g;
INSERT INTO inbox_item
SELECT 5, CASE WHEN g % 2 = 0 THEN 'u7' ELSE 'u' || g END, g, (215000000000 + g << 22) + 5, 1, 1, 'order ' || g % 100, 'notice', g, false,
    g % 200 <> 0, g % 3 = 0, false FROM generate_series(1, 40000) g;
INSERT INTO broadcast SELECT 1000000 + g, 1, 1, '', 'notice', g * 20 FROM generate_series(1, 2000) g;
INSERT INTO inbox_item
SELECT 5, 'u7', 1000000 + g, 1000000 + g, 1, 1, '', 'notice', g * 20, true, true, false, g % 3 = 0 FROM generate_series(1, 2000) g;
INSERT INTO inbox_token
SELECT 5, decode(lpad(to_hex(g), 64, '0'), 'hex'), 'u' || g, 1, g FROM generate_series(1, 50000) g;
";

/// What follows of messages, and whose they are. What waits may be looked at whole where somebody asks for all that do.
fn cases_of_sequels() -> Vec<Case> {
    let m = id(500);
    vec![
        case("expanding", read::EXPANDING, "5, 0, 0, 900, 100".to_owned(), 20),
        case("expanding_on", read::EXPANDING, format!("5, 500, {m}, 900, 100"), 20),
        case("expanding_none", read::EXPANDING, "5, 1000, 0, 1900000000000, 100".to_owned(), 10),
        case("expansions", read::EXPANSIONS, format!("5, {}", ids(300)), 2_500),
        case("scheduled", read::SCHEDULED, "5, 1900000000000, 0, 100, NULL, NULL, NULL".to_owned(), 1_000),
        case("scheduled_of", read::SCHEDULED, "5, 1900000000000, 0, 5, 7, NULL, 1".to_owned(), 1_000),
        case("messages", read::MESSAGES, format!("5, {}", ids(300)), 1_500),
        case(
            "expansion_insert",
            hot::EXPANSION_INSERT,
            "5, '{1}', '{1}', '{x}', '{1}', '{\"\"}', '{\"{1,2}\"}'".to_owned(),
            50,
        ),
        case("page_begin", page::PAGE_BEGIN, format!("5, {m}, 0, '', 1, 'x', 1, 2"), 50),
        case("expansion_end", page::EXPANSION_END, format!("5, {m}"), 50),
        case("hasten", page::HASTEN, format!("5, {}, 1", id(501)), 80),
        case("due_now", page::DUE_NOW, format!("5, {}, 1", ids(300)), 5_000),
        case("pages_forget", page::PAGES_FORGET, format!("5, 0, {m}"), 20),
        case("of_business", cold::OF_BUSINESS, format!("1, 'order 7', {}, 10", i64::MAX), 400),
        case("of_business_none", cold::OF_BUSINESS, format!("1, 'order 5001', {}, 10", i64::MAX), 400),
        case("unexpanded_of", plan::UNEXPANDED_OF, format!("{}, {}", id(-2), id(-1)), 500),
    ]
}

/// The directory. A look at people counts some pages for each of them: the person, and the groups of each.
fn cases_of_directory() -> Vec<Case> {
    let codes: Vec<String> = (300..400).map(|n| format!("u{n}")).collect();
    let codes = format!("'{{{}}}'", codes.join(","));
    let all: Vec<String> = (1..=1_010).map(|n| n.to_string()).collect();
    let (all, behind) = (format!("'{{{}}}'", all.join(",")), format!("'{{{}}}'", vec!["\"\""; 1_010].join(",")));
    vec![
        case("groups_named", directory::GROUPS_NAMED, "'department', '{d7,d77,x}'".to_owned(), 20),
        case("groups_page", directory::GROUPS_PAGE, "'department', 'd5', 100".to_owned(), 200),
        case("groups_below", directory::GROUPS_BELOW, "'{3}'".to_owned(), 800),
        case("people_in_groups", directory::PEOPLE_IN_GROUPS, codes.clone(), 1_200),
        case("entries", directory::ENTRIES, codes, 1_800),
        case("reached", directory::REACHED, "'{u77@example.com,u78@example.com}', '{+8613879}'".to_owned(), 40),
        case("people_page", directory::PEOPLE_PAGE, "'u5', 100".to_owned(), 250),
        case("members", directory::MEMBERS, format!("{all}, {behind}, 100"), 1_500),
        case("members_of_large", directory::MEMBERS, "'{500,501}', '{u5,\"\"}', 100".to_owned(), 1_200),
        case("members_add", directory::MEMBERS_ADD, "'{500,501}', '{u1,u3}'".to_owned(), 60),
        case("members_remove", directory::MEMBERS_REMOVE, "'{500,501}', '{u2,u4}'".to_owned(), 60),
        case("presence_begin", directory::PRESENCE_BEGIN, "'{u1,u2}', 7".to_owned(), 60),
        case("presence_end", directory::PRESENCE_END, "'{u1,u2}', 7".to_owned(), 60),
    ]
}

/// Inboxes. Of broadcasts all may be looked at, and what somebody did with each: they are few.
fn cases_of_inboxes() -> Vec<Case> {
    let any = "NULL, NULL, NULL, NULL, NULL";
    let (u7, newest) = ("5, 'u7'", format!("{}, {}, 100", i64::MAX, i64::MAX));
    let hash = format!("5, '\\x{:064x}'", 77);
    vec![
        case("items", inbox::ITEMS, format!("{u7}, {any}, {newest}"), 250),
        case("items_old", inbox::ITEMS, format!("{u7}, {any}, 20000, 0, 100"), 250),
        case("broadcasts", inbox::BROADCASTS, format!("{u7}, {any}, {newest}"), 12_000),
        case("broadcasts_of_nobody", inbox::BROADCASTS, format!("5, 'nobody', {any}, {newest}"), 30_000),
        case("item", inbox::ITEM, format!("{u7}, 200"), 20),
        case("broadcast", inbox::BROADCAST, format!("{u7}, 1000007"), 60),
        case("place", inbox::PLACE, format!("{u7}, 200"), 20),
        case("unread", inbox::UNREAD, u7.to_owned(), 250),
        case("broadcasts_unread", inbox::BROADCASTS_UNREAD, u7.to_owned(), 30_000),
        case(
            "items_put",
            inbox::ITEMS_PUT,
            "5, '{u1}', '{9}', '{9}', '{1}', '{1}', '{x}', '{y}', '{1}'".to_owned(),
            50,
        ),
        case("items_mark", inbox::ITEMS_MARK, format!("{u7}, true, NULL, false, '{{200,202,204}}'"), 100),
        case("broadcasts_mark", inbox::BROADCASTS_MARK, format!("{u7}, true, true, false, '{{1000007,1000008}}'"), 100),
        case("items_since", inbox::ITEMS_SINCE, "5, '{u7,u9,u11}', '{39000,0,0}', 100".to_owned(), 250),
        case(
            "broadcasts_since",
            inbox::BROADCASTS_SINCE,
            "5, '{u7,u9,u11}', '{39900,39900,39900}', 100".to_owned(),
            200,
        ),
        case("gone", inbox::GONE, format!("5, 0, {}, 100", id(50)), 60),
        case("gone_forget", inbox::GONE_FORGET, format!("5, 0, {}", id(500)), 4_000),
        case("inbox_token_add", inbox::TOKEN_ADD, "5, '\\xff', 'u7', 1, 5".to_owned(), 50),
        case("inbox_token", inbox::TOKEN, hash, 20),
        case("inbox_tokens_over", inbox::TOKENS_OVER, "5, 30000, 100".to_owned(), 20),
        case("inbox_tokens_forget", inbox::TOKENS_FORGET, "5, 30000, 100".to_owned(), 2_000),
        case("broadcast_last", inbox::BROADCAST_LAST, String::new(), 10),
    ]
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = cases_of_sequels();
    cases.extend(cases_of_directory());
    cases.extend(cases_of_inboxes());
    cases
}
