//! Modules in burn's record format (burnpack, `.bpk`).

use std::collections::HashMap;
use std::path::Path;

use burn::module::{Module, ParamId};
use burn_pack::{Bytes, Reader};

use super::module::{Allow, Layout, Loaded, Slot, check, fill, slots};
use super::tensor_map::from_file_bytes;
use super::{read_file, shown};
use crate::{Error, Result, files};

const FORMAT: &str = "burn record";

/// Writes the module's parameters and running statistics to `path`, whole or not at all. By habit the path ends in
/// `.bpk`.
///
/// # Errors
/// [`Error::Io`] if the file cannot be written; [`Error::Format`] if burn cannot make a record of the module.
pub fn save_module<M: Module>(path: impl AsRef<Path>, module: &M) -> Result<()> {
    let path = path.as_ref();
    let bytes = module.clone().into_record().into_bytes().map_err(|e| Error::format(path, FORMAT, e.to_string()))?;
    files::write_atomic(path, &bytes)
}

/// The module with the parameters and running statistics that [`save_module`] wrote, on the module's own device and in
/// its number format. Parameters get the identities they had, so that an optimiser's state finds them.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read, [`Error::Format`] if it is no record or cut short, [`Error::Weights`] if
/// it is a record of another module, naming the parameters that differ. Nothing is loaded then.
pub fn load_module<M: Module>(path: impl AsRef<Path>, module: M) -> Result<M> {
    let path = path.as_ref();
    let fail = |reason: String| Error::format(path, FORMAT, shown(&reason));
    let reader = Reader::from_bytes(Bytes::from_bytes_vec(read_file(path)?)).map_err(|e| fail(e.to_string()))?;
    let tensors = reader.into_tensors().map_err(|e| fail(e.to_string()))?;
    let offered = tensors.iter().map(|tensor| (tensor.name.as_str(), &tensor.shape, tensor.dtype));
    let misfit = |reason| Error::Weights { path: path.to_path_buf(), reason };
    let slots = slots(&module, Layout::Burn);
    check(&slots, offered, Allow::NOTHING).map_err(misfit)?;
    let mut slots: HashMap<String, Slot> = slots.into_iter().map(|slot| (slot.name.clone(), slot)).collect();
    let mut loaded = HashMap::new();
    for tensor in tensors {
        let (name, dtype, shape, id, bytes) = tensor.into_parts().map_err(|e| fail(e.to_string()))?;
        let Some(slot) = slots.remove(&name) else { continue };
        let tensor = from_file_bytes(bytes.to_vec(), shape.as_slice(), dtype)
            .map_err(|reason| fail(format!("'{name}': {reason}")))?;
        let tensor = slot.convert(tensor).map_err(misfit)?;
        loaded.insert(slot.path, Loaded { tensor, id: id.map(ParamId::from) });
    }
    Ok(fill(module, loaded))
}

#[cfg(test)]
mod tests {
    use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, LinearLayout};
    use burn::tensor::{DType, Device, FloatDType};

    use super::*;
    use crate::device;

    #[derive(Module, Debug)]
    struct Net {
        first: Linear,
        norm: BatchNorm,
    }

    impl Net {
        fn init(width: usize, layout: LinearLayout, device: &Device) -> Self {
            let first = LinearConfig::new(3, width).with_layout(layout).init(device);
            Self { first, norm: BatchNormConfig::new(width).init(device) }
        }
    }

    fn saved(net: &Net) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("net.bpk");
        save_module(&path, net).unwrap();
        (dir, path)
    }

    #[test]
    fn a_module_comes_back_with_its_identities_on_every_backend() {
        for layout in [LinearLayout::Row, LinearLayout::Col] {
            let net = Net::init(2, layout, &device::parse("flex").unwrap());
            let (_dir, path) = saved(&net);
            for (name, device) in device::built() {
                for device in [device.clone(), device.autodiff()] {
                    let fresh = Net::init(2, layout, &device);
                    let made = fresh.clone();
                    let _ = made.first.weight.val();
                    for fresh in [fresh, made] {
                        let back = load_module(&path, fresh).unwrap();
                        assert_eq!(back.first.weight.to_data(), net.first.weight.to_data(), "{name} {layout:?}");
                        assert_eq!(back.first.weight.id, net.first.weight.id, "{name} {layout:?}");
                        assert_eq!(back.first.weight.is_require_grad(), device.is_autodiff(), "{name} {layout:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn burn_reads_the_file_itself() {
        let device = device::parse("flex").unwrap();
        let net = Net::init(2, LinearLayout::Row, &device);
        let (_dir, path) = saved(&net);
        let back = Net::init(2, LinearLayout::Row, &device).try_load_file(path).unwrap();
        assert_eq!(back.first.weight.to_data(), net.first.weight.to_data());
    }

    #[test]
    fn a_record_of_half_the_width_takes_on_the_format_of_the_module() {
        let device = device::parse("flex").unwrap();
        let mut net = Net::init(2, LinearLayout::Row, &device);
        net.first.weight = net.first.weight.map(|weight| weight.cast(FloatDType::F16));
        let (_dir, path) = saved(&net);
        let back = load_module(&path, Net::init(2, LinearLayout::Row, &device)).unwrap();
        assert_eq!(back.first.weight.val().dtype(), DType::F32);
    }

    #[test]
    fn a_record_of_another_config_names_what_differs() {
        let device = device::parse("flex").unwrap();
        let (_dir, path) = saved(&Net::init(2, LinearLayout::Row, &device));
        let error = load_module(&path, Net::init(5, LinearLayout::Row, &device)).unwrap_err().to_string();
        let expect = "net.bpk: weights do not fit the model: 6 differ: first.weight is [3, 2] in the file and [3, 5] in the module,";
        assert!(error.contains(expect), "{error}");
        let error = load_module(&path, LinearConfig::new(3, 2).init(&device)).unwrap_err().to_string();
        assert!(error.contains("2 missing: weight [3, 2], bias [2]; 6 not in the module: first.bias [2]"), "{error}");
    }

    #[test]
    fn what_is_no_record_is_an_error_that_names_it() {
        let device = device::parse("flex").unwrap();
        let (dir, path) = saved(&Net::init(2, LinearLayout::Row, &device));
        let load = |path: &Path| load_module(path, Net::init(2, LinearLayout::Row, &device)).unwrap_err().to_string();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert!(load(&path).contains("net.bpk: not a valid burn record") && load(&path).contains("truncated"));
        std::fs::write(&path, b"{\"not\": \"a record\"}").unwrap();
        assert!(load(&path).contains("net.bpk: not a valid burn record"), "{}", load(&path));
        assert!(load(&dir.path().join("none.bpk")).contains("none.bpk: cannot read"));
        assert!(load(dir.path()).contains("not a plain file"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_an_error() {
        let net = Net::init(2, LinearLayout::Row, &device::parse("flex").unwrap());
        assert!(save_module("/dev/full", &net).unwrap_err().to_string().contains("/dev/full"));
    }
}
