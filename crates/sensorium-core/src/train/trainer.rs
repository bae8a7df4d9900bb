//! How a task is trained: the loop.

use std::sync::Arc;
use std::time::Instant;

use burn::lr_scheduler::module_lr_scheduler::{ModuleLearningRate, ModuleLrScheduler};
use burn::module::{Module, ParamGroup};
use burn::optim::{DynOptimizer, GradientsParams};
use burn::tensor::Device;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::gradients::{check_weights, clip_grad_norm};
use super::history::{self, Metrics, Row, Select, Split};
use super::optimizer::placed;
use super::progress::{Display, Progress};
use super::run_folder::RunFolder;
use super::state::State;
use super::task::Task;
use crate::{Error, Result};

/// How a [`Task`] is trained.
///
/// The weights of two trainings with the same settings on the same device are equal bit for bit, however often one of
/// them is killed and resumed from its [`RunFolder`]. What that rests on: nothing else draws from the device's random
/// generator meanwhile (it is one for all threads of the process), and the task has no state of its own.
pub struct Trainer {
    optimizer: Arc<dyn DynOptimizer>,
    schedule: ModuleLrScheduler,
    epochs: usize,
    seed: u64,
    max_grad_norm: Option<f64>,
    select: Option<Select>,
    plateau: Option<(usize, f64)>,
    groups: Vec<(ParamGroup, f64)>,
    run: Option<RunFolder>,
    progress: Progress,
}

/// A trained model.
#[derive(Debug)]
pub struct Trained<M> {
    /// The weights of the best epoch if the trainer selects one, else of the last; on the plain device, in evaluation
    /// mode.
    pub model: M,
    /// What was measured, epoch by epoch, from the first on.
    pub rows: Vec<Row>,
    /// How many epochs the training has had, with those before it was resumed.
    pub epochs: usize,
    /// The epoch whose weights these are.
    pub best_epoch: usize,
    /// Epochs that were done already when this training began; 0 for a new one.
    pub resumed_at: usize,
    /// Whether it ended for lack of progress before the last epoch.
    pub stopped_early: bool,
}

impl Trainer {
    /// Trains for `epochs`. An optimiser comes from its configuration's `build()`; a learning rate schedule is a plain
    /// number or one of burn's, which advance by a step a batch.
    ///
    /// burn's `AdamConfig` and `AdamWConfig` have an epsilon of 1e-5 where torch has 1e-8.
    pub fn new(optimizer: impl DynOptimizer + 'static, schedule: impl Into<ModuleLrScheduler>, epochs: usize) -> Self {
        Self {
            optimizer: Arc::new(optimizer),
            schedule: schedule.into(),
            epochs,
            seed: 0,
            max_grad_norm: None,
            select: None,
            plateau: None,
            groups: vec![],
            run: None,
            progress: Progress::default(),
        }
    }

    /// What all randomness follows from, except the model's first weights, which the caller draws. Default 0.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Scales the gradients of each step down to an L2 norm, over all parameters together, of at most `norm`, as
    /// torch's `clip_grad_norm_`.
    pub fn with_max_grad_norm(mut self, norm: f64) -> Self {
        self.max_grad_norm = Some(norm);
        self
    }

    /// Keeps the weights of the best epoch, and may stop early.
    pub fn with_select(mut self, select: Select) -> Self {
        self.select = Some(select);
        self
    }

    /// Multiplies the learning rate by `factor` each time that `epochs` more epochs have passed without a new best one
    /// by [`with_select`](Self::with_select). All parameters then have the schedule's base rate.
    ///
    /// # Panics
    /// If `epochs` is 0 or `factor` is not positive.
    pub fn with_plateau(mut self, epochs: usize, factor: f64) -> Self {
        assert!(epochs > 0 && factor > 0.0, "a plateau of {epochs} epochs and a factor of {factor}");
        self.plateau = Some((epochs, factor));
        self
    }

