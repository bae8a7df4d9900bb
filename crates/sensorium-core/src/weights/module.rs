//! Tensors of a file into a module's parameters, and back.
//!
//! Files are in torch's names and layout. Where burn 0.22.1 differs, the type of the module that holds the parameter
//! decides, never a shape:
//!
//! | module | torch | burn |
//! |---|---|---|
//! | `Linear` | `weight` `[out, in]` | `weight` `[in, out]`; a `LinearLayout::Col` one turns it by itself when loading |
//! | `BatchNorm`, `LayerNorm`, `GroupNorm`, `InstanceNorm`, `RmsNorm` | `weight`, `bias` | `gamma`, `beta` |
//! | `PRelu` | `weight` | `alpha` |
//!
//! All else has torch's layout under the names of the module's fields.

use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Bool, DType, Float, Int, Shape, Tensor, TensorData};

use super::tensor_map::NumberKind;
use super::{TensorMap, shown, strided};
use crate::{Error, Result};

/// Which differences between a file and a module [`load_into`] lets pass.
#[derive(Clone, Copy)]
pub struct Allow<'a> {
    /// Accepts the parameters, by their name in the file, that may be missing: they keep their values.
    pub missing: &'a dyn Fn(&str) -> bool,
    /// Accepts the file's tensors that may be left over.
    pub unused: &'a dyn Fn(&str) -> bool,
}

impl Allow<'_> {
    /// Every parameter has its tensor and every tensor its parameter.
    pub const NOTHING: Self = Self { missing: &|_| false, unused: &|_| false };
}

/// The module with its parameters and running statistics replaced by the tensors, which are in torch's names and
/// layout. They take on the parameters' number format and device; whether a parameter is trained stays as it was.
///
/// Where names differ beyond that, use [`load_named`]. The batch counters of torch's batch
/// norms (`num_batches_tracked`), which burn has no place for, may always be left over.
///
/// # Errors
/// [`Error::Weights`] if names, shapes or kinds of number do not fit, listing all that differ. Nothing is loaded then.
pub fn load_into<M: Module>(module: M, tensors: &TensorMap, allow: Allow) -> Result<M> {
    load_named(module, tensors, str::to_string, allow)
}

/// [`load_into`] for a file with names of its own: `file_name` gives a parameter's name there for its name in torch's
/// manner. Messages speak of the file's names.
///
/// # Errors
/// As [`load_into`].
pub fn load_named<M: Module>(
    module: M,
    tensors: &TensorMap,
    file_name: impl Fn(&str) -> String,
    allow: Allow,
) -> Result<M> {
    let fail = |reason| Error::Weights { path: tensors.source().to_path_buf(), reason };
    let mut slots = slots(&module, Layout::Torch);
    slots.iter_mut().for_each(|slot| slot.name = file_name(&slot.name));
    let offered = tensors.iter().map(|(name, tensor)| (name, tensor.shape(), tensor.dtype()));
    let counters = |name: &str| name.ends_with("num_batches_tracked") || (allow.unused)(name);
    check(&slots, offered, Allow { unused: &counters, ..allow }).map_err(fail)?;
    let mut loaded = HashMap::new();
    for slot in slots {
        let Some(tensor) = tensors.get(&slot.name) else { continue };
        let tensor = slot.convert(tensor.clone()).map_err(fail)?;
        loaded.insert(slot.path, Loaded { tensor, id: None });
    }
    Ok(fill(module, loaded))
}

/// The module's parameters and running statistics in torch's names and layout. Their source is called `a module`.
///
/// # Panics
/// If a parameter is quantised.
pub fn tensors_of<M: Module>(module: &M) -> TensorMap {
    let mut tensors = TensorMap::new("a module");
    let mut visitor = Visit::new(Layout::Torch, |slot, data: &dyn Fn() -> TensorData| {
        let tensor = data();
        assert!(NumberKind::of(tensor.dtype()).is_some(), "'{}' is quantised: dequantise it first", slot.path);
        tensors.insert(slot.name, if slot.turned { turn(&tensor) } else { tensor });
    });
    // Running statistics take in what the last training batches added when a module is made ready for inference.
    module.valid().visit(&mut visitor);
    tensors
}

