//! The life of a delivery: its states, and [`step`], the one function that says what follows from an event (design 4).
//! Stores keep the result and decide nothing; the dispatcher and the recovery ask here.
//!
//! Two numbers order everything: `lease` grows at every claim and fences every write (an event that names an older lease
//! changes nothing), `tries` grows only for outcomes that count. Time makes a delivery eligible; only the lease decides whose
//! word counts.

use std::{fmt, time::Duration};

use crate::{
    limits,
    outcome::{Fault, Outcome, Rejection},
    retry::{RetrySchedule, Roll},
    time::Timestamp,
};

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Waits for its time or its turn.
    Ready,
    /// Claimed by a node; nothing has been sent.
    Leased,
    /// A call that cannot be taken back is about to be made or has been made.
    Sending,
    /// The provider took it. Final for the caller; a receipt may move it on.
    Accepted,
    /// A receipt says that it arrived.
    Delivered,
    /// A receipt says that it did not arrive.
    Undelivered,
    /// A receipt says that it was read.
    Read,
    /// Refused for good.
    Failed,
    /// Its time was over before it could be delivered.
    Expired,
    /// Nobody knows whether it was taken: it was sent without a verdict, or may have been sent before the store was restored.
    /// Never sent again.
    Unknown,
    /// Never tried, for the reason on record.
    Skipped,
    /// Cancelled before it was sent.
    Cancelled,
}

impl State {
    /// Every state, in the order of their stored numbers.
    pub const ALL: [Self; 12] = [
        Self::Ready,
        Self::Leased,
        Self::Sending,
        Self::Accepted,
        Self::Delivered,
        Self::Undelivered,
        Self::Read,
        Self::Failed,
        Self::Expired,
        Self::Unknown,
        Self::Skipped,
        Self::Cancelled,
    ];

    /// The stored number.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The state with this stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The shown name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Leased => "leased",
            Self::Sending => "sending",
            Self::Accepted => "accepted",
            Self::Delivered => "delivered",
            Self::Undelivered => "undelivered",
            Self::Read => "read",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Unknown => "unknown",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether delivery is still to come: ready, leased or sending.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Ready | Self::Leased | Self::Sending)
    }

    /// Whether a node holds it: leased or sending.
    pub const fn is_held(self) -> bool {
        matches!(self, Self::Leased | Self::Sending)
    }

    /// Whether the caller is told that it was not delivered (design 7).
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::Expired | Self::Skipped)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a delivery is where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The provider refused the recipient.
    RecipientRefused,
    /// The provider refused the content.
    ContentRefused,
    /// The provider put the recipient or message off.
    Deferred,
    /// The provider could not be reached or could not work.
    ProviderFault,
    /// The provider asked to slow down.
    Throttled,
    /// The provider's account or settings are wrong.
    Misconfigured,
    /// It may or may not have been taken: the connection died or the node stopped after it was sent.
    Ambiguous,
    /// The node died again and again while it alone was in flight.
    Poison,
    /// The directory has no such person, or the person is disabled.
    UnknownUser,
    /// The person has no valid address on this channel.
    NoAddress,
    /// It was open when the backup was made from which the store was restored, and may have been sent since.
    Restored,
    /// The account had sent as much as it may, or may not send at all.
    OverLimit,
    /// The provider refused the recipient, who does not follow the official account.
    NotFollowing,
    /// The provider refused the recipient, whom the platform does not know.
    NoSuchRecipient,
    /// The directory has no such department, post or role.
    UnknownGroup,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 15] = [
        Self::RecipientRefused,
        Self::ContentRefused,
        Self::Deferred,
        Self::ProviderFault,
        Self::Throttled,
        Self::Misconfigured,
        Self::Ambiguous,
        Self::Poison,
        Self::UnknownUser,
        Self::NoAddress,
        Self::Restored,
        Self::OverLimit,
        Self::NotFollowing,
        Self::NoSuchRecipient,
        Self::UnknownGroup,
    ];

    /// The stored and shown name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RecipientRefused => "recipient_refused",
            Self::ContentRefused => "content_refused",
            Self::Deferred => "deferred",
            Self::ProviderFault => "provider_fault",
            Self::Throttled => "throttled",
            Self::Misconfigured => "misconfigured",
            Self::Ambiguous => "ambiguous",
            Self::Poison => "poison",
            Self::UnknownUser => "unknown_user",
            Self::NoAddress => "no_address",
            Self::Restored => "restored",
            Self::OverLimit => "over_limit",
            Self::NotFollowing => "not_following",
            Self::NoSuchRecipient => "no_such_recipient",
            Self::UnknownGroup => "unknown_group",
        }
    }

    /// The reason with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.as_str() == name)
    }
}

