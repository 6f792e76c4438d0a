//! Posts and their expansion over the real embedded store: what is stored at acceptance, who is found later, when, and by how many
//! commits. Nothing is sent here; a clock is moved by hand.

mod accepting;
mod crowds;
mod finding;
mod looking_up;
mod timing;
mod world;