/// Whose names and layout a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    Torch,
    Burn,
}

/// A parameter's place in a file.
#[derive(Debug)]
pub(super) struct Slot {
    /// Where the parameter is in the module.
    pub(super) path: String,
    /// Its name in the file.
    pub(super) name: String,
    /// Its shape in the file.
    shape: Vec<usize>,
    /// Its number format in the module.
    dtype: DType,
    /// Whether the file has the transpose of what burn loads and saves.
    turned: bool,
}

impl Slot {
    /// The file's tensor as burn loads it. Its shape and kind have been [checked](check).
    pub(super) fn convert(&self, tensor: TensorData) -> Result<TensorData, String> {
        let tensor = if self.turned { turn(&tensor) } else { tensor };
        if NumberKind::of(self.dtype) == Some(NumberKind::Int) && tensor.dtype() != self.dtype {
            let range = int_range(self.dtype);
            if let Some(value) = tensor.iter::<f64>().find(|value| !range.contains(value)) {
                return Err(format!("{} holds {value}, the module's {:?} numbers end before", self.name, self.dtype));
            }
        }
        Ok(tensor.convert_dtype(self.dtype))
    }
}

/// The numbers that an integer format can hold.
fn int_range(dtype: DType) -> std::ops::Range<f64> {
    let bits = 8 * dtype.size() as i32;
    match dtype {
        DType::U64 | DType::U32 | DType::U16 | DType::U8 => 0.0..2f64.powi(bits),
        _ => -2f64.powi(bits - 1)..2f64.powi(bits - 1),
    }
}

/// The places of all of a module's parameters, in its order. Initialises none.
pub(super) fn slots<M: Module>(module: &M, layout: Layout) -> Vec<Slot> {
    let mut slots = Vec::new();
    module.visit(&mut Visit::new(layout, |slot, _| slots.push(slot)));
    slots
}

/// A tensor to be loaded, [converted](Slot::convert), and the identity that an optimiser knows the parameter by.
pub(super) struct Loaded {
    pub(super) tensor: TensorData,
    pub(super) id: Option<ParamId>,
}

/// The module with the parameters at the given paths replaced.
pub(super) fn fill<M: Module>(module: M, tensors: HashMap<String, Loaded>) -> M {
    module.map(&mut Fill { path: Vec::new(), tensors })
}

/// Compares what a file offers with what a module needs; `Err` lists the differences.
pub(super) fn check<'t>(
    slots: &[Slot],
    offered: impl Iterator<Item = (&'t str, &'t Shape, DType)>,
    allow: Allow,
) -> Result<(), String> {
    let offered: Vec<_> = offered.collect();
    let by_name: HashMap<&str, _> = offered.iter().map(|(name, shape, dtype)| (*name, (*shape, *dtype))).collect();
    let needed: HashMap<&str, &Slot> = slots.iter().map(|slot| (slot.name.as_str(), slot)).collect();
    let (mut differing, mut missing) = (Vec::new(), Vec::new());
    for slot in slots {
        match by_name.get(slot.name.as_str()) {
            None if (allow.missing)(&slot.name) => {}
            None => missing.push(format!("{} {:?}", slot.name, slot.shape)),
            Some((shape, _)) if shape.as_slice() != slot.shape => {
                let (name, file, module) = (&slot.name, shape.as_slice(), &slot.shape);
                differing.push(format!("{name} is {file:?} in the file and {module:?} in the module"));
            }
            Some((_, dtype)) if NumberKind::of(*dtype) != NumberKind::of(slot.dtype) => {
                differing.push(format!("{} holds {dtype:?} numbers, the module {:?}", slot.name, slot.dtype));
            }
            Some(_) => {}
        }
    }
    let unused = offered.iter().filter(|(name, _, _)| !needed.contains_key(name) && !(allow.unused)(name));
    let unused: Vec<String> =
        unused.map(|(name, shape, _)| format!("{} {:?}", shown(name), shape.as_slice())).collect();
    let complaints = [("differ", differing), ("missing", missing), ("not in the module", unused)];
    let complaints: Vec<String> =
        complaints.iter().filter(|(_, names)| !names.is_empty()).map(|(what, names)| listed(what, names)).collect();
    if complaints.is_empty() { Ok(()) } else { Err(complaints.join("; ")) }
}

