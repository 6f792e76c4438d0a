//! A node that stands still for less than its lease, with calls that cannot be taken back under way: nobody declares it dead, so
//! nobody but itself can put right what it was about to do.

use std::time::{Duration, Instant};

use hongyan_store_suite::postgres;

use crate::support::{
    PATIENCE,
    fleet::{Fleet, this},
    judge::{Judge, Temper},
    load::Load,
    server::{plan, signal},
    wait_for,
};

/// Longer than a node relies on its last heartbeat (10 s), shorter than its lease (15 s).
const STALL: Duration = Duration::from_secs(12);
const CALLS: u32 = 16;

#[test]
fn what_it_was_about_to_send_is_sent_when_it_goes_on() {
    let judge = Judge::start(Temper::default());
    let plan = plan("cmsi.wait = \"0s\"", &judge.provider(CALLS, Duration::from_millis(20)));
    let fleet = Fleet::new(postgres::shared().fresh_schema(), plan);
    let nodes = fleet.start(1);
    let before = this(&nodes[0]);
    let load = Load::start(8, &[nodes[0].address], 400);
    wait_for("some mails", PATIENCE, || (load.told.count() >= 400).then_some(()));

    signal(nodes[0].pid(), "STOP");
    let stopped = Instant::now();
    wait_for("the node to have stood still", PATIENCE, || (stopped.elapsed() >= STALL).then_some(()));
    signal(nodes[0].pid(), "CONT");
    let held = load.told.count();
    wait_for("it to go on", PATIENCE, || (load.told.count() >= held + 400).then_some(()));
    let told = load.stop();
    let unknown = fleet.reckon(&told, &judge, "a stall");
    assert!(unknown <= CALLS as usize, "only calls that were under way can be in doubt: {unknown}");
    assert_eq!(this(&nodes[0]).epoch, before.epoch, "nobody declared it dead");
}
