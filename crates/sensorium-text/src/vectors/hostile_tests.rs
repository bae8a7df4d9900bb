//! Broken files and files made to do harm: every reader must say so, in one line, and take no memory for them.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;

use super::fasttext::{Entry, FastText, Settings};
use super::quantized::{Int8Vectors, ProductQuantizerConfig, ProductVectors};
use super::{MappedVectors, WordVectors, finalfusion, read, write};
use crate::Result;

fn small() -> WordVectors {
    let words = ["naïve", "東京", "o'clock"].map(String::from).to_vec();
    WordVectors::new(words, 2, vec![0.1, -2.5, 1e-7, 3.0, -0.75, 12345.678]).unwrap()
}

/// A small file of each kind in a folder of its own.
fn small_files(folder: &TempDir) -> Vec<PathBuf> {
    let at = |name: &str| folder.path().join(name);
    for name in ["a.txt", "a.glove", "a.bin", "a.fifu", "a.safetensors"] {
        write(at(name), &small()).unwrap();
    }
    finalfusion::write(at("about.fifu"), &small(), Some("about = 'colours'")).unwrap();
    let settings = Settings { dim: 2, buckets: 2, ..Settings::default() };
    let words = vec![Entry { text: "東京".to_string(), count: 7 }];
    FastText::new(settings, words, vec![], vec![0.5; 6], vec![0.25; 2]).unwrap().write(at("model.bin")).unwrap();
    Int8Vectors::quantize(&small()).write(at("int8.safetensors")).unwrap();
    let config = ProductQuantizerConfig { centroids: 2, ..ProductQuantizerConfig::new(2) };
    ProductVectors::quantize(&small(), &config).unwrap().write(at("product.safetensors")).unwrap();
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Reads a file by every way that it could be read. A reader that panics fails the test here.
fn read_each_way(path: &Path) -> Result<WordVectors> {
    if let Ok(mapped) = MappedVectors::open(path) {
        (0..mapped.len()).for_each(|index| {
            let _ = mapped.row(index);
        });
    }
    if let Ok(model) = FastText::read(path) {
        model.vector("unknown");
    }
    let _ = finalfusion::read_metadata(path);
    let vectors = match path.file_name().unwrap().to_str().unwrap() {
        "int8.safetensors" => Int8Vectors::read(path).map(|vectors| vectors.dequantize()),
        "product.safetensors" => ProductVectors::read(path).map(|vectors| vectors.dequantize()),
        _ => read(path),
    };
    match &vectors {
        Ok(vectors) => assert!(vectors.values().iter().all(|value| value.is_finite()), "{}", path.display()),
        Err(error) => {
            let (message, name) = (error.to_string(), path.file_name().unwrap().to_str().unwrap());
            assert!(message.contains(name) && !message.contains('\n') && message.len() < 500, "{message}");
        }
    }
    vectors
}

#[test]
fn small_files_are_whole() {
    let folder = tempfile::tempdir().unwrap();
    let files = small_files(&folder);
    assert_eq!(files.len(), 9);
    files.iter().for_each(|path| assert!(read_each_way(path).is_ok(), "{}", path.display()));
}

#[test]
fn a_file_cut_short_anywhere_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for path in small_files(&folder) {
        let whole = std::fs::read(&path).unwrap();
        // The last line break may be missing; and of text nobody can tell whether the last number has lost its end.
        let enough = match path.file_name().unwrap().to_str().unwrap() {
            "a.bin" => whole.len() - 1,
            "a.txt" => whole.iter().rposition(|byte| *byte == b' ').unwrap() + 2,
            "a.glove" => 1,
            _ => whole.len(),
        };
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let read = read_each_way(&path);
            assert!(length >= enough || read.is_err(), "{}, {length} bytes: {read:?}", path.display());
        }
    }
}

#[test]
fn a_changed_byte_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    for path in small_files(&folder) {
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut changed = whole.clone();
                changed[at] ^= change;
                std::fs::write(&path, changed).unwrap();
                let _ = read_each_way(&path);
            }
        }
    }
}

const STARTS: &[&[u8]] = &[
    b"",
    b"2 3\n",
    b"1 1\nw ",
    b"w 1 2\n",
    b"FiFu\0\0\0\0\x02\0\0\0\x01\0\0\0\x02\0\0\0\x01\0\0\0",
    b"\xba\x16\x4f\x2f\x0c\0\0\0",
    b"\x20\0\0\0\0\0\0\0{",
];
const NAMES: &[&str] = &["a.txt", "a.glove", "a.bin", "a.fifu", "int8.safetensors", "product.safetensors"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn random_bytes_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        start in prop::sample::select(STARTS),
        name in prop::sample::select(NAMES),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, [start, &bytes].concat()).unwrap();
        let _ = read_each_way(&path);
    }

    #[test]
    fn random_text_never_panics(text in "([ab] ?|[0-9.e-]{1,4}[ \t]?|\r?\n|nan ){0,30}") {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        std::fs::write(&path, text).unwrap();
        let _ = read_each_way(&path);
    }
}

