//! `cargo xtask tidy`: the rules of the repository that no compiler checks.
//!
//! Each rule is a function from a tree of files or a workspace to the faults it finds, so that its tests can hand it
//! a small tree that is wrong.

mod arrows;
mod assets;
mod book;
mod commands;
mod names;
mod source;

use anyhow::{Result, bail};

use crate::cargo::root;
use crate::tree::Tree;
use crate::workspace::Workspace;

/// Prints every fault; fails if there is one.
pub(crate) fn run() -> Result<()> {
    let tree = Tree::read(&root())?;
    let workspace = Workspace::read()?;
    let mut faults = arrows::faults(&workspace);
    faults.extend(names::faults(&tree));
    faults.extend(source::faults(&tree));
    faults.extend(assets::faults(&tree));
    faults.extend(book::faults(&tree));
    for fault in &faults {
        eprintln!("{fault}");
    }
    if !faults.is_empty() {
        bail!("tidy: {} faults", faults.len());
    }
    eprintln!("tidy: no fault in {} files", tree.paths().count());
    Ok(())
}
