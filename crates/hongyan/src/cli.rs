//! The command line. Standard output is data, standard error is talk; exit code 0 is success, 1 a failure (for `check`: the
//! store cannot be reached), 2 a command, configuration or plan that is wrong.

use std::{
    io::{self, IsTerminal, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::{Parser, Subcommand};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{
    account::{self, AccountArgs},
    backup,
    config::{Config, StorePlace},
    demo,
    directory::{self, DirectoryArgs},
    messages::{self, MessagesArgs},
    migrate::Move,
    node, nodes,
    plan::Plan,
    reference, store,
    talk::say,
    vault::Vault,
    verify,
    wechat::{self, WechatArgs},
};

/// One message gateway for an organisation.
#[derive(Debug, Parser)]
#[command(name = "hongyan", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node.
    Serve {
        /// Configuration file; without it, hongyan.toml where that exists.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Plan to apply first, unless it is the one that was applied last.
        #[arg(long, value_name = "FILE")]
        plan: Option<PathBuf>,
        /// Go on although the database's settings may lose what it has confirmed. Loudly; never where messages matter.
        #[arg(long = "unsafe")]
        is_unsafe: bool,
    },
    /// Start a node that captures what it would send, send the documents' samples to it and show what became of them.
    Demo {
        /// Address to listen on; loopback only.
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
        listen: SocketAddr,
        /// Directory for the demo's data.
        #[arg(long, value_name = "DIR", default_value = "data/demo")]
        data: PathBuf,
        /// End after the samples; exit code 0 only if everything was delivered.
        #[arg(long)]
        once: bool,
    },
    /// Check configuration, plan and store without taking the store: 0 valid, 2 invalid, 1 store unreachable.
    Check {
        /// Configuration file; without it, hongyan.toml where that exists.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Plan to check.
        #[arg(long, value_name = "FILE")]
        plan: Option<PathBuf>,
    },
    /// Ask a running node who works on the store: every node, whether it lives, how many buckets it prefers.
    Nodes {
        /// Configuration file; without it, hongyan.toml where that exists. HONGYAN_ADMIN_TOKEN gives the token.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// The node to ask; without it, where the configuration has one listen.
        #[arg(long, value_name = "HOST:PORT")]
        server: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Keep the accounts of the token API (iMSG).
    Account(AccountArgs),
    /// Look after messages that wait for their time: list, cancel, send now.
    Messages(MessagesArgs),
    /// Import the directory of people, departments, posts and roles from CSV, and look at it.
    Directory(DirectoryArgs),
    /// Set an official account up, so that its followers can be reached by tags.
    Wechat(WechatArgs),
    /// Copy the embedded store into a file, whether or not a node runs on it. Prints what the copy holds.
    Backup {
        /// Configuration file; without it, hongyan.toml where that exists.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Where the backup goes; nothing may be there yet.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Put a backup where the embedded store should be. What it has open may have been sent since: it is held, not sent.
    Restore {
        /// Configuration file; without it, hongyan.toml where that exists.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// The backup.
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
    },
    /// List the messages that are held since a restore: id, channel, recipients held, time of acceptance.
    Review {
        /// Configuration file; without it, hongyan.toml where that exists.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Move the embedded store into an empty PostgreSQL database. No node may run on either. Prints what both then have.
    Migrate {
        /// Configuration file, whose store is moved; without it, hongyan.toml where that exists.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// The database: postgres://USER:PASSWORD@HOST/DATABASE. HONGYAN_MIGRATE_TO keeps the password off the command line.
        #[arg(long, value_name = "URL", env = "HONGYAN_MIGRATE_TO", hide_env_values = true)]
        to: String,
        /// Empty the database first, where an earlier migration into it did not finish.
        #[arg(long)]
        start_over: bool,
    },
    /// Print the reference of every configuration and plan key, in Markdown.
    Reference,
}

/// What `main` does.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr();
    match cli.command {
        Command::Serve { config, plan, is_unsafe } => serve(config, plan, is_unsafe),
        Command::Demo { listen, data, once } => ended(block_on(demo::run(listen, data, once))),
        Command::Check { config, plan } => check(config, plan),
        Command::Nodes { config, server, json } => match Config::load(config.as_deref()) {
            Ok(config) => ended(block_on(nodes::run(&config, server.as_deref(), json)).map(|()| true)),
            Err(error) => wrong(&error),
        },
        Command::Account(arguments) => match Config::load(arguments.config.as_deref()) {
            Ok(config) => ended(block_on(account::run(&config, arguments))),
            Err(error) => wrong(&error),
        },
        Command::Messages(arguments) => match Config::load(arguments.config.as_deref()) {
            Ok(config) => ended(block_on(messages::run(&config, arguments)).map(|()| true)),
            Err(error) => wrong(&error),
        },
        Command::Directory(arguments) => match Config::load(arguments.config.as_deref()) {
            Ok(config) => ended(block_on(directory::run(&config, arguments))),
            Err(error) => wrong(&error),
        },
        Command::Wechat(arguments) => match Config::load(arguments.config.as_deref()) {
            Ok(config) => ended(block_on(wechat::run(&config, arguments))),
            Err(error) => wrong(&error),
        },
        Command::Backup { config, to } => on_embedded(config, |config, file| backup::backup(config, file, &to)),
        Command::Restore { config, from } => on_embedded(config, |config, file| backup::restore(config, file, &from)),
        Command::Review { config } => on_embedded(config, |_, file| backup::review(file)),
        Command::Migrate { config, to, start_over } => migrate(config, &to, start_over),
        Command::Reference => {
            ended(io::stdout().write_all(reference::markdown().as_bytes()).map_err(Into::into).map(|()| true))
        }
    }
}

fn serve(config: Option<PathBuf>, plan: Option<PathBuf>, is_unsafe: bool) -> ExitCode {
    match load(config, plan) {
        Ok((config, plan)) => {
            // The embedded store's writer is a thread of its own, as busy as the others are: it gets a core. On two cores
            // accepting and draining are both a tenth faster so than with a thread more. PostgreSQL brings its own processes.
            let spared = usize::from(matches!(config.store(), Ok(StorePlace::Sqlite(_))));
            ended(block_on_but(spared, node::serve(&config, plan, is_unsafe)).map(|()| true))
        }
        Err(error) => wrong(&error),
    }
}

fn check(config: Option<PathBuf>, plan: Option<PathBuf>) -> ExitCode {
    match load(config, plan) {
        Ok((config, _)) => ended(block_on(async {
            let state = store::inspect(&config).await?;
            say(&format!("configuration and plan are valid; the store {state}"));
            Ok(true)
        })),
        Err(error) => wrong(&error),
    }
}

fn migrate(config: Option<PathBuf>, to: &str, start_over: bool) -> ExitCode {
    let config = match Config::load(config.as_deref()) {
        Ok(config) => config,
        Err(error) => return wrong(&error),
    };
    match Move::new(&config, to, start_over) {
        Ok(whole) => ended(block_on(whole.run()).map(|()| true)),
        Err(error) => wrong(&error),
    }
}

/// Does something with the file of the embedded store. Where the store is another one, the command is wrong.
fn on_embedded(config: Option<PathBuf>, work: impl FnOnce(&Config, &Path) -> anyhow::Result<()>) -> ExitCode {
    let config = match Config::load(config.as_deref()) {
        Ok(config) => config,
        Err(error) => return wrong(&error),
    };
    match backup::embedded(&config) {
        Ok(file) => ended(work(&config, file).map(|()| true)),
        Err(error) => wrong(&error),
    }
}

/// Reads and checks the configuration and the plan, as far as that can be done without taking the store.
fn load(config: Option<PathBuf>, plan: Option<PathBuf>) -> anyhow::Result<(Config, Option<(Plan, String)>)> {
    let config = Config::load(config.as_deref())?;
    let vault = Vault::read(&config.secret_file)?;
    let plan = plan.as_deref().map(Plan::load).transpose()?;
    if let Some((plan, hash)) = &plan {
        let beside = store::beside(&config, plan)?;
        verify::plan(plan, hash, beside, vault).context("in the plan")?;
    }
    Ok((config, plan))
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    block_on_but(1, work)
}

/// Runs `work` on as many threads as there are cores, but for those that are `spared`.
fn block_on_but<T>(spared: usize, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = cores.saturating_sub(spared).max(1);
    tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?.block_on(work)
}

fn ended(result: anyhow::Result<bool>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) if store::is_misnamed(&error) => wrong(&error),
        Err(error) => {
            say(&format!("hongyan: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn wrong(error: &anyhow::Error) -> ExitCode {
    say(&format!("hongyan: {error:#}"));
    ExitCode::from(2)
}

/// Structured logs: JSON lines for machines, text for a terminal. `RUST_LOG` sets the level.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    if io::stderr().is_terminal() {
        registry.with(fmt::layer().with_writer(io::stderr)).init();
    } else {
        registry.with(fmt::layer().json().flatten_event(true).with_writer(io::stderr)).init();
    }
}
