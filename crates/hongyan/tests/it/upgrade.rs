//! A rolling upgrade: the program from before the newest migration and this one on one database, the schema changed under load.

use std::{process::Command, time::Duration};

use hongyan_store_suite::postgres;
use serde_json::json;

use crate::support::{
    PATIENCE,
    fleet::{Fleet, wait_for_shares, wait_until_ready},
    judge::{Judge, Temper},
    load::Load,
    server::{Server, plan},
    wait_for,
};

const VERSION: &str = "select version from hongyan_schema";

/// The program as it was before the newest migration, built from this repository's history.
fn previous() -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/previous.sh");
    let built = Command::new("sh").arg(script).output().expect("a shell");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    String::from_utf8(built.stdout).expect("a path").trim().to_owned()
}

/// The same node run by another program.
fn run_by(program: &str, command: &Command) -> Command {
    let mut other = Command::new(program);
    other.args(command.get_args());
    other
}

#[test]
fn old_and_new_work_side_by_side_and_the_schema_changes_under_load() {
    let previous = previous();
    let judge = Judge::start(Temper::default());
    let plan = plan("cmsi.wait = \"0s\"", &judge.provider(16, Duration::from_millis(2)));
    let fleet = Fleet::new(postgres::shared().fresh_schema(), plan);
    let old = |name: &str| Server::spawn(run_by(&previous, &fleet.serve(name)));

    let (first, second) = (old("first"), old("second"));
    let before: u32 = fleet.sql(VERSION).parse().expect("a number");
    wait_for_shares(&first, 2);
    let load = Load::start(8, &[first.address, second.address], 300);
    let sent = |mails: usize| wait_for("mails", PATIENCE, || (load.told.count() >= mails).then_some(()));
    sent(300);

    let new = Server::spawn(fleet.serve("new"));
    let after: u32 = fleet.sql(VERSION).parse().expect("a number");
    assert_eq!(after, before + 1, "the newest migration has run, and only that");
    wait_for_shares(&new, 3);
    sent(load.told.count() + 300);
    wait_until_ready(&[&first, &second, &new], PATIENCE);

    assert!(first.terminate().success());
    sent(load.told.count() + 300);
    let told = load.stop();
    assert!(second.terminate().success());
    let only_new = new.send_mail(json!({ "receiver": "by-the-new@example.com" }));
    assert_eq!(only_new["result"], true, "{only_new}");

    // An upgrade that is taken back: the old program works on the newer schema.
    let again = old("again");
    let by_the_old = again.send_mail(json!({ "receiver": "by-the-old@example.com" }));
    assert_eq!(by_the_old["result"], true, "{by_the_old}");
    new.wait_until(&by_the_old, "accepted");
    new.wait_until(&only_new, "accepted");
    let unknown = fleet.reckon(&told, &judge, "a rolling upgrade");
    assert_eq!(unknown, 0, "nobody died");
}
