//! `hongyan directory`: people, departments, posts and roles, imported from files and looked at, through a running node or, where
//! none runs, in the store itself.

mod import;
mod show;
mod upload;

use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use self::{import::Files, show::Who};
use crate::{account::desk::Desk, config::Config};

const PATH: &str = "/v1/directory";

/// `hongyan directory …`
#[derive(Debug, Args)]
pub struct DirectoryArgs {
    /// Configuration file; without it, hongyan.toml where that exists. HONGYAN_ADMIN_TOKEN gives the token.
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// The node to ask; without it, the one that listens where the configuration says, or the store itself where none does.
    #[arg(long, value_name = "HOST:PORT", global = true)]
    server: Option<String>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: DirectoryCommand,
}

#[derive(Debug, Subcommand)]
enum DirectoryCommand {
    /// Bring people, departments, posts and roles in from CSV: what would be new and changed, and everything that is wrong with the
    /// files, line by line; with --apply it is done, all in one commit, unless something is wrong. Whom the files do not name stays.
    Import {
        #[command(flatten)]
        files: Files,
        /// Do it.
        #[arg(long)]
        apply: bool,
    },
    /// Show a person, department, post or role.
    Show {
        /// What it is.
        kind: Kind,
        /// Its code.
        code: String,
    },
    /// Tell whom a message to these would reach, each once: how many, and the first of them. Nothing is sent.
    Who(Who),
}

/// What there is in the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A person.
    User,
    /// A department.
    Department,
    /// A post.
    Post,
    /// A role.
    Role,
}

/// Carries the command out; answers whether all of it was done.
///
/// # Errors
/// When nothing was done, in words for the operator.
pub async fn run(config: &Config, arguments: DirectoryArgs) -> anyhow::Result<bool> {
    let DirectoryArgs { server, json, command, .. } = arguments;
    let desk = Desk::open(config, server.as_deref()).await?;
    let done = match command {
        DirectoryCommand::Import { files, apply } => import::run(&desk, files, apply, json).await,
        DirectoryCommand::Show { kind, code } => show::show(&desk, kind, &code, json).await,
        DirectoryCommand::Who(who) => show::who(&desk, &who, json).await,
    };
    desk.close().await;
    done
}

fn print_json(value: &Value) -> anyhow::Result<()> {
    print(&format!("{value:#}\n"))
}

fn print(page: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(page.as_bytes())?;
    Ok(out.flush()?)
}
