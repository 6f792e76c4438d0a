//! Guessing passwords, and registering in bulk, are slowed down (decisions 5 and 10, row 8): so many failures a minute for one
//! name from one address, for one address, and for one name from anywhere, counted across all nodes. A node that finds a door shut keeps it shut until then, for the right
//! password too. What succeeds never counts, so that a caller who logs in for each message is not held up.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use hongyan_core::{
    cap::{Cap, Drawn},
    store::StoreError,
    time::Timestamp,
};
use hongyan_intake::Intake;
use ring::digest::{SHA256, digest};

const MINUTE: Duration = Duration::from_secs(60);
/// Failed logins for one name from one address.
const NAME_FROM: Cap = Cap { most: 10, span: MINUTE };
/// Failed logins for one name from anywhere: so many that nobody shuts its owner out from a few addresses.
const NAME: Cap = Cap { most: 100, span: MINUTE };
/// Failed logins, or registrations, from one address.
const ADDRESS: Cap = Cap { most: 20, span: MINUTE };
/// Doors that a node remembers as shut. Beyond that it forgets, and the count of all nodes alone decides.
const SHUT_MAX: usize = 10_000;

/// The doors that this node knows to be shut, and until when.
#[derive(Default)]
pub(crate) struct Throttle(Mutex<HashMap<String, Timestamp>>);

/// What one attempt counts against.
pub(crate) struct Door {
    key: String,
    cap: Cap,
}

impl Door {
    /// Logging in under a name from an address, the narrowest door first. No key shows the name.
    pub(crate) fn login(name: &str, client: Option<IpAddr>) -> Vec<Self> {
        let digest = digest(&SHA256, name.trim().as_bytes());
        let hex: String = digest.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        vec![
            Self { key: format!("imsg/login/{hex}/{}", place(client)), cap: NAME_FROM },
            Self::address("login", client),
            Self { key: format!("imsg/login/{hex}"), cap: NAME },
        ]
    }

    /// `what` from an address.
    pub(crate) fn address(what: &str, client: Option<IpAddr>) -> Self {
        Self { key: format!("imsg/{what}/{}", place(client)), cap: ADDRESS }
    }
}

/// What counts as one address; of IPv6, the network of a household.
fn place(client: Option<IpAddr>) -> String {
    match client {
        None => "nowhere".to_owned(),
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}")
        }
    }
}

impl Throttle {
    /// Whether any of these doors is known to be shut.
    pub(crate) fn is_shut(&self, doors: &[Door], now: Timestamp) -> bool {
        let shut = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        doors.iter().any(|door| shut.get(&door.key).is_some_and(|until| now < *until))
    }

    /// Counts an attempt against these doors in turn; answers whether one of them is shut by now. At that one the counting
    /// ends, so that one address, however many tries it makes at once, uses up no more of a name than its own share.
    pub(crate) async fn count(&self, intake: &Intake, doors: Vec<Door>) -> Result<bool, StoreError> {
        for Door { key, cap } in doors {
            if let Drawn::No { until } = intake.draw(cap, key.clone()).await? {
                self.shut(key, until, intake.now());
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn shut(&self, key: String, until: Timestamp, now: Timestamp) {
        let mut shut = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if shut.len() >= SHUT_MAX {
            shut.retain(|_, until| now < *until);
        }
        if shut.len() < SHUT_MAX {
            shut.insert(key, until);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Timestamp = Timestamp::from_ms(1_800_000_000_000);

    #[test]
    fn a_door_is_shut_until_its_time_and_no_longer() {
        let doors = |name: &str| Door::login(name, "192.0.2.7".parse().ok());
        for door in doors("天存") {
            let throttle = Throttle::default();
            assert!(!throttle.is_shut(&doors(" 天存 "), T0));
            throttle.shut(door.key, T0 + MINUTE, T0);
            assert!(throttle.is_shut(&doors(" 天存 "), T0));
            assert!(!throttle.is_shut(&doors(" 天存 "), T0 + MINUTE));
        }
    }

    #[test]
    fn a_name_an_address_and_both_together_are_doors_of_their_own() {
        let keys = |name: &str, address: &str| -> Vec<String> {
            Door::login(name, address.parse().ok()).into_iter().map(|door| door.key).collect()
        };
        let (one, elsewhere, other) = (keys("a", "192.0.2.7"), keys("a", "192.0.2.8"), keys("b", "192.0.2.7"));
        let is_same = |with: &[String]| one.iter().zip(with).map(|(a, b)| a == b).collect::<Vec<_>>();
        assert_eq!(is_same(&elsewhere), [false, false, true]);
        assert_eq!(is_same(&other), [false, true, false]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let throttle = Throttle::default();
        for n in 0..=SHUT_MAX {
            throttle.shut(n.to_string(), T0 + MINUTE, T0);
        }
        let len = || throttle.0.lock().expect("no test panics here").len();
        assert_eq!(len(), SHUT_MAX);
        throttle.shut("another".into(), T0 + 2 * MINUTE, T0 + MINUTE);
        assert_eq!(len(), 1, "those whose time is over make room");
    }

    #[test]
    fn a_household_is_one_address() {
        let key = |address: &str| Door::address("login", address.parse().ok()).key;
        assert_eq!(key("2001:db8:1:2:3::4"), key("2001:db8:1:2:ffff::"));
        assert_ne!(key("2001:db8:1:2::"), key("2001:db8:1:3::"));
        assert_ne!(key("192.0.2.7"), key("192.0.2.8"));
    }
}
