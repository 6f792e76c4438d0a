//! Every statement of the store. Hot ones, which run per message, parcel or page, name one bucket by equality in each table
//! they touch, take `now` as a parameter and have none of the shapes that a distributed PostgreSQL refuses
//! (`guides/scale.md`); cold ones are for set-up, nodes and operators. A test reads both lists and holds them to that.
//!
//! Statements are planned once, often while the tables are empty, and a queue never has statistics that are true for long. So
//! a hot one leaves the planner no choice that could go wrong: what is looked up by id is looked up id by id (`LATERAL`, with
//! a limit, which is never turned into a join), or has `id = ANY` beside whatever it is joined by. Another test holds the
//! plans to that, with 200,000 rows waiting.

/// Makes a constant of each statement, and a list of all.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $sql:expr;)+) => {
        $($(#[$doc])* pub(crate) const $name: &str = $sql;)+

        /// All of them, with their names.
        #[cfg(test)]
        pub(crate) const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),+];
    };
}

pub(crate) mod account;
pub(crate) mod arrival;
pub(crate) mod cold;
pub(crate) mod directory;
pub(crate) mod erasure;
pub(crate) mod follower;
pub(crate) mod history;
pub(crate) mod hot;
pub(crate) mod inbox;
pub(crate) mod node;
pub(crate) mod page;
pub(crate) mod plan;
#[cfg(test)]
mod plans;
pub(crate) mod quota;
pub(crate) mod read;
pub(crate) mod recover;
#[cfg(test)]
mod rules;
pub(crate) mod token;
