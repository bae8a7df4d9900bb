//! The few rules of the zip format that `torch.save` uses: entries stored as they are, one after another.
//!
//! Nothing is unpacked, so a small file cannot grow; an entry is a range of the file.

use std::collections::HashMap;
use std::ops::Range;

use super::shown;

const LOCAL_HEADER: &[u8] = b"PK\x03\x04";
const DIRECTORY_ENTRY: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
const END_64: &[u8] = b"PK\x06\x06";
const LOCATOR_64: &[u8] = b"PK\x06\x07";
const ZIP64_EXTRA: u16 = 1;

/// Whether the file begins as a zip archive does.
pub(super) fn recognises(bytes: &[u8]) -> bool {
    bytes.starts_with(LOCAL_HEADER)
}

/// Where the content of each entry lies in the file, by the entry's name.
pub(super) fn entries(bytes: &[u8]) -> Result<HashMap<String, Range<usize>>, String> {
    let directory = Directory::find(bytes)?;
    let mut entries = HashMap::new();
    let mut at = directory.start;
    while at < directory.end {
        let (name, content, next) =
            entry(bytes, at).ok_or_else(|| format!("the zip directory is broken at byte {at}"))?;
        entries.insert(name, content?);
        at = next;
    }
    Ok(entries)
}

/// The part of the file that lists the entries.
struct Directory {
    start: usize,
    end: usize,
}

impl Directory {
    fn find(bytes: &[u8]) -> Result<Self, String> {
        let end = end_record(bytes).ok_or("its zip directory is missing: the file is cut short")?;
        Self::from_end_record(bytes, end)
            .filter(|directory| directory.start <= directory.end && directory.end <= bytes.len())
            .ok_or_else(|| "its zip directory lies outside the file: the file is cut short or damaged".to_string())
    }

    fn from_end_record(bytes: &[u8], end: usize) -> Option<Self> {
        let (size, start) = (u32_at(bytes, end + 12)?, u32_at(bytes, end + 16)?);
        let locator = end.checked_sub(20).filter(|at| has(bytes, *at, LOCATOR_64));
        let (size, start) = match locator {
            Some(locator) => {
                let end_64 = usize::try_from(u64_at(bytes, locator + 8)?).ok()?;
                has(bytes, end_64, END_64).then_some(())?;
                (u64_at(bytes, end_64.checked_add(40)?)?, u64_at(bytes, end_64.checked_add(48)?)?)
            }
            None => (u64::from(size), u64::from(start)),
        };
        let start = usize::try_from(start).ok()?;
        Some(Self { start, end: start.checked_add(usize::try_from(size).ok()?)? })
    }
}

/// The archive's last record: it is followed by nothing but its comment, of at most 65,535 bytes.
fn end_record(bytes: &[u8]) -> Option<usize> {
    let latest = bytes.len().checked_sub(22)?;
    let earliest = latest.saturating_sub(usize::from(u16::MAX));
    (earliest..=latest).rev().find(|at| has(bytes, *at, END))
}

/// The entry listed at `at`: its name, where its content lies, and where the next one is listed.
fn entry(bytes: &[u8], at: usize) -> Option<(String, Result<Range<usize>, String>, usize)> {
    has(bytes, at, DIRECTORY_ENTRY).then_some(())?;
    let (flags, method) = (u16_at(bytes, at + 8)?, u16_at(bytes, at + 10)?);
    let packed = u32_at(bytes, at + 20)?;
    let size = u32_at(bytes, at + 24)?;
    let name_length = usize::from(u16_at(bytes, at + 28)?);
    let extra_length = usize::from(u16_at(bytes, at + 30)?);
    let comment_length = usize::from(u16_at(bytes, at + 32)?);
    let local = u32_at(bytes, at + 42)?;
    let name_end = at + 46 + name_length;
    let name = String::from_utf8_lossy(bytes.get(at + 46..name_end)?).into_owned();
    let extra = bytes.get(name_end..name_end + extra_length)?;
    let next = name_end + extra_length + comment_length;

    let [size, packed, local] = widen(extra, [size, packed, local])?;
    let content = if flags & 1 == 1 {
        Err(format!("its entry '{}' is encrypted", shown(&name)))
    } else if method != 0 || size != packed {
        Err(format!(
            "its entry '{}' is compressed; torch.save stores entries as they are: unpack and save it again",
            shown(&name)
        ))
    } else {
        content(bytes, local, size)
            .ok_or_else(|| format!("its entry '{}' lies outside the file: it is cut short or damaged", shown(&name)))
    };
    Some((name, content, next))
}

/// The directory's 32-bit numbers, or their 64-bit ones from the extra field where they do not fit.
fn widen(extra: &[u8], narrow: [u32; 3]) -> Option<[u64; 3]> {
    let mut wide = narrow.map(u64::from);
    if !narrow.contains(&u32::MAX) {
        return Some(wide);
    }
    let mut at = 0;
    while u16_at(extra, at)? != ZIP64_EXTRA {
        at += 4 + usize::from(u16_at(extra, at + 2)?);
    }
    at += 4;
    for (number, narrow) in wide.iter_mut().zip(narrow) {
        if narrow == u32::MAX {
            *number = u64_at(extra, at)?;
            at += 8;
        }
    }
    Some(wide)
}

