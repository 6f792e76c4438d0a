//! The whole product from outside: the real binary, real HTTP, real SMTP, kill -9. One binary of tests, one module per theme.
//! Whoever judges stands outside the node: the sinks count, not our own tables.

mod accounts;
mod apps;
mod backup;
mod callbacks;
mod cluster;
mod commands;
mod database;
mod directory;
mod dispatch;
mod fanout;
mod faults;
mod http;
mod imsg;
mod interop;
mod kill;
mod mail;
mod migrate;
mod push;
mod scheduling;
mod sms;
mod stall;
mod support;
mod templates;
mod upgrade;
mod wecom;
