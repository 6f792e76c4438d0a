//! The program: command line, configuration, and the wiring of a node out of the other crates. [`run`] is all of `main`.
//!
//! | module | its part |
//! |---|---|
//! | [`cli`] | commands and exit codes |
//! | [`config`], [`plan`], [`verify`], [`stored`], [`vault`] | what is configured, declared, found usable, stored, sealed |
//! | [`store`] | which store is configured: opening it, looking at it |
//! | `apply` | what a start brings into the store: the plan, and what the first one makes |
//! | [`node`] | a node: store, intake, dispatcher, and their start and stop |
//! | [`http`], `patience` | listening, and which part answers which path |
//! | `callbacks` | what providers call the node with |
//! | [`status`] | `/healthz`, `/readyz`, `/metrics` |
//! | [`nodes`] | who works on the store, asked of a running node |
//! | [`account`] | the accounts of the token API, kept through a running node or in the store |
//! | [`messages`] | messages that wait for their time, through a running node or in the store |
//! | [`directory`] | people and what they belong to, imported and looked at through a running node or in the store |
//! | `wechat` | what is set up at an official account itself |
//! | [`backup`] | the embedded store into a file and back |
//! | [`migrate`] | the embedded store into a PostgreSQL database |
//! | [`demo`] | the demonstration |
//! | [`reference`] | docs/config.md, generated from the structs of `config` and `plan` |

pub mod account;
mod apply;
pub mod backup;
mod callbacks;
pub mod cli;
pub mod config;
pub mod demo;
pub mod directory;
mod fetch;
pub mod http;
pub mod messages;
pub mod migrate;
pub mod node;
pub mod nodes;
mod patience;
pub mod plan;
pub mod reference;
pub mod status;
pub mod store;
pub mod stored;
mod table;
mod talk;
pub mod vault;
pub mod verify;
mod wechat;

pub use cli::run;
