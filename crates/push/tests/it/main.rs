//! The dialect from request bytes to reply bytes, over the embedded store: no channel, a clock that is moved by hand.

mod bad_input;
mod callers;
mod contents;
mod properties;
mod receivers;
mod repeats;
mod rows;
mod samples;
mod snippets;
mod templates;
mod transport;
mod world;
