//! What is trained.

use burn::module::Module;
use burn::tensor::Tensor;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::Metrics;

/// What is trained: data, loss and measures. [`Trainer::fit`](super::Trainer::fit) runs it.
///
/// A task has no state of its own between calls: whatever it draws at random comes from the generator that
/// [`batches`](Self::batches) is given or from the device's, and resuming rests on that.
pub trait Task {
    /// The model.
    type Model: Module;
    /// What names a batch: a list of indices, and whatever was drawn for it (crops, masks, negatives).
    type Batch;
    /// What can go wrong.
    type Error: From<crate::Error>;

    /// The batches of `epoch`, counted from 1, in order. `rng` is a function of the trainer's seed and the epoch.
    ///
    /// Every epoch should have the same number of batches, for the progress bar's sake.
    fn batches(&self, epoch: usize, rng: &mut ChaCha8Rng) -> Vec<Self::Batch>;

    /// The loss of one batch: a tensor of one element. The model is on an autodiff device, in training mode.
    ///
    /// # Errors
    /// Data that cannot be read; training stops with it.
    fn loss(&self, model: &Self::Model, batch: Self::Batch) -> Result<Tensor<1>, Self::Error>;

    /// Measures the model after an epoch, by any names except those of [`Row`](super::Row)'s own fields. The model is
    /// on the plain device, in evaluation mode. By default nothing is measured.
    ///
    /// # Errors
    /// Data that cannot be read; training stops with it.
    fn evaluate(&self, model: &Self::Model) -> Result<Metrics, Self::Error> {
        let _ = model;
        Ok(Metrics::new())
    }
}

/// The numbers `0..items` in random order, cut into batches of `size`; the last may be smaller.
///
/// # Panics
/// If `size` is 0.
pub fn shuffled_batches(items: usize, size: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..items).collect();
    order.shuffle(rng);
    order.chunks(size).map(<[usize]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn batches_hold_each_item_once_in_an_order_of_the_seed() {
        let draw = |seed| shuffled_batches(10, 4, &mut ChaCha8Rng::seed_from_u64(seed));
        assert_eq!(draw(1).iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 2]);
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let mut all = draw(3).concat();
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
    }
}
