//! The contract every model passes.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{GradientsParams, SgdConfig};
use burn::store::ModuleRecord;
use burn::tensor::{Device, Gradients, Tensor, TensorData};

use super::golden::assert_close;
use crate::device;

/// Checks the contract every model passes, on every backend in this build:
///
/// 1. the output has `shape`;
/// 2. gradients of the output reach every trainable parameter, and are finite;
/// 3. a record written to bytes and read back gives the very same output;
/// 4. the same record gives, on each backend, the same output, the same gradients and the same output after one
///    training step as on the first, within `tolerance` of the largest value.
///
/// `init` makes the model; `forward` makes its input from fixed numbers and runs it.
///
/// # Panics
/// Where the contract is broken, naming the model, the backend and the parameter.
pub fn check_model<M: Module, const D: usize>(
    name: &str,
    init: impl Fn(&Device) -> M,
    forward: impl Fn(&M, &Device) -> Tensor<D>,
    shape: [usize; D],
    tolerance: f64,
) {
    let backends = device::built();
    // Where a ReLU's input is next to zero, backends may fall on different sides of it; one draw of weights is always judged
    // alike.
    backends[0].1.seed(1);
    let record = init(&backends[0].1).into_record();
    let seen: Vec<(&str, Seen)> = backends
        .iter()
        .map(|(backend, device)| {
            let what = format!("{name} on {backend}");
            (*backend, observe(&what, &init, &forward, &record, device, shape))
        })
        .collect();
    let (first_backend, first) = &seen[0];
    for (backend, other) in &seen[1..] {
        let compare = |part: &str, got: &[f32], want: &[f32]| {
            let largest = want.iter().fold(0.0f32, |m, v| m.max(v.abs()));
            let bound = tolerance * f64::from(largest.max(1e-3));
            assert_close(got, want, (bound, 0.0), &format!("{name}: {part} on {backend} against {first_backend}"));
        };
        compare("output", &other.output, &first.output);
        compare("output after a training step", &other.trained_output, &first.trained_output);
        for ((path, got), (_, want)) in other.gradients.iter().zip(&first.gradients) {
            compare(&format!("gradient of {path}"), got, want);
        }
    }
}

struct Seen {
    output: Vec<f32>,
    gradients: Vec<(String, Vec<f32>)>,
    trained_output: Vec<f32>,
}

fn observe<M: Module, const D: usize>(
    what: &str,
    init: &impl Fn(&Device) -> M,
    forward: &impl Fn(&M, &Device) -> Tensor<D>,
    record: &ModuleRecord,
    device: &Device,
    shape: [usize; D],
) -> Seen {
    let model = init(device).load_record(record.clone());
    let output = forward(&model, device);
    assert_eq!(output.dims(), shape, "{what}: the shape of the output");
    let output = values(output.into_data());

    let bytes = model.into_record().into_bytes().expect("a record becomes bytes");
    let read = ModuleRecord::from_bytes(bytes).expect("and is read back");
    let restored = values(forward(&init(device).load_record(read), device).into_data());
    assert_eq!(output, restored, "{what}: the output after a record round trip");

    let learning = device.clone().autodiff();
    let model = init(&learning).load_record(record.clone());
    let result = forward(&model, &learning);
    let loss = (result * probe(shape, &learning)).sum();
    let gradients = loss.backward();
    let reached = GradientsOf::collect(what, &model, &gradients);
    let step = GradientsParams::from_grads(gradients, &model);
    let trained = SgdConfig::new().init().step(1e-3, model, step);
    let trained_output = values(forward(&trained.valid(), device).into_data());
    Seen { output, gradients: reached, trained_output }
}

/// A fixed weight for each output, so that no gradient cancels by symmetry.
fn probe<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    let count: usize = shape.iter().product();
    let weights: Vec<f32> = (0..count).map(|i| ((i * 37 + 11) % 17) as f32 / 8.0 - 0.9).collect();
    Tensor::from_data(TensorData::new(weights, shape), device)
}

fn values(data: TensorData) -> Vec<f32> {
    data.iter::<f32>().collect()
}

struct GradientsOf<'a> {
    what: &'a str,
    gradients: &'a Gradients,
    path: Vec<String>,
    found: Vec<(String, Vec<f32>)>,
}

impl<'a> GradientsOf<'a> {
    fn collect<M: Module>(what: &'a str, model: &M, gradients: &'a Gradients) -> Vec<(String, Vec<f32>)> {
        let mut visitor = Self { what, gradients, path: Vec::new(), found: Vec::new() };
        model.visit(&mut visitor);
        assert!(!visitor.found.is_empty(), "{what}: no trainable parameter");
        visitor.found
    }
}

impl ModuleVisitor for GradientsOf<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        if !value.is_require_grad() {
            return;
        }
        let path = self.path.join(".");
        let gradient =
            value.grad(self.gradients).unwrap_or_else(|| panic!("{}: no gradient reaches {path}", self.what));
        let gradient = values(gradient.into_data());
        assert!(gradient.iter().all(|g| g.is_finite()), "{}: the gradient of {path} is not finite", self.what);
        assert!(gradient.iter().any(|g| *g != 0.0), "{}: the gradient of {path} is zero everywhere", self.what);
        self.found.push((path, gradient));
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::{Linear, LinearConfig};

    use super::*;

    fn input(device: &Device) -> Tensor<2> {
        Tensor::from_data([[0.3, -0.2, 0.9], [1.0, 0.1, -0.4]], device)
    }

    #[test]
    fn a_linear_layer_keeps_the_contract() {
        let init = |device: &Device| LinearConfig::new(3, 2).init(device);
        check_model("linear", init, |m: &Linear, d| m.forward(input(d)), [2, 2], 1e-5);
    }

    #[test]
    #[should_panic(expected = "no gradient reaches bias")]
    fn a_parameter_left_out_breaks_the_contract() {
        let init = |device: &Device| LinearConfig::new(3, 2).init(device);
        check_model("linear", init, |m: &Linear, d| input(d).matmul(m.weight.val()), [2, 2], 1e-5);
    }
}
