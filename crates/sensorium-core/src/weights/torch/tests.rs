//! Both containers and every way to write a tensor, in files made by hand.

use burn::tensor::{BoolStore, DType, TensorData};

use super::super::test_files::{Pickle, legacy_file, zip_file};
use super::*;

fn parse(bytes: Vec<u8>) -> TorchFile {
    TorchFile::parse("made.pth", bytes).unwrap()
}

fn reason(bytes: Vec<u8>) -> String {
    let error = TorchFile::parse("made.pth", bytes).and_then(|file| file.tensors()).unwrap_err().to_string();
    assert!(error.starts_with("made.pth: not a valid file of torch.save: "), "{error}");
    error
}

fn bytes_of(floats: &[f32]) -> Vec<u8> {
    floats.iter().flat_map(|float| float.to_le_bytes()).collect()
}

fn counting(count: usize) -> Vec<f32> {
    (0..count).map(|i| i as f32).collect()
}

#[test]
fn every_number_format_is_read_in_both_containers() {
    let storages: [(&str, &str, usize, DType); 11] = [
        ("DoubleStorage", "0", 8, DType::F64),
        ("FloatStorage", "1", 4, DType::F32),
        ("HalfStorage", "2", 2, DType::F16),
        ("BFloat16Storage", "3", 2, DType::BF16),
        ("LongStorage", "4", 8, DType::I64),
        ("IntStorage", "5", 4, DType::I32),
        ("ShortStorage", "6", 2, DType::I16),
        ("CharStorage", "7", 1, DType::I8),
        ("ByteStorage", "8", 1, DType::U8),
        ("BoolStorage", "9", 1, DType::Bool(BoolStore::Native)),
        ("UntypedStorage", "10", 1, DType::U8),
    ];
    let pickle = Pickle::new().dict(|pickle| {
        storages.iter().fold(pickle, |pickle, (class, key, ..)| pickle.text(class).tensor(class, key, 1, &[2], &[1]))
    });
    let bytes: Vec<u8> = (0..24u8).map(|i| i % 2).collect();
    let zip: Vec<_> = storages.iter().map(|(_, key, width, _)| (*key, &bytes[..3 * width])).collect();
    let legacy: Vec<_> = storages.iter().map(|(_, key, width, _)| (*key, 3, &bytes[..3 * width])).collect();
    let pickle = pickle.end();
    for file in [zip_file(&pickle, &zip), legacy_file(true, &pickle, &legacy)] {
        let tensors = parse(file).tensors().unwrap();
        for (class, _, width, dtype) in storages {
            let tensor = tensors.get(class).unwrap();
            assert_eq!((tensor.dtype(), tensor.as_bytes()), (dtype, &bytes[width..3 * width]), "{class}");
        }
    }
}

#[test]
fn tensors_share_storages_and_lie_over_them_in_any_order() {
    let floats = bytes_of(&counting(12));
    let pickle = Pickle::new().dict(|pickle| {
        pickle
            .text("whole")
            .tensor("FloatStorage", "0", 0, &[3, 4], &[4, 1])
            .text("turned")
            .tensor("FloatStorage", "0", 0, &[4, 3], &[1, 4])
            .text("column")
            .tensor("cuda.FloatStorage", "0", 1, &[3], &[4])
            .text("number")
            .tensor("FloatStorage", "0", 11, &[], &[])
            .text("repeated")
            .tensor("FloatStorage", "0", 2, &[2, 2], &[0, 1])
            .text("none")
            .tensor("FloatStorage", "0", 0, &[0, 5], &[5, 1])
    });
    let tensors = parse(zip_file(&pickle.end(), &[("0", &floats)])).tensors().unwrap();
    assert_eq!(tensors.f32s("whole").unwrap(), counting(12));
    assert_eq!(tensors.f32s("turned").unwrap(), [0., 4., 8., 1., 5., 9., 2., 6., 10., 3., 7., 11.]);
    assert_eq!(tensors.get("turned").unwrap().shape().as_slice(), [4, 3]);
    assert_eq!(tensors.f32s("column").unwrap(), [1., 5., 9.]);
    assert_eq!(tensors.f32s("number").unwrap(), [11.]);
    assert_eq!(tensors.f32s("repeated").unwrap(), [2., 3., 2., 3.]);
    assert!(tensors.f32s("none").unwrap().is_empty());
}

