//! Files made to do harm, and files that harm was done to: every reader must say so, in good time and little memory.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::test_files::{Pickle, legacy_file, npy_file, npy_object_file, zip_file};
use super::{TensorMap, TorchFile, load_module, npy, parse_safetensors, save_module, torch, write_safetensors};
use crate::testing::check_memory;
use crate::{Result, device};

/// What [`read`](super::read) does once the bytes are there.
fn parse(bytes: &[u8]) -> Result<TensorMap> {
    if npy::recognises(bytes) {
        npy::parse(Path::new("hostile"), bytes)
    } else if torch::recognises(bytes) {
        let file = TorchFile::parse("hostile", bytes.to_vec())?;
        for (_, value) in file.root().entries() {
            let _ = value.optimizer_states();
        }
        file.tensors()
    } else {
        parse_safetensors("hostile", bytes)
    }
}

/// A small file of each format, with a module, an optimiser, views and shared storages.
fn small_files() -> Vec<Vec<u8>> {
    let tensor = |pickle: Pickle, at: i64| pickle.tensor("FloatStorage", "0", at, &[2, 2], &[1, 2]);
    let pickle = Pickle::new().dict(|pickle| {
        let pickle = pickle.text("epoch").int(7).text("model").object("torch.nn", "Linear", |pickle| {
            let pickle = pickle.text("_modules").raw(b"}").text("_buffers").raw(b"}").text("_parameters");
            pickle.dict(|pickle| pickle.text("weight").parameter(|p| tensor(p, 0)).raw(b"q\x01"))
        });
        pickle.text("optimizer").object("torch.optim", "Adam", |pickle| {
            let pickle = pickle.text("param_groups").list(|p| p.dict(|p| p.text("params").list(|p| p.raw(b"h\x01"))));
            pickle.text("state").raw(b"}(h\x01").dict(|pickle| tensor(pickle.text("exp_avg"), 4)).raw(b"u")
        })
    });
    let (pickle, floats) = (pickle.end(), [0x3f; 32]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("small.safetensors");
    write_safetensors(&path, &parse(&zip_file(&pickle, &[("0", &floats)])).unwrap()).unwrap();
    vec![
        zip_file(&pickle, &[("0", &floats)]),
        legacy_file(true, &pickle, &[("0", 8, &floats)]),
        std::fs::read(path).unwrap(),
        npy_object_file(|pickle| {
            let array =
                |pickle: Pickle| pickle.ndarray("f4", &[2, 2], |pickle| pickle.raw(b"C\x10").raw(&floats[..16]));
            let state = |pickle: Pickle| pickle.list(|pickle| pickle.dict(|pickle| array(pickle.text("exp_avg"))));
            pickle.dict(|pickle| {
                let pickle = pickle.text("model").dict(|pickle| array(pickle.text("weight")));
                pickle.text("optimizer").dict(|pickle| state(pickle.text("state")))
            })
        }),
    ]
}

/// Files as torch wrote them.
fn real_files() -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/captioning");
    let names = ["checkpoint_legacy.pth.tar", "checkpoint_nofinetune_zip.pth.tar", "state_dicts_zip.pth"];
    names.map(|name| std::fs::read(folder.join(name)).unwrap()).to_vec()
}

#[test]
fn small_files_are_whole() {
    for file in small_files() {
        let tensors = parse(&file).unwrap();
        let names: Vec<_> = tensors.names().collect();
        assert_eq!(names, ["model.weight", "optimizer.state.0.exp_avg"]);
    }
}

#[test]
fn a_file_cut_short_anywhere_is_an_error() {
    for file in small_files() {
        for length in 0..file.len() {
            assert!(parse(&file[..length]).is_err(), "cut to {length} of {} bytes", file.len());
        }
    }
    for file in real_files() {
        for step in 0..97 {
            let length = file.len() * step / 97;
            assert!(parse(&file[..length]).is_err(), "cut to {length} of {} bytes", file.len());
        }
    }
}

#[test]
fn a_changed_byte_never_panics() {
    for file in small_files() {
        for at in 0..file.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut changed = file.clone();
                changed[at] ^= change;
                let _ = parse(&changed);
            }
        }
    }
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for file in real_files() {
        for _ in 0..60 {
            let mut changed = file.clone();
            for _ in 0..4 {
                // Most of a file is numbers, in which every byte is right: aim at what describes them.
                let end = if random.random_bool(0.5) { changed.len().min(50_000) } else { changed.len() };
                let at = random.random_range(0..end);
                changed[at] = random.random();
            }
            let _ = parse(&changed);
        }
    }
}

