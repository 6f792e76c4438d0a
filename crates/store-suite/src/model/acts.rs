//! What may happen in a random history.

use std::time::Duration;

use hongyan_core::{
    delivery::Event,
    outcome::{Fault, Outcome, Rejection},
    retry::Roll,
};
use proptest::{prelude::*, sample::Index};

use crate::world::{accepted, deferred};

#[derive(Clone, Debug)]
pub(super) enum Act {
    /// By app 4: by an account, under a limit of a day.
    Submit {
        sms: bool,
        /// By the other channel, too, one by one.
        both: bool,
        priority: u8,
        app: u32,
        rows: usize,
        parcel_max: usize,
        due_in: u64,
        lives: u64,
    },
    /// So many follow in later pages, by mail and then by SMS, from a time on; with a first page or without.
    Follow {
        first: bool,
        mail: usize,
        sms: usize,
        due_in: u64,
    },
    /// The next page of what is to be expanded, of so many.
    Expand {
        size: usize,
    },
    Hasten(Index),
    Slots {
        sms: bool,
        slots: usize,
    },
    Claim {
        sms: bool,
        limit: usize,
    },
    Settle(Vec<(Index, End)>),
    Crash,
    Pass {
        secs: u64,
    },
    Cancel(Index),
    Expire,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Accepted,
    Deferred(u64),
    ProviderFault,
    Rejected,
    Misconfigured,
    Unknown,
    Intend,
    GiveBack,
    Expire,
}

/// Mostly now.
fn later() -> impl Strategy<Value = u64> {
    prop_oneof![3 => Just(0u64), 1 => 1u64..60]
}

pub(super) fn acts() -> impl Strategy<Value = Vec<Act>> {
    let end = prop_oneof![
        3 => Just(End::Accepted),
        2 => (0u64..40).prop_map(End::Deferred),
        1 => Just(End::ProviderFault),
        1 => Just(End::Rejected),
        1 => Just(End::Misconfigured),
        2 => Just(End::Unknown),
        2 => Just(End::Intend),
        2 => Just(End::GiveBack),
        1 => Just(End::Expire),
    ];
    let act = prop_oneof![
        6 => (any::<(bool, bool)>(), 1u8..=3, 1u32..5, 1usize..6, 0usize..6, later(), 5u64..400)
            .prop_map(|((sms, both), priority, app, rows, parcel_max, due_in, lives)| {
                Act::Submit { sms, both, priority, app, rows, parcel_max, due_in, lives }
            }),
        2 => (any::<bool>(), 0usize..5, 0usize..5, later())
            .prop_map(|(first, mail, sms, due_in)| Act::Follow { first, mail, sms, due_in }),
        4 => (1usize..6).prop_map(|size| Act::Expand { size }),
        2 => any::<Index>().prop_map(Act::Hasten),
        2 => (any::<bool>(), 0usize..4).prop_map(|(sms, slots)| Act::Slots { sms, slots }),
        6 => (any::<bool>(), 1usize..6).prop_map(|(sms, limit)| Act::Claim { sms, limit }),
        6 => prop::collection::vec((any::<Index>(), end), 1..8).prop_map(Act::Settle),
        4 => Just(Act::Crash),
        3 => prop_oneof![Just(0u64), 10u64..100].prop_map(|secs| Act::Pass { secs }),
        1 => any::<Index>().prop_map(Act::Cancel),
        1 => Just(Act::Expire),
    ];
    prop::collection::vec(act, 1..60)
}

/// How a lease ends.
pub(super) fn event(end: End, lease: u32) -> Event {
    let outcome = match end {
        End::Accepted => accepted(),
        End::Deferred(secs) => deferred(Duration::from_secs(secs)),
        End::ProviderFault => Outcome::Deferred { after: None, fault: Fault::Provider },
        End::Rejected => Outcome::Rejected(Rejection::Recipient),
        End::Misconfigured => Outcome::Misconfigured,
        End::Unknown => Outcome::Unknown,
        End::Intend => return Event::Intend { lease },
        End::GiveBack => return Event::GiveBack { lease },
        End::Expire => return Event::Expire,
    };
    Event::Finish { lease, outcome, roll: Roll::NONE }
}
