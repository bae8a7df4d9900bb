//! Checkpoint files of PyTorch against the tensors and numbers that PyTorch itself found in them.

use std::collections::BTreeSet;

use burn::tensor::TensorData;
use sensorium_core::testing::golden::{Fixture, owned_by};
use sensorium_core::weights::{TensorMap, TorchFile, Value};

#[test]
fn golden_checkpoints() {
    let mut fixtures = owned_by("sensorium-core", env!("CARGO_MANIFEST_DIR"));
    fixtures.retain(|fixture| fixture.family == "checkpoint");
    assert!(!fixtures.is_empty(), "no fixture of the family checkpoint");
    for fixture in &fixtures {
        let files = fixture.meta["files"].as_object().expect("files");
        assert!(!files.is_empty(), "{} names no file", fixture.name);
        for (name, about) in files {
            let bytes = std::fs::read(fixture.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(Some(bytes.len() as u64), about["bytes"].as_u64(), "{name}: the size of the file");
            let file = TorchFile::parse(name, bytes).unwrap();
            check_file(fixture, name, &file);
        }
    }
}

fn check_file(fixture: &Fixture, name: &str, file: &TorchFile) {
    let root = file.root();
    for model in ["encoder", "decoder"] {
        let module = root.get(model).unwrap_or_else(|| panic!("{name}: {model}"));
        let tensors = module.tensors().unwrap();
        check_tensors(fixture, name, model, &tensors);
        check_parameter_count(fixture, name, model, &tensors);
    }
    let keys: Vec<_> = root.entries().map(|(key, _)| key.as_str().expect("a text key")).collect();
    if keys == ["encoder", "decoder"] {
        check_tensors(fixture, name, "", &file.tensors().unwrap());
        return;
    }
    let expected: Vec<_> =
        fixture.meta["top_level_keys"].as_array().unwrap().iter().map(|k| k.as_str().unwrap()).collect();
    assert_eq!(keys, expected, "{name}: keys");
    for (key, value) in fixture.meta["scalars"].as_object().unwrap() {
        check_number(&format!("{name}: {key}"), root.get(key).unwrap(), value);
    }
    for (optimizer, groups) in fixture.meta["param_groups"].as_object().unwrap() {
        let value = root.get(optimizer).unwrap_or_else(|| panic!("{name}: {optimizer}"));
        if name.contains("nofinetune") && optimizer == "encoder_optimizer" {
            assert!(value.is_none(), "{name}: {optimizer} must be None");
            assert!(value.tensors().unwrap().is_empty());
            continue;
        }
        assert_eq!(value.class(), Some("torch.optim.adam.Adam"), "{name}: {optimizer}");
        check_states(fixture, name, optimizer, value);
        check_groups(&format!("{name}: {optimizer}"), value, groups);
    }
}

/// The names under `prefix` in the fixture, and the tensors, are the same and equal bit for bit.
fn check_tensors(fixture: &Fixture, file: &str, prefix: &str, tensors: &TensorMap) {
    let dotted = if prefix.is_empty() { String::new() } else { format!("{prefix}.") };
    let expected: BTreeSet<String> = fixture
        .names()
        .into_iter()
        .filter(|name| name.starts_with("encoder.") || name.starts_with("decoder."))
        .filter_map(|name| name.strip_prefix(&dotted).map(str::to_string))
        .collect();
    let found: BTreeSet<String> = tensors.names().map(str::to_string).collect();
    assert_eq!(found, expected, "{file}: names in {prefix}");
    for (name, tensor) in tensors.iter() {
        assert_eq!(*tensor, fixture.tensor(&format!("{dotted}{name}")), "{file}: {dotted}{name}");
    }
}

fn check_parameter_count(fixture: &Fixture, file: &str, model: &str, tensors: &TensorMap) {
    let is_buffer =
        |name: &str| ["running_mean", "running_var", "num_batches_tracked"].iter().any(|b| name.ends_with(b));
    let count: usize =
        tensors.iter().filter(|(name, _)| !is_buffer(name)).map(|(_, tensor)| tensor.num_elements()).sum();
    assert_eq!(Some(count as u64), fixture.meta["parameter_counts"][model].as_u64(), "{file}: parameters of {model}");
}

/// Each parameter's state, by its number: the tensors that PyTorch numbered so, and of the shape of the parameter that
/// the fixture's order names.
fn check_states(fixture: &Fixture, file: &str, optimizer: &str, value: Value) {
    let (model, order) = match optimizer {
        "encoder_optimizer" => ("encoder", "encoder_trainable_order"),
        _ => ("decoder", "decoder_parameter_order"),
    };
    let parameters: Vec<_> = fixture.meta[order]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| format!("{model}.{}", name.as_str().unwrap()))
        .collect();
    let states = value.optimizer_states().unwrap();
    assert_eq!(states.len(), parameters.len(), "{file}: {optimizer}");
    let mut found = BTreeSet::new();
    for (number, (state, parameter)) in states.into_iter().zip(&parameters).enumerate() {
        for (key, value) in state.unwrap_or_else(|| panic!("{file}: {optimizer} has no state {number}")).entries() {
            let key = key.as_str().unwrap();
            let name = format!("{optimizer}.state.{number}.{key}");
            let expected = fixture.tensor(&name);
            assert_eq!(as_tensor(value, &expected), expected, "{file}: {name}");
            if key != "step" {
                assert_eq!(expected.shape().to_vec(), fixture.shape(parameter), "{file}: {name}");
            }
            found.insert(name);
        }
    }
    let expected: BTreeSet<_> =
        fixture.names().into_iter().filter(|n| n.starts_with(&format!("{optimizer}."))).collect();
    assert_eq!(found, expected, "{file}: the states of {optimizer}");
    for (name, tensor) in value.tensors().unwrap().iter() {
        assert_eq!(*tensor, fixture.tensor(&format!("{optimizer}.{name}")), "{file}: {name}");
    }
}

