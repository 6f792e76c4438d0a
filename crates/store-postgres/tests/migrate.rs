//! Opening: an empty database becomes a store, by whichever of many nodes comes first; what is not ours or newer is left alone.

use hongyan_core::{
    delivery::Reason,
    id::{Id, IdSource},
    inbox::InboxFilter,
    message::{Label, MessageState},
    setup::ChannelNo,
    store::{Addressee, Directory, Inboxes, Listed, Messages, Page, Place, Upkeep, Way, Who},
    time::{Clock, SystemClock},
};
use hongyan_store_postgres::{OpenError, Options, PostgresStore, inspect, open};
use hongyan_store_suite::postgres::{shared, sql};

async fn opened(url: &str) -> std::sync::Arc<PostgresStore> {
    open(url, Options::default()).await.expect("opens")
}

async fn refusal(url: &str) -> OpenError {
    match open(url, Options::default()).await {
        Ok(_) => panic!("{url} is refused"),
        Err(error) => error,
    }
}

/// Everything in a schema, as text: tables with their columns, and indexes.
fn structure(url: &str) -> String {
    let columns = "select table_name, column_name, data_type from information_schema.columns \
                   where table_schema = current_schema() order by 1, 2";
    let indexes = "select indexname, replace(indexdef, current_schema(), '') from pg_indexes \
                   where schemaname = current_schema() order by 1";
    sql(url, columns).expect("columns") + &sql(url, indexes).expect("indexes")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_nodes_make_one_store_of_an_empty_database() {
    let (url, other) = (shared().fresh_schema(), shared().fresh_schema());
    let opens = (0..10).map(|_| {
        let url = url.clone();
        tokio::spawn(async move { opened(&url).await })
    });
    let mut stores = Vec::new();
    for opened in opens.collect::<Vec<_>>() {
        stores.push(opened.await.expect("ends"));
    }
    assert_eq!(
        sql(&url, "select count(*), count(distinct number) from node where ended is null").as_deref(),
        Ok("10|10")
    );
    assert_eq!(sql(&url, "select version, oldest from hongyan_schema").as_deref(), Ok("5|1"));
    drop(opened(&other).await);
    assert_eq!(structure(&url), structure(&other), "the same as one node makes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_is_opened_again_and_again() {
    let url = shared().fresh_schema();
    drop(opened(&url).await);
    let made = structure(&url);
    drop(opened(&url).await);
    assert_eq!(structure(&url), made);
}

/// What the newest migration added, taken away again.
const UNDO: &str = "DROP TABLE group_numbering, people_group, member, presence, inbox_item, inbox_token, broadcast; \
    DROP INDEX person_code, person_email, person_phone, expansion_due, businesses; \
    ALTER TABLE message DROP COLUMN label, DROP COLUMN business; \
    ALTER TABLE expansion DROP COLUMN due, DROP COLUMN mark, DROP COLUMN who, DROP COLUMN app, DROP COLUMN template, \
        DROP COLUMN channels; \
    UPDATE hongyan_schema SET version = 4";

/// What a program of version 4 stored: a message that is being expanded, with its list, and two people.
const STORED: &str = "INSERT INTO message (bucket, id, app, channel, dialect, operation, caller, priority, accepted, expires, last, \
        attachments, content) VALUES (ID & 63, ID, 7, 3, 'cmsi', 'send_mail', 'admin', 2, 5, 6, ID, 0, '{\"text\":{\"text\":\"hi\"}}'); \
    INSERT INTO expansion (bucket, message, cursor) VALUES (ID & 63, ID, 1); \
    INSERT INTO audience VALUES (ID & 63, ID, '[[\"a\",\"a@x\",null],[\"b\",\"\",\"no_address\"]]'); \
    INSERT INTO person VALUES ('ann', '', 'Ann@example.com', '', '', '', true), ('off', '', '', '', '', '', false)";

/// What the newest migration has to give tables that are there already, it gives them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_of_the_version_before_becomes_one_of_this() {
    let url = shared().fresh_schema();
    drop(opened(&url).await);
    let made = structure(&url);
    sql(&url, UNDO).expect("as it was before");
    assert_ne!(structure(&url), made);
    let id = IdSource::new(0, None).block(1, 9, SystemClock.now()).expect("ids");
    sql(&url, &STORED.replace("ID", &id.to_string())).expect("stored before");
    let opens = (0..4).map(|_| {
        let url = url.clone();
        tokio::spawn(async move { opened(&url).await })
    });
    for opened in opens.collect::<Vec<_>>() {
        drop(opened.await.expect("ends"));
    }
    sql(&url, "UPDATE node SET ended = clock_timestamp()").expect("this one looks after all buckets");
    let node = opened(&url).await;
    assert_eq!(structure(&url), made);
    let now = node.clock().now();
    let [expansion] = &node.expansions(None, 9, now).await.expect("lists")[..] else { panic!("one is being expanded") };
    let way = Way { channel: ChannelNo(3), parcel_max: 1 };
    let who = |recipient: &str, address: &str, skipped| Addressee {
        recipient: recipient.to_owned(),
        address: address.to_owned(),
        skipped,
    };
    let addressees = vec![who("a", "a@x", None), who("b", "", Some(Reason::NoAddress))];
    assert_eq!(expansion.rest.who, Who::Listed(vec![Listed { way, addressees }]));
    assert_eq!((expansion.message.id, &expansion.place), (id, &Place { step: 1, mark: String::new() }));
    assert_eq!((expansion.message.state, &expansion.message.label), (MessageState::Expanding, &Label::default()));
    let page = Page { message: id, from: expansion.place.clone(), to: None, page: Vec::new(), broadcast: None };
    assert_eq!(node.page_add(page, now).await, Ok(true));
    assert_eq!(node.message_read(id).await.expect("reads").expect("is there").message.state, MessageState::Expanded);
    assert_eq!(sql(&url, "select count(*) from audience").as_deref(), Ok("0"));
    people_of_before(&node, &url, id).await;
}

/// People whom programs of version 4 have added, before and beside this one, were there ever since.
async fn people_of_before(node: &PostgresStore, url: &str, id: Id) {
    let reached = node.users_reached(vec!["ANN@example.com".to_owned()], Vec::new()).await.expect("finds");
    assert_eq!(reached.iter().map(|user| user.code.as_str()).collect::<Vec<_>>(), ["ann"]);
    sql(url, "INSERT INTO person VALUES ('bob', '', '', '', '', '', true)")
        .expect("added by a node of the version before");
    let fired = node.clock().now().ms();
    sql(url, &format!("INSERT INTO broadcast VALUES ({id}, 7, 3, '', '', {fired})")).expect("fires");
    let mended = opened(url).await;
    let found =
        async |user: &str| mended.inbox(user.to_owned(), InboxFilter::default(), None, 9).await.expect("lists").len();
    assert_eq!((found("ann").await, found("off").await, found("bob").await), (1, 0, 1));
}

/// What the days are given that were made before they could have the index of businesses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_days_of_the_version_before_are_given_their_indexes() {
    let url = shared().fresh_schema();
    drop(opened(&url).await);
    let indexed = "select count(*) from pg_indexes where schemaname = current_schema() and tablename like 'message%' \
        and indexdef like '%business <>%'";
    let days = "select 1 + count(*) from pg_inherits where inhparent = 'message'::regclass";
    assert_eq!(sql(&url, indexed), sql(&url, days));
    sql(&url, UNDO).expect("as it was before");
    assert_eq!(sql(&url, indexed).as_deref(), Ok("0"));
    drop(opened(&url).await);
    assert_eq!(sql(&url, indexed), sql(&url, days), "the days that were there as well");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn goes_on_where_another_node_died_between_table_and_schema() {
    let url = shared().fresh_schema();
    let table =
        "create table hongyan_schema (one smallint primary key, version integer not null, oldest integer not null)";
    sql(&url, table).expect("made");
    sql(&url, "insert into hongyan_schema values (1, 0, 0)").expect("kept");
    drop(opened(&url).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_schema_is_used_where_it_may_be() {
    let url = shared().fresh_schema();
    drop(opened(&url).await);
    sql(&url, "update hongyan_schema set version = 7").expect("a newer program's, which only added");
    drop(opened(&url).await);
    assert_eq!(sql(&url, "select version, oldest from hongyan_schema").as_deref(), Ok("7|1"), "it stays what it is");
    assert_eq!(inspect(&url).await.expect("is looked at").schema_version, Some(7));

    sql(&url, "update hongyan_schema set oldest = 6").expect("a newer program's, which took something away");
    let nodes = sql(&url, "select count(*) from node");
    for error in [refusal(&url).await, inspect(&url).await.expect_err("is refused")] {
        let said = error.to_string();
        assert!(matches!(error, OpenError::Newer { version: 7, oldest: 6, .. }), "{said}");
        assert!(said.contains("use the newer program"), "{said}");
    }
    assert_eq!(sql(&url, "select count(*) from node"), nodes, "nothing was registered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_of_another_program_are_left_alone() {
    let url = shared().fresh_schema();
    sql(&url, "create table message (text text)").expect("somebody else's");
    for error in [refusal(&url).await, inspect(&url).await.expect_err("is refused")] {
        let said = error.to_string();
        assert!(matches!(error, OpenError::Foreign { .. }) && said.contains("\"message\""), "{said}");
    }
    let tables = "select string_agg(tablename, ',') from pg_tables where schemaname = current_schema()";
    assert_eq!(sql(&url, tables).as_deref(), Ok("message"));
    // What does not bear a name of ours is not in our way.
    let url = shared().fresh_schema();
    sql(&url, "create table invoice (total integer)").expect("somebody else's");
    drop(opened(&url).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn says_where_a_schema_is_missing_or_closed() {
    let url = format!("{}?options=-csearch_path%3Dnowhere_at_all", shared().url());
    assert!(matches!(refusal(&url).await, OpenError::NoSchema));

    let url = shared().fresh_schema();
    let schema = url.rsplit("%3D").next().expect("its name");
    shared().sql(&format!("create role guest_{schema} login; grant usage on schema {schema} to guest_{schema}"));
    let said = refusal(&url.replace("postgres@", &format!("guest_{schema}@"))).await.to_string();
    assert!(said.contains("permission denied for schema") && said.contains("GRANT"), "{said}");
}
