//! Committed data: each folder of it says whose it is.

use std::collections::BTreeSet;

use crate::tree::Tree;

/// The folders that hold data: every `assets` of a crate, and the samples of the book.
fn data_folder(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["crates", name, "assets", ..] => Some(format!("crates/{name}/assets")),
        ["docs", "samples", ..] => Some("docs/samples".to_string()),
        _ => None,
    }
}

/// Data folders without a `LICENSES.md`, and entries of them that it does not name.
pub(super) fn faults(tree: &Tree) -> Vec<String> {
    let folders: BTreeSet<String> = tree.paths().filter_map(data_folder).collect();
    folders.iter().flat_map(|folder| folder_faults(tree, folder)).collect()
}

fn folder_faults(tree: &Tree, folder: &str) -> Vec<String> {
    let notice = format!("{folder}/LICENSES.md");
    let Some(text) = tree.text(&notice) else {
        return vec![format!("{notice}: missing; it gives the origin and the licence of each file")];
    };
    let inside = tree.paths().filter_map(|path| path.strip_prefix(folder)?.strip_prefix('/'));
    let entries: BTreeSet<&str> = inside.map(|path| path.split('/').next().unwrap_or(path)).collect();
    entries
        .into_iter()
        .filter(|entry| *entry != "LICENSES.md" && !text.contains(entry))
        .map(|entry| format!("{notice}: does not name {entry}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_a_notice_and_a_file_without_a_line_are_faults() {
        let tree = Tree::made(&[
            ("crates/a/assets/vectors.bin", ""),
            ("crates/b/assets/LICENSES.md", "`sheet.png`: Apache-2.0; `photos/`: CC0"),
            ("crates/b/assets/sheet.png", ""),
            ("crates/b/assets/photos/cat.jpg", ""),
            ("crates/b/assets/names.txt", ""),
            ("crates/b/src/lib.rs", ""),
        ]);
        let found = faults(&tree);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("crates/a/assets/LICENSES.md: missing"));
        assert_eq!(found[1], "crates/b/assets/LICENSES.md: does not name names.txt");
    }
}
