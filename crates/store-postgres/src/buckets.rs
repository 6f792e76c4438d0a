//! Which buckets a node prefers: rendezvous hashing over the nodes that live. Every node computes the same from the same list,
//! and when one comes or goes, only the buckets that it gets or had change hands. Affinity only: a node that acts on an old
//! list costs a little work, never correctness (design 6).

use crate::{engine::Registration, memory::BUCKETS};

/// The buckets that `me` prefers while these live; all of them where it is not on the list.
pub(crate) fn preferred(me: Registration, living: &[Registration]) -> Vec<u8> {
    if !living.contains(&me) {
        return (0..BUCKETS).collect();
    }
    (0..BUCKETS).filter(|bucket| owner(*bucket, living) == Some(me)).collect()
}

/// Who prefers a bucket.
fn owner(bucket: u8, living: &[Registration]) -> Option<Registration> {
    let weight = |node: &Registration| (mixed(bucket, *node), node.number, node.epoch);
    living.iter().max_by_key(|node| weight(node)).copied()
}

/// A number that looks random, the same everywhere (the finishing steps of SplitMix64).
fn mixed(bucket: u8, node: Registration) -> u64 {
    let mut x = u64::from(bucket) << 8 | u64::from(node.number);
    x ^= node.epoch.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for _ in 0..2 {
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^= x >> 31;
    }
    x
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nodes(of: impl IntoIterator<Item = (u8, i64)>) -> Vec<Registration> {
        of.into_iter().map(|(number, epoch)| Registration { number, epoch }).collect()
    }

    #[test]
    fn one_node_prefers_all() {
        let one = nodes([(7, 3)]);
        assert_eq!(preferred(one[0], &one), (0..BUCKETS).collect::<Vec<_>>());
        assert_eq!(preferred(Registration { number: 8, epoch: 1 }, &one).len(), usize::from(BUCKETS));
    }

    #[test]
    fn shares_are_fair_within_reason() {
        for count in 2..=8 {
            let fair = usize::from(BUCKETS) / usize::from(count);
            for epoch in 1..=20 {
                let living = nodes((0..count).map(|number| (number, epoch + i64::from(number))));
                for node in &living {
                    let share = preferred(*node, &living).len();
                    assert!((1..=fair * 5 / 2 + 4).contains(&share), "{share} of {BUCKETS} for one of {count}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn every_bucket_has_one_owner_and_only_what_must_changes_hands(
            numbers in prop::collection::btree_map(0u8..=255, 1i64..100, 2..12), gone in any::<prop::sample::Index>(),
        ) {
            let living = nodes(numbers);
            let mut owned: Vec<u8> = living.iter().flat_map(|node| preferred(*node, &living)).collect();
            owned.sort_unstable();
            prop_assert_eq!(owned, (0..BUCKETS).collect::<Vec<_>>());
            let gone = living[gone.index(living.len())];
            let rest: Vec<Registration> = living.iter().copied().filter(|node| *node != gone).collect();
            for node in &rest {
                let (before, after) = (preferred(*node, &living), preferred(*node, &rest));
                prop_assert!(before.iter().all(|bucket| after.contains(bucket)));
            }
            let reversed: Vec<Registration> = living.iter().rev().copied().collect();
            prop_assert_eq!(preferred(gone, &living), preferred(gone, &reversed));
        }
    }
}
