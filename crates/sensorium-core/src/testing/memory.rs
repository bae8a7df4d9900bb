//! How much memory reading takes.

/// Memory that a reader may use beside the file's.
const USED: usize = 64 << 20;

/// Memory that a reader may ask for beside the file's, used or not.
const ASKED_FOR: usize = 256 << 20;

/// Gives what `read` gives, which must take little memory for a file of `size` bytes: 16 times its size, and beyond that
/// it may use 64 MiB and ask for 256 MiB. Where the system is not Linux, nothing is checked.
///
/// The most that a process has ever held is measured: a test wants a process of its own, as cargo-nextest has it.
///
/// # Panics
/// If it took more.
#[track_caller]
pub fn check_memory<T>(size: usize, read: impl FnOnce() -> T) -> T {
    // The threads of the pool, and the room that the allocator sets aside for each, are not the reader's.
    rayon::broadcast(|_| std::hint::black_box(vec![0u8; 1 << 10]));
    let measures = [("VmHWM:", USED, "used"), ("VmPeak:", ASKED_FOR, "asked for")];
    let before = measures.map(|(name, ..)| most_memory(name));
    let result = read();
    for ((name, beside, how), before) in measures.into_iter().zip(before) {
        let grown = most_memory(name) - before;
        assert!(grown <= 16 * size + beside, "{grown} bytes more {how} for a file of {size}");
    }
    result
}

/// The most memory that this process has held so far by a measure of the system's, in bytes; 0 where it does not say.
fn most_memory(measure: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(measure));
    line.map_or(0, |line| line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number of kB") * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_asks_for_too_much_is_told() {
        assert_eq!(check_memory(10, || vec![1u8; 1 << 20].len()), 1 << 20);
        let used = || std::hint::black_box(vec![1u8; 2 * USED]);
        let greedy = std::panic::catch_unwind(|| check_memory(10, used));
        assert_eq!(greedy.is_err(), cfg!(target_os = "linux"));
        let asked = || std::hint::black_box(Vec::<u8>::with_capacity(2 * ASKED_FOR));
        let greedy = std::panic::catch_unwind(|| check_memory(10, asked));
        assert_eq!(greedy.is_err(), cfg!(target_os = "linux"));
    }
}
