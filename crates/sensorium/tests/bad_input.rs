//! Bad input: exit code 1, one clear line that names the file, nothing half-written, no panic.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;

/// Runs the command in `folder`; it must fail with one line that has every one of `words`.
fn refused(folder: &Path, args: &[&str], words: &[&str]) {
    let output =
        Command::cargo_bin("sensorium").unwrap().current_dir(folder).args(args).arg("--quiet").output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {message}");
    assert_eq!(message.trim_end().lines().count(), 1, "{args:?} must say one line, not:\n{message}");
    assert!(message.starts_with("error: "), "{args:?}: {message}");
    assert!(!message.contains("panicked"), "{args:?}: {message}");
    for word in words {
        assert!(message.contains(word), "{args:?} must say '{word}': {message}");
    }
}

fn photo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/samples/photos/chelsea.jpg")
}

/// A PNG with a header of 60,000 × 60,000 pixels and four bytes of data.
fn huge_png() -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend(60_000u32.to_be_bytes());
    header.extend(60_000u32.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for chunk in [header.as_slice(), b"IDAT\0\0\0\0"] {
        png.extend((chunk.len() as u32 - 4).to_be_bytes());
        png.extend(chunk);
        png.extend(crc(chunk).to_be_bytes());
    }
    png
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

#[test]
fn damaged_pictures_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let whole = fs::read(photo()).unwrap();
    fs::write(dir.path().join("cut.jpg"), &whole[..whole.len() / 2]).unwrap();
    fs::write(dir.path().join("huge.png"), huge_png()).unwrap();
    fs::write(dir.path().join("empty.png"), b"").unwrap();
    fs::write(dir.path().join("text.png"), b"not a picture").unwrap();
    for (file, words) in [
        ("cut.jpg", vec!["cut.jpg"]),
        ("huge.png", vec!["huge.png", "60000"]),
        ("empty.png", vec!["empty.png"]),
        ("text.png", vec!["text.png"]),
        ("none.png", vec!["none.png"]),
    ] {
        refused(dir.path(), &["vision", "classify", file], &words);
        refused(dir.path(), &["vision", "resize", file, "--size", "8x8", "--filter", "box", "--out", "o.png"], &words);
    }
    assert!(!dir.path().join("o.png").exists(), "nothing half-written");
}

/// A WAV file of 16-bit samples at 16 kHz.
fn wav(samples: &[i16]) -> Vec<u8> {
    let bytes: Vec<u8> = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
    let mut wav = b"RIFF".to_vec();
    wav.extend((36 + bytes.len() as u32).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    wav.extend(16_000u32.to_le_bytes());
    wav.extend(32_000u32.to_le_bytes());
    wav.extend(b"\x02\0\x10\0data");
    wav.extend((bytes.len() as u32).to_le_bytes());
    wav.extend(bytes);
    wav
}

#[test]
fn damaged_sounds_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
    let good = wav(&[1000; 8000]);
    put("cut.wav", &good[..30]);
    put("none.wav", &wav(&[]));
    let mut still = good.clone();
    still[24..28].fill(0);
    put("still.wav", &still);
    let mut endless = good.clone();
    endless[40..44].copy_from_slice(&(1u32 << 31).to_le_bytes());
    endless.truncate(44);
    put("endless.wav", &endless);
    let mut nan = wav(&[0; 4]);
    nan[20] = 3;
    nan[32] = 4;
    nan[34] = 32;
    nan[44..48].copy_from_slice(&f32::NAN.to_le_bytes());
    put("nan.wav", &nan);
    put("picture.wav", &huge_png());
    put("text.wav", b"not a sound");
    put("empty.wav", b"");
    for (file, words) in [
        ("cut.wav", vec!["cut.wav"]),
        ("none.wav", vec!["none.wav", "no sample"]),
        ("still.wav", vec!["still.wav", "0 Hz"]),
        ("endless.wav", vec!["endless.wav"]),
        ("nan.wav", vec!["nan.wav", "finite"]),
        ("picture.wav", vec!["picture.wav", "PNG"]),
        ("text.wav", vec!["text.wav"]),
        ("empty.wav", vec!["empty.wav", "empty"]),
        ("missing.wav", vec!["missing.wav"]),
    ] {
        refused(dir.path(), &["audio", "mel", file, "--out", "o.npy"], &words);
        refused(dir.path(), &["audio", "resample", file, "--rate", "8000", "--out", "o.wav"], &words);
        refused(dir.path(), &["audio", "embed", file, "--out", "o.npy"], &words);
        refused(dir.path(), &["audio", "vad", file], &words);
    }
    put("good.wav", &good);
    refused(dir.path(), &["audio", "mel", "good.wav", "--out", "o.txt"], &["o.txt"]);
    refused(dir.path(), &["audio", "resample", "good.wav", "--rate", "0", "--out", "o.wav"], &["good.wav", "0"]);
    refused(dir.path(), &["audio", "spectrogram", "good.wav", "--at", "9", "--out", "o.npy"], &["--at 9", "0 to"]);
    refused(dir.path(), &["audio", "info", "good.wav", "--out", "o.txt"], &["o.txt", ".png"]);
    refused(dir.path(), &["audio", "info", "good.wav", "--out", "o.png", "--from", "1"], &["--from 1"]);
    put(
        "array.npy",
        b"\x93NUMPY\x01\0\x3b\0{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }\0\0\0\0\0\0\0\0",
    );
    refused(dir.path(), &["audio", "invert", "array.npy", "--out", "o.wav"], &["array.npy", "2 rows", "1025"]);
    refused(dir.path(), &["audio", "invert", "good.wav", "--out", "o.wav"], &["good.wav"]);
    for left in ["o.npy", "o.wav", "o.png", "o.txt"] {
        assert!(!dir.path().join(left).exists(), "nothing half-written");
    }
}

