//! The command lines of the Markdown pages: the lines of their blocks fenced as `sh`.
//!
//! `crates/sensorium/tests/book.rs` includes this file and runs what it calls [`Command::Sensorium`]; `cargo xtask
//! tidy` refuses every line that is none of the known commands. So no page shows a command that nothing checks.

/// What checks a command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// A run of the program, as a shell line that starts with `sensorium`: the test of the book runs it.
    Sensorium(String),
    /// A task of `cargo xtask` with its arguments: continuous integration runs the tasks.
    Xtask(String),
    /// A step that prepares the machine.
    Setup,
}

/// Starts of lines that prepare a machine and that no test runs.
const SETUP: [&str; 3] = ["cargo install ", "sudo apt-get install ", "git clone "];

/// What checks the command line, or `None` if nothing does.
pub(crate) fn parse(line: &str) -> Option<Command> {
    let run = line.strip_prefix("cargo run --release ").and_then(|rest| {
        let after_features =
            rest.strip_prefix("--features ").and_then(|rest| rest.split_once(' ')).map_or(rest, |(_, rest)| rest);
        after_features.strip_prefix("-- ")
    });
    if let Some(arguments) = run.or_else(|| line.strip_prefix("sensorium ")) {
        return Some(Command::Sensorium(format!("sensorium {arguments}")));
    }
    if let Some(task) = line.strip_prefix("cargo xtask ") {
        return Some(Command::Xtask(task.to_string()));
    }
    SETUP.iter().any(|start| line.starts_with(start)).then_some(Command::Setup)
}

/// The command lines of a page with their line numbers, counted from 1. A line that ends in `\` goes on in the next;
/// empty lines and lines of comment (`#`) are left out.
pub(crate) fn lines(page: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut fence: Option<&str> = None;
    let mut goes_on = false;
    for (index, line) in page.lines().enumerate() {
        let text = line.trim();
        if let Some(info) = text.strip_prefix("```") {
            fence = if fence.is_some() { None } else { Some(info) };
            goes_on = false;
        } else if fence == Some("sh") && !text.is_empty() && !text.starts_with('#') {
            let part = text.strip_suffix('\\').map_or(text, str::trim_end);
            match found.last_mut().filter(|_| goes_on) {
                Some((_, whole)) => *whole = format!("{whole} {part}"),
                None => found.push((index + 1, part.to_string())),
            }
            goes_on = text.ends_with('\\');
        }
    }
    found
}