#[test]
fn wrapped_tensors_are_unwrapped() {
    let plain = |pickle: Pickle| pickle.tensor("FloatStorage", "0", 0, &[2], &[1]);
    let pickle = Pickle::new().list(|pickle| {
        let pickle = pickle.parameter(plain);
        // A class of one's own: _rebuild_from_type_v2(call, class, arguments, state).
        let pickle = pickle.global("torch._tensor", "_rebuild_from_type_v2").raw(b"(");
        let pickle = pickle.global("torch._utils", "_rebuild_tensor_v2").global("my", "Tensor").raw(b"(");
        let pickle = pickle.storage("FloatStorage", "0").int(0).ints(&[2]).ints(&[1]).raw(b"\x89}t}tR");
        // Numbers that have no storage class of their own come over an untyped one.
        let pickle = pickle.global("torch._utils", "_rebuild_tensor_v3").raw(b"(").storage("UntypedStorage", "0");
        let pickle = pickle.int(1).ints(&[2]).ints(&[1]).raw(b"\x89}").global("torch", "uint16").raw(b"}tR");
        // Torch 0.3 and before.
        let pickle = pickle.global("torch._utils", "_rebuild_tensor").raw(b"(").storage("FloatStorage", "0");
        pickle.int(0).ints(&[2]).ints(&[1]).raw(b"tR")
    });
    let tensors = parse(zip_file(&pickle.end(), &[("0", &bytes_of(&[1.0, 2.0]))])).tensors().unwrap();
    assert_eq!(tensors.names().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
    for name in ["0", "1", "3"] {
        assert_eq!(tensors.f32s(name).unwrap(), [1.0, 2.0], "{name}");
    }
    assert_eq!(*tensors.get("2").unwrap(), TensorData::from([0x3f80u16, 0]));
}

#[test]
fn a_lone_tensor_has_a_name() {
    let pickle = Pickle::new().tensor("FloatStorage", "0", 0, &[1], &[1]).end();
    let file = parse(zip_file(&pickle, &[("0", &bytes_of(&[5.0]))]));
    assert!(file.root().is_tensor());
    assert_eq!(file.tensors().unwrap().f32s("tensor").unwrap(), [5.0]);
}

#[test]
fn a_legacy_view_covers_a_part_of_its_storage() {
    let view = |offset: i64, shape: i64| {
        let pickle = Pickle::new().global("torch._utils", "_rebuild_tensor_v2").raw(b"((").text("storage");
        let pickle = pickle.global("torch", "FloatStorage").text("root").text("cpu").int(10).raw(b"(").text("part");
        let pickle = pickle.int(4).int(3).raw(b"ttQ").int(offset).ints(&[shape]).ints(&[1]).raw(b"\x89}tR").end();
        legacy_file(true, &pickle, &[("root", 10, &bytes_of(&counting(10)))])
    };
    assert_eq!(parse(view(1, 2)).tensors().unwrap().f32s("tensor").unwrap(), [5.0, 6.0]);
    assert!(reason(view(1, 6)).contains("reach past"));
    assert_eq!(parse(view(0, 3)).tensors().unwrap().f32s("tensor").unwrap(), [4.0, 5.0, 6.0]);
}

/// A module of a class of one's own, as torch 1.4 and before wrote it: with its backend, and its class wrapped to
/// keep the source text.
fn old_module(pickle: Pickle, class: &str, attributes: impl FnOnce(Pickle) -> Pickle) -> Pickle {
    let wrapped =
        pickle.raw(b"(").text("module").global("models", class).text("models.py").text("class ...").raw(b"tQ");
    let state = |pickle: Pickle| {
        let backend = ("torch.nn.backends.thnn", "_get_thnn_function_backend");
        attributes(pickle.text("_backend").global(backend.0, backend.1).raw(b")R"))
    };
    wrapped.raw(b")\x81").dict(state).raw(b"b")
}

#[test]
fn an_old_whole_module_gives_its_state_dict() {
    let linear = |pickle: Pickle| {
        let pickle = pickle.text("_parameters").dict(|pickle| {
            let weight = |pickle: Pickle| pickle.tensor("FloatStorage", "0", 0, &[1, 2], &[2, 1]);
            pickle.text("weight").parameter(weight).text("bias").raw(b"N")
        });
        let pickle = pickle.text("_buffers").dict(|pickle| {
            let pickle = pickle.text("scale").tensor("FloatStorage", "0", 2, &[1], &[1]);
            pickle.text("cache").tensor("FloatStorage", "0", 3, &[1], &[1])
        });
        let pickle = pickle.text("_non_persistent_buffers_set").global("__builtin__", "set");
        pickle.list(|pickle| pickle.text("cache")).raw(b"\x85R").text("in_features").int(2)
    };
    let net = |pickle: Pickle| {
        let pickle = pickle.text("_parameters").raw(b"}").text("_buffers").raw(b"}");
        pickle.text("_modules").dict(|pickle| old_module(pickle.text("fc"), "Scaled", linear))
    };
    let pickle = Pickle::new().dict(|pickle| old_module(pickle.text("epoch").int(3).text("model"), "Net", net));
    let file = parse(legacy_file(true, &pickle.end(), &[("0", 4, &bytes_of(&counting(4)))]));
    assert_eq!(file.root().get("epoch").unwrap().as_i64(), Some(3));
    let model = file.root().get("model").unwrap();
    assert_eq!(model.class(), Some("models.Net"));
    let tensors = model.tensors().unwrap();
    assert_eq!(tensors.names().collect::<Vec<_>>(), ["fc.weight", "fc.scale"]);
    assert_eq!(tensors.f32s("fc.weight").unwrap(), [0.0, 1.0]);
    assert_eq!(file.tensors().unwrap().names().collect::<Vec<_>>(), ["model.fc.weight", "model.fc.scale"]);
}

/// Two groups of parameters, of which the second parameter has had no step.
#[test]
fn an_optimiser_numbers_its_states_by_its_groups() {
    let tensor = |pickle: Pickle, at: i64| pickle.tensor("FloatStorage", "0", at, &[1], &[1]);
    let parameter = |pickle: Pickle, at: i64, memo: u8| pickle.parameter(|p| tensor(p, at)).raw(&[b'q', memo]);
    let state = |pickle: Pickle, at: i64| pickle.dict(|pickle| tensor(pickle.text("step").int(9).text("exp_avg"), at));
    let whole = Pickle::new().object("torch.optim.adam", "Adam", |pickle| {
        let pickle = pickle.text("param_groups").list(|pickle| {
            let pickle = pickle.dict(|pickle| {
                pickle
                    .text("params")
                    .list(|pickle| parameter(parameter(pickle, 0, 1), 1, 2))
                    .text("lr")
                    .raw(b"G?\xe0\0\0\0\0\0\0")
            });
            pickle.dict(|pickle| pickle.text("params").list(|pickle| parameter(pickle, 2, 3)))
        });
        // The state is in another order than the parameters.
        let pickle = pickle.text("state").global("collections", "defaultdict").raw(b"c__builtin__\ndict\n\x85R(");
        state(state(pickle.raw(b"h\x03"), 5).raw(b"h\x01"), 4).raw(b"u")
    });
    let packed = Pickle::new().dict(|pickle| {
        let pickle = pickle.text("param_groups").list(|pickle| {
            let pickle = pickle.dict(|pickle| pickle.text("params").list(|pickle| pickle.int(0).int(1)));
            pickle.dict(|pickle| pickle.text("params").list(|pickle| pickle.int(2)))
        });
        pickle.text("state").dict(|pickle| state(state(pickle.int(2), 5).int(0), 4))
    });
    for pickle in [whole, packed] {
        let file = parse(zip_file(&pickle.end(), &[("0", &bytes_of(&counting(6)))]));
        let states = file.root().optimizer_states().unwrap();
        let averages: Vec<_> = states
            .iter()
            .map(|state| {
                state.map(|state| state.get("exp_avg").unwrap().tensor().unwrap().try_to_vec::<f32>().unwrap())
            })
            .collect();
        assert_eq!(averages, [Some(vec![4.0]), None, Some(vec![5.0])]);
        assert_eq!(states[0].unwrap().get("step").unwrap().as_i64(), Some(9));
        let mut names: Vec<_> = file.tensors().unwrap().names().map(str::to_string).collect();
        names.sort();
        assert_eq!(names, ["state.0.exp_avg", "state.2.exp_avg"]);
    }
    let not_one = parse(zip_file(&Pickle::new().raw(b"}").end(), &[]));
    assert!(not_one.root().optimizer_states().unwrap_err().to_string().contains("an optimiser is expected"));
}

#[test]
fn a_big_endian_zip_is_turned_and_a_legacy_file_refused() {
    let pickle = Pickle::new().tensor("FloatStorage", "0", 0, &[2], &[1]).end();
    let bytes: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|float| float.to_be_bytes()).collect();
    let entries = [("a/data.pkl", pickle.as_slice()), ("a/byteorder", b"big"), ("a/data/0", &bytes)];
    assert_eq!(parse(zip::archive(&entries)).tensors().unwrap().f32s("tensor").unwrap(), [1.5, -2.0]);
    assert!(reason(legacy_file(false, &pickle, &[("0", 2, &bytes)])).contains("big-endian"));
}

