//! What each writing operation does, one file each.

pub(crate) mod account;
pub(crate) mod answer;
pub(crate) mod cancel;
pub(crate) mod cap;
pub(crate) mod capture;
pub(crate) mod claim;
pub(crate) mod depth;
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
pub(crate) mod settle;
pub(crate) mod submit;
pub(crate) mod token;
pub(crate) mod upkeep;
