//! Holds the plans of the hot statements to the indexes that were made for them, with 200,000 rows waiting in one bucket and
//! the history of a quarter of a year beside them: each may look at a few pages, whether it was planned while the tables were
//! empty, when they had just been filled, or with statistics.

mod people;

use hongyan_store_suite::postgres::shared;
use serde_json::Value;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use super::{account, erasure, follower, history, hot, page, quota, read, recover, token};
use crate::{schema::MIGRATIONS, target::SETTINGS};

/// Milliseconds of the first id; those before it lie in the days before.
const BEGIN: i64 = 215_000_000_000;
/// How far ids of the history lie apart, in milliseconds.
const APART: i64 = 150_000;

/// 90 days of tables.
const DAYS: &str = "DO $$ BEGIN FOR day IN 0..89 LOOP
    EXECUTE format('CREATE TABLE message_%s PARTITION OF message FOR VALUES FROM (%s) TO (%s)', day,
        215000000000 - (89 - day) * 86400000::bigint << 22, 215000000000 + (day - 88) * 86400000::bigint << 22);
    EXECUTE format('CREATE TABLE attachment_%s PARTITION OF attachment FOR VALUES FROM (%s) TO (%s)', day,
        215000000000 - (89 - day) * 86400000::bigint << 22, 215000000000 + (day - 88) * 86400000::bigint << 22);
    EXECUTE format('CREATE TABLE done_%s PARTITION OF done FOR VALUES FROM (%s) TO (%s)', day,
        215000000000 - (89 - day) * 86400000::bigint << 22, 215000000000 + (day - 88) * 86400000::bigint << 22);
END LOOP; END $$";

/// 200,000 rows that wait, most of them in one lane, 1,000 that node 3 holds, the history of 50,000, of a hundred of which nobody
/// knows the outcome, and as many secrets and tallies; of a fifth of the history and of every hundredth row that waits the message
/// is an account's, mostly one's.
const FILL: &str = "
INSERT INTO delivery (bucket, id, message, parcel, channel, priority, app, state, lease, tries, crashes, due, expires,
    maybe_duplicate, recipient, node, epoch, leased)
SELECT 5, i, i, i, 1, CASE WHEN g % 10 = 0 THEN 1 + g % 3 ELSE 2 END,
    CASE WHEN g % 100 = 0 THEN 1073741825 WHEN g % 10 = 0 THEN 1 + g % 20 ELSE 1 END,
    CASE WHEN g < 200000 THEN 0 ELSE 1 END, 1, 0, 0, 1700000000000 + g, 1900000000000, false, 'someone' || g || '@example.com',
    CASE WHEN g >= 200000 THEN 3 END, CASE WHEN g >= 200000 THEN 1 END, CASE WHEN g >= 200000 THEN 1 END
FROM (SELECT g, (215000000000 + g << 22) + 5 AS i FROM generate_series(0, 200999) g) x;
INSERT INTO message
SELECT 5, i, 1, 1, 'cmsi', 'send', 'x', 2, 1, 1, 1, 0, 'content' FROM (
    SELECT (215000000000 + g << 22) + 5 AS i FROM generate_series(0, 200999) g
    UNION ALL SELECT (215000000000 - g::bigint * 150000 << 22) + 5 FROM generate_series(1, 50000) g) x;
INSERT INTO done (bucket, id, message, parcel, channel, priority, app, state, lease, tries, crashes, due, expires,
    maybe_duplicate, recipient)
SELECT 5, i, i, i, 1, 1, CASE WHEN g % 500 = 5 THEN 1073741826 WHEN g % 5 = 0 THEN 1073741825 ELSE 1 END,
    CASE WHEN g % 500 = 0 THEN 9 WHEN g % 1000 = 15 THEN 7 ELSE 3 END, 1, 1, 0, 1, 1, false, 'someone'
