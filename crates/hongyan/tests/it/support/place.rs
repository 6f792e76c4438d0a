//! A node on either store, so that a case from outside runs on both.

use std::path::PathBuf;

use hongyan_store_suite::postgres;

use super::{
    fleet::Fleet,
    server::{Home, Server},
};

/// Where nodes keep things; it outlives them.
pub enum Place {
    /// In a file of one node's own.
    Embedded(Home),
    /// In a schema of the test's own.
    Postgres(Box<Fleet>),
}

impl Place {
    pub fn embedded() -> Self {
        Self::Embedded(Home::new())
    }

    pub fn postgres() -> Self {
        Self::Postgres(Box::new(Fleet::new(postgres::shared().fresh_schema(), String::new())))
    }

    /// Lets the word of a proxy count from the next start on.
    pub fn trust(&mut self, proxy: &str) {
        let home = match self {
            Self::Embedded(home) => home,
            Self::Postgres(fleet) => &mut fleet.home,
        };
        home.proxy = Some(proxy.to_owned());
    }

    /// Where its files are.
    pub fn home(&self) -> &Home {
        match self {
            Self::Embedded(home) => home,
            Self::Postgres(fleet) => &fleet.home,
        }
    }

    /// The configuration of its nodes, once one was started.
    pub fn config(&self) -> PathBuf {
        self.home().path(match self {
            Self::Embedded(_) => "hongyan.toml",
            Self::Postgres(_) => "node.toml",
        })
    }

    /// Starts a node with `plan` and waits until it listens.
    pub fn start(&mut self, plan: &str) -> Server {
        match self {
            Self::Embedded(home) => home.start(plan),
            Self::Postgres(fleet) => {
                plan.clone_into(&mut fleet.plan);
                Server::spawn(fleet.serve("node"))
            }
        }
    }
}

/// Makes two tests of each case, one per store.
macro_rules! on_both_stores {
    ($($case:ident),+ $(,)?) => {
        mod embedded {
            $(
                #[test]
                fn $case() {
                    super::$case(crate::support::place::Place::embedded());
                }
            )+
        }

        mod postgres {
            $(
                #[test]
                fn $case() {
                    super::$case(crate::support::place::Place::postgres());
                }
            )+
        }
    };
}

pub(crate) use on_both_stores;