/// The part of a delivery that moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Track {
    /// Where it stands.
    pub state: State,
    /// Why; the words of the provider are in the last attempt.
    pub reason: Option<Reason>,
    /// Grows at every claim; every write names the lease it belongs to.
    pub lease: u32,
    /// Outcomes that counted.
    pub tries: u16,
    /// Consecutive crashes of a node while this was in flight.
    pub crashes: u8,
    /// When it may be claimed next.
    pub due: Timestamp,
    /// When it expires.
    pub expires: Timestamp,
    /// When a call that cannot be taken back was first begun.
    pub first_try: Option<Timestamp>,
    /// An earlier try may have been taken.
    pub maybe_duplicate: bool,
}

impl Track {
    /// A delivery that may be claimed from `due` on.
    pub const fn ready(due: Timestamp, expires: Timestamp) -> Self {
        Self {
            state: State::Ready,
            reason: None,
            lease: 0,
            tries: 0,
            crashes: 0,
            due,
            expires,
            first_try: None,
            maybe_duplicate: false,
        }
    }

    /// A delivery that will never be tried.
    pub const fn skipped(reason: Reason, now: Timestamp, expires: Timestamp) -> Self {
        Self { state: State::Skipped, reason: Some(reason), ..Self::ready(now, expires) }
    }
}

/// What happens to a delivery.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A node takes it.
    Claim,
    /// The node is about to make a call that cannot be taken back. Where an earlier one may have been taken and the time for
    /// repeating it is over, the delivery becomes unknown instead.
    Intend {
        /// The lease under which it speaks.
        lease: u32,
    },
    /// A try ended.
    Finish {
        /// The lease under which it was made.
        lease: u32,
        /// How it ended.
        outcome: Outcome,
        /// The dice for the next wait.
        roll: Roll,
    },
    /// The node gives it back untried.
    GiveBack {
        /// The lease under which it speaks.
        lease: u32,
    },
    /// The node that held it is gone.
    Recover {
        /// The lease that died.
        lease: u32,
        /// Whether this (with its parcel) was all that the node had in flight.
        alone: bool,
    },
    /// Its time is over.
    Expire,
    /// Somebody cancelled it.
    Cancel,
    /// The store was restored from a backup in which this was open.
    Restore,
    /// A receipt came.
    Receipt(Receipt),
}

/// What a receipt says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// It was taken after all (a status query's answer to an unknown outcome).
    Accepted,
    /// It was not taken after all.
    Refused,
    /// It arrived.
    Delivered,
    /// It did not arrive.
    Undelivered,
    /// It was read.
    Read,
}

/// What a channel promises about repeating a try whose outcome is unknown (design 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Repeat and mark it: the reader may get it twice (SMTP, webhooks).
    AtLeastOnce,
    /// Never repeat past the point of no return (SMS, voice, WeCom).
    AtMostOnce,
    /// The provider removes duplicates for this long after the first try.
    Deduplicated(Duration),
}

impl Repeat {
    /// Whether `sending` is committed before a call.
    pub const fn needs_intent(self) -> bool {
        !matches!(self, Self::AtLeastOnce)
    }

    fn allows(self, first_try: Option<Timestamp>, now: Timestamp) -> bool {
        match self {
            Self::AtLeastOnce => true,
            Self::AtMostOnce => false,
            Self::Deduplicated(window) => {
                first_try.is_some_and(|first| now.since(first) < window.saturating_sub(limits::DEDUPE_MARGIN))
            }
        }
    }
}

/// The rules that a delivery's channel brings to [`step`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What it promises about repeating.
    pub repeat: Repeat,
    /// How long it waits between tries.
    pub retry: RetrySchedule,
}

/// What follows from `event` for a delivery that stands at `track`: its new track, or `None` where the event changes nothing
/// (it is late, a duplicate, names another lease, or does not apply to the state).
pub fn step(track: &Track, event: &Event, policy: &Policy, now: Timestamp) -> Option<Track> {
    use State as S;
    let to = |state, reason| Track { state, reason, ..*track };
    match (event, track.state) {
        (Event::Claim, S::Ready) if track.due <= now => {
            Some(Track { lease: track.lease + 1, ..to(S::Leased, track.reason) })
        }
        (Event::Intend { lease }, S::Leased) if *lease == track.lease => {
            // What may have been sent once is sent again only while its provider would know it for the same.
            if track.maybe_duplicate && !policy.repeat.allows(track.first_try, now) {
                return Some(to(S::Unknown, Some(Reason::Ambiguous)));
            }
            Some(Track { first_try: track.first_try.or(Some(now)), ..to(S::Sending, track.reason) })
        }
        (Event::GiveBack { lease }, S::Leased) if *lease == track.lease => Some(to(S::Ready, track.reason)),
        (Event::Finish { lease, outcome, roll }, _) if *lease == track.lease => {
            finish(track, outcome, *roll, policy, now)
        }
        (Event::Recover { lease, alone }, _) if *lease == track.lease => recover(track, *alone, policy, now),
        (Event::Expire, S::Ready | S::Leased) if track.expires <= now => Some(to(S::Expired, track.reason)),
        (Event::Cancel, S::Ready) => Some(to(S::Cancelled, track.reason)),
        (Event::Restore, S::Ready | S::Leased | S::Sending) => Some(to(S::Unknown, Some(Reason::Restored))),
        (Event::Receipt(receipt), _) => received(track, *receipt),
        _ => None,
    }
}

