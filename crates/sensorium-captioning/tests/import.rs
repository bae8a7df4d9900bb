//! Checkpoints that are damaged, made to do harm, or not of this kind: each is refused, and the message names the file.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use burn::tensor::TensorData;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sensorium_captioning::import::{self, Imported};
use sensorium_captioning::{Result, WordMap};
use sensorium_core::device;
use sensorium_core::testing::check_memory;
use sensorium_core::weights::{TensorMap, TorchFile};

const CHECKPOINTS: [&str; 3] =
    ["checkpoint_legacy.pth.tar", "checkpoint_nofinetune_zip.pth.tar", "state_dicts_zip.pth"];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../sensorium-core/tests/golden/captioning").join(name)
}

/// A folder with the word map of the fixtures, and a place for checkpoints.
struct Desk {
    folder: tempfile::TempDir,
    device: burn::tensor::Device,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let about = std::fs::read(fixture("checkpoint_expected.json")).unwrap();
        let about: serde_json::Value = serde_json::from_slice(&about).unwrap();
        std::fs::write(folder.path().join("WORDMAP.json"), about["word_map"].to_string()).unwrap();
        Self { folder, device: device::parse("flex").unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Imports these bytes, which must take neither long nor much memory. What is refused names the file.
    fn import(&self, bytes: &[u8]) -> Result<Imported> {
        let path = self.path("BEST.pth.tar");
        std::fs::write(&path, bytes).unwrap();
        let start = Instant::now();
        let read = || import::tutorial(&path, self.path("WORDMAP.json"), &self.device);
        let imported = check_memory(bytes.len(), read);
        assert!(start.elapsed() < Duration::from_secs(5), "took {:?}", start.elapsed());
        if let Err(fault) = &imported {
            assert!(fault.to_string().contains("BEST.pth.tar"), "must name the file: {fault}");
        }
        imported
    }

    fn fault(&self, bytes: &[u8]) -> String {
        self.import(bytes).map(|_| ()).unwrap_err().to_string()
    }
}

#[test]
fn a_checkpoint_cut_short_is_refused() {
    let desk = Desk::new();
    for name in CHECKPOINTS {
        let bytes = std::fs::read(fixture(name)).unwrap();
        assert!(desk.import(&bytes).is_ok(), "{name}");
        let near_ends = (0..40).flat_map(|n| [n, bytes.len() - 1 - n]);
        let between = (1..60).map(|n| n * bytes.len() / 60);
        for length in near_ends.chain(between) {
            assert!(desk.import(&bytes[..length]).is_err(), "{name} cut to {length} bytes");
        }
    }
}

#[test]
fn flipped_bytes_never_panic() {
    let desk = Desk::new();
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    for name in CHECKPOINTS {
        let whole = std::fs::read(fixture(name)).unwrap();
        // The pickle of a zip stands at its start and its index at the end; that of the other format at the start.
        let places = [0..whole.len().min(40_000), whole.len() - 9_000..whole.len(), 0..whole.len()];
        for turn in 0..90 {
            let mut bytes = whole.clone();
            for _ in 0..rng.random_range(1..6) {
                let at = rng.random_range(places[turn % 3].clone());
                bytes[at] = rng.random();
            }
            let _ = desk.import(&bytes);
        }
    }
}

/// A file in torch's older format, of an object and the storages that it names.
fn legacy(object: &[u8], storages: &[(String, &[f32])]) -> Vec<u8> {
    let keys = storages.iter().fold(b"\x80\x02](".to_vec(), |keys, (key, _)| [keys, text(key)].concat());
    let magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.";
    let machine = [b"\x80\x02}".as_slice(), &text("little_endian"), b"\x88s."].concat();
    let mut file = [magic.as_slice(), &machine, object, &keys, b"e."].concat();
    for (_, numbers) in storages {
        file.extend((numbers.len() as u64).to_le_bytes());
        file.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    }
    file
}

fn text(text: &str) -> Vec<u8> {
    [b"X".as_slice(), &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

fn ints(ints: &[usize]) -> Vec<u8> {
    let int = |int: &usize| [b"J".as_slice(), &(*int as i32).to_le_bytes()].concat();
    [b"(".to_vec(), ints.iter().flat_map(int).collect(), b"t".to_vec()].concat()
}

/// A file with the state dicts of an encoder and a decoder.
fn state_dicts(encoder: &TensorMap, decoder: &TensorMap) -> Vec<u8> {
    let mut object = b"\x80\x02}(".to_vec();
    let mut storages: Vec<(String, &[f32])> = vec![];
    for (part, tensors) in [("encoder", encoder), ("decoder", decoder)] {
        object.extend([text(part), b"}(".to_vec()].concat());
        for (name, tensor) in tensors.iter() {
            let key = storages.len().to_string();
            let shape = tensor.shape().to_vec();
            let strides: Vec<usize> = (1..=shape.len()).map(|axis| shape[axis..].iter().product()).collect();
            let storage = [text("storage"), b"ctorch\nFloatStorage\n".to_vec(), text(&key), text("cpu")].concat();
            let of_storage = [b"(".to_vec(), storage, b"K\x01tQK\x00".to_vec()].concat();
            object.extend([text(name), b"ctorch._utils\n_rebuild_tensor_v2\n(".to_vec(), of_storage].concat());
            object.extend([ints(&shape), ints(&strides), b"\x89ccollections\nOrderedDict\n)RtR".to_vec()].concat());
            storages.push((key, tensor.as_slice::<f32>().unwrap()));
        }
        object.extend(b"u");
    }
    object.extend(b"u.");
    legacy(&object, &storages)
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    let desk = Desk::new();
    let file = TorchFile::read(fixture(CHECKPOINTS[0])).unwrap();
    let part = |name: &str| {
        let mut tensors = file.root().get(name).unwrap().tensors().unwrap();
        // What counts batches is not needed, and no float.
        tensors.retain(|name| !name.ends_with("num_batches_tracked"));
        tensors
    };
    let (encoder, decoder) = (part("encoder"), part("decoder"));
    assert!(desk.import(&state_dicts(&encoder, &decoder)).is_ok());
    for (in_encoder, name) in [(false, "decode_step.weight_hh"), (false, "fc.bias"), (true, "resnet.4.0.conv1.weight")]
    {
        // The encoder's tensors are loaded under torchvision's names.
        let shown = if in_encoder { "layer1.0.conv1.weight" } else { name };
        let with = |change: &dyn Fn(&mut TensorMap)| {
            let (mut encoder, mut decoder) = (encoder.clone(), decoder.clone());
            change(if in_encoder { &mut encoder } else { &mut decoder });
            desk.fault(&state_dicts(&encoder, &decoder))
        };
        for fault in [
            with(&|tensors| tensors.retain(|known| known != name)),
            with(&|tensors| tensors.insert(name, TensorData::new(vec![0.0f32; 6], [6]))),
            with(&|tensors| tensors.insert(name, TensorData::new(vec![0.0f32; 6], [1, 6, 1, 1, 1]))),
        ] {
            assert!(fault.contains(shown), "must name {shown}: {fault}");
        }
        let fault = with(&|tensors| tensors.insert("odd.weight", TensorData::new(vec![0.0f32; 6], [2, 3])));
        assert!(fault.contains("odd.weight"), "{fault}");
    }
}

#[test]
fn nothing_in_a_file_is_run() {
    let desk = Desk::new();
    let mark = desk.path("mark");
    let shell = format!("touch {}", mark.display());
    let python = format!("open({:?}, 'w')", mark.display().to_string());
    let calls = [
        ("os", "system", shell.as_str()),
        ("posix", "system", shell.as_str()),
        ("builtins", "eval", python.as_str()),
        ("__builtin__", "exec", python.as_str()),
        ("builtins", "getattr", "__class__"),
    ];
    for (module, name, argument) in calls {
        let call = [format!("c{module}\n{name}\n").as_bytes(), &text(argument), b"\x85R"].concat();
        let alone = [b"\x80\x02".as_slice(), &call, b"."].concat();
        let parts = [text("encoder"), call.clone(), text("decoder"), call.clone()].concat();
        let inside = [b"\x80\x02}(".as_slice(), &parts, b"u."].concat();
        for object in [alone, inside] {
            desk.fault(&legacy(&object, &[]));
            desk.fault(&object);
        }
        // Beside parts that are right, what would be called is left alone.
        let whole = std::fs::read(fixture(CHECKPOINTS[0])).unwrap();
        let at = whole.windows(6).position(|bytes| bytes == b"bleu-4").unwrap() + 6;
        let bytes = [&whole[..at], b"0", &call, b"0", &text("bleu-4"), &whole[at..]].concat();
        let _ = desk.import(&bytes);
        assert!(!mark.exists(), "{module}.{name} was run");
    }
}

#[test]
fn a_pickle_that_grows_is_refused() {
    let desk = Desk::new();
    // A thousand million floats that are not there; a tuple of itself, doubled forty times; a list in a list in a list.
    let storage = [text("storage"), b"ctorch\nFloatStorage\n".to_vec(), text("0"), text("cpu")].concat();
    let tensor = |shape: &[usize], strides: &[usize]| {
        let of_storage =
            [b"(".to_vec(), storage.clone(), b"K\x01tQK\x00".to_vec(), ints(shape), ints(strides)].concat();
        let end = b"\x89ccollections\nOrderedDict\n)RtR".to_vec();
        [b"ctorch._utils\n_rebuild_tensor_v2\n(".to_vec(), of_storage, end].concat()
    };
    let dict = |value: &[u8]| {
        [
            b"\x80\x02}(".as_slice(),
            &text("encoder"),
            b"}",
            &text("resnet.0.weight"),
            value,
            b"s",
            &text("decoder"),
            b"}u.",
        ]
        .concat()
    };
    for shape in [[1_000_000_000, 1, 1, 1], [100_000, 100_000, 100_000, 100_000]] {
        for strides in [[0; 4], [1; 4]] {
            desk.fault(&legacy(&dict(&tensor(&shape, &strides)), &[("0".to_string(), &[1.0])]));
        }
    }
    let doubled = [b"(K\x01t".to_vec(), b"2\x86".repeat(40)].concat();
    desk.fault(&legacy(&dict(&doubled), &[]));
    let deep = [b"]".repeat(200_000), b"a".repeat(199_999)].concat();
    desk.fault(&legacy(&dict(&deep), &[]));
}

#[test]
fn sizes_that_a_file_only_claims_take_no_memory() {
    let desk = Desk::new();
    let map = |tensors: &[(&str, &[usize])]| {
        let mut map = TensorMap::new("claimed");
        for (name, shape) in tensors {
            map.insert(*name, TensorData::new(vec![0.0f32; shape.iter().product()], shape.to_vec()));
        }
        map
    };
    let ends = ["resnet.4.0.x", "resnet.5.0.x", "resnet.6.0.x", "resnet.7.0.x"].map(|name| (name, &[1][..]));
    // A ResNet of 4,096 channels would have 10^11 weights, an LSTM of 300,000 features 4 * 10^11.
    let wide = map(&[&[("resnet.0.weight", &[4096, 3, 1, 1][..])], &ends[..]].concat());
    let narrow = map(&[&[("resnet.0.weight", &[8, 3, 1, 1][..])], &ends[..]].concat());
    let decoder = |hidden: usize| {
        map(&[("attention.encoder_att.weight", &[1, 256]), ("embedding.weight", &[24, 1]), ("fc.weight", &[1, hidden])])
    };
    for (encoder, decoder) in [(wide, decoder(8)), (narrow, decoder(300_000))] {
        desk.fault(&state_dicts(&encoder, &decoder));
    }
}

#[test]
fn a_word_map_of_another_size_is_refused() {
    let desk = Desk::new();
    let words = WordMap::build([["a", "b"].as_slice()].into_iter(), 0);
    let path = desk.path("few.json");
    words.write(&path).unwrap();
    for name in CHECKPOINTS {
        let fault = import::tutorial(fixture(name), &path, &desk.device).map(|_| ()).unwrap_err().to_string();
        assert!(fault.contains("word map = 6") && fault.contains("24"), "{fault}");
    }
}
