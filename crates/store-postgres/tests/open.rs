//! Opening.
use hongyan_store_postgres::{Options, open};
use hongyan_store_suite::postgres::shared;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opens_an_empty_database_and_again() {
    let url = shared().fresh_schema();
    let t = std::time::Instant::now();
    let store = open(&url, Options::default()).await.expect("opens");
    println!("first {:?}", t.elapsed());
    drop(store);
    let t = std::time::Instant::now();
    let store = open(&url, Options::default()).await.expect("opens");
    println!("again {:?}", t.elapsed());
    drop(store);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once() {
    let url = shared().fresh_schema();
    let opens = (0..10).map(|_| {
        let url = url.clone();
        tokio::spawn(async move { open(&url, Options::default()).await.map(drop) })
    });
    for opened in opens.collect::<Vec<_>>() {
        opened.await.unwrap().unwrap();
    }
}