/// A tensor; a plain number, as older optimisers count steps, becomes one like `like`.
fn as_tensor(value: Value, like: &TensorData) -> TensorData {
    match value.as_f64() {
        Some(number) => TensorData::new(vec![number], Vec::<usize>::new()).convert_dtype(like.dtype()),
        None => value.tensor().unwrap(),
    }
}

fn check_groups(what: &str, optimizer: Value, expected: &serde_json::Value) {
    let groups: Vec<_> = optimizer.get("param_groups").unwrap().elements().collect();
    let expected = expected.as_array().unwrap();
    assert_eq!(groups.len(), expected.len(), "{what}: groups");
    for (group, expected) in groups.into_iter().zip(expected) {
        for (key, expected) in expected.as_object().unwrap() {
            let what = format!("{what}: {key}");
            let value = group.get(key).unwrap_or_else(|| panic!("{what} is missing"));
            match expected.as_array() {
                Some(expected) if key == "params" => assert_eq!(value.elements().len(), expected.len(), "{what}"),
                Some(expected) => {
                    assert_eq!(value.elements().len(), expected.len(), "{what}");
                    value.elements().zip(expected).for_each(|(value, expected)| check_number(&what, value, expected));
                }
                None => check_number(&what, value, expected),
            }
        }
    }
}

/// A number, a boolean or nothing.
fn check_number(what: &str, value: Value, expected: &serde_json::Value) {
    match expected {
        serde_json::Value::Null => assert!(value.is_none(), "{what}"),
        serde_json::Value::Bool(expected) => assert_eq!(value.as_bool(), Some(*expected), "{what}"),
        _ => {
            assert_eq!(value.as_f64(), expected.as_f64(), "{what}");
            assert_eq!(value.as_i64(), expected.as_i64(), "{what}");
        }
    }
}