#[test]
fn folders_of_sounds_that_break_a_rule_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| {
        fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
        fs::write(dir.path().join(name), bytes).unwrap();
    };
    put("one/a/x_1.wav", &wav(&[9; 800]));
    put("two/a/x_1.wav", &wav(&[9; 800]));
    put("two/b/y_1.txt", b"");
    for class in ["a", "b"] {
        for speaker in ["x", "y", "z"] {
            put(&format!("good/{class}/{speaker}_1.wav"), &wav(&[9; 800]));
            put(&format!("bad/{class}/{speaker}_1.wav"), &wav(&[9; 800]));
        }
    }
    put("bad/b/x_2.wav", b"not a sound");
    let train = |data: &str, more: &[&str], words: &[&str]| {
        let call = [&["audio", "classify", "train", data, "--out", "run"], more].concat();
        refused(dir.path(), &call, words);
        assert!(!dir.path().join("run/classifier.json").exists(), "{data}: nothing half-written");
    };
    train("missing", &[], &["missing"]);
    train("one", &[], &["one", "1 class folders"]);
    train("two", &[], &["two", "'b' has no sound file"]);
    train("good", &["--hold-out", "nobody"], &["nobody", "x, y, z"]);
    train("good", &["--seconds", "0"], &["seconds = 0"]);
    train("good", &["--network", "sound-net", "--weights", "none.npy"], &["none.npy"]);
    train("bad", &["--hold-out", "z"], &["bad/b/x_2.wav"]);
    put("empty/classifier.json", b"{}");
    refused(dir.path(), &["audio", "classify", "run", "empty", "good/a/x_1.wav"], &["classifier.json"]);
    refused(dir.path(), &["audio", "classify", "eval", "missing", "good"], &["missing"]);
}

#[test]
fn data_sets_that_break_a_rule_are_named() {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["empty", "columns", "captionless"] {
        fs::create_dir(dir.path().join(folder)).unwrap();
    }
    fs::copy(photo(), dir.path().join("captionless/cat.jpg")).unwrap();
    fs::write(dir.path().join("columns/pairs.csv"), "file,caption\na.png,a cat\n").unwrap();
    for (folder, words) in [
        ("empty", vec!["empty", "no picture"]),
        ("columns", vec!["pairs.csv", "no column `image`"]),
        ("captionless", vec!["cat.jpg", "no caption"]),
        ("missing", vec!["missing", "no such folder"]),
    ] {
        refused(dir.path(), &["joint", "train", "--data", folder, "--out", "run"], &words);
        assert!(!dir.path().join("run").exists(), "{folder}: nothing half-written");
    }
}

#[test]
fn weights_that_do_not_fit_are_named() {
    let dir = tempfile::tempdir().unwrap();
    // A pickle that says: make a tuple of the last value with itself, forty times over.
    let mut bomb = b"\x80\x02]".to_vec();
    for _ in 0..40 {
        bomb.extend(b"2\x86");
    }
    bomb.push(b'.');
    fs::write(dir.path().join("bomb.pth"), bomb).unwrap();
    fs::write(dir.path().join("deep.pth"), [b"\x80\x02".as_slice(), &b"(".repeat(200_000), b"."].concat()).unwrap();
    fs::write(dir.path().join("cut.safetensors"), u64::MAX.to_le_bytes()).unwrap();
    let photo = photo();
    let photo = photo.to_str().unwrap();
    for file in ["bomb.pth", "deep.pth", "cut.safetensors", "none.pth"] {
        refused(dir.path(), &["vision", "classify", photo, "--weights", file], &[file]);
    }
}