/// Programs of random instructions get further than random bytes.
const INSTRUCTIONS: &[u8] =
    b"NKMJXGU()]}tldaesub0q1hh2cRoibQ.\x80\x81\x85\x86\x87\x88\x8a\x8c\x8f\x90\x91\x92\x93\x94\x95\x96";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), start in 0usize..7) {
        let legacy = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
        let array = b"\x93NUMPY\x01\x00\x30\x00{'descr': '<f4', 'fortran_order': True, 'shape': (";
        let starts: [&[u8]; 7] =
            [b"", b"PK\x03\x04", b"\x80\x02", b"\x30\0\0\0\0\0\0\0{", legacy, b"\x93NUMPY", array];
        let _ = parse(&[starts[start], &bytes].concat());
    }

    #[test]
    fn random_programs_never_panic(program in prop::collection::vec(prop::sample::select(INSTRUCTIONS), 0..200)) {
        let _ = parse(&zip_file(&program, &[("0", &[0; 16])]));
        let _ = parse(&npy_file("{'descr': 'O', 'fortran_order': False, 'shape': (), }", &program));
        let _ = parse(&npy_object_file(|pickle| pickle.raw(&program)));
    }
}

/// `file` is refused for the reason given, or holds no tensor, and reading it takes little memory.
#[track_caller]
fn check_bomb(file: &[u8], reason: Option<&str>) {
    match (check_memory(file.len(), || parse(file)), reason) {
        (Err(error), Some(part)) => assert!(error.to_string().contains(part), "{error}"),
        (Ok(tensors), None) => assert!(tensors.is_empty()),
        (result, _) => panic!("{result:?} where {reason:?} was expected"),
    }
}

#[test]
fn deep_nesting_is_followed_without_recursion() {
    let nested = |open: &[u8], close: &[u8]| {
        let pickle = Pickle::new().raw(&open.repeat(100_000)).raw(b"N").raw(&close.repeat(100_000)).end();
        zip_file(&pickle, &[])
    };
    check_bomb(&nested(b"", b"\x85"), Some("more than 100 deep"));
    check_bomb(&nested(b"(", b"t"), Some("more than 100 deep"));
    check_bomb(&nested(b"](", b"e"), Some("more than 100 deep"));
    check_bomb(&nested(b"}(K\x01", b"u"), Some("more than 100 deep"));
    check_bomb(&nested(b"cm\nA\n", b"\x85R"), None);
    let wrappers = nested(b"ctorch._utils\n_rebuild_parameter\n", b"\x85R");
    check_bomb(&wrappers, Some("only dense tensors"));
}

#[test]
fn long_names_do_not_multiply() {
    // One key of a megabyte, and under it a list of one tensor a thousand times over.
    let pickle = Pickle::new().tensor("FloatStorage", "0", 0, &[1], &[1]).raw(b"q\x00");
    let pickle =
        pickle.dict(|pickle| pickle.text(&"k".repeat(1 << 20)).list(|pickle| pickle.raw(&b"h\x00".repeat(1000))));
    let file = zip_file(&pickle.end(), &[("0", &[0; 4])]);
    check_bomb(&file, Some("it repeats itself"));
    let message = parse(&file).unwrap_err().to_string();
    assert!(message.len() < 500, "{message}");
}

#[test]
fn shared_parts_do_not_multiply() {
    // A list of ten times the list before, thirty deep: 10^30 paths to its tensor.
    let mut pickle = Pickle::new().tensor("FloatStorage", "0", 0, &[1], &[1]).raw(b"q\x00");
    for depth in 1..30u8 {
        pickle = pickle.raw(b"](").raw(&[b'h', depth - 1].repeat(10)).raw(&[b'e', b'q', depth]);
    }
    check_bomb(&zip_file(&pickle.end(), &[("0", &[0; 4])]), Some("it repeats itself"));

    // The same within optimisers: many groups of one long list of parameters.
    let list = Pickle::new().raw(b"](").raw(&b"K\x00".repeat(50_000)).raw(b"eq\x00");
    let group = list.dict(|pickle| pickle.text("params").raw(b"h\x00")).raw(b"q\x01");
    let optimizer = group.object("torch.optim", "Adam", |pickle| {
        let pickle = pickle.text("state").raw(b"}").text("param_groups");
        pickle.list(|pickle| pickle.raw(&b"h\x01".repeat(50_000)))
    });
    check_bomb(&zip_file(&optimizer.end(), &[]), Some("it repeats itself"));
}

