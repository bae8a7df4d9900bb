//! Which crate may depend on which.

use crate::workspace::{Dependency, Package, Workspace};

/// Every crate with the crates of the workspace that it may use. docs/ARCHITECTURE.md draws and explains it.
const ARROWS: [(&str, &[&str]); 9] = [
    ("sensorium-core", &[]),
    ("sensorium-text", &["sensorium-core"]),
    ("sensorium-vision", &["sensorium-core"]),
    ("sensorium-audio", &["sensorium-core"]),
    ("sensorium-fusion", &["sensorium-core", "sensorium-text", "sensorium-vision", "sensorium-audio"]),
    ("sensorium-captioning", &["sensorium-core", "sensorium-text", "sensorium-vision", "sensorium-audio"]),
    ("sensorium-3d", &["sensorium-core", "sensorium-vision"]),
    (
        "sensorium",
        &[
            "sensorium-core",
            "sensorium-text",
            "sensorium-vision",
            "sensorium-audio",
            "sensorium-fusion",
            "sensorium-captioning",
            "sensorium-3d",
        ],
    ),
    ("xtask", &[]),
];

/// The backends: only the command and tests choose one.
const BACKENDS: [&str; 6] = ["flex", "ndarray", "wgpu", "vulkan", "metal", "cuda"];

/// The crates that are programs.
const PROGRAMS: [&str; 2] = ["sensorium", "xtask"];

/// Arrows that are not in the table, backends that a library enables, and `anyhow` in a library.
pub(super) fn faults(workspace: &Workspace) -> Vec<String> {
    let members: Vec<&str> = workspace.packages.iter().map(|p| p.name.as_str()).collect();
    let mut faults = Vec::new();
    for package in &workspace.packages {
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == package.name) else {
            faults.push(format!("{}: a crate that the table of arrows (xtask/src/tidy/arrows.rs) lacks", package.name));
            continue;
        };
        let inside = package.dependencies.iter().filter(|d| members.contains(&d.name.as_str()));
        faults.extend(
            inside
                .filter(|d| !is_allowed(package, d, allowed))
                .map(|d| format!("{}: may not depend on {}; it may on: {}", package.name, d.name, allowed.join(", "))),
        );
        if !PROGRAMS.contains(&package.name.as_str()) {
            faults.extend(library_faults(package));
        }
    }
    faults
}

/// A crate's tests may use the crate itself with other features.
fn is_allowed(package: &Package, dependency: &Dependency, allowed: &[&str]) -> bool {
    let is_itself = dependency.name == package.name && dependency.kind.as_deref() == Some("dev");
    is_itself || allowed.contains(&dependency.name.as_str())
}

fn library_faults(library: &Package) -> Vec<String> {
    let name = &library.name;
    let for_users = library.dependencies.iter().filter(|d| d.kind.as_deref() != Some("dev"));
    let mut faults = Vec::new();
    for dependency in for_users {
        if dependency.name == "anyhow" {
            faults.push(format!("{name}: depends on anyhow; a library has its own error type"));
        }
        let enabled = dependency.features.iter().filter(|f| BACKENDS.contains(&f.as_str()));
        faults.extend(
            enabled.map(|f| format!("{name}: enables backend {f} of {}; only the command does", dependency.name)),
        );
    }
    let by_default = library.features.get("default").into_iter().flatten().filter(|f| BACKENDS.contains(&f.as_str()));
    faults.extend(by_default.map(|f| format!("{name}: enables backend {f} by default; only the command does")));
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::made::workspace;

    #[test]
    fn the_arrows_of_the_table_pass() {
        let made = workspace(&[
            ("sensorium-core", &["dev:sensorium-core", "serde"]),
            ("sensorium-vision", &["sensorium-core", "dev:sensorium-core"]),
            ("sensorium-fusion", &["sensorium-core", "sensorium-vision"]),
            ("sensorium", &["sensorium-fusion", "anyhow"]),
        ]);
        assert_eq!(faults(&made), Vec::<String>::new());
    }

    #[test]
    fn an_arrow_against_the_table_is_a_fault_in_tests_too() {
        let made = workspace(&[
            ("sensorium-core", &["dev:sensorium-text"]),
            ("sensorium-text", &["sensorium-core", "sensorium-vision"]),
            ("sensorium-vision", &["sensorium-core"]),
        ]);
        let found = faults(&made);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("sensorium-core: may not depend on sensorium-text"));
        assert!(found[1].starts_with("sensorium-text: may not depend on sensorium-vision"));
    }

    #[test]
    fn a_crate_that_the_table_lacks_is_a_fault() {
        assert!(faults(&workspace(&[("sensorium-smell", &[])]))[0].contains("table of arrows"));
    }

    #[test]
    fn a_library_enables_no_backend_and_has_no_anyhow() {
        let mut made = workspace(&[("sensorium-core", &["anyhow", "burn"])]);
        made.packages[0].dependencies[1].features = vec!["std".into(), "flex".into()];
        made.packages[0].features.insert("default".into(), vec!["wgpu".into()]);
        let found = faults(&made);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(
            found[0].contains("anyhow") && found[1].contains("flex of burn") && found[2].contains("wgpu by default")
        );
    }
}
