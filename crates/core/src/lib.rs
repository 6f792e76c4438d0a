//! The nouns and rules of Hongyan: what a message, a delivery and an attempt are, how a delivery moves from one state to
//! the next, and what the rest of the program may ask of a store, a channel or a clock (the *ports*).
//!
//! Nothing here does IO, starts a task or reads the time: every function is given its data and `now`. That is what lets
//! two stores, many senders and the tests share one set of rules. Where to look first:
//!
//! | module | question it answers |
//! |---|---|
//! | [`delivery`] | which state may follow which, and why (`step`, the only place that decides) |
//! | [`outcome`] | what a try at a delivery may end in |
//! | [`retry`] | when the next try is due |
//! | [`share`] | whose turn it is: priorities and apps |
//! | [`quota`], [`pace`], [`cap`] | how much an account may send in an hour and a day, a provider take in a second, a recipient get in a minute |
//! | [`message`], [`content`], [`address`], [`audience`], [`batch`] | what is sent, to whom, and how that is stored |
//! | [`directory`], [`inbox`] | people and what they belong to; what they find in their inbox |
//! | [`account`], [`history`] | who speaks the token API, and what they have sent |
//! | [`setup`] | what a deployment declares: apps, channels, providers, people |
//! | [`store`], [`channel`], [`ports`], [`lease`], [`token`], [`node`], [`record`] | the ports, and what crosses them |
//! | [`transfer`] | what moves from one store to another |
//! | [`id`], [`number`], [`time`], [`limits`], [`text`] | identifiers, numbers, time, every bound, control characters |

pub mod account;
pub mod address;
pub mod audience;
pub mod batch;
pub mod cap;
pub mod channel;
pub mod content;
pub mod delivery;
pub mod directory;
pub mod history;
pub mod id;
pub mod inbox;
pub mod lease;
pub mod limits;
pub mod message;
pub mod node;
pub mod number;
pub mod outcome;
pub mod pace;
pub mod ports;
pub mod quota;
pub mod record;
pub mod retry;
pub mod setup;
pub mod share;
pub mod store;
pub mod text;
pub mod time;
pub mod token;
pub mod transfer;
