//! Names that say nothing of what a file holds.

use crate::tree::Tree;

/// The forbidden names of modules.
const FORBIDDEN: [&str; 6] = ["utils", "util", "misc", "common", "helpers", "helper"];

/// Rust files, and folders of Rust files, with a forbidden name.
pub(super) fn faults(tree: &Tree) -> Vec<String> {
    let is_forbidden = |path: &&str| {
        let modules = path.strip_suffix(".rs").unwrap_or(path);
        modules.split('/').any(|module| FORBIDDEN.contains(&module))
    };
    tree.texts(".rs")
        .map(|(path, _)| path)
        .filter(is_forbidden)
        .map(|path| format!("{path}: name it by what it holds, none of: {}", FORBIDDEN.join(", ")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forbidden_file_or_folder_is_a_fault_and_a_longer_name_is_not() {
        let tree = Tree::made(&[
            ("crates/a/src/utils.rs", ""),
            ("crates/a/tests/common/mod.rs", ""),
            ("crates/a/src/common_voice.rs", ""),
            ("docs/utils.md", ""),
        ]);
        let found = faults(&tree);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("crates/a/src/utils.rs") && found[1].starts_with("crates/a/tests/common/mod.rs"));
    }
}
