//! The documents: every link leads to a file, every page is in the book, every command is one that something checks.

use std::collections::BTreeSet;

use clap::Parser;

use super::commands::{self, Command};
use crate::Cli;
use crate::tree::Tree;

/// The list of the book's pages.
const SUMMARY: &str = "docs/SUMMARY.md";

/// Names of fences that would hide a command from the test of the book.
const OTHER_SHELLS: [&str; 6] = ["bash", "shell", "console", "zsh", "shell-session", "powershell"];

/// The faults of all Markdown files.
pub(super) fn faults(tree: &Tree) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, text) in tree.texts(".md") {
        faults.extend(links(text).filter_map(|(line, target)| link_fault(tree, path, line, target)));
        faults.extend(command_faults(path, text));
        faults.extend(fence_faults(path, text));
    }
    faults.extend(pages_outside_the_book(tree));
    faults
}

/// The targets of `[text](target)` and `![text](target)` with their line numbers, code blocks left out.
fn links(text: &str) -> impl Iterator<Item = (usize, &str)> {
    prose(text).flat_map(|(number, line)| {
        line.split("](").skip(1).filter_map(move |rest| rest.split_once(')').map(|(target, _)| (number, target)))
    })
}

/// The lines outside of fences with their numbers, counted from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        (!fenced && !is_fence).then_some((index + 1, line))
    })
}

fn link_fault(tree: &Tree, page: &str, line: usize, target: &str) -> Option<String> {
    let file = target.split('#').next().unwrap_or(target);
    let is_outside = target.contains("://") || target.starts_with("mailto:");
    if is_outside || file.is_empty() || resolve(page, file).is_some_and(|path| tree.has(&path)) {
        return None;
    }
    Some(format!("{page}:{line}: the link {target} leads nowhere"))
}

/// The path of `target` from the root, as seen from `page`; `None` where it leaves the repository.
fn resolve(page: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

fn command_faults(page: &str, text: &str) -> Vec<String> {
    let is_checked = |line: &str| match commands::parse(line) {
        Some(Command::Xtask(task)) => Cli::try_parse_from(std::iter::once("xtask").chain(task.split(' '))).is_ok(),
        Some(Command::Sensorium(_) | Command::Setup) => true,
        None => false,
    };
    let unchecked = commands::lines(text).into_iter().filter(|(_, line)| !is_checked(line));
    unchecked.map(|(number, line)| format!("{page}:{number}: nothing checks the command `{line}`")).collect()
}

/// Commands in a fence of another name would be shown and never run.
fn fence_faults(page: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fence: Option<&str> = None;
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        match (line.trim().strip_prefix("```"), fence) {
            (Some(_), Some(_)) => fence = None,
            (Some(info), None) => {
                fence = Some(info);
                if OTHER_SHELLS.contains(&info) {
                    faults.push(format!("{page}:{number}: a block of `{info}`: write `sh`, which is tested"));
                }
            }
            (None, Some(info))
                if info != "sh" && matches!(commands::parse(line.trim()), Some(Command::Sensorium(_))) =>
            {
                faults.push(format!("{page}:{number}: a command in a block that is not `sh` is never tested"));
            }
            _ => {}
        }
    }
    faults
}

/// Pages beside the list of the book's pages that it does not name.
fn pages_outside_the_book(tree: &Tree) -> Vec<String> {
    let Some(summary) = tree.text(SUMMARY) else {
        return vec![format!("{SUMMARY}: missing; it lists the pages of the book")];
    };
    let listed: BTreeSet<String> = links(summary).filter_map(|(_, target)| resolve(SUMMARY, target)).collect();
    let pages = tree
        .texts(".md")
        .map(|(path, _)| path)
        .filter(|path| path.starts_with("docs/") && !path.starts_with("docs/samples/"));
    let missing = pages.filter(|path| *path != SUMMARY && !listed.contains(*path));
    missing.map(|path| format!("{path}: {SUMMARY} does not list it")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> Vec<String> {
        faults(&Tree::made(&[(SUMMARY, "- [A](a.md)\n"), ("docs/a.md", text), ("docs/images/x.png", "")]))
    }

    #[test]
    fn links_lead_to_files() {
        assert_eq!(page("![x](images/x.png) [s](SUMMARY.md#top) [w](https://example.org) [i](images)"), [""; 0]);
        let found = page("one\n[gone](gone.md) and [out](../../../etc/passwd)\n```text\n[code](no.md)\n```\n");
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("docs/a.md:2: the link gone.md"));
    }

    #[test]
    fn every_page_is_in_the_book() {
        let tree = Tree::made(&[(SUMMARY, "- [A](a.md)\n"), ("docs/a.md", ""), ("docs/b.md", ""), ("README.md", "")]);
        assert_eq!(faults(&tree), ["docs/b.md: docs/SUMMARY.md does not list it"]);
    }

    #[test]
    fn a_command_that_nothing_checks_is_a_fault() {
        assert_eq!(
            page("```sh\ncargo xtask test\ncargo run --release -- demo\nsensorium devices\n# a comment\n```\n"),
            [""; 0]
        );
        let found = page("```sh\nsensorium devices\nmake all\ncargo xtask fly\n```\n");
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains(":3:") && found[0].contains("make all"));
        assert!(found[1].contains(":4:") && found[1].contains("fly"));
    }

    #[test]
    fn a_command_in_another_fence_is_a_fault() {
        assert!(page("```bash\nls\n```\n")[0].contains("write `sh`"));
        assert!(page("```text\nsensorium demo\n```\n")[0].contains("never tested"));
        assert_eq!(page("```text\nrecall 1.0\n```\n"), [""; 0]);
    }

    #[test]
    fn command_lines_are_joined_and_numbered() {
        let text = "sensorium no\n```sh\n\nsensorium vision classify a.png \\\n  --top 3\n# note\ncargo run --release --features wgpu -- devices\n```\n";
        let found = commands::lines(text);
        assert_eq!(
            found,
            [
                (4, "sensorium vision classify a.png --top 3".to_string()),
                (7, "cargo run --release --features wgpu -- devices".to_string()),
            ]
        );
        assert_eq!(commands::parse(&found[1].1), Some(Command::Sensorium("sensorium devices".into())));
        assert_eq!(commands::parse("cargo run --release --bin other"), None);
    }
}
