//! Guessing passwords, and registering in bulk, are slowed down (decisions 5 and 10): so many failures a minute for one name,
//! and for one address, counted across all nodes. A node that finds a door shut keeps it shut until then, for the right
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
/// Failed logins for one name.
const NAME: Cap = Cap { most: 10, span: MINUTE };
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
    /// Logging in under a name. The key does not show it.
    pub(crate) fn name(name: &str) -> Self {
        let digest = digest(&SHA256, name.trim().as_bytes());
        let hex: String = digest.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        Self { key: format!("imsg/login/{hex}"), cap: NAME }
    }

    /// `what` from an address; of IPv6, the network of a household.
    pub(crate) fn address(what: &str, client: Option<IpAddr>) -> Self {
        let from = match client {
            None => "nowhere".to_owned(),
            Some(IpAddr::V4(address)) => address.to_string(),
            Some(IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}")
            }
        };
        Self { key: format!("imsg/{what}/{from}"), cap: ADDRESS }
    }
}

impl Throttle {
    /// Whether any of these doors is known to be shut.
    pub(crate) fn is_shut(&self, doors: &[Door], now: Timestamp) -> bool {
        let shut = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        doors.iter().any(|door| shut.get(&door.key).is_some_and(|until| now < *until))
    }

    /// Counts an attempt against these doors; answers whether one of them is shut by now.
    pub(crate) async fn count(&self, intake: &Intake, doors: Vec<Door>) -> Result<bool, StoreError> {
        let mut is_shut = false;
        for Door { key, cap } in doors {
            if let Drawn::No { until } = intake.draw(cap, key.clone()).await? {
                is_shut = true;
                self.shut(key, until, intake.now());
            }
        }
        Ok(is_shut)
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
        let throttle = Throttle::default();
        let doors = || [Door::name(" 天存 "), Door::address("login", "192.0.2.7".parse().ok())];
        assert!(!throttle.is_shut(&doors(), T0));
        throttle.shut(Door::name("天存").key, T0 + MINUTE, T0);
        assert!(throttle.is_shut(&doors(), T0) && !throttle.is_shut(&doors()[1..], T0));
        assert!(!throttle.is_shut(&doors(), T0 + MINUTE));
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