/// A try ended. The late truth of a lease that nobody has claimed since still counts where it is final: a delivery that was
/// given back (`ready`) or given up (`unknown`) meanwhile becomes what it really is.
fn finish(track: &Track, outcome: &Outcome, roll: Roll, policy: &Policy, now: Timestamp) -> Option<Track> {
    let late = match track.state {
        State::Leased | State::Sending => false,
        State::Ready | State::Unknown if track.lease > 0 => true,
        _ => return None,
    };
    let finished = Track { crashes: 0, first_try: track.first_try.or(Some(now)), ..*track };
    let tried = Track { tries: track.tries.saturating_add(1), ..finished };
    let wait = |base: Track, wait: Duration, reason| Track {
        state: State::Ready,
        reason: Some(reason),
        due: (now + wait).min(track.expires).max(now),
        ..base
    };
    match outcome {
        Outcome::Accepted { .. } => Some(Track { state: State::Accepted, reason: None, ..tried }),
        Outcome::Rejected(rejection) => {
            let reason = match rejection {
                Rejection::Recipient => Reason::RecipientRefused,
                Rejection::NotFollowing => Reason::NotFollowing,
                Rejection::NoSuchRecipient => Reason::NoSuchRecipient,
                Rejection::Content => Reason::ContentRefused,
            };
            Some(Track { state: State::Failed, reason: Some(reason), ..tried })
        }
        _ if late => None,
        Outcome::Deferred { after, fault: Fault::Recipient } => {
            Some(wait(tried, after.unwrap_or_else(|| policy.retry.wait(tried.tries, roll)), Reason::Deferred))
        }
        Outcome::Deferred { after, fault: Fault::Provider } => {
            Some(wait(finished, after.unwrap_or_else(|| fault_wait(&finished, roll, now)), Reason::ProviderFault))
        }
        Outcome::Throttled { until, .. } => Some(wait(finished, roll.no_earlier(until.since(now)), Reason::Throttled)),
        Outcome::Misconfigured => Some(wait(finished, fault_wait(&finished, roll, now), Reason::Misconfigured)),
        Outcome::Unknown if policy.repeat.allows(finished.first_try, now) => {
            let again = Track { maybe_duplicate: true, ..tried };
            Some(wait(again, policy.retry.wait(again.tries, roll), Reason::Ambiguous))
        }
        Outcome::Unknown | Outcome::PartlySent => {
            Some(Track { state: State::Unknown, reason: Some(Reason::Ambiguous), ..tried })
        }
    }
}

/// How long a delivery waits after a fault of its provider, which is no try of its own: half as long again as it has been
/// trying, so that one which brings the fault about does not come back every few seconds for a day.
fn fault_wait(track: &Track, roll: Roll, now: Timestamp) -> Duration {
    let (first, most) = limits::PROVIDER_FAULT_WAIT;
    let trying = track.first_try.map_or(Duration::ZERO, |first| now.since(first));
    roll.jitter((trying / 2).clamp(first, most))
}

/// The node that held it is gone. What was only leased goes back, on a channel without an intent marked as perhaps sent;
/// what was being sent goes back only where the channel may repeat it.
fn recover(track: &Track, alone: bool, policy: &Policy, now: Timestamp) -> Option<Track> {
    if !track.state.is_held() {
        return None;
    }
    let crashed = Track { crashes: track.crashes.saturating_add(1), ..*track };
    if alone && track.crashes >= limits::CRASHES_BEFORE_ALONE {
        return Some(Track { state: State::Failed, reason: Some(Reason::Poison), ..crashed });
    }
    let perhaps_sent = track.state == State::Sending || !policy.repeat.needs_intent();
    if track.state == State::Sending && !policy.repeat.allows(track.first_try, now) {
        return Some(Track { state: State::Unknown, reason: Some(Reason::Ambiguous), ..crashed });
    }
    Some(Track { state: State::Ready, maybe_duplicate: track.maybe_duplicate || perhaps_sent, ..crashed })
}

/// A receipt never takes back what a better one said: read over delivered over undelivered over accepted.
fn received(track: &Track, receipt: Receipt) -> Option<Track> {
    use State as S;
    let state = match (receipt, track.state) {
        (Receipt::Accepted, S::Unknown) => S::Accepted,
        (Receipt::Refused, S::Unknown) => S::Failed,
        (Receipt::Delivered, S::Accepted | S::Unknown | S::Undelivered) => S::Delivered,
        (Receipt::Undelivered, S::Accepted | S::Unknown) => S::Undelivered,
        (Receipt::Read, S::Accepted | S::Unknown | S::Undelivered | S::Delivered) => S::Read,
        _ => return None,
    };
    let reason = if state == S::Failed { Some(Reason::RecipientRefused) } else { None };
    Some(Track { state, reason, ..*track })
}

#[cfg(test)]
mod tests;