/// `3 missing: a, b, c`, cut short after a few.
fn listed(what: &str, names: &[String]) -> String {
    const SHOWN: usize = 5;
    let more = if names.len() > SHOWN { format!(", and {} more", names.len() - SHOWN) } else { String::new() };
    format!("{} {what}: {}{more}", names.len(), names[..names.len().min(SHOWN)].join(", "))
}

/// The transpose of a matrix.
fn turn(tensor: &TensorData) -> TensorData {
    let &[rows, columns] = tensor.shape().as_slice() else { unreachable!("only matrices are marked as turned") };
    let bytes = strided::gather(tensor.as_bytes(), tensor.dtype().size(), 0, &[columns, rows], &[1, columns]);
    TensorData::from_bytes_vec(bytes, [columns, rows], tensor.dtype())
}

/// Calls `each` with every parameter's place in a file and a way to get its value in burn's layout.
struct Visit<F> {
    layout: Layout,
    each: F,
    path: Vec<String>,
    containers: Vec<String>,
}

impl<F: FnMut(Slot, &dyn Fn() -> TensorData)> Visit<F> {
    fn new(layout: Layout, each: F) -> Self {
        Self { layout, each, path: Vec::new(), containers: Vec::new() }
    }

    fn visit(&mut self, shape: Shape, dtype: DType, turns_itself: impl Fn() -> bool, data: &dyn Fn() -> TensorData) {
        let path = self.path.join(".");
        let mut slot = Slot { name: path.clone(), path, shape: shape.to_vec(), dtype, turned: false };
        if let (Layout::Torch, Some((field, parents))) = (self.layout, self.path.split_last()) {
            let container = self.containers.iter().rfind(|c| c.starts_with("Struct:") || c.starts_with("Enum:"));
            let container = container.map_or("", String::as_str);
            let field = torch_name(container, field);
            slot.name = parents.iter().map(String::as_str).chain([field]).collect::<Vec<_>>().join(".");
            slot.turned = container == "Struct:Linear" && field == "weight" && shape.len() == 2 && !turns_itself();
            if slot.turned {
                slot.shape.reverse();
            }
        }
        (self.each)(slot, data);
    }
}

/// A parameter's name in torch, by the type of burn's module and its field.
fn torch_name<'a>(container: &str, field: &'a str) -> &'a str {
    match (container, field) {
        (
            "Struct:BatchNorm" | "Struct:LayerNorm" | "Struct:GroupNorm" | "Struct:InstanceNorm" | "Struct:RmsNorm",
            "gamma",
        ) => "weight",
        ("Struct:BatchNorm" | "Struct:LayerNorm" | "Struct:GroupNorm" | "Struct:InstanceNorm", "beta") => "bias",
        ("Struct:PRelu", "alpha") => "weight",
        _ => field,
    }
}

/// Visits a parameter of one kind. Before it is initialised, its shape in a record is the one it was declared with and
/// its number format will be the device's; afterwards its save mapper may turn it.
macro_rules! visit_kind {
    ($method:ident, $kind:ty, $format:ident, $turns_itself:expr) => {
        fn $method<const D: usize>(&mut self, param: &Param<Tensor<D, $kind>>) {
            let (shape, dtype) = if param.is_initialized() {
                (param.transform_for_save().shape(), param.base().dtype())
            } else {
                (param.lazy_shape(), param.lazy_device().settings().$format.into())
            };
            let value = || param.transform_for_save().val().into_data();
            self.visit(shape, dtype, || $turns_itself(param), &value);
        }
    };
}

