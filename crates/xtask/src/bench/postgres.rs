//! Many nodes on one PostgreSQL, against the same work in bare SQL on the same server, in the same round and with the same
//! durability: what the product costs beyond what its rows must cost.
//!
//! Each round has a server of its own, on disk, that syncs. What is counted is counted in the database, not by the nodes: the
//! rows that are there, also after a crash; the moments of the commits that made them; how many rows share a commit.

mod accept;
mod database;
mod drain;
mod fleet;
mod raw;
mod spent;
mod wal;

use anyhow::{Context, Result, anyhow};

use super::{Part, ground::Ground, report::Report};

/// Measures the parts that were asked for.
pub async fn measure(ground: &Ground, report: &mut Report) -> Result<()> {
    // Where servers are made, too: the usual directory for temporary files may lie in memory, where nothing is durable.
    tempfile::env::override_temp_dir(ground.dir())
        .map_err(|other| anyhow!("temporary files go to {} already", other.display()))?;
    if ground.options.wants(Part::Accept) {
        accept::measure(ground, report).await.context("accept")?;
    }
    if ground.options.wants(Part::Drain) {
        drain::measure(ground, report).await.context("drain")?;
    }
    if ground.options.wants(Part::Wal) {
        wal::measure(ground, report).await.context("wal")?;
    }
    Ok(())
}

/// "1 node", "2 nodes".
fn nodes_named(nodes: u16) -> String {
    if nodes == 1 { "1 node".to_owned() } else { format!("{nodes} nodes") }
}
