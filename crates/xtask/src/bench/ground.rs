//! What all parts of a run share: the product's binary, the tools, the sizes, and a directory that vanishes at the end.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::{
    Options,
    tools::{self, Tools},
};

/// The ground that a run stands on.
pub struct Ground {
    /// The sizes that were asked for.
    pub options: Options,
    /// The product.
    pub product: PathBuf,
    /// The programs that load and judge it.
    pub tools: Tools,
    /// How many worker threads the product runs on: one per core, as its runtime does by itself.
    pub workers: usize,
    dir: TempDir,
}

impl Ground {
    /// Builds the product, installs what is missing and makes the directory.
    pub fn prepare(options: &Options) -> Result<Self> {
        let product = match &options.product {
            Some(path) => path.canonicalize().with_context(|| format!("no product at {}", path.display()))?,
            None => tools::build_product()?,
        };
        let dir = tempfile::Builder::new()
            .prefix("hongyan-bench-")
            .permissions(std::fs::Permissions::from_mode(0o755))
            .tempdir_in(&options.dir)
            .with_context(|| format!("cannot make a directory in {}", options.dir.display()))?;
        // As many as the product takes: a core less than there are.
        let workers = std::thread::available_parallelism().map_or(1, usize::from).saturating_sub(1).max(1);
        Ok(Self { options: options.clone(), product, tools: Tools::find_or_install()?, workers, dir })
    }

    /// A fresh directory for one instance of something. It vanishes when dropped.
    pub fn fresh(&self, name: &str) -> Result<TempDir> {
        tempfile::Builder::new()
            .prefix(&format!("{name}-"))
            .permissions(std::fs::Permissions::from_mode(0o755))
            .tempdir_in(self.dir.path())
            .context("cannot make a directory")
    }

    /// The directory of the run.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}
