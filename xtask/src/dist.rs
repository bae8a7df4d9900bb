//! `cargo xtask dist`: a release without the publishing.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::cargo::{cargo, root};
use crate::workspace::{Package, Workspace};

/// The most that a packed crate may weigh, in bytes: the registry's limit.
const LARGEST: u64 = 10_000_000;

/// Checks version, changelog and manifests, packs every crate and checks the sizes.
pub(crate) fn run() -> Result<()> {
    let workspace = Workspace::read()?;
    let order = workspace.in_order_of_release()?;
    let version = &order.first().context("no crate to release")?.version;
    let changelog = std::fs::read_to_string(root().join("CHANGELOG.md")).context("CHANGELOG.md")?;
    let mut wrong = manifest_faults(&order, version);
    wrong.extend(changelog_fault(&changelog, version));
    if wrong.is_empty() {
        pack()?;
        let folder = workspace.target_directory.join("package");
        wrong.extend(size_faults(&order, |package| packed_size(&folder, package))?);
    }
    if !wrong.is_empty() {
        bail!("not ready for release:\n  {}", wrong.join("\n  "));
    }
    Ok(())
}

/// What the manifests lack: one version for all, and the fields that a registry asks for.
fn manifest_faults(packages: &[&Package], version: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for package in packages {
        if package.version != version {
            faults.push(format!("{}: version {} where {version} is the workspace's", package.name, package.version));
        }
        let fields = [
            ("description", &package.description),
            ("license", &package.license),
            ("repository", &package.repository),
            ("readme", &package.readme),
        ];
        let missing = fields.iter().filter(|(_, value)| value.as_deref().is_none_or(str::is_empty));
        faults.extend(missing.map(|(field, _)| format!("{}: no {field}", package.name)));
    }
    faults
}

/// The changelog's newest entry must be this version's.
fn changelog_fault(changelog: &str, version: &str) -> Option<String> {
    let newest = changelog.lines().find_map(|line| line.strip_prefix("## [")?.split_once(']').map(|(name, _)| name));
    match newest {
        Some(name) if name == version => None,
        other => {
            Some(format!("CHANGELOG.md: the newest entry is {}, the version is {version}", other.unwrap_or("missing")))
        }
    }
}

/// Packs every crate without building it. The lock file, which publishing needs, stays out: making one asks the
/// registry for every dependency.
fn pack() -> Result<()> {
    let what = ["package", "--workspace", "--exclude", "xtask", "--quiet"];
    let how = ["--no-verify", "--exclude-lockfile", "--allow-dirty"];
    let status = cargo(what).args(how).status()?;
    if !status.success() {
        bail!("cargo package gave {status}");
    }
    Ok(())
}

fn packed_size(folder: &Path, package: &Package) -> Result<u64> {
    let file = folder.join(format!("{}-{}.crate", package.name, package.version));
    Ok(std::fs::metadata(&file).with_context(|| file.display().to_string())?.len())
}

/// Prints the order of release with the sizes; names the crates that are too large.
fn size_faults(order: &[&Package], size: impl Fn(&Package) -> Result<u64>) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    eprintln!("order of release, packed size:");
    for package in order {
        let bytes = size(package)?;
        eprintln!("  {:<24} {:>7.2} MB", package.name, bytes as f64 / 1e6);
        if bytes > LARGEST {
            faults.push(format!("{}: {bytes} bytes packed, at most {LARGEST} are allowed", package.name));
        }
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::made::workspace;

    #[test]
    fn the_newest_entry_of_the_changelog_is_the_version() {
        let changelog = "# Changelog\n\n## [0.2.0] - unreleased\n\n## [0.1.0] - 2026-01-01\n";
        assert_eq!(changelog_fault(changelog, "0.2.0"), None);
        assert!(changelog_fault(changelog, "0.1.0").unwrap().contains("0.2.0"));
        assert!(changelog_fault("# Changelog\n", "0.1.0").unwrap().contains("missing"));
    }

    #[test]
    fn a_manifest_without_a_field_or_with_another_version_is_named() {
        let mut workspace = workspace(&[("a", &[]), ("b", &[])]);
        workspace.packages[0].readme = None;
        workspace.packages[1].version = "0.0.9".into();
        let faults = manifest_faults(&workspace.packages.iter().collect::<Vec<_>>(), "0.1.0");
        assert_eq!(faults, ["a: no readme", "b: version 0.0.9 where 0.1.0 is the workspace's"]);
    }

    #[test]
    fn a_crate_over_the_limit_is_named() {
        let workspace = workspace(&[("light", &[]), ("heavy", &[])]);
        let order: Vec<_> = workspace.packages.iter().collect();
        let size = |package: &Package| Ok(if package.name == "heavy" { LARGEST + 1 } else { LARGEST });
        let faults = size_faults(&order, size).unwrap();
        assert!(faults.len() == 1 && faults[0].starts_with("heavy"), "{faults:?}");
    }
}