FROM (SELECT g, (215000000000 - g::bigint * 150000 << 22) + 5 AS i FROM generate_series(1, 50000) g) x;
INSERT INTO erasure SELECT 5, (215000000000 + g << 22) + 5 FROM generate_series(0, 50000) g;
INSERT INTO tally SELECT 5, 'member/' || g, '', g FROM generate_series(0, 50000) g;
INSERT INTO access_token (bucket, key, turn, over) SELECT 5, 'wecom/' || g, 1, g FROM generate_series(0, 5000) g;
INSERT INTO account
SELECT 5, 'account ' || g, g, 1, 'hash', 'user', 5, 20, true, true, '', '', '', 0 FROM generate_series(1, 5000) g;
INSERT INTO account_contact SELECT 5, 0, '138' || g, 'account ' || g FROM generate_series(1, 5000) g;
INSERT INTO account_token
SELECT 5, decode(lpad(to_hex(g), 64, '0'), 'hex'), 'account ' || g % 5000, g % 5000, 0, g FROM generate_series(1, 50000) g;
INSERT INTO idempotency SELECT 5, g % 100, 'key ' || g, '', (215000000000 + g << 22) + 5, g FROM generate_series(1, 50000) g;
INSERT INTO sent SELECT 5, g % 500, 17000 + g / 500, 100 FROM generate_series(0, 44999) g;
INSERT INTO follower SELECT 5, 10001 + g, 1, 'openid ' || g, true FROM generate_series(1, 50000) g;
INSERT INTO follower_tag SELECT 5, 1, 'openid ' || g, 10001 + g FROM generate_series(1, 50000) g;
INSERT INTO node (number, epoch, host, version, started, heard, lease_until, reached, clock_ahead, pinged)
VALUES (0, 1, 'h', 'v', now(), now(), now() + interval '1 day', 0, 0, 0);
";

/// A statement with its parameters, and how many pages it may look at.
struct Case {
    name: &'static str,
    sql: &'static str,
    params: String,
    pages_max: u64,
}

impl Case {
    /// Its parameters as EXECUTE takes them.
    fn given(&self) -> String {
        if self.params.is_empty() { String::new() } else { format!("({})", self.params) }
    }
}

/// The id of the `n`th row that waits; before zero, of the history.
const fn id(n: i64) -> i64 {
    let ms = if n < 0 { BEGIN + n * APART } else { BEGIN + n };
    (ms << 22) + 5
}

/// A hundred of them.
fn ids(first: i64) -> String {
    let ids: Vec<String> = (first..first + 100).map(|n| id(n).to_string()).collect();
    format!("'{{{}}}'", ids.join(","))
}

/// The same value for each.
fn hundred(value: &str) -> String {
    format!("'{{{}}}'", vec![value; 100].join(","))
}

/// What changes of a hundred rows, as columns: `was` where the statement asks for it.
fn changes(first: i64, was: Option<&str>, state: &str, more: &[&str]) -> String {
    let mut columns = vec!["5".to_owned(), ids(first), hundred("1")];
    columns.extend(was.map(hundred));
    columns.extend([state, "x", "1", "0"].map(hundred));
    columns.extend(more.iter().map(|value| hundred(value)));
    columns.join(", ")
}

fn case(name: &'static str, sql: &'static str, params: String, pages_max: u64) -> Case {
    Case { name, sql, params, pages_max }
}

/// The statements about what lies beside messages and deliveries.
fn cases_beside() -> Vec<Case> {
    let members: Vec<String> = (300..400).map(|n| format!("member/{n}")).collect();
    let members = format!("'{{{}}}'", members.join(","));
    vec![
        case("doubts", read::DOUBTS, format!("5, 1, {}, 100", id(-50_001)), 500),
        case("erasures", erasure::ERASURES, format!("5, {}, 100", id(300)), 20),
        case("expanding_of", erasure::EXPANDING_OF, format!("5, {}", ids(300)), 500),
        case("open_of", erasure::OPEN_OF, format!("5, {0}, {0}, {0}", ids(500)), 1_000),
        case("erasures_lock", erasure::ERASURES_LOCK, format!("5, {}", ids(300)), 1_000),
        case("content_write", erasure::CONTENT_WRITE, format!("5, {}, {}", ids(-300), hundred("x")), 5_000),
        case("erasures_end", erasure::ERASURES_END, format!("5, {}", ids(300)), 1_000),
        case("tallies_begin", quota::TALLIES_BEGIN, format!("5, {members}"), 1_000),
        case("tallies_lock", quota::TALLIES_LOCK, format!("5, {members}"), 1_000),
        case("tallies_write", quota::TALLIES_WRITE, format!("5, {members}, {0}, {0}", hundred("1")), 5_000),
        case("tallies_over", quota::TALLIES_OVER, "5, 30000, 100".to_owned(), 20),
        case("tallies_forget", quota::TALLIES_FORGET, "5, 30000, 100".to_owned(), 2_000),
        case("token", token::TOKEN, "5, 'wecom/7'".to_owned(), 10),
        case("token_lock", token::TOKEN_LOCK, "5, 'wecom/7'".to_owned(), 10),
        case("token_write", token::TOKEN_WRITE, "5, 'wecom/7', 2, 1, 1, 'x', 1, 1".to_owned(), 50),
        case("tokens_over", token::TOKENS_OVER, "5, 10, 100".to_owned(), 10),
        case("tokens_forget", token::TOKENS_FORGET, "5, 10, 100".to_owned(), 100),
    ]
}