/// Lengths of terabytes: a reader that allocates by one of them is killed on the spot.
#[test]
fn lengths_are_checked_before_they_are_used() {
    const HUGE: u64 = 1 << 42;
    let folder = tempfile::tempdir().unwrap();
    let fifu = |vocab: &[u8], matrix: &[u8]| {
        let chunk = |id: u32, content: &[u8]| {
            [&id.to_le_bytes(), (content.len() as u64).to_le_bytes().as_slice(), content].concat()
        };
        let head = [0, 2, 1, 2].map(u32::to_le_bytes).concat();
        [b"FiFu".as_slice(), &head, &chunk(1, vocab), &chunk(2, matrix)].concat()
    };
    let no_words = 0u64.to_le_bytes();
    let matrix = |rows: u64, dim: u32| {
        [rows.to_le_bytes().as_slice(), &dim.to_le_bytes(), &10u32.to_le_bytes(), &[0; 4]].concat()
    };
    let model = |size: i32, words: i32, dim: i32, buckets: i32| {
        let settings = [793_712_314, 12, dim, 5, 5, 1, 5, 1, 2, 2, buckets, 3, 6, 100];
        let counts = [size, words, size - words].map(i32::to_le_bytes).concat();
        let tail = [counts.as_slice(), &[0; 8], &[0xff; 8], b"w\0\x01\0\0\0\0\0\0\0\0\0"].concat();
        [settings.map(i32::to_le_bytes).concat().as_slice(), &[0; 8], &tail].concat()
    };
    let shape = r#"{"vectors":{"dtype":"F32","shape":[4398046511104,4],"data_offsets":[0,0]}}"#;
    let safetensors = [(shape.len() as u64).to_le_bytes().as_slice(), shape.as_bytes()].concat();
    for (name, content, reason) in [
        ("a.txt", format!("{HUGE} 3\nw 1 2 3\n").into_bytes(), "says 4398046511104 words, the file has 1"),
        (
            "a.txt",
            format!("1 {HUGE}\nw 1 2 3\n").into_bytes(),
            "line 2: 3 numbers after the word, must be 4398046511104",
        ),
        ("a.txt", format!("0 {HUGE}\nw 1 2 3\n").into_bytes(), "3 numbers after the word"),
        ("a.txt", b"99999999999999999999999 3\nw 1 2 3\n".to_vec(), "the file has 1"),
        ("a.bin", format!("{HUGE} 1\nw \0\0\0\0").into_bytes(), "4398046511104 words"),
        ("a.bin", format!("{HUGE} 0\nw \0\0\0\0").into_bytes(), "the dimension is 0"),
        ("a.bin", format!("1 {HUGE}\nw \0\0\0\0").into_bytes(), "1 words of 17592186044418"),
        ("a.bin", format!("{0} {0}\nw \0\0\0\0", u64::MAX).into_bytes(), "do not fit into"),
        ("a.fifu", fifu(&HUGE.to_le_bytes(), &matrix(0, 1)), "4398046511104 words"),
        ("a.fifu", fifu(&no_words, &matrix(HUGE, 1)), "4398046511104 rows"),
        ("a.fifu", fifu(&no_words, &matrix(1, u32::MAX)), "1 rows"),
        ("a.fifu", fifu(&no_words, &matrix(u64::MAX, 0)), "a matrix of 18446744073709551615 rows"),
        ("a.fifu", [b"FiFu\0\0\0\0".as_slice(), &[0xff; 4]].concat(), "4294967295 kinds of chunks"),
        ("a.bin", model(i32::MAX, i32::MAX, 2, 2), "2147483647 entries"),
        ("a.bin", model(1, 1, i32::MAX, i32::MAX), "it ends at byte 104"),
        ("a.bin", model(1, -1, 1, 1), "the number of words = -1"),
        ("a.safetensors", safetensors, "invalid shape"),
        ("a.safetensors", [&[0xff; 4], b"\0\0\0\0{}".as_slice()].concat(), "header too large"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let error = read_each_way(&path).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}, where {reason} was expected");
    }
}
