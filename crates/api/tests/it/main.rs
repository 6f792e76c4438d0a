//! `/v1/inbox` over the embedded store: what people and apps are answered, and what streams tell.

mod events;
mod inbox;
mod tokens;
mod world;