/// A page of a history, of the first hundred and of what lies between two ids.
fn page_of(from: i64, to: i64, recipient: &str, failed: bool, app: &str) -> String {
    let states = if failed { "'{5,7,8,10}'" } else { "NULL" };
    format!("5, {from}, {to}, 100, NULL, {recipient}, {states}, {}, {}, {from}, {to}, 100{app}", i64::MIN, i64::MAX)
}

/// The statements about what accounts sent.
fn cases_of_history() -> Vec<Case> {
    use history::{ALL_ACCOUNTS, ALL_ACCOUNTS_FAILED, ALL_ACCOUNTS_TO, OWN, OWN_FAILED, OWN_TO};
    let (first, last, old) = (id(-50_001), id(201_000), id(-1));
    let (most, few, none) = (", 1073741825", ", 1073741826", ", 1073741827");
    let page =
        |name, sql, to, recipient, failed, app| case(name, sql, page_of(first, to, recipient, failed, app), 1_000);
    vec![
        case("sent", history::SENT, "5, 77".to_owned(), 120),
        page("own", OWN, last, "NULL", false, most),
        page("own_old", OWN, old, "NULL", false, most),
        page("own_few", OWN, last, "NULL", false, few),
        page("own_none", OWN, last, "NULL", false, none),
        page("own_to", OWN_TO, last, "'someone'", false, most),
        page("own_to_one", OWN_TO, last, "'someone300@example.com'", false, most),
        page("own_to_none", OWN_TO, last, "'nobody'", false, most),
        page("own_failed", OWN_FAILED, last, "NULL", true, most),
        page("own_failed_none", OWN_FAILED, last, "NULL", true, few),
        page("all_accounts", ALL_ACCOUNTS, last, "NULL", false, ""),
        page("all_accounts_old", ALL_ACCOUNTS, old, "NULL", false, ""),
        page("all_accounts_to", ALL_ACCOUNTS_TO, last, "'someone'", false, ""),
        page("all_accounts_to_one", ALL_ACCOUNTS_TO, last, "'someone300@example.com'", false, ""),
        page("all_accounts_to_none", ALL_ACCOUNTS_TO, last, "'nobody'", false, ""),
        page("all_accounts_failed", ALL_ACCOUNTS_FAILED, last, "NULL", true, ""),
        case("rows_of", history::ROWS, format!("5, {}", ids(-300)), 1_000),
        case("messages_of", history::MESSAGES, format!("5, {}", ids(-300)), 1_000),
    ]
}