/// Whether the parameter's load mapper transposes, as that of a `LinearLayout::Col` linear layer does.
fn turns_itself<const D: usize>(param: &Param<Tensor<D>>) -> bool {
    let mut probe = [1; D];
    probe[D - 1] = 2;
    let probe = Tensor::zeros(probe, &param.lazy_device());
    param.clone().transform_for_load(probe, param.id).dims()[0] == 2
}

impl<F: FnMut(Slot, &dyn Fn() -> TensorData)> ModuleVisitor for Visit<F> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.push(name.to_string());
        self.containers.push(container_type.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
        self.containers.pop();
    }

    visit_kind!(visit_float, Float, float_dtype, turns_itself);
    visit_kind!(visit_int, Int, int_dtype, |_| false);
    visit_kind!(visit_bool, Bool, bool_dtype, |_| false);
}

/// Replaces parameters by path.
struct Fill {
    path: Vec<String>,
    tensors: HashMap<String, Loaded>,
}

/// The same for each kind of tensor.
macro_rules! fill_kind {
    ($method:ident, $kind:ty) => {
        fn $method<const D: usize>(&mut self, param: Param<Tensor<D, $kind>>) -> Param<Tensor<D, $kind>> {
            let Some(Loaded { tensor, id }) = self.tensors.remove(&self.path.join(".")) else { return param };
            let dtype = tensor.dtype();
            let tensor = Tensor::from_data(tensor, (&param.lazy_device(), dtype));
            let id = id.unwrap_or(param.id);
            param.transform_for_load(tensor, id)
        }
    };
}

impl ModuleMapper for Fill {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fill_kind!(map_float, Float);
    fill_kind!(map_int, Int);
    fill_kind!(map_bool, Bool);
}

#[cfg(test)]
mod tests {
    use burn::module::RunningState;
    use burn::nn::conv::{Conv2d, Conv2dConfig};
    use burn::nn::{
        BatchNorm, BatchNormConfig, Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig,
        LinearLayout, PRelu, PReluConfig,
    };
    use burn::tensor::{Device, Distribution};
    use half::f16;

    use super::*;
    use crate::device;

    #[derive(Module, Debug)]
    struct Net {
        conv: Conv2d,
        bn: BatchNorm,
        norm: LayerNorm,
        act: PRelu,
        embedding: Embedding,
        heads: Vec<Linear>,
        packed: Param<Tensor<2>>,
        steps: Param<Tensor<1, Int>>,
        ema: RunningState<Tensor<1>>,
    }

    impl Net {
        fn init(layout: LinearLayout, width: usize, device: &Device) -> Self {
            let linear = |out| LinearConfig::new(width, out).with_layout(layout).init(device);
            let drawn = Tensor::random([4, 3], Distribution::Default, device);
            Self {
                conv: Conv2dConfig::new([3, 4], [1, 1]).init(device),
                bn: BatchNormConfig::new(4).init(device),
                norm: LayerNormConfig::new(width).init(device),
                act: PReluConfig::new().init(device),
                embedding: EmbeddingConfig::new(5, width).init(device),
                heads: vec![linear(2), linear(width)],
                packed: Param::from_tensor(drawn),
                steps: Param::initialized(ParamId::new(), Tensor::from_data([1, 2], device)),
                ema: RunningState::new(Tensor::ones([2], device)),
            }
        }
    }

    fn flex() -> Device {
        device::parse("flex").unwrap()
    }