    /// Parameters of `group` learn at `ratio` times the schedule's base rate; of groups that fit, the last counts.
    pub fn with_group(mut self, group: ParamGroup, ratio: f64) -> Self {
        self.groups.push((group, ratio));
        self
    }

    /// Keeps the training in a folder, and goes on with the one it holds.
    pub fn with_run_folder(mut self, run: RunFolder) -> Self {
        self.run = Some(run);
        self
    }

    /// What a person sees. Default [`Progress::Stderr`].
    pub fn with_progress(mut self, progress: Progress) -> Self {
        self.progress = progress;
        self
    }

    /// Trains `model`, whose weights a resumed run replaces by its own.
    ///
    /// # Errors
    /// - what the task gives: data that cannot be read;
    /// - [`Error::Train`]: a loss, a weight or a measure that is not finite, no batches, an unknown measure to select
    ///   by, a run begun with another seed, clipping or selection;
    /// - [`Error::Io`], [`Error::Format`] and [`Error::Weights`]: the run folder cannot be written or read, or its
    ///   checkpoints do not fit the model.
    ///
    /// # Panics
    /// If the model has no parameters.
    pub fn fit<T: Task>(mut self, task: &T, model: T::Model) -> Result<Trained<T::Model>, T::Error> {
        let model = if device_of(&model).is_autodiff() { model } else { model.train() };
        let device = device_of(&model);
        let mut state = self.begin(model)?;
        let resumed_at = state.epoch();
        let display = self.progress.begin(self.epochs);
        while state.epoch() < self.epochs && !self.gives_up(&state) {
            state = self.epoch(task, state, &device, &display)?;
            self.save(&state)?;
        }
        let epochs = state.epoch();
        Ok(Trained {
            stopped_early: epochs < self.epochs,
            best_epoch: state.standing.best_epoch.unwrap_or(epochs),
            model: state.best_model.unwrap_or_else(|| state.model.valid()),
            rows: state.rows,
            epochs,
            resumed_at,
        })
    }

    /// The state to go on from: that of the newest checkpoint, or a new one.
    fn begin<M: Module>(&mut self, model: M) -> Result<State<M>> {
        // Also draws the weights that are not yet: before the seed of the first epoch, and once.
        check_weights(&model.valid(), 0)?;
        let optimizer = placed(self.optimizer.clone(), device_of(&model).inner());
        let new = State::new(model, optimizer, self.schedule.clone(), self.settings());
        let Some(run) = &mut self.run else { return Ok(new) };
        match run.newest(|path, parts| new.with_parts(path, parts))? {
            Some(state) => {
                run.check_same("trainer", &state.standing.settings, &new.standing.settings)?;
                run.write_metrics(&state.log)?;
                Ok(state)
            }
            None => {
                run.write_config()?;
                run.save(0, &new.to_parts()?)?;
                Ok(new)
            }
        }
    }

    /// What must not change between the parts of a run.
    fn settings(&self) -> Value {
        let settings = json!({ "seed": self.seed, "max_grad_norm": self.max_grad_norm, "select": self.select });
        let settings = match self.plateau {
            Some(plateau) => json!({ "plateau": plateau, "rest": settings }),
            None => settings,
        };
        serde_json::from_str(&settings.to_string()).expect("plain data")
    }

    /// What the learning rate is multiplied by, as far as there are plateaus to look for.
    fn shrink<M: Module>(&self, state: &State<M>) -> Result<Option<f64>> {
        let (Some((epochs, factor)), Some(select)) = (self.plateau, &self.select) else { return Ok(None) };
        Ok(Some(factor.powi(select.plateaus(&state.rows, epochs)? as i32)))
    }

    /// The rates of a step: the schedule's, or where there are plateaus or groups, those of its base rate.
    fn rates(&self, scheduled: ModuleLearningRate, shrink: Option<f64>) -> ModuleLearningRate {
        if shrink.is_none() && self.groups.is_empty() {
            return scheduled;
        }
        let base = scheduled.base() * shrink.unwrap_or(1.0);
        let of_all = ModuleLrScheduler::from(base);
        let mut rates =
            self.groups.iter().fold(of_all, |rates, (group, ratio)| rates.with_group(group.clone(), base * ratio));
        rates.step()
    }

