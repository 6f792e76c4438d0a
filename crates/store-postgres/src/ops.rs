//! What the operations of the store do, apart from the three that many requests share a commit for.

pub(crate) mod account;
pub(crate) mod answer;
pub(crate) mod cancel;
pub(crate) mod capture;
pub(crate) mod directory;
pub(crate) mod erase;
pub(crate) mod expire;
pub(crate) mod follower;
pub(crate) mod hasten;
pub(crate) mod inbox;
pub(crate) mod numbering;
pub(crate) mod page;
pub(crate) mod plan;
pub(crate) mod prune;
pub(crate) mod quota;
pub(crate) mod recover;
pub(crate) mod token;
