//! Grad-CAM (Selvaraju et al. 2016, arXiv:1610.02391): what in a picture speaks for a class.

use burn::module::Module;
use burn::tensor::{Tensor, activation};

use crate::encoder::Encoder;
use crate::layers::{self, Kept};
use crate::{Error, Result};

/// For each picture, where the map of `layer` speaks for a class: the map's channels weighted by the mean gradient of
/// the class's logit over each, summed, and 0 where negative. The last map with a height and a width (`layer4`,
/// `features`) is the usual choice. Norms and dropout are those of inference.
///
/// # Shapes
/// - input: `[batch, 3, height, width]`
/// - classes: one for each picture
/// - output: `[batch, rows, columns]` of the layer's map; in units of logits, at least 0
///
/// # Errors
/// If the network has no such layer or class, or the layer is `logits`.
///
/// # Panics
/// If there is not one class a picture, or as [`Encoder::forward`].
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use sensorium_vision::{EncoderConfig, grad_cam};
///
/// let device = Device::flex();
/// let network = EncoderConfig::named("resnet18")?.init(&device);
/// let heat = grad_cam::heat(&network, Tensor::ones([1, 3, 64, 64], &device), &[3], "layer4")?;
/// assert_eq!(heat.dims(), [1, 2, 2]);
/// # Ok::<(), sensorium_vision::Error>(())
/// ```
pub fn heat(encoder: &Encoder, input: Tensor<4>, classes: &[usize], layer: &str) -> Result<Tensor<3>> {
    let mut known = encoder.layers();
    known.retain(|name| name != "logits");
    layers::check(&[layer], &known)?;
    assert_eq!(classes.len(), input.dims()[0], "one class for each picture");
    let device = input.device().inner().autodiff();
    let network = encoder.clone().valid().fork(&device).freeze();
    let mut kept = Kept::with_leaf(&[layer, "logits"]);
    network.run(Tensor::from_data(input.into_data(), &device), &mut kept);
    let [map, logits] = kept.into_maps().try_into().expect("two maps for two layers");
    let count = logits.dims()[1];
    if let Some(class) = classes.iter().find(|class| **class >= count) {
        let rule = format!("the network has the classes 0 to {}", count - 1);
        return Err(Error::Core(sensorium_core::Error::config("class", class, rule)));
    }
    let of_class = classes.iter().enumerate().map(|(picture, class)| {
        logits.clone().slice([picture..picture + 1, *class..*class + 1, 0..1, 0..1]).reshape([1])
    });
    let gradients = Tensor::cat(of_class.collect::<Vec<Tensor<1>>>(), 0).sum().backward();
    let gradient = map.grad(&gradients).expect("the logits depend on every map before them");
    let weights = gradient.mean_dims(&[2, 3]); // [batch, channels, 1, 1]
    let [batch, _, rows, columns] = map.dims();
    Ok(activation::relu((map.inner() * weights).sum_dim(1)).reshape([batch, rows, columns]))
}
