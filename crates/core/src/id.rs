//! Identifiers: positive 63-bit integers that grow with time, so that every index over them appends (design 1).
//!
//! From the top: 41 bits of milliseconds since 2020-01-01 UTC, 8 bits of node, 8 bits of counter, 6 bits of bucket. As JSON
//! they are decimal strings. A message's id and the ids of its first deliveries come from one [`IdSource::block`]: the
//! message has the first, its deliveries the following ones, so that a range over the primary key finds them.

use std::{
    fmt,
    num::ParseIntError,
    str::FromStr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use crate::{limits, number::AppNo, time::Timestamp};

/// 2020-01-01 00:00:00 UTC in milliseconds since the Unix epoch.
const EPOCH_MS: i64 = 1_577_836_800_000;
const BUCKET_BITS: u32 = 6;
const COUNTER_BITS: u32 = 8;
const NODE_BITS: u32 = 8;
const STEP: i64 = 1 << BUCKET_BITS;
const COUNTERS: i64 = 1 << COUNTER_BITS;
/// The last moment that an id can have, in milliseconds after the first.
const MS_MAX: i64 = i64::MAX >> (NODE_BITS + COUNTER_BITS + BUCKET_BITS);

/// The identifier of a message, a delivery or anything else that is born often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(i64);

impl Id {
    /// The id with this number, if it is positive.
    pub const fn from_i64(number: i64) -> Option<Self> {
        if number > 0 { Some(Self(number)) } else { None }
    }

    /// The number.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The bucket (0..64) by which a store may distribute what carries this id.
    pub const fn bucket(self) -> u8 {
        (self.0 & (STEP - 1)) as u8
    }

    /// The moment in the id. It may lie up to [`limits::ID_BORROW_MAX`] ahead of the clock that made it.
    pub const fn time(self) -> Timestamp {
        Timestamp::from_ms((self.0 >> (NODE_BITS + COUNTER_BITS + BUCKET_BITS)) + EPOCH_MS)
    }

    /// The lowest id whose moment is `moment` or later; the highest id where none has such a moment.
    pub const fn lowest_at(moment: Timestamp) -> Self {
        let ms = moment.ms().saturating_sub(EPOCH_MS);
        match ms {
            ..=0 => Self(1),
            1..=MS_MAX => Self::from_parts(ms, 0, 0, 0),
            _ => Self(i64::MAX),
        }
    }

    /// The id `n` places further in the block that this id begins or belongs to.
    pub fn plus(self, n: usize) -> Self {
        let (mut time, node, mut counter, bucket) = self.parts();
        counter += i64::try_from(n).unwrap_or(i64::MAX / COUNTERS);
        time += counter / COUNTERS;
        Self::from_parts(time, node, counter % COUNTERS, bucket)
    }

    fn parts(self) -> (i64, i64, i64, i64) {
        let bucket = self.0 & (STEP - 1);
        let counter = (self.0 >> BUCKET_BITS) & (COUNTERS - 1);
        let node = (self.0 >> (BUCKET_BITS + COUNTER_BITS)) & ((1 << NODE_BITS) - 1);
        (self.0 >> (NODE_BITS + COUNTER_BITS + BUCKET_BITS), node, counter, bucket)
    }

    const fn from_parts(time: i64, node: i64, counter: i64, bucket: i64) -> Self {
        Self((((time << NODE_BITS | node) << COUNTER_BITS | counter) << BUCKET_BITS) | bucket)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Why a text is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseIdError {
    /// It is not a decimal number of 63 bits.
    #[error("an id is a decimal number: {0}")]
    NotANumber(#[from] ParseIntError),
    /// It is zero or negative.
    #[error("an id is positive")]
    NotPositive,
}

impl FromStr for Id {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_i64(text.parse()?).ok_or(ParseIdError::NotPositive)
    }
}

/// The ids of this node have run too far ahead of its clock: more than [`limits::ID_BORROW_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("identifiers have run ahead of the clock; try again in a moment")]
pub struct IdsExhausted;

/// Where a node takes its ids from. It never returns an id at or below one that it returned before: on a full counter or
/// a clock that steps back it borrows from the milliseconds to come, [`limits::ID_BORROW_MAX`] at most.
#[derive(Debug)]
pub struct IdSource {
    place: Mutex<Place>,
    /// The bucket for what has none of its own.
    home: AtomicU8,
}

#[derive(Debug)]
struct Place {
    node: i64,
    /// The next free (time, counter), as one number: `time * COUNTERS + counter`.
    next: i64,
}

impl IdSource {
    /// A source for node number `node` that starts above `last`, the highest id that this node number is known to have used.
    pub fn new(node: u8, last: Option<Id>) -> Self {
        let next = last.map_or(0, |id| {
            let (time, _, counter, _) = id.parts();
            time * COUNTERS + counter + 1
        });
        Self { place: Mutex::new(Place { node: i64::from(node), next }), home: AtomicU8::new(0) }
    }

    /// `n` ids in a row in one bucket; the first is returned, the others are [`Id::plus`] 1, 2, … of it.
    ///
    /// # Errors
    /// [`IdsExhausted`] when the ids would run more than [`limits::ID_BORROW_MAX`] ahead of `now`.
    pub fn block(&self, n: usize, bucket: u8, now: Timestamp) -> Result<Id, IdsExhausted> {
        let count = i64::try_from(n).map_err(|_| IdsExhausted)?;
        let time = (now.ms() - EPOCH_MS).max(1);
        let mut place = self.place();
        let first = place.next.max(time * COUNTERS);
        let end = first + count;
        if end / COUNTERS > time + millis(limits::ID_BORROW_MAX) {
            return Err(IdsExhausted);
        }
        place.next = end;
        Ok(Id::from_parts(first / COUNTERS, place.node, first % COUNTERS, i64::from(bucket) & (STEP - 1)))
    }

    /// The bucket for what has none of its own: one that this node prefers, the same for a while, so that what shares a
    /// commit shares a bucket (design 6).
    pub fn home(&self) -> u8 {
        self.home.load(Ordering::Relaxed)
    }

    /// From now on `bucket` is home.
    pub fn move_home(&self, bucket: u8) {
        self.home.store(bucket, Ordering::Relaxed);
    }

    /// A moment that lies behind no id given out so far.
    pub fn reached(&self) -> Timestamp {
        Timestamp::from_ms(self.place().next / COUNTERS + 1 + EPOCH_MS)
    }

    /// From now on ids are those of node number `node`, and none lies before `from`.
    pub fn renumber(&self, node: u8, from: Timestamp) {
        let mut place = self.place();
        place.node = i64::from(node);
        place.next = place.next.max((from.ms() - EPOCH_MS).max(0) * COUNTERS);
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bucket of an idempotency key: repeats of one request meet in one place (design 6). FNV-1a, because every version of
/// the program must agree on it.
pub fn bucket_of_key(app: AppNo, key: &str) -> u8 {
    fnv_bucket(app.0.to_be_bytes().into_iter().chain([0]).chain(key.bytes()))
}

/// The bucket of what is known by a name alone: an account, a pace.
pub fn bucket_of_name(name: &str) -> u8 {
    fnv_bucket(name.bytes())
}

/// The top six bits of the FNV-1a hash.
fn fnv_bucket(bytes: impl Iterator<Item = u8>) -> u8 {
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (hash >> 58) as u8
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);

    #[test]
    fn carries_time_and_bucket() {
        let id = IdSource::new(7, None).block(1, 63, NOW).expect("fresh source");
        assert_eq!((id.time(), id.bucket()), (NOW, 63));
        assert_eq!(id.to_string().parse::<Id>(), Ok(id));
    }

    #[test]
    fn no_id_of_a_moment_lies_below_its_lowest() {
        let lowest = Id::lowest_at(NOW);
        assert_eq!(IdSource::new(0, None).block(1, 0, NOW), Ok(lowest));
        assert!(Id(lowest.get() - 1).time() < NOW);
        assert_eq!(Id::lowest_at(Timestamp::from_ms(0)), Id(1));
        assert_eq!(Id::lowest_at(Timestamp::MAX), Id(i64::MAX), "ids end before time does");
    }

    #[test]
    fn the_bucket_of_a_key_never_changes() {
        assert_eq!((bucket_of_key(AppNo(1), "k"), bucket_of_key(AppNo(7), "order-1")), (51, 50));
        assert_eq!((bucket_of_name(""), bucket_of_name("account/17")), (50, 23));
    }

    #[test]
    fn refuses_what_is_no_id() {
        assert_eq!("0".parse::<Id>(), Err(ParseIdError::NotPositive));
        assert!(matches!("x".parse::<Id>(), Err(ParseIdError::NotANumber(_))));
        assert!("9223372036854775808".parse::<Id>().is_err());
    }

    #[test]
    fn borrows_ten_seconds_and_no_more() {
        let ids = IdSource::new(0, None);
        let per_second = 256_000;
        for _ in 0..10 {
            ids.block(per_second, 0, NOW).expect("within what may be borrowed");
        }
        assert_eq!(ids.block(per_second, 0, NOW), Err(IdsExhausted));
        assert!(ids.block(per_second, 0, NOW + Duration::from_secs(2)).is_ok());
    }

    #[test]
    fn a_number_that_is_taken_over_goes_on_above() {
        let ids = IdSource::new(0, None);
        let before = ids.block(700, 0, NOW).expect("ids").plus(699);
        assert!(before.time() < ids.reached());
        ids.renumber(9, ids.reached() + Duration::from_secs(5));
        let after = ids.block(1, 0, NOW).expect("within what may be borrowed");
        assert!(after.time() >= before.time() + Duration::from_secs(5));
    }

    proptest! {
        #[test]
        fn ids_only_grow_whatever_the_clock_does(steps in prop::collection::vec((-5_000i64..5_000, 1usize..600, 0u8..64), 1..60)) {
            let ids = IdSource::new(3, None);
            let (mut now, mut last) = (NOW, None);
            for (step, n, bucket) in steps {
                now = Timestamp::from_ms(now.ms() + step);
                let Ok(first) = ids.block(n, bucket, now) else { continue };
                if let Some(last) = last { prop_assert!(first > last); }
                for i in 1..n { prop_assert!(first.plus(i) > first.plus(i - 1)); }
                prop_assert_eq!(first.plus(n - 1).bucket(), bucket);
                last = Some(first.plus(n - 1));
            }
        }

        #[test]
        fn a_new_source_starts_above_the_last_id(n in 1usize..2_000) {
            let first = IdSource::new(1, None).block(n, 9, NOW).expect("fresh source");
            let last = first.plus(n - 1);
            let next = IdSource::new(1, Some(last)).block(1, 0, NOW - Duration::from_secs(3)).expect("little borrowed");
            prop_assert!(next > last);
        }
    }
}
