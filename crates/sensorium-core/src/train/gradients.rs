//! Gradient clipping over the whole model, and the check that weights are numbers.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use crate::{Error, Result};

/// Scales all gradients of `model` together so that the L2 norm of all of them is at most `max_norm`, as torch's
/// `clip_grad_norm_` does. (burn's own clipping takes each parameter's norm by itself.)
pub(super) fn clip_grad_norm<M: Module>(model: &M, grads: GradientsParams, max_norm: f64) -> GradientsParams {
    let mut squares = SumOfSquares { grads: &grads, total: None };
    model.visit(&mut squares);
    let Some(total) = squares.total else { return grads };
    let factor = (total.sqrt() + 1e-6).recip().mul_scalar(max_norm).clamp_max(1.0);
    let mut scale = Scale { grads, factor };
    model.visit(&mut scale);
    scale.grads
}

struct SumOfSquares<'a> {
    grads: &'a GradientsParams,
    total: Option<Tensor<1>>,
}

impl ModuleVisitor for SumOfSquares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.get::<D>(param.id) {
            let square = grad.square().sum();
            self.total = Some(match self.total.take() {
                Some(total) => total + square,
                None => square,
            });
        }
    }
}

struct Scale {
    grads: GradientsParams,
    factor: Tensor<1>,
}

impl ModuleVisitor for Scale {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.remove::<D>(param.id) {
            self.grads.register(param.id, grad * self.factor.clone().reshape([1; D]));
        }
    }
}

/// Checks that every weight is a finite number. Weights that were not initialised yet are so afterwards.
///
/// # Errors
/// The first parameter that holds something else.
pub(super) fn check_weights<M: Module>(model: &M, epoch: usize) -> Result<()> {
    let mut check = FirstNotFinite { path: Vec::new(), found: None };
    model.visit(&mut check);
    match check.found {
        None => Ok(()),
        Some(path) => Err(Error::Train {
            reason: format!(
                "after epoch {epoch} the parameter {path} is not finite: lower the learning rate, or clip gradients"
            ),
        }),
    }
}

struct FirstNotFinite {
    path: Vec<String>,
    found: Option<String>,
}

impl ModuleVisitor for FirstNotFinite {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        // An infinity or a NaN anywhere makes the mean one too.
        let mean: f32 = param.val().mean().into_scalar();
        if !mean.is_finite() {
            self.found.get_or_insert_with(|| self.path.join("."));
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::Device;

    use super::*;

    fn linear(device: &Device) -> Linear {
        LinearConfig::new(2, 1).init(device)
    }

    fn grads(model: &Linear, device: &Device) -> GradientsParams {
        let x = Tensor::<2>::from_data([[3.0, 4.0]], device);
        GradientsParams::from_grads(model.forward(x).sum().backward(), model)
    }

    /// The gradients are 3 and 4 for the weight and 1 for the bias: a norm of sqrt(26).
    #[test]
    fn the_norm_is_taken_over_all_parameters() {
        let device = Device::flex().autodiff();
        let model = linear(&device);
        for (max_norm, factor) in [(1.0, 1.0 / 26.0_f32.sqrt()), (100.0, 1.0)] {
            let clipped = clip_grad_norm(&model, grads(&model, &device), max_norm);
            let weight: Vec<f32> = clipped.get::<2>(model.weight.id).unwrap().into_data().iter().collect();
            let bias: Vec<f32> =
                clipped.get::<1>(model.bias.as_ref().unwrap().id).unwrap().into_data().iter().collect();
            for (got, plain) in weight.iter().chain(&bias).zip([3.0, 4.0, 1.0]) {
                assert!((got - plain * factor).abs() < 1e-5, "{got} {plain} {factor}");
            }
        }
    }

    #[test]
    fn a_weight_that_is_no_number_is_named() {
        let device = Device::flex();
        let mut model = linear(&device);
        assert!(check_weights(&model, 1).is_ok());
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            model.bias = Some(Param::from_data([bad], &device));
            let error = check_weights(&model, 4).unwrap_err().to_string();
            assert!(error.contains("after epoch 4") && error.contains("bias"), "{error}");
        }
    }
}
