//! Whose turn it is: the three priorities share a channel's capacity 70/25/5, and what one does not use goes to the others
//! (design 8). A [`Wheel`] of twenty places, fourteen high, five middle and one low, spread evenly, turns one place per parcel.

use crate::message::Priority;

use Priority::{High as H, Low as L, Middle as M};

const WHEEL: [Priority; 20] = [H, H, M, H, H, H, M, H, H, H, M, H, H, H, M, H, H, M, H, L];

/// The turning order of one channel.
#[derive(Clone, Debug, Default)]
pub struct Wheel {
    place: usize,
}

impl Wheel {
    /// The priority whose turn it is, of those of which something is `waiting`; where the wheel points at one that has
    /// nothing, the most urgent that has takes the turn. `None` when nothing waits; the wheel then stands still.
    pub fn next(&mut self, waiting: impl Fn(Priority) -> bool) -> Option<Priority> {
        let spill = Priority::ALL.into_iter().find(|p| waiting(*p))?;
        let turn = WHEEL[self.place];
        self.place = (self.place + 1) % WHEEL.len();
        Some(if waiting(turn) { turn } else { spill })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(waiting: impl Fn(Priority) -> bool) -> [usize; 3] {
        let mut wheel = Wheel::default();
        let mut counts = [0; 3];
        for _ in 0..1_000 {
            if let Some(p) = wheel.next(&waiting) {
                counts[usize::from(p.number()) - 1] += 1;
            }
        }
        counts
    }

    #[test]
    fn shares_are_70_25_5() {
        assert_eq!(turns(|_| true), [50, 250, 700]);
    }

    #[test]
    fn unused_shares_spill_over() {
        assert_eq!(turns(|p| p != H), [50, 950, 0]);
        assert_eq!(turns(|p| p == L), [1_000, 0, 0]);
        assert_eq!(turns(|_| false), [0, 0, 0]);
    }
}
