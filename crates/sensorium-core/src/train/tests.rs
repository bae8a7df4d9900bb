//! Trainings that are stopped, killed, resumed and led astray.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use burn::lr_scheduler::cosine::CosineAnnealingLrSchedulerConfig;
use burn::module::{Module, ModuleVisitor, Param, ParamGroup};
use burn::nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig};
use burn::optim::AdamWConfig;
use burn::tensor::{Device, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::*;
use crate::Error;

const ITEMS: usize = 40;
const BATCH: usize = 8;
const STEPS: usize = ITEMS / BATCH;
const EPOCHS: usize = 6;

/// A net with all that a resume could lose: dropout's randomness, running statistics, and weights.
#[derive(Module, Debug)]
struct Net {
    first: Linear,
    norm: BatchNorm,
    dropout: Dropout,
    second: Linear,
}

impl Net {
    fn init(device: &Device) -> Self {
        device.seed(99);
        Self {
            first: LinearConfig::new(6, 16).init(device),
            norm: BatchNormConfig::new(16).init(device),
            dropout: DropoutConfig::new(0.3).init(),
            second: LinearConfig::new(16, 3).init(device),
        }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.second.forward(self.dropout.forward(self.norm.forward(self.first.forward(x)).tanh()))
    }
}

/// Regression onto fixed random numbers.
struct Regression {
    device: Device,
    x: Vec<f32>,
    y: Vec<f32>,
    /// Holds every step up, so that a kill meets one.
    pause: Duration,
    /// The step whose loss is made NaN.
    astray: Option<usize>,
    steps: Cell<usize>,
}

impl Regression {
    fn new(device: &Device) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let mut draw = |count| (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
        let (x, y) = (draw(ITEMS * 6), draw(ITEMS * 3));
        let device = device.clone().autodiff();
        Self { device, x, y, pause: Duration::ZERO, astray: None, steps: Cell::new(0) }
    }

    fn tensors(&self, items: &[usize], device: &Device) -> (Tensor<2>, Tensor<2>) {
        let rows = |values: &[f32], width: usize| {
            let values: Vec<f32> = items.iter().flat_map(|&i| &values[i * width..(i + 1) * width]).copied().collect();
            Tensor::from_data(TensorData::new(values, [items.len(), width]), device)
        };
        (rows(&self.x, 6), rows(&self.y, 3))
    }
}

impl Task for Regression {
    type Model = Net;
    type Batch = Vec<usize>;
    type Error = Error;

    fn batches(&self, _epoch: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<usize>> {
        shuffled_batches(self.x.len() / 6, BATCH, rng)
    }

    fn loss(&self, model: &Net, batch: Vec<usize>) -> Result<Tensor<1>, Error> {
        std::thread::sleep(self.pause);
        self.steps.set(self.steps.get() + 1);
        let (x, y) = self.tensors(&batch, &self.device);
        let loss = (model.forward(x) - y).square().mean();
        Ok(if self.astray == Some(self.steps.get()) { loss * f32::NAN } else { loss })
    }

    fn evaluate(&self, model: &Net) -> Result<Metrics, Error> {
        let items: Vec<usize> = (0..ITEMS).collect();
        let (x, y) = self.tensors(&items, &self.device.clone().inner());
        let loss: f32 = (model.forward(x) - y).square().mean().into_scalar();
        Ok(Metrics::from([("loss".to_string(), loss.into()), ("score".to_string(), (-loss).into())]))
    }
}

fn trainer(epochs: usize) -> Trainer {
    let cosine = CosineAnnealingLrSchedulerConfig::new(0.02, EPOCHS * STEPS).init().unwrap();
    let optimizer = AdamWConfig::new().with_weight_decay(0.01).build();
    Trainer::new(optimizer, cosine, epochs).with_seed(5).with_max_grad_norm(1.0).with_progress(Progress::Quiet)
}

#[test]
fn a_group_learns_at_its_own_rate() {
    let device = crate::device::parse("flex").unwrap();
    let first = |trainer: Trainer| {
        let task = Regression::new(&device);
        let trained = trainer.fit(&task, Net::init(&task.device)).unwrap().model;
        trained.first.weight.val().into_data().iter::<f32>().collect::<Vec<f32>>()
    };
    let begun: Vec<f32> = Net::init(&device).first.weight.val().into_data().iter::<f32>().collect();
    let moved = |weights: &[f32]| weights.iter().zip(&begun).map(|(a, b)| (a - b).abs()).sum::<f32>();
    let plain =
        || Trainer::new(AdamWConfig::new().with_weight_decay(0.0).build(), 1e-3, 1).with_progress(Progress::Quiet);
    let group = || ParamGroup::from_regex("^first\\.").unwrap();
    let whole = first(plain());
    assert_eq!(first(plain().with_group(group(), 1.0)), whole);
    let tenth = moved(&first(plain().with_group(group(), 0.1)));
    assert!((0.05..0.2).contains(&(tenth / moved(&whole))), "{tenth} of {}", moved(&whole));
    assert_eq!(moved(&first(plain().with_group(group(), 0.0))), 0.0);
}

fn config() -> Value {
    json!({ "dim": 16, "rate": 0.1 })
}

/// Trains in `folder` up to `epochs`, from where it stands.
fn go_on(folder: &Path, epochs: usize, device: &Device) -> Trained<Net> {
    let run = RunFolder::resume(folder, &config()).unwrap();
    let task = Regression::new(device);
    trainer(epochs).with_run_folder(run).fit(&task, Net::init(&task.device)).unwrap()
}

/// Trains without a folder or a break.
fn unbroken(device: &Device) -> Trained<Net> {
    let task = Regression::new(device);
    trainer(EPOCHS).fit(&task, Net::init(&task.device)).unwrap()
}

/// Every number in the model, running statistics included, by its bits.
fn bits(model: &Net) -> Vec<u32> {
    #[derive(Default)]
    struct Bits(Vec<u32>);
    impl ModuleVisitor for Bits {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.extend(param.val().into_data().iter::<f32>().map(f32::to_bits));
        }
    }
    let mut bits = Bits::default();
    model.visit(&mut bits);
    bits.0
}

/// What does not depend on the clock.
fn measures(rows: &[Row]) -> Vec<Row> {
    rows.iter().map(|row| Row { seconds: 0.0, ..row.clone() }).collect()
}

fn checkpoints(folder: &Path) -> Vec<PathBuf> {
    let Ok(listing) = std::fs::read_dir(folder.join("checkpoints")) else { return Vec::new() };
    let mut paths: Vec<_> = listing.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "zip"));
    paths.sort();
    paths
}

