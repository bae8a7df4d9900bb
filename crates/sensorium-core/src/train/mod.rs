//! Training that can be killed at any moment and goes on as if it had not been.
//!
//! What is trained is a [`Task`]: it cuts an epoch into batches, gives a batch's loss, and measures the model after
//! each epoch. How it is trained is a [`Trainer`]: optimiser, learning rate schedule, seed, clipping, which epoch's
//! weights to keep and when to stop. Where it is kept is a [`RunFolder`]: the configuration, `metrics.jsonl` and
//! checkpoints.
//!
//! The same seed on the same device gives the same weights, bit for bit, however often the run is killed and resumed:
//! a checkpoint is one file that holds everything a run consists of between two epochs, and all randomness of an
//! epoch (the order of the data, dropout) follows from the seed and the epoch's number alone.
//!
//! ```
//! use burn::nn::{Linear, LinearConfig};
//! use burn::optim::AdamWConfig;
//! use burn::tensor::{Device, Tensor, TensorData};
//! use rand_chacha::ChaCha8Rng;
//! use sensorium_core::train::{Progress, RunFolder, Select, Task, Trainer, shuffled_batches};
//!
//! /// Learns y = 2x from pairs.
//! struct Doubling {
//!     x: Vec<f32>,
//!     device: Device,
//! }
//!
//! impl Task for Doubling {
//!     type Model = Linear;
//!     type Batch = Vec<usize>;
//!     type Error = sensorium_core::Error;
//!
//!     fn batches(&self, _epoch: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<usize>> {
//!         shuffled_batches(self.x.len(), 4, rng)
//!     }
//!
//!     fn loss(&self, model: &Linear, batch: Vec<usize>) -> Result<Tensor<1>, Self::Error> {
//!         let x: Vec<f32> = batch.iter().map(|&i| self.x[i]).collect();
//!         let x = Tensor::<2>::from_data(TensorData::new(x, [batch.len(), 1]), &self.device);
//!         Ok((model.forward(x.clone()) - x * 2.0).square().mean())
//!     }
//! }
//!
//! let folder = tempfile::tempdir().unwrap();
//! let device = Device::flex().autodiff();
//! let task = Doubling { x: (0..16).map(|i| i as f32 / 8.0 - 1.0).collect(), device: device.clone() };
//! let trained = Trainer::new(AdamWConfig::new().build(), 0.05, 100)
//!     .with_seed(7)
//!     .with_select(Select::lowest("loss").with_patience(20))
//!     .with_run_folder(RunFolder::resume(folder.path().join("run"), &"a configuration")?)
//!     .with_progress(Progress::Quiet)
//!     .fit(&task, LinearConfig::new(1, 1).init(&device))?;
//! let weight: f32 = trained.model.weight.val().into_scalar();
//! assert!((weight - 2.0).abs() < 0.05);
//! # Ok::<(), sensorium_core::Error>(())
//! ```

mod checkpoint;
mod gradients;
mod history;
mod optimizer;
mod progress;
mod run_folder;
mod schedule;
mod state;
mod task;
#[cfg(test)]
mod tests;
mod trainer;

pub use history::{Goal, Metrics, Row, Select, Split};
pub use progress::Progress;
pub use run_folder::RunFolder;
pub use schedule::warm_up_and_cosine;
pub use task::{Task, shuffled_batches};
pub use trainer::{Trained, Trainer};
