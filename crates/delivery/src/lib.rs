//! The way out: what is due is claimed, sent and settled, and nothing else. The store is the only link to intake.
//!
//! ```text
//! Store::claim ──▶ Lease ──▶ Parcel ──▶ Channel::send ──▶ Verdicts ──▶ Change ──▶ Store::settle (fenced by the lease)
//! ```
//!
//! | module | its part |
//! |---|---|
//! | `dispatcher` | all stations of a node; the desk to which the store hands what was born leased; stopping |
//! | `station` | one channel: claims as slots come free, hands parcels to a provider |
//! | `window` | how many leases a station holds, and how many it may |
//! | `line` | one provider: its cap on calls in flight, its rate, its breaker |
//! | `pacer` | a provider's rate, held by all nodes together |
//! | `call` | one parcel through one provider |
//! | `settler` | outcomes, recorded many at a time; when they cannot be recorded, sending stops |
//! | `questions` | what became of deliveries whose outcome nobody knows |
//! | `upkeep` | expiry of what waits in vain, secrets of what is over, retention |

mod breaker;
mod call;
mod dispatcher;
mod line;
mod metrics;
mod pacer;
mod questions;
mod settler;
mod shared;
mod station;
mod upkeep;
mod window;

pub use dispatcher::{Dispatcher, DispatcherDeps, OpenChannel, recovery_policies};
pub use metrics::DeliveryMetrics;
pub use upkeep::Upkeeper;