#[test]
fn heat_maps_without_a_place_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["here", "there"] {
        fs::create_dir(dir.path().join(folder)).unwrap();
        fs::copy(photo(), dir.path().join(folder).join("cat.jpg")).unwrap();
    }
    let heat = ["vision", "classify", "here/cat.jpg", "--heatmap", "heat"];
    refused(dir.path(), &[&heat[..], &["there"]].concat(), &["there/cat.jpg", "two pictures have this name"]);
    refused(dir.path(), &[&heat[..], &["--layer", "layer4"]].concat(), &["layer4", "block15"]);
    refused(dir.path(), &[&heat[..], &["--layer", "logits"]].concat(), &["logits", "block15"]);
    assert!(fs::read_dir(dir.path().join("heat")).unwrap().next().is_none(), "nothing half-written");
    fs::write(dir.path().join("file"), b"").unwrap();
    refused(dir.path(), &["vision", "classify", "here/cat.jpg", "--heatmap", "file"], &["file: cannot create"]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let photo = photo();
    let resize = ["vision", "resize", photo.to_str().unwrap(), "--size", "8x8", "--filter", "box", "--out", "full.png"];
    std::os::unix::fs::symlink("/dev/full", dir.path().join("full.png")).unwrap();
    refused(dir.path(), &resize, &["full.png", "No space left"]);
}

#[test]
fn runs_and_indexes_that_are_none_are_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("run")).unwrap();
    refused(dir.path(), &["joint", "tag", "run", photo().to_str().unwrap()], &["run", "space.json"]);
    refused(dir.path(), &["joint", "search", "run", "a cat"], &["run"]);
    fs::write(dir.path().join("run/space.json"), "{\"version\":9}").unwrap();
    refused(dir.path(), &["joint", "tag", "run", photo().to_str().unwrap()], &["space.json"]);
    let device = ["vision", "classify", photo().to_str().unwrap(), "--device", "gpu"].map(String::from);
    refused(dir.path(), &device.each_ref().map(String::as_str), &["device 'gpu'", "flex"]);
}

#[test]
fn texts_that_nothing_can_be_learned_from_are_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("folder")).unwrap();
    fs::write(dir.path().join("empty.txt"), "").unwrap();
    fs::write(dir.path().join("one.txt"), "word ".repeat(50)).unwrap();
    fs::write(dir.path().join("latin1.txt"), b"a caf\xe9\n").unwrap();
    fs::write(dir.path().join("cut.gz"), b"\x1f\x8b\x08").unwrap();
    fs::write(dir.path().join("cut.zst"), b"\x28\xb5\x2f\xfd").unwrap();
    fs::write(dir.path().join("good.txt"), "a cat and a dog\n".repeat(50)).unwrap();
    for (corpus, out, words) in [
        ("empty.txt", "v.bin", vec!["empty.txt", "0 words", "at least 2"]),
        ("one.txt", "v.bin", vec!["one.txt", "1 words", "at least 2"]),
        ("latin1.txt", "v.bin", vec!["latin1.txt", "line 1", "UTF-8"]),
        ("cut.gz", "v.bin", vec!["cut.gz"]),
        ("cut.zst", "v.bin", vec!["cut.zst"]),
        ("none.txt", "v.bin", vec!["none.txt"]),
        ("folder", "v.bin", vec!["folder", "no file"]),
        ("good.txt", "v.xyz", vec!["v.xyz", ".safetensors"]),
        (".", "v.bin", vec!["--out v.bin", "folder of the text"]),
    ] {
        refused(dir.path(), &["text", "train", corpus, "--out", out], &words);
        assert!(!dir.path().join(out).exists(), "{corpus}: nothing half-written");
        assert!(!dir.path().join(format!("{out}.partial")).exists(), "{corpus}: nothing left");
    }
    for (flag, value) in
        [("--dim", "0"), ("--window", "0"), ("--sample", "2"), ("--epochs", "0"), ("--alpha", "-1"), ("--init", "0")]
    {
        let flag_value = format!("{flag}={value}");
        refused(dir.path(), &["text", "train", "good.txt", "--out", "v.bin", &flag_value], &["must be"]);
    }
    for flags in [vec!["--phrases=0"], vec!["--subword", "--minn", "7"], vec!["--subword", "--buckets", "0"]] {
        let call = [vec!["text", "train", "good.txt", "--out", "v.bin"], flags].concat();
        refused(dir.path(), &call, &["must"]);
    }
    refused(dir.path(), &["text", "train", "good.txt", "--out", "v.bin", "--outputs", "w.xyz"], &["w.xyz"]);
    refused(
        dir.path(),
        &["text", "train", "good.txt", "--out", "v.bin", "--outputs", "v.bin"],
        &["--outputs", "--out"],
    );
    refused(dir.path(), &["text", "phrases", "none.txt", "--out", "new/p.txt"], &["none.txt"]);
    assert!(!dir.path().join("new").exists(), "a refused call leaves nothing behind");

    fs::write(dir.path().join("folder/a.txt"), "a cat\n").unwrap();
    for (corpus, out, more, words) in [
        ("empty.txt", "joined.txt", "5", vec!["empty.txt", "no words"]),
        ("none.txt", "joined.txt", "5", vec!["none.txt"]),
        ("latin1.txt", "joined.txt", "5", vec!["latin1.txt", "UTF-8"]),
        ("good.txt", "joined.txt", "0", vec!["threshold", "above 0"]),
        ("folder", "folder/joined.txt", "5", vec!["folder/joined.txt", "folder of the text"]),
    ] {
        refused(dir.path(), &["text", "phrases", corpus, "--out", out, "--threshold", more], &words);
        assert!(!dir.path().join(out).exists(), "{corpus}: nothing half-written");
    }
}