    fn gives_up<M: Module>(&self, state: &State<M>) -> bool {
        self.select.as_ref().is_some_and(|select| select.gives_up(state.standing.best_epoch, state.epoch()))
    }

    /// One epoch: training, then evaluation.
    fn epoch<T: Task>(
        &self,
        task: &T,
        state: State<T::Model>,
        device: &Device,
        display: &Display,
    ) -> Result<State<T::Model>, T::Error> {
        let first_new = state.rows.len();
        let mut state = self.train(task, state, device, display)?;
        let begun = Instant::now();
        let snapshot = state.model.valid();
        check_weights(&snapshot, state.epoch())?;
        let metrics = task.evaluate(&snapshot)?;
        if !metrics.is_empty() {
            history::check(&metrics, state.epoch())?;
            let train = state.rows.last().expect("the row of training");
            let seconds = begun.elapsed().as_secs_f64();
            state.push(&Row { split: Split::Valid, seconds, metrics, ..train.clone() });
        }
        if let Some(select) = &self.select {
            let best = select.better(state.standing.best_epoch, &state.rows)?;
            if best == state.epoch() {
                state.best_model = Some(snapshot);
            }
            state.standing.best_epoch = Some(best);
        }
        display.rows(&state.rows[first_new..]);
        Ok(state)
    }

    /// The steps of one epoch.
    fn train<T: Task>(
        &self,
        task: &T,
        mut state: State<T::Model>,
        device: &Device,
        display: &Display,
    ) -> Result<State<T::Model>, T::Error> {
        let begun = Instant::now();
        let epoch = state.epoch() + 1;
        let steps_before = state.step();
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(epoch as u64);
        device.seed(rng.random());
        let batches = task.batches(epoch, &mut rng);
        let count = batches.len();
        if count == 0 {
            return Err(Error::Train { reason: format!("epoch {epoch}: no batches: the training set is empty") }.into());
        }
        display.epoch(epoch - 1, count);
        let shrink = self.shrink(&state)?;
        let (mut sum, mut learning_rate) = (0.0, 0.0);
        for (number, batch) in batches.into_iter().enumerate() {
            let rates = self.rates(state.schedule.step(), shrink);
            learning_rate = rates.base();
            let loss = task.loss(&state.model, batch)?;
            let mut grads = GradientsParams::from_grads(loss.backward(), &state.model);
            if let Some(norm) = self.max_grad_norm {
                grads = clip_grad_norm(&state.model, grads, norm);
            }
            state.model = state.optimizer.step(rates, state.model, grads);
            let loss: f32 = loss.into_scalar();
            if !loss.is_finite() {
                let (step, number) = (steps_before + number + 1, number + 1);
                let reason = format!(
                    "epoch {epoch}, step {step} (batch {number} of {count}): the loss is {loss} at a learning rate of \
                     {learning_rate:e}: lower the learning rate, or clip gradients"
                );
                return Err(Error::Train { reason }.into());
            }
            sum += f64::from(loss);
            display.step();
        }
        state.push(&Row {
            epoch,
            split: Split::Train,
            step: steps_before + count,
            learning_rate,
            seconds: begun.elapsed().as_secs_f64(),
            metrics: Metrics::from([("loss".to_string(), sum / count as f64)]),
        });
        Ok(state)
    }

    /// Writes the measures, and a checkpoint when one is due or the training ends here.
    fn save<M: Module>(&mut self, state: &State<M>) -> Result<()> {
        let ends = state.epoch() == self.epochs || self.gives_up(state);
        let Some(run) = &mut self.run else { return Ok(()) };
        run.write_metrics(&state.log)?;
        if ends || run.is_due() {
            run.save(state.epoch(), &state.to_parts()?)?;
        }
        Ok(())
    }
}

fn device_of<M: Module>(model: &M) -> Device {
    model.devices().into_iter().next().expect("a model that is trained has parameters")
}