/// Where an entry's content lies, behind its local header, which has a name and an extra field of its own length.
fn content(bytes: &[u8], local: u64, size: u64) -> Option<Range<usize>> {
    let local = usize::try_from(local).ok()?;
    has(bytes, local, LOCAL_HEADER).then_some(())?;
    let name_length = usize::from(u16_at(bytes, local + 26)?);
    let extra_length = usize::from(u16_at(bytes, local + 28)?);
    let start = local + 30 + name_length + extra_length;
    let end = start.checked_add(usize::try_from(size).ok()?)?;
    (end <= bytes.len()).then_some(start..end)
}

fn has(bytes: &[u8], at: usize, signature: &[u8]) -> bool {
    bytes.get(at..).is_some_and(|rest| rest.starts_with(signature))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().copied().map(u64::from_le_bytes)
}

/// Archives for the tests of this crate's readers.
#[cfg(test)]
pub(super) fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in entries {
        let size = (content.len() as u32).to_le_bytes();
        let name_length = (name.len() as u16).to_le_bytes();
        let local = (file.len() as u32).to_le_bytes();
        let before_sizes = [0; 10];
        file.extend(
            [LOCAL_HEADER, &[20, 0], &before_sizes[..8], &[0; 4], &size, &size, &name_length, &[0, 0]].concat(),
        );
        file.extend(name.bytes());
        file.extend(*content);
        directory.extend([DIRECTORY_ENTRY, &[20, 0, 20, 0], &before_sizes[..8], &[0; 4], &size, &size].concat());
        directory.extend([&name_length[..], &[0; 12], &local].concat());
        directory.extend(name.bytes());
    }
    let start = (file.len() as u32).to_le_bytes();
    let size = (directory.len() as u32).to_le_bytes();
    let count = (entries.len() as u16).to_le_bytes();
    [&file, &directory, END, &[0; 4], &count, &count, &size, &start, &[0, 0]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_by_name() {
        let file = archive(&[("a/data.pkl", b"pickle"), ("a/data/0", b""), ("a/data/1", b"12345")]);
        let entries = entries(&file).unwrap();
        assert_eq!(entries.len(), 3);
        assert_eq!(&file[entries["a/data.pkl"].clone()], b"pickle");
        assert_eq!(&file[entries["a/data/1"].clone()], b"12345");
        assert!(entries["a/data/0"].is_empty());
    }

    #[test]
    fn a_comment_may_follow() {
        let mut file = archive(&[("x", b"1")]);
        let length = file.len();
        file[length - 2] = 5;
        file.extend(b"hello");
        assert_eq!(entries(&file).unwrap().len(), 1);
    }

    #[test]
    fn sizes_of_64_bits_are_read_from_the_extra_field() {
        let extra = [&1u16.to_le_bytes()[..], &24u16.to_le_bytes(), &7u64.to_le_bytes(), &8u64.to_le_bytes()].concat();
        let with_another_before = [&[9, 9, 2, 0, 0xff, 0xff][..], &extra].concat();
        assert_eq!(widen(&with_another_before, [u32::MAX, 3, u32::MAX]), Some([7, 3, 8]));
        assert_eq!(widen(&extra, [1, 2, 3]), Some([1, 2, 3]));
        assert_eq!(widen(&[9, 9, 0, 0], [1, 2, u32::MAX]), None);
    }

    #[test]
    fn a_64_bit_directory_is_followed() {
        let plain = archive(&[("x", b"12")]);
        let end = plain.len() - 22;
        let (size, start) = (u32_at(&plain, end + 12).unwrap(), u32_at(&plain, end + 16).unwrap());
        let end_64 = [END_64, &[0; 36], &u64::from(size).to_le_bytes(), &u64::from(start).to_le_bytes()].concat();
        let locator = [LOCATOR_64, &[0; 4], &(end as u64).to_le_bytes(), &[0; 4]].concat();
        let last = [END, &[0xff; 16], &[0, 0]].concat();
        let file = [&plain[..end], &end_64, &locator, &last].concat();
        assert_eq!(&file[entries(&file).unwrap()["x"].clone()], b"12");
    }

    #[test]
    fn what_torch_never_writes_is_refused_by_name() {
        let check = |change: &dyn Fn(&mut Vec<u8>, usize), part: &str| {
            let mut file = archive(&[("x", b"12345")]);
            let directory = file.windows(4).position(|w| w == DIRECTORY_ENTRY).unwrap();
            change(&mut file, directory);
            let error = entries(&file).unwrap_err();
            assert!(error.contains(part), "{error}");
        };
        check(&|file, at| file[at + 8] = 1, "'x' is encrypted");
        check(&|file, at| file[at + 10] = 8, "'x' is compressed");
        check(&|file, at| file[at + 24] = 200, "'x' is compressed");
        check(&|file, at| (file[at + 20], file[at + 24]) = (200, 200), "'x' lies outside");
        check(&|file, at| file[at + 42] = 3, "'x' lies outside");
        check(&|file, at| file[at] = 0, "broken at byte");
        check(&|file, _| file.truncate(30), "cut short");
        check(&|file, _| *file.last_chunk_mut::<6>().unwrap() = [0xff, 0xff, 0xff, 0x7f, 0, 0], "outside the file");
    }
}