#[test]
fn word_vectors_that_break_a_rule_are_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("absurd.bin"), "99999999999999999999 300\nword ").unwrap();
    fs::write(dir.path().join("wide.bin"), b"1 99999999999\nword \0\0\0\0").unwrap();
    fs::write(dir.path().join("cut.bin"), b"2 1\na \0\0\0\0\nb \0\0").unwrap();
    fs::write(dir.path().join("fasttext.bin"), 793_712_314_u32.to_le_bytes()).unwrap();
    fs::write(dir.path().join("empty.bin"), b"").unwrap();
    for file in ["absurd.bin", "wide.bin", "cut.bin", "fasttext.bin", "empty.bin", "none.bin"] {
        refused(dir.path(), &["text", "info", file], &[file]);
        refused(dir.path(), &["text", "neighbors", file, "a"], &[file]);
        refused(dir.path(), &["text", "convert", file, "out.vec"], &[file]);
    }
    assert!(!dir.path().join("out.vec").exists(), "nothing half-written");
}

#[test]
fn questions_without_an_answer_are_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("v.vec"), "3 2\nking 1 0\nman 1 1\nwoman 0 1\n").unwrap();
    fs::write(dir.path().join("bad.tsv"), "king\tman\t5\nking\tman\tmuch\n").unwrap();
    fs::write(dir.path().join("unknown.tsv"), "cat\tdog\t5\n").unwrap();
    fs::write(dir.path().join("bad.txt"), ": three\nking man woman\n").unwrap();
    for (args, words) in [
        (vec!["neighbors", "v.vec", "kimg"], vec!["'kimg'", "'king'"]),
        (vec!["analogy", "v.vec", "man", "king", "girl"], vec!["'girl'", "3 words"]),
        (vec!["map", "v.vec", "king", "cat", "--out", "map.svg"], vec!["'cat'"]),
        (vec!["map", "v.vec", "@none.txt", "--out", "map.svg"], vec!["none.txt"]),
        (vec!["map", "v.vec", "king", "man", "--out", "map.gif"], vec!["map.gif", ".svg"]),
        (vec!["map", "v.vec", "king", "man", "--method", "tsne", "--out", "map.svg"], vec!["at least 4"]),
        (vec!["eval", "v.vec", "--pairs", "bad.tsv"], vec!["bad.tsv", "line 2"]),
        (vec!["eval", "v.vec", "--pairs", "unknown.tsv"], vec!["pairs"]),
        (vec!["eval", "v.vec", "--analogies", "bad.txt"], vec!["bad.txt", "line 2"]),
        (vec!["convert", "v.vec", "v.csv"], vec!["v.csv", ".fifu"]),
    ] {
        refused(dir.path(), &[vec!["text"], args].concat(), &words);
    }
    assert!(!dir.path().join("map.svg").exists() && !dir.path().join("v.csv").exists(), "nothing half-written");
}

#[test]
fn a_cause_is_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let call = ["text", "info", "missing.bin"];
    let output = Command::cargo_bin("sensorium").unwrap().current_dir(dir.path()).args(call).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.starts_with("error: missing.bin: cannot read: "), "{message}");
    assert_eq!(message.matches("(os error 2)").count(), 1, "{message}");
}