#[test]
fn a_resumed_training_ends_in_the_same_bits_on_every_backend() {
    for (backend, device) in crate::device::built() {
        let expected = unbroken(&device);
        let folder = tempfile::tempdir().unwrap();
        let half = go_on(folder.path(), EPOCHS / 2, &device);
        assert_ne!(bits(&half.model), bits(&expected.model));
        let resumed = go_on(folder.path(), EPOCHS, &device);
        assert_eq!((resumed.resumed_at, resumed.epochs), (EPOCHS / 2, EPOCHS), "{backend}");
        assert!(bits(&resumed.model) == bits(&expected.model), "{backend}: other weights than the unbroken run");
        assert_eq!(measures(&resumed.rows), measures(&expected.rows), "{backend}");
    }
}

/// The test runs itself as the process that is killed.
#[test]
fn a_killed_training_goes_on_to_the_same_bits() {
    const FOLDER: &str = "SENSORIUM_TEST_TRAINING_TO_KILL";
    let device = Device::flex();
    if let Some(folder) = std::env::var_os(FOLDER) {
        let task = Regression { pause: Duration::from_millis(40), ..Regression::new(&device) };
        let run = RunFolder::resume(Path::new(&folder), &config()).unwrap();
        let trained = trainer(EPOCHS).with_run_folder(run).fit(&task, Net::init(&task.device)).unwrap();
        assert_eq!(trained.epochs, EPOCHS);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let name = "train::tests::a_killed_training_goes_on_to_the_same_bits";
    let newest = || checkpoints(folder.path()).pop();
    for _ in 0..2 {
        let before = newest();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        while newest() <= before {
            assert!(child.try_wait().unwrap().is_none(), "the training ended without a new checkpoint");
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(60)); // into the next epoch
        child.kill().unwrap(); // SIGKILL
        assert!(!child.wait().unwrap().success(), "the training was over before it could be killed");
    }
    let resumed = go_on(folder.path(), EPOCHS, &device);
    assert!(resumed.resumed_at > 0 && resumed.resumed_at < EPOCHS, "resumed at {}", resumed.resumed_at);
    let expected = unbroken(&device);
    assert!(bits(&resumed.model) == bits(&expected.model));
    assert_eq!(measures(&resumed.rows), measures(&expected.rows));
}

#[test]
fn a_torn_checkpoint_costs_time_but_not_the_result() {
    let device = Device::flex();
    let folder = tempfile::tempdir().unwrap();
    go_on(folder.path(), 2, &device);
    go_on(folder.path(), 4, &device);
    let newest = checkpoints(folder.path()).pop().unwrap();
    let whole = std::fs::read(&newest).unwrap();
    std::fs::write(&newest, &whole[..whole.len() - 100]).unwrap();
    let resumed = go_on(folder.path(), EPOCHS, &device);
    assert!(resumed.resumed_at < 4);
    assert!(bits(&resumed.model) == bits(&unbroken(&device).model));
    for path in checkpoints(folder.path()) {
        std::fs::write(path, b"nothing").unwrap();
    }
    let run = RunFolder::resume(folder.path(), &config()).unwrap();
    let task = Regression::new(&device);
    let error = trainer(9).with_run_folder(run).fit(&task, Net::init(&task.device)).unwrap_err().to_string();
    assert!(error.contains("epoch-000006.zip: not a valid checkpoint"), "{error}");
}

#[test]
fn the_best_epoch_is_kept_and_patience_ends_the_training() {
    let device = Device::flex();
    let folder = tempfile::tempdir().unwrap();
    let fit = || {
        let run = RunFolder::resume(folder.path(), &config()).unwrap();
        let task = Regression::new(&device);
        Trainer::new(AdamWConfig::new().build(), 0.3, 200)
            .with_select(Select::highest("score").with_patience(4))
            .with_progress(Progress::Quiet)
            .with_run_folder(run)
            .fit(&task, Net::init(&task.device))
            .unwrap()
    };
    let trained = fit();
    assert!(trained.stopped_early && trained.epochs < 200);
    assert_eq!(trained.epochs, trained.best_epoch + 4);
    let scores: Vec<f64> = trained.rows.iter().filter_map(|row| row.metrics.get("score")).copied().collect();
    let best = scores[trained.best_epoch - 1];
    assert!(scores.iter().all(|&score| score <= best));
    let task = Regression::new(&device);
    assert_eq!(task.evaluate(&trained.model).unwrap()["score"], best, "the weights are those of the best epoch");

    let again = fit();
    assert_eq!((again.resumed_at, again.epochs), (trained.epochs, trained.epochs), "nothing is left to train");
    assert_eq!(again.best_epoch, trained.best_epoch);
    assert!(bits(&again.model) == bits(&trained.model));
}

#[test]
fn a_loss_that_is_no_number_stops_the_training_and_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let task = Regression { astray: Some(STEPS + 2), ..Regression::new(&Device::flex()) };
    let run = RunFolder::create(folder.path(), &config()).unwrap();
    let error = trainer(3).with_run_folder(run).fit(&task, Net::init(&task.device)).unwrap_err().to_string();
    assert!(error.contains("epoch 2, step 7 (batch 2 of 5): the loss is NaN"), "{error}");
    assert!(error.contains("lower the learning rate"), "{error}");
    let reached = std::fs::read_to_string(folder.path().join("metrics.jsonl")).unwrap();
    assert_eq!(reached.lines().count(), 2, "the first epoch stands, the second left nothing");
}