#[test]
fn arrays_of_shared_parts_do_not_multiply() {
    let mut lists: Vec<u8> = b"](K\x01eq\x00".to_vec();
    for depth in 1..30u8 {
        lists.extend([b"](".as_slice(), &[b'h', depth - 1].repeat(10), &[b'e', b'q', depth]].concat());
    }
    check_bomb(&npy_object_file(|pickle| pickle.raw(&lists)), Some("it repeats itself"));
    let own = npy_object_file(|pickle| pickle.raw(b"]q\x00h\x00a"));
    check_bomb(&own, Some("one is in itself"));
}

#[test]
fn an_object_within_itself_ends() {
    let own_entry = Pickle::new().raw(b"}q\x00").text("self").raw(b"h\x00s").end();
    check_bomb(&zip_file(&own_entry, &[]), Some("one is in itself"));
    let own_module = Pickle::new().global("m", "A").raw(b")\x81q\x00").dict(|pickle| {
        pickle.text("_parameters").raw(b"}").text("_modules").dict(|pickle| pickle.text("a").raw(b"h\x00"))
    });
    check_bomb(&zip_file(&own_module.raw(b"b").end(), &[]), Some("one is in itself"));
    let own_arguments =
        Pickle::new().raw(b"]q\x00").global("torch._utils", "_rebuild_parameter").raw(b"h\x00\x85Rah\x00").end();
    check_bomb(&zip_file(&own_arguments, &[]), None);
}

#[test]
fn many_views_of_one_storage_do_not_multiply_it() {
    let floats = vec![0; 4 << 20];
    let pickle = Pickle::new().list(|pickle| {
        let count = floats.len() as i64 / 4;
        (0..200).fold(pickle, |pickle, _| pickle.tensor("FloatStorage", "0", 0, &[count], &[1]))
    });
    check_bomb(&zip_file(&pickle.end(), &[("0", &floats)]), Some("it repeats itself"));
}

#[test]
fn huge_programs_are_refused() {
    check_bomb(&zip_file(&b"}".repeat(8 << 20), &[]), Some("more than 4000000 instructions"));
    check_bomb(&zip_file(&b"(".repeat(8 << 20), &[]), Some("more than 4000000 instructions"));
    check_bomb(&zip_file(&[b"N".as_slice(), &b"\x94".repeat(8 << 20)].concat(), &[]), Some("more than 4000000"));
}

#[test]
fn huge_lengths_are_not_believed() {
    for opcode in
        [b"X\xff\xff\xff\xff".as_slice(), b"\x8d\0\0\0\0\0\0\0\x40", b"\x8e\0\0\0\0\0\0\0\x40", b"\x8b\xff\xff\xff\x7f"]
    {
        check_bomb(&zip_file(opcode, &[]), Some("bytes are announced"));
    }
    let header = "{'descr': '<f8', 'fortran_order': True, 'shape': (4294967296, 1048576), }";
    check_bomb(&npy_file(header, &[0; 64]), Some("numbers of 8 bytes are announced"));
    check_bomb(&[&u64::MAX.to_le_bytes()[..], b"{}"].concat(), Some("safetensors"));
    check_bomb(&[&(90u64 << 20).to_le_bytes()[..], b"{}"].concat(), Some("safetensors"));
    let header = br#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#;
    check_bomb(&[&(header.len() as u64).to_le_bytes()[..], header].concat(), Some("safetensors"));
    let nested = [b"{\"a\":".as_slice(), &b"[".repeat(100_000)].concat();
    check_bomb(&[&(nested.len() as u64).to_le_bytes()[..], &nested].concat(), Some("safetensors"));
}

#[test]
fn records_that_were_harmed_are_errors_or_load() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.bpk");
    let device = device::parse("flex").unwrap();
    let init = || burn::nn::LinearConfig::new(3, 2).init(&device);
    save_module(&path, &init()).unwrap();
    let file = std::fs::read(&path).unwrap();
    let load = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        load_module(&path, init())
    };
    for length in (0..file.len()).step_by(3) {
        assert!(load(&file[..length]).is_err(), "cut to {length}");
    }
    for at in 0..file.len() {
        let mut changed = file.clone();
        changed[at] ^= 0x11;
        let _ = load(&changed);
    }
}