    /// Tensors as torch would name and shape them, each filled with its own numbers.
    fn torch_tensors(width: usize) -> TensorMap {
        let shapes: [(&str, &[usize]); 18] = [
            ("conv.weight", &[4, 3, 1, 1]),
            ("conv.bias", &[4]),
            ("bn.weight", &[4]),
            ("bn.bias", &[4]),
            ("bn.running_mean", &[4]),
            ("bn.running_var", &[4]),
            ("norm.weight", &[width]),
            ("norm.bias", &[width]),
            ("act.weight", &[1]),
            ("embedding.weight", &[5, width]),
            ("heads.0.weight", &[2, width]),
            ("heads.0.bias", &[2]),
            ("heads.1.weight", &[width, width]),
            ("heads.1.bias", &[width]),
            ("packed", &[4, 3]),
            ("ema", &[2]),
            ("steps", &[2]),
            ("bn.num_batches_tracked", &[]),
        ];
        let mut map = TensorMap::new("net.pth");
        for (i, (name, shape)) in shapes.into_iter().enumerate() {
            let count = shape.iter().product::<usize>();
            let data = if i >= 16 {
                TensorData::new((0..count as i64).map(|j| j + 7).collect(), shape.to_vec())
            } else {
                TensorData::new((0..count).map(|j| (i * 100 + j) as f32).collect(), shape.to_vec())
            };
            map.insert(name, data);
        }
        map
    }

    fn floats(data: TensorData) -> Vec<f32> {
        data.iter::<f32>().collect()
    }

    #[test]
    fn torch_tensors_find_their_places_on_every_backend() {
        let tensors = torch_tensors(3);
        for (name, device) in device::built() {
            for device in [device.clone(), device.autodiff()] {
                let net = load_into(Net::init(LinearLayout::Row, 3, &device), &tensors, Allow::NOTHING).unwrap();
                assert_eq!(floats(net.bn.gamma.to_data()), [200.0, 201.0, 202.0, 203.0], "{name}");
                assert_eq!(floats(net.bn.running_var.value().into_data()), [500.0, 501.0, 502.0, 503.0], "{name}");
                assert_eq!(floats(net.norm.beta.as_ref().unwrap().to_data()), [700.0, 701.0, 702.0], "{name}");
                assert_eq!(floats(net.act.alpha.to_data()), [800.0], "{name}");
                let weight = &net.heads[0].weight;
                assert_eq!(floats(weight.to_data()), [1000.0, 1003.0, 1001.0, 1004.0, 1002.0, 1005.0], "{name}");
                assert_eq!(net.steps.to_data().iter::<i64>().collect::<Vec<_>>(), [7, 8], "{name}");
                assert_eq!(weight.is_require_grad(), device.is_autodiff(), "{name}");
                assert!(!net.bn.running_mean.value().is_require_grad(), "{name}");
            }
        }
    }

    /// A linear layer computes what torch's would, whichever way it keeps its weight, square or not, made before or not.
    #[test]
    fn linear_weights_are_turned_once() {
        let tensors = torch_tensors(3);
        let input = || Tensor::<2>::from_data([[1.0, 10.0, 100.0]], &flex());
        let rows =
            |first: f32| [0.0, 3.0, 6.0].map(|row| first + row).map(|w| w + 10.0 * (w + 1.0) + 100.0 * (w + 2.0));
        for layout in [LinearLayout::Row, LinearLayout::Col] {
            for made_before in [false, true] {
                let net = Net::init(layout, 3, &flex());
                if made_before {
                    net.heads.iter().for_each(|head| drop(head.forward(input())));
                }
                let net = load_into(net, &tensors, Allow::NOTHING).unwrap();
                let bias = [1300.0, 1301.0, 1302.0];
                let expect: Vec<f32> = rows(1200.0).iter().zip(bias).map(|(row, bias)| row + bias).collect();
                assert_eq!(floats(net.heads[1].forward(input()).into_data()), expect, "{layout:?} {made_before}");
                let expect: Vec<f32> =
                    rows(1000.0)[..2].iter().zip([1100.0, 1101.0]).map(|(row, bias)| row + bias).collect();
                assert_eq!(floats(net.heads[0].forward(input()).into_data()), expect, "{layout:?} {made_before}");
            }
        }
    }