/// The statements about accounts and followers.
fn cases_of_accounts() -> Vec<Case> {
    let (account, hash) = ("5, 'account 77'", format!("5, '\\x{:064x}'", 77));
    let profile = "'x', 'user', 5, 20, true, true";
    let apps: Vec<String> = (300..400).map(|n| (n % 100).to_string()).collect();
    let keys: Vec<String> = (300..400).map(|n| format!("key {n}")).collect();
    let keys = format!("'{{{}}}', '{{{}}}'", apps.join(","), keys.join(","));
    vec![
        case(
            "keys_keep",
            hot::KEYS_KEEP,
            format!("5, {keys}, {}, {}, {}, 0", hundred("x"), ids(300), hundred("1")),
            3_000,
        ),
        case("keys_read", hot::KEYS_READ, format!("5, {keys}"), 1_000),
        case("keys_drop", hot::KEYS_DROP, format!("5, {keys}, {}", ids(300)), 2_000),
        case("sent_add", hot::SENT_ADD, "5, '{1,2,900}', '{17003,17003,1}', '{1,1,1}'".to_owned(), 50),
        case("account", account::ACCOUNT, account.to_owned(), 10),
        case("account_lock", account::ACCOUNT_LOCK, account.to_owned(), 20),
        case("accounts", account::ACCOUNTS, "5, 'account 2', 100".to_owned(), 250),
        case(
            "account_names",
            account::NAMES,
            format!("5, '{{{}}}'", (300..400).map(|n| n.to_string()).collect::<Vec<_>>().join(",")),
            500,
        ),
        case("account_add", account::ACCOUNT_ADD, format!("5, 'new', 1, {profile}, '', '', ''"), 50),
        case("account_number", account::ACCOUNT_NUMBER, format!("{account}, 7000"), 50),
        case("account_write", account::ACCOUNT_WRITE, format!("{account}, {profile}, 1"), 50),
        case("account_remove", account::ACCOUNT_REMOVE, account.to_owned(), 20),
        case("contact_add", account::CONTACT_ADD, "5, 0, '13877', 'account 1'".to_owned(), 50),
        case("contact_remove", account::CONTACT_REMOVE, "5, 0, '13877'".to_owned(), 20),
        case("token_add", account::TOKEN_ADD, format!("{hash}, 'account 77', 77, 0, 1"), 50),
        case("token_of", account::TOKEN, hash, 10),
        case("account_tokens_over", account::TOKENS_OVER, "5, 30000, 100".to_owned(), 20),
        case("account_tokens_forget", account::TOKENS_FORGET, "5, 30000, 100".to_owned(), 2_000),
        case("tag", follower::TAG, "5, 1, 'openid 77'".to_owned(), 10),
        case("tag_begin", follower::TAG_BEGIN, "5, 1, 'openid 77'".to_owned(), 50),
        case("tag_write", follower::TAG_WRITE, "5, 1, 'openid 77', 7".to_owned(), 20),
        case("subscribed", follower::SUBSCRIBED, "5, 10077, false".to_owned(), 20),
        case(
            "followers",
            follower::FOLLOWERS,
            format!("5, 1, '{{{}}}'", (10_300..10_400).map(|n| n.to_string()).collect::<Vec<_>>().join(",")),
            500,
        ),
    ]
}

fn cases() -> Vec<Case> {
    let settle = ["1", "f", "[]"];
    let free = ["1", "1", "f"];
    let mut cases = vec![
        case("lanes", hot::LANES, "5".to_owned(), 600),
        case("suspect_lanes", hot::SUSPECT_LANES, "5".to_owned(), 10),
        case("candidates", hot::CANDIDATES, "5, 1, '{2,1}', '{1,7}', '{0,0}', '{0,0}', 100".to_owned(), 50),
        case("claim", hot::CLAIM, format!("5, 1, {}, 1800000000000, 0, 1, 1, 65536", ids(100)), 5_000),
        case("claim_suspect", hot::CLAIM_SUSPECT, format!("5, 1, '{{{}}}', 1800000000000, 0, 1, 1, 65536", id(7)), 50),
        case("suspect", hot::SUSPECT, "5, 1, 1800000000000".to_owned(), 10),
        case("suspect_after", hot::SUSPECT_AFTER, "5, 1, 1800000000000".to_owned(), 10),
        case("lock", hot::LOCK, format!("5, {}", ids(300)), 1_000),
        case("lock_done", hot::LOCK_DONE, format!("5, {}", ids(-300)), 1_000),
        case("messages_of_pages", hot::MESSAGES_OF_PAGES, format!("5, {}, 65536", ids(100)), 1_000),
        case("finish", hot::FINISH, changes(200_100, Some("1"), "3", &settle) + ", 0, 1, " + &hundred("1"), 5_000),
        case("keep", hot::KEEP, changes(200_100, Some("1"), "0", &settle) + ", 0, 1, " + &hundred("1") + ", 0", 5_000),
        case("done_change", hot::DONE_CHANGE, changes(-300, Some("3"), "4", &settle), 5_000),
        case("free", recover::FREE, changes(200_100, None, "0", &free), 5_000),
        case("end_of", recover::END, changes(200_100, None, "4", &free), 5_000),
        case("highest_id", recover::HIGHEST_ID, "5".to_owned(), 300),
        case("parcels_held", recover::PARCELS_HELD, "5, 0, 2".to_owned(), 10),
        case("holders_of", recover::HOLDERS_OF, "5, '{1,2}', '{1,1}'".to_owned(), 100),
        case("orphans", recover::ORPHANS, "5, 3, 1, 200".to_owned(), 1_000),
        case("held_since", recover::HELD_SINCE, "5, 3, 1, 0".to_owned(), 100),
        case("strays", recover::STRAYS, format!("5, 3, 1, 1, {}", ids(200_100)), 1_000),
        case("over", page::OVER, "5, 0, 1000, 1800000000000".to_owned(), 500),
        case("waiting_of_page", page::WAITING_OF_PAGE, format!("5, {}, {}, {}", id(500), id(501), id(500)), 20),
        case("lock_waiting", page::LOCK_WAITING, format!("5, {}", ids(300)), 1_000),
        case("message_of", read::MESSAGE, format!("5, {}", id(500)), 20),
        case("deliveries", read::DELIVERIES, format!("5, {}, {}, {}", id(500), id(500), id(501)), 40),
        case("outcomes", read::OUTCOMES, format!("5, {0}, {0}, {0}, 1000", ids(500)), 1_500),
        case("ranges", read::RANGES, format!("5, {}", ids(500)), 1_000),
        case("contents", read::CONTENTS, format!("5, {}", ids(500)), 1_000),
        case("attachments", read::ATTACHMENTS, format!("5, {}", ids(500)), 1_000),
    ];
    cases.extend(cases_beside());
    cases.extend(cases_of_accounts());
    cases.extend(cases_of_history());
    cases.extend(people::cases());
    cases
}