#[test]
fn a_broken_file_says_what_is_wrong() {
    let tensor = |offset, shape: &[i64], strides: &[i64]| {
        let pickle = Pickle::new().dict(|p| p.text("fc.weight").tensor("FloatStorage", "0", offset, shape, strides));
        reason(zip_file(&pickle.end(), &[("0", &[0; 16])]))
    };
    let check = |error: String, part: &str| assert!(error.contains(part), "{error}");
    check(tensor(0, &[5], &[1]), "'fc.weight': shape [5], strides [1] and offset 0 reach past the 4 elements");
    check(tensor(4, &[1], &[1]), "reach past");
    check(tensor(0, &[2, 2], &[1, i64::MAX]), "reach past");
    check(tensor(i64::MAX, &[2], &[i64::MAX]), "reach past");
    check(tensor(0, &[2], &[-1]), "not whole numbers from 0");
    check(tensor(0, &[-1], &[1]), "not whole numbers from 0");
    check(tensor(0, &[1; 65], &[1; 65]), "more than 64");
    check(tensor(0, &[2, 2], &[1]), "differ in length");
    check(tensor(0, &[1 << 40], &[0]), "it repeats itself");
    check(tensor(0, &[1 << 40, 1 << 40], &[0, 0]), "it repeats itself");

    let with = |pickle: Pickle| reason(zip_file(&pickle.end(), &[("0", &[0; 16])]));
    check(with(Pickle::new().tensor("FloatStorage", "1", 0, &[1], &[1])), "storage 1 is not in the file");
    check(
        with(Pickle::new().tensor("ComplexFloatStorage", "0", 0, &[1], &[1])),
        "torch.ComplexFloatStorage, which is not",
    );
    check(with(Pickle::new().tensor("MagicStorage", "0", 0, &[1], &[1])), "torch.MagicStorage, which is not known");
    let sparse = Pickle::new().global("torch._utils", "_rebuild_sparse_tensor").raw(b")R");
    check(with(sparse), "only dense tensors are supported");

    check(reason(zip::archive(&[("mimetype", b"x")])), "holds no data.pkl");
    check(reason(b"\x80\x02K\x01.".to_vec()), "a pickle of another program");
    check(reason(b"\x80\x02K".to_vec()), "broken at byte 2");
    let pickle = Pickle::new().tensor("FloatStorage", "0", 0, &[4], &[1]).end();
    check(reason(legacy_file(true, &pickle, &[("0", 5, &[0; 16])])), "storage 0 reaches past the end");
    check(reason(legacy_file(true, &pickle, &[("0", u64::MAX, &[0; 16])])), "storage 0 reaches past the end");
    check(reason(legacy_file(true, &pickle, &[("9", 4, &[0; 16])])), "no tensor says what storage 9 holds");
}
