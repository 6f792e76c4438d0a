//! What the partial indexes of history are made of: the tables have them, and days that an earlier program made are given them.
//!
//! Four conditions say that the message is an account's, all differently: the planner takes none for another, so it finds for
//! each statement (`sql/history.rs`) the one index that was made for it, even while it knows nothing of what the tables hold.

use hongyan_core::{account::AccountNo, delivery::State};

/// The state is written into the index of doubts.
const _: () = assert!(State::Unknown.number() == 9);

/// From which number on apps are accounts is written into the indexes of their history, and that no bit lies above it.
const _: () = assert!(AccountNo(0).as_app().0 == 1_073_741_824);

/// The states are written into the indexes of what came to nothing.
const _: () = {
    let mut number = 0;
    while number < State::ALL.len() {
        let state = State::ALL[number];
        let is_failed = state.is_failure() || matches!(state, State::Undelivered);
        assert!(is_failed == matches!(state.number(), 5 | 7 | 8 | 10));
        number += 1;
    }
};

/// What the index of doubts is made of.
macro_rules! doubts {
    () => {
        "(bucket, channel, id) WHERE state = 9 AND reason IS DISTINCT FROM 'restored'"
    };
}

/// What the indexes of accounts' histories are made of: one's own, and everybody's.
macro_rules! own {
    () => {
        "(bucket, app, id) WHERE app >= 1073741824"
    };
}
macro_rules! anyones {
    () => {
        "(bucket, id) WHERE app / 1073741824 = 1"
    };
}

/// The same by recipient, of whom callers may say more than an index can hold: the beginning.
macro_rules! own_to {
    () => {
        "(bucket, app, (left(recipient, 64) COLLATE \"C\"), id) WHERE app >> 30 = 1"
    };
}
macro_rules! anyones_to {
    () => {
        "(bucket, (left(recipient, 64) COLLATE \"C\"), id) WHERE app & 1073741824 > 0"
    };
}

/// The same of what came to nothing.
macro_rules! own_failed {
    () => {
        "(bucket, app, id) WHERE app >> 30 > 0 AND state IN (5, 7, 8, 10)"
    };
}
macro_rules! anyones_failed {
    () => {
        "(bucket, id) WHERE app & 1073741824 <> 0 AND state IN (5, 7, 8, 10)"
    };
}

/// What the index of callers' own numbers is made of. It does not begin with the bucket: one look finds the messages of one number
/// in all buckets, the newest day first, where a look for each bucket would open each day 64 times.
macro_rules! businesses {
    () => {
        "(app, business, id) WHERE business <> ''"
    };
}

pub(crate) use {anyones, anyones_failed, anyones_to, businesses, doubts, own, own_failed, own_to};