#[test]
fn metrics_have_one_line_an_epoch_and_split() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::flex();
    go_on(folder.path(), 2, &device);
    let trained = go_on(folder.path(), 3, &device);
    let text = std::fs::read_to_string(folder.path().join("metrics.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 6);
    for (number, line) in lines.iter().enumerate() {
        let epoch = number / 2 + 1;
        assert_eq!(line["epoch"], epoch);
        assert_eq!(line["split"], ["train", "valid"][number % 2]);
        assert_eq!(line["step"], epoch * STEPS);
        assert!(line["loss"].as_f64().unwrap() > 0.0 && line["seconds"].as_f64().unwrap() >= 0.0);
        assert_eq!(line["score"].is_number(), number % 2 == 1);
        assert!(line["learning_rate"].as_f64().unwrap() < 0.02);
    }
    let read: Vec<Row> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(measures(&read), measures(&trained.rows));
    assert_eq!(
        serde_json::from_slice::<Value>(&std::fs::read(folder.path().join("config.json")).unwrap()).unwrap(),
        config()
    );
}

#[test]
fn a_run_is_resumed_with_its_own_settings_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::flex();
    go_on(folder.path(), 1, &device);
    let error = RunFolder::resume(folder.path(), &json!({ "dim": 32, "rate": 0.1 })).unwrap_err().to_string();
    assert!(error.contains("config.dim was 16 and is 32"), "{error}");
    let run = RunFolder::resume(folder.path(), &config()).unwrap();
    let task = Regression::new(&device);
    let other_seed = trainer(2).with_seed(6).with_run_folder(run);
    let error = other_seed.fit(&task, Net::init(&task.device)).unwrap_err().to_string();
    assert!(error.contains("trainer.seed was 5 and is 6"), "{error}");
    let error = RunFolder::create(folder.path(), &config()).unwrap_err().to_string();
    assert!(error.contains("holds a run that has reached epoch 1"), "{error}");
}

#[test]
fn an_empty_training_set_is_refused() {
    let task = Regression { x: Vec::new(), ..Regression::new(&Device::flex()) };
    let error = trainer(1).fit(&task, Net::init(&task.device)).unwrap_err().to_string();
    assert!(error.contains("no batches"), "{error}");
}
