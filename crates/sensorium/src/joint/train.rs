//! `joint train`.

use std::io::Write;
use std::path::Path;

use anyhow::ensure;
use burn::tensor::Device;
use sensorium_core::train::{Progress, RunFolder};
use sensorium_fusion::joint::evaluate::evaluate;
use sensorium_fusion::joint::features::Features;
use sensorium_fusion::joint::fit::{Lesson, RidgeSettings, choose_scale};
use sensorium_fusion::joint::folds::Method;
use sensorium_fusion::joint::model::{Loss, TextEncoder};
use sensorium_fusion::joint::pairs::{Pairs, Split};
use sensorium_fusion::joint::sgd::SgdSettings;
use sensorium_fusion::joint::space::{Origin, Space};
use sensorium_vision::pairs;
use serde_json::json;

use super::{LossKind, Solver, TextKind, Train, features_of};
use crate::Global;
use crate::training::{ensure_unfinished, shown};

impl Train {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        let settings = self.sgd_settings();
        settings.validate()?;
        let device = global.device()?;
        let pairs = Pairs::open(&self.data)?;
        let splits = pairs::parts(&pairs.source, &pairs.items, self.seed)?;
        pairs::ensure_part(&pairs.source, &splits, Split::Val)?;
        let part = |wanted| (0..splits.len()).filter(|i| splits[*i] == wanted).collect::<Vec<usize>>();
        let (train, val) = (part(Split::Train), part(Split::Val));
        ensure_unfinished(&self.out, "space.json", self.resume)?;
        let features = self.features()?;
        let run = match self.solver {
            Solver::Ridge => None,
            Solver::Sgd => Some(self.run_folder(&settings, &features)?),
        };
        let matrix = features_of(&features, &pairs, &device, global)?;
        let lesson = Lesson { pairs: &pairs, features: &matrix, train: &train };
        let origin = Origin { data: self.data.clone(), seed: self.seed, features, tags: lesson.tags() };
        let mut space = match run {
            None => {
                let ridge = RidgeSettings::kernel();
                RidgeSettings { dim: self.dim.or(ridge.dim), ..ridge }.fit(lesson, origin, &device)?
            }
            Some(run) => settings.fit(lesson, &val, origin, Some(run), shown(global), &device)?.space,
        };
        space.set_scale(choose_scale(&space, lesson, &val, self.seed)?);
        space.save(&self.out)?;
        self.report(&space, lesson, &val, global)
    }

    fn report(&self, space: &Space, lesson: Lesson, val: &[usize], global: &Global) -> anyhow::Result<()> {
        let found = evaluate(space, lesson.pairs, lesson.features, val)?;
        let mut out = std::io::stdout().lock();
        if global.json {
            let said = json!({"run": self.out, "train_pairs": lesson.train.len(), "validation": found});
            return Ok(writeln!(out, "{said}")?);
        }
        let (t2i, i2t) = (found.retrieval.t2i, found.retrieval.i2t);
        writeln!(out, "learned from {} pairs; the space is in {}", lesson.train.len(), self.out.display())?;
        write!(out, "on {} validation pairs: ", val.len())?;
        write!(out, "words to pictures R@1 {:.1}, R@10 {:.1}; ", t2i.r1, t2i.r10)?;
        Ok(writeln!(out, "pictures to words R@1 {:.1}, R@10 {:.1}", i2t.r1, i2t.r10)?)
    }

    fn features(&self) -> anyhow::Result<Features> {
        let mut features = if self.data == "emoji" { Features::drawings() } else { Features::photos() };
        if self.encoder != "efficientnet-lite0" {
            let file = Path::new(&self.encoder);
            ensure!(
                file.is_file(),
                "--encoder {}: neither `efficientnet-lite0` nor a file of weights for it",
                self.encoder
            );
            features.weights = Some(file.to_path_buf());
        }
        if let Some(side) = self.image_size {
            ensure!((32..=1024).contains(&side), "--image-size {side}: 32 to 1024 pixels");
            features = features.with_size(side);
        }
        Ok(features)
    }

    fn sgd_settings(&self) -> SgdSettings {
        let mut settings = SgdSettings::new(self.seed);
        let margin = self.margin.unwrap_or(0.2);
        settings.text = match self.text {
            TextKind::Bow => TextEncoder::Bow,
            TextKind::Gru => TextEncoder::Gru,
        };
        settings.loss = match self.loss {
            LossKind::Vsepp => Loss::Vsepp { margin },
            LossKind::Vse0 => Loss::Vse0 { margin },
            LossKind::Infonce => Loss::InfoNce,
            LossKind::Siglip => Loss::SigLip,
        };
        settings.epochs = self.epochs.unwrap_or(settings.epochs);
        settings.batch = self.batch.unwrap_or(settings.batch);
        settings.learning_rate = self.lr.unwrap_or(settings.learning_rate);
        settings.dim = self.dim.unwrap_or(settings.dim);
        settings
    }

    fn run_folder(&self, settings: &SgdSettings, features: &Features) -> anyhow::Result<RunFolder> {
        let config = json!({"data": self.data, "features": features, "training": settings});
        Ok(RunFolder::open(&self.out, &config, self.resume)?)
    }
}

/// The methods that the five-fold table compares, the best first.
pub(crate) const METHODS: [&str; 3] = ["kernel ridge", "linear ridge", "InfoNCE"];

type Fit = Box<dyn FnMut(Lesson, Origin) -> sensorium_fusion::Result<Space>>;

/// A method with its name, owned.
pub(crate) struct NamedMethod {
    name: &'static str,
    fit: Fit,
}

impl NamedMethod {
    /// As the protocol takes it.
    pub(crate) fn method(&mut self) -> Method<'_> {
        Method { name: self.name, fit: &mut self.fit }
    }
}

/// The methods of [`METHODS`].
pub(crate) fn methods(seed: u64, device: &Device) -> [NamedMethod; 3] {
    let ridge = |settings: RidgeSettings| -> Fit {
        let device = device.clone();
        Box::new(move |lesson, origin| settings.fit(lesson, origin, &device))
    };
    let on = device.clone();
    let sgd: Fit = Box::new(move |lesson, origin| {
        // A tenth of the training concepts says which epoch's weights to keep.
        let (train, val) = hold_out(lesson, seed);
        let lesson = Lesson { train: &train, ..lesson };
        Ok(SgdSettings::new(seed).fit(lesson, &val, origin, None, Progress::Quiet, &on)?.space)
    });
    let fits = [ridge(RidgeSettings::kernel()), ridge(RidgeSettings::linear()), sgd];
    let mut fits = fits.into_iter();
    METHODS.map(|name| NamedMethod { name, fit: fits.next().expect("a fit for each name") })
}

/// A tenth of the training concepts as a validation part.
fn hold_out(lesson: Lesson, seed: u64) -> (Vec<usize>, Vec<usize>) {
    let groups: Vec<&str> = lesson.train.iter().map(|i| lesson.pairs.items[*i].group.as_str()).collect();
    let fold_of = pairs::folds(&groups, 10, seed ^ 0x5eed);
    let (val, train): (Vec<_>, Vec<_>) = lesson.train.iter().zip(fold_of).partition(|(_, fold)| *fold == 0);
    let items = |part: Vec<(&usize, usize)>| part.into_iter().map(|(item, _)| *item).collect();
    (items(train), items(val))
}
