//! `cargo xtask bench`.

use anyhow::{Result, bail};

use crate::cargo::{Steps, cargo};
use crate::workspace::Workspace;

/// Runs the criterion benchmarks of all crates, or those whose names match `filter`.
pub(crate) fn run(filter: Option<&str>) -> Result<()> {
    let workspace = Workspace::read()?;
    let targets = workspace.packages.iter().flat_map(|p| &p.targets).filter(|t| t.kind.iter().any(|k| k == "bench"));
    let named: Vec<&str> = targets.flat_map(|target| ["--bench", target.name.as_str()]).collect();
    if named.is_empty() {
        bail!("no crate of the workspace has a benchmark");
    }
    let mut steps = Steps::of("bench");
    steps.command("criterion", cargo(["bench", "--workspace"]).args(named).arg("--").args(filter));
    eprintln!("\nTo time the peers on the same machine, see benches/README.md; results go to docs/benchmarks.md.");
    steps.close()
}