/// A connection as the store makes them, that has prepared everything.
async fn prepared(url: &str) -> Client {
    let client = connected(url).await;
    client.batch_execute(SETTINGS).await.expect("is set");
    for Case { name, sql, .. } in cases() {
        client
            .batch_execute(&format!("PREPARE {name} AS {sql}"))
            .await
            .unwrap_or_else(|error| panic!("{name}: {error:?}"));
    }
    client
}

async fn connected(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("connects");
    tokio::spawn(connection);
    client
}

/// Runs a statement in a transaction that is rolled back; answers how many pages it looked at, and its plan.
async fn run(client: &Client, case: &Case) -> (u64, String) {
    let run = format!("BEGIN; EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {}{}; ROLLBACK", case.name, case.given());
    let said = client.simple_query(&run).await.unwrap_or_else(|error| panic!("{}: {error:?}", case.name));
    let plan = said.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    let plan: Value = serde_json::from_str(plan.expect("a plan")).expect("JSON");
    let count = |key: &str| plan[0]["Plan"][key].as_u64().expect("a count");
    (count("Shared Hit Blocks") + count("Shared Read Blocks"), plan.to_string())
}

#[tokio::test]
async fn hot_statements_look_at_a_few_pages_whenever_they_were_planned() {
    let url = shared().fresh_schema();
    let filling = connected(&url).await;
    for migration in MIGRATIONS {
        filling.batch_execute(migration.sql).await.expect("the schema");
    }
    // Statistics come when this says so.
    filling.batch_execute("ALTER TABLE delivery SET (autovacuum_enabled = off)").await.expect("is set");
    filling.batch_execute(DAYS).await.expect("the tables of days");
    let early = prepared(&url).await;
    for case in &cases() {
        run(&early, case).await;
    }
    filling.batch_execute(FILL).await.expect("the rows");
    filling.batch_execute(people::FILL).await.expect("the rows of people");
    let mut astray = Vec::new();
    let mut hold = |when: &str, case: &Case, (pages, plan): (u64, String)| {
        if pages > case.pages_max {
            astray
                .push(format!("{}, planned {when}, looks at {pages} pages, not {}: {plan}", case.name, case.pages_max));
        }
    };
    let middle = prepared(&url).await;
    for case in &cases() {
        hold("while the tables were empty", case, run(&early, case).await);
        hold("without statistics", case, run(&middle, case).await);
    }
    filling.batch_execute("ANALYZE").await.expect("statistics");
    let late = prepared(&url).await;
    for case in &cases() {
        hold("with statistics", case, run(&late, case).await);
    }
    assert!(astray.is_empty(), "{}", astray.join("\n\n"));
}
