//! Opening: an empty database becomes a store, by whichever of many nodes comes first; what is not ours or newer is left alone.

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

/// What the newest migration has to give tables that are there already, it gives them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_of_the_version_before_becomes_one_of_this() {
    let url = shared().fresh_schema();
    drop(opened(&url).await);
    let made = structure(&url);
    let undo = "DROP TABLE account, account_contact, account_token, sent, follower, follower_tag; \
        ALTER TABLE message DROP COLUMN client; DROP INDEX own, anyones, own_done, anyones_done; \
        DROP INDEX own_to, anyones_to, own_to_done, anyones_to_done; \
        DROP INDEX own_failed, anyones_failed, own_failed_done, anyones_failed_done; \
        UPDATE hongyan_schema SET version = 3";
    sql(&url, undo).expect("as it was before");
    assert_ne!(structure(&url), made);
    let opens = (0..4).map(|_| {
        let url = url.clone();
        tokio::spawn(async move { opened(&url).await })
    });
    for opened in opens.collect::<Vec<_>>() {
        drop(opened.await.expect("ends"));
    }
    drop(opened(&url).await);
    assert_eq!(structure(&url), made);
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
