//! What the code may not hold: tests that are skipped, code that is not there, `unsafe` without its reason.

use crate::tree::Tree;

/// Words of unfinished code and skipped tests, with what to do.
const FORBIDDEN: [(&str, &str); 3] = [
    ("#[ignore", "a test runs, or goes"),
    ("todo!(", "write it, or leave it out"),
    ("unimplemented!(", "write it, or leave it out"),
];

/// The faults of all Rust files.
pub(super) fn faults(tree: &Tree) -> Vec<String> {
    tree.texts(".rs")
        .flat_map(|(path, text)| file_faults(text).into_iter().map(move |f| format!("{path}:{f}")))
        .collect()
}

/// Each fault as `line: what`.
fn file_faults(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut faults = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let number = index + 1;
        let code = code_of(line);
        let found = FORBIDDEN.iter().filter(|(word, _)| code.contains(word));
        faults.extend(found.map(|(word, what)| format!("{number}: {word}: {what}")));
        if is_ignored_example(line) {
            faults.push(format!("{number}: an example that is not compiled: make it run, or `no_run`"));
        }
        if has_word(&code, "unsafe") && !is_justified(&lines[..=index]) {
            faults.push(format!("{number}: unsafe without a SAFETY comment above it"));
        }
    }
    faults
}

/// A line without its comment and without what stands between double quotes.
fn code_of(line: &str) -> String {
    let mut code = String::new();
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\\' if quoted => drop(characters.next()),
            '"' if !code.ends_with('\'') => quoted = !quoted,
            _ if quoted => {}
            '/' if characters.peek() == Some(&'/') => break,
            _ => code.push(c),
        }
    }
    code
}

/// Whether `word` stands in `code` as a whole identifier.
fn has_word(code: &str, word: &str) -> bool {
    code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part == word)
}

fn is_ignored_example(line: &str) -> bool {
    let text = line.trim_start();
    let comment = text.strip_prefix("///").or_else(|| text.strip_prefix("//!"));
    comment.and_then(|c| c.trim_start().strip_prefix("```")).is_some_and(|info| has_word(info, "ignore"))
}

/// Whether the last of `lines` says why it is safe, or the comment above its statement does.
fn is_justified(lines: &[&str]) -> bool {
    let gives_reason = |line: &str| line.contains("SAFETY:") || line.contains("# Safety");
    let (last, above) = lines.split_last().expect("a line with `unsafe` in it");
    let is_part = |line: &str| {
        let is_comment = line.starts_with("//");
        is_comment || !(line.is_empty() || line.ends_with([';', '{', '}']))
    };
    let mut statement = above.iter().rev().map(|line| line.trim()).take_while(|line| is_part(line));
    gives_reason(last) || statement.any(gives_reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_tests_and_missing_code_are_faults() {
        let found =
            file_faults("#[test]\n#[ignore = \"slow\"]\nfn a() {\n    todo!()\n}\n/// ```ignore\n/// ```\nfn b() {}\n");
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].starts_with("2: ") && found[1].starts_with("4: ") && found[2].starts_with("6: "));
    }

    #[test]
    fn words_in_comments_and_strings_are_not_code() {
        assert_eq!(
            file_faults("// todo!() and unsafe\nlet a = \"an unsafe todo!()\"; // #[ignore]\n#![deny(unsafe_code)]\n"),
            [""; 0]
        );
        assert_eq!(code_of(r#"let quote = '"'; f("a \" b") // c"#), "let quote = '\"'; f() ");
    }

    #[test]
    fn unsafe_needs_a_reason_of_its_own() {
        let bare = "fn f() {\n    unsafe { g() };\n}\n";
        assert_eq!(file_faults(bare), ["2: unsafe without a SAFETY comment above it"]);
        let second = "// SAFETY: a\nunsafe impl Send for A {}\nunsafe impl Sync for A {}\n";
        assert_eq!(file_faults(second), ["3: unsafe without a SAFETY comment above it"]);
        let split =
            "// SAFETY: the map outlives the slice,\n// which nobody writes.\nlet slice =\n    unsafe { map() };\n";
        assert_eq!(file_faults(split), [""; 0]);
        let declared = "/// # Safety\n/// `i` is below the length.\n#[inline]\npub unsafe fn at(i: usize) {}\n";
        assert_eq!(file_faults(declared), [""; 0]);
    }
}
