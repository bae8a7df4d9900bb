//! The crates of the workspace, as `cargo metadata` tells them.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::cargo::cargo;

/// The answer of `cargo metadata`, as far as the tasks need it.
#[derive(Deserialize)]
pub(crate) struct Workspace {
    pub(crate) packages: Vec<Package>,
    pub(crate) target_directory: PathBuf,
}

/// A crate of the workspace.
#[derive(Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) description: Option<String>,
    pub(crate) license: Option<String>,
    pub(crate) repository: Option<String>,
    pub(crate) readme: Option<String>,
    /// The registries it may go to; an empty list means none (`publish = false`).
    pub(crate) publish: Option<Vec<String>>,
    pub(crate) dependencies: Vec<Dependency>,
    #[serde(default)]
    pub(crate) features: std::collections::BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub(crate) targets: Vec<Target>,
}

/// A line of a crate's dependencies.
#[derive(Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `dev`, `build`, or nothing for an ordinary dependency.
    pub(crate) kind: Option<String>,
    #[serde(default)]
    pub(crate) features: Vec<String>,
}

/// A library, program, test or benchmark of a crate.
#[derive(Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: Vec<String>,
}

impl Workspace {
    /// Asks cargo.
    pub(crate) fn read() -> Result<Self> {
        let output = cargo(["metadata", "--format-version", "1", "--no-deps"]).output()?;
        if !output.status.success() {
            bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
        }
        serde_json::from_slice(&output.stdout).context("the answer of cargo metadata")
    }

    /// The crates that go to a registry, each after those it depends on.
    pub(crate) fn in_order_of_release(&self) -> Result<Vec<&Package>> {
        let mut waiting: Vec<&Package> = self.packages.iter().filter(|p| p.is_published()).collect();
        let mut ordered: Vec<&Package> = Vec::new();
        while !waiting.is_empty() {
            let (ready, rest): (Vec<_>, Vec<_>) =
                waiting.iter().copied().partition(|p| p.needs().all(|n| waiting.iter().all(|w| w.name != n)));
            if ready.is_empty() {
                bail!(
                    "a circle of dependencies: {}",
                    rest.iter().map(|p| p.name.as_str()).collect::<Vec<_>>().join(", ")
                );
            }
            ordered.extend(ready);
            waiting = rest;
        }
        Ok(ordered)
    }
}

impl Package {
    /// Whether it goes to a registry.
    pub(crate) fn is_published(&self) -> bool {
        self.publish.as_ref().is_none_or(|registries| !registries.is_empty())
    }

    /// The names of what it depends on, development dependencies left out.
    fn needs(&self) -> impl Iterator<Item = &str> {
        self.dependencies.iter().filter(|d| d.kind.as_deref() != Some("dev")).map(|d| d.name.as_str())
    }
}

#[cfg(test)]
pub(crate) mod made {
    //! Small workspaces for the tests of the rules.

    use super::*;

    /// A workspace of crates, each with its dependencies; `dev:NAME` is a development dependency.
    pub(crate) fn workspace(crates: &[(&str, &[&str])]) -> Workspace {
        let packages = crates.iter().map(|(name, needs)| package(name, needs)).collect();
        Workspace { packages, target_directory: PathBuf::new() }
    }

    fn package(name: &str, needs: &[&str]) -> Package {
        let dependency = |need: &&str| match need.strip_prefix("dev:") {
            Some(name) => Dependency { name: name.into(), kind: Some("dev".into()), features: Vec::new() },
            None => Dependency { name: need.to_string(), kind: None, features: Vec::new() },
        };
        Package {
            name: name.into(),
            version: "0.1.0".into(),
            description: Some("made".into()),
            license: Some("MIT".into()),
            repository: Some("https://example.org".into()),
            readme: Some("README.md".into()),
            publish: None,
            dependencies: needs.iter().map(dependency).collect(),
            features: Default::default(),
            targets: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::made::workspace;

    #[test]
    fn a_crate_is_released_after_those_it_needs() {
        let workspace = workspace(&[("c", &["b", "a"]), ("b", &["a", "dev:c"]), ("a", &["serde"])]);
        let order: Vec<_> = workspace.in_order_of_release().unwrap().iter().map(|p| p.name.as_str()).collect();
        assert_eq!(order, ["a", "b", "c"]);
    }

    #[test]
    fn a_circle_is_an_error() {
        let error = workspace(&[("a", &["b"]), ("b", &["a"])]).in_order_of_release().err().unwrap();
        assert!(error.to_string().contains("circle"), "{error}");
    }
}
