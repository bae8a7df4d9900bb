//! How much memory reading takes.

/// Memory that a reader may take beside the file's.
const BESIDE: usize = 256 << 20;

/// Gives what `read` gives, which must take little memory for a file of `size` bytes: at most 16 times its size and
/// 256 MiB, whether used or only asked for. Where the system is not Linux, nothing is checked.
///
/// The most that a process has ever held is measured: a test wants a process of its own, as cargo-nextest has it.
///
/// # Panics
/// If it took more.
#[track_caller]
pub fn check_memory<T>(size: usize, read: impl FnOnce() -> T) -> T {
    // The threads of the pool, and the room that the allocator sets aside for each, are not the reader's.
    rayon::broadcast(|_| std::hint::black_box(vec![0u8; 1 << 10]));
    let before = most_memory();
    let result = read();
    let grown = most_memory() - before;
    assert!(grown <= 16 * size + BESIDE, "{grown} bytes more for a file of {size}");
    result
}

/// The most address space that this process has had so far, in bytes; 0 where the system does not say.
fn most_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"));
    line.map_or(0, |line| line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number of kB") * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_asks_for_too_much_is_told() {
        assert_eq!(check_memory(10, || vec![1u8; 1 << 20].len()), 1 << 20);
        let asked = || std::hint::black_box(Vec::<u8>::with_capacity(2 * BESIDE));
        let greedy = std::panic::catch_unwind(|| check_memory(10, asked));
        assert_eq!(greedy.is_err(), cfg!(target_os = "linux"));
    }
}