    #[test]
    fn what_goes_in_comes_out() {
        for layout in [LinearLayout::Row, LinearLayout::Col] {
            let tensors = torch_tensors(3);
            let net = load_into(Net::init(layout, 3, &flex()), &tensors, Allow::NOTHING).unwrap();
            let mut back = tensors_of(&net);
            for (name, tensor) in tensors.iter().filter(|(name, _)| !name.ends_with("tracked")) {
                let found = back.get(name).unwrap_or_else(|| panic!("{name}"));
                assert_eq!(found.shape(), tensor.shape(), "{name}");
                assert_eq!(floats(found.clone()), floats(tensor.clone()), "{name}");
            }
            back.retain(|name| tensors.get(name).is_none());
            assert!(back.is_empty());
        }
    }

    #[test]
    fn numbers_take_on_the_format_of_the_module() {
        let mut tensors = TensorMap::new("half.safetensors");
        tensors.insert("weight", TensorData::from([[f16::from_f32(1.5), f16::from_f32(-2.0)]]));
        tensors.insert("bias", TensorData::from([0.25f64]));
        let linear = load_into(LinearConfig::new(2, 1).init(&flex()), &tensors, Allow::NOTHING).unwrap();
        assert_eq!(linear.weight.to_data(), TensorData::from([[1.5f32], [-2.0]]));
        assert_eq!(linear.bias.unwrap().to_data(), TensorData::from([0.25f32]));
    }

    #[test]
    fn an_integer_that_does_not_fit_is_an_error() {
        let mut tensors = torch_tensors(3);
        tensors.insert("steps", TensorData::from([1u64, u64::MAX]));
        let error =
            load_into(Net::init(LinearLayout::Row, 3, &flex()), &tensors, Allow::NOTHING).unwrap_err().to_string();
        assert!(error.contains("steps holds 18446744073709552000, the module's I"), "{error}");
    }

    #[test]
    fn all_that_does_not_fit_is_listed_and_nothing_is_loaded() {
        let mut tensors = torch_tensors(3);
        tensors.retain(|name| name != "conv.bias" && name != "packed");
        tensors.insert("extra", TensorData::from([1.0f32]));
        tensors.insert("steps", TensorData::from([1.0f32, 2.0]));
        let net = Net::init(LinearLayout::Row, 4, &flex());
        let before = net.bn.running_mean.value().into_data();
        let error = load_into(net.clone(), &tensors, Allow::NOTHING).unwrap_err().to_string();
        assert_eq!(
            error,
            "net.pth: weights do not fit the model: 7 differ: norm.weight is [3] in the file and [4] in the module, \
            norm.bias is [3] in the file and [4] in the module, embedding.weight is [5, 3] in the file and [5, 4] in the module, \
            heads.0.weight is [2, 3] in the file and [2, 4] in the module, \
            heads.1.weight is [3, 3] in the file and [4, 4] in the module, and 2 more; \
            2 missing: conv.bias [4], packed [4, 3]; 1 not in the module: extra [1]"
        );
        assert_eq!(net.bn.running_mean.value().into_data(), before);
    }

    #[test]
    fn allowed_differences_pass() {
        let mut tensors = torch_tensors(3);
        tensors.retain(|name| !name.starts_with("heads.1"));
        tensors.insert("old_head.weight", TensorData::from([1.0f32]));
        let net = Net::init(LinearLayout::Row, 3, &flex());
        let kept = net.heads[1].weight.to_data();
        let allow = Allow { missing: &|name| name.starts_with("heads.1."), unused: &|name| name == "old_head.weight" };
        let net = load_into(net, &tensors, allow).unwrap();
        assert_eq!(net.heads[1].weight.to_data(), kept);
        assert_eq!(floats(net.conv.bias.unwrap().to_data()), [100.0, 101.0, 102.0, 103.0]);
    }
}
