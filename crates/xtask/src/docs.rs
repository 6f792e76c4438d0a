//! The generated pages of docs/. The product prints them itself, from the structs and doc comments that it runs by; here they
//! only find their place.

use std::{fs, process::Command};

use anyhow::{Context, Result, ensure};

use crate::tree;

/// Writes them.
pub(crate) fn run() -> Result<()> {
    let cargo = ["run", "--quiet", "--locked", "--package", "hongyan", "--", "reference"];
    let output = Command::new("cargo").args(cargo).output().context("while running the product")?;
    ensure!(output.status.success(), "the product did not print its reference");
    let page = tree::root()?.join("docs/config.md");
    fs::write(&page, output.stdout).with_context(|| format!("while writing {}", page.display()))
}
