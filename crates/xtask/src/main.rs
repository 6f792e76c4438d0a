//! Repository chores: `cargo xtask structure` checks how the code is laid out, `cargo xtask bench` measures the product
//! against references. Of our crates it uses only the one that starts PostgreSQL servers, so that it judges from outside.

mod bench;
mod docs;
mod structure;
mod tree;

use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};

/// Chores of the Hongyan repository.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    chore: Option<Chore>,
}

#[derive(Subcommand)]
enum Chore {
    /// Check crate edges, import cycles, sizes, lints, words and links.
    Structure,
    /// Write the pages of docs/ that are generated from the code.
    Docs,
    /// Measure the product against references, and print one table.
    Bench(bench::Options),
    /// The bare HTTP server that the accept benchmark compares with.
    #[command(hide = true)]
    BenchReference(bench::reference::Options),
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            note(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    match Cli::parse().chore {
        None => Cli::command().print_help()?,
        Some(Chore::Structure) if !structure::run()? => return Ok(ExitCode::FAILURE),
        Some(Chore::Structure) => {}
        Some(Chore::Docs) => docs::run()?,
        Some(Chore::Bench(options)) => return bench::run(&options),
        Some(Chore::BenchReference(options)) => bench::reference::run(options)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// One line of results.
#[expect(clippy::print_stdout, reason = "the results of a chore are what standard output is for")]
fn say(line: &str) {
    println!("{line}");
}

/// One line of talk.
#[expect(clippy::print_stderr, reason = "talk goes beside the results")]
fn note(line: &str) {
    eprintln!("{line}");
}
