//! `caption import`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::ensure;
use clap::Args;
use sensorium_captioning::captioner::DecoderConfig;
use sensorium_captioning::import::tutorial;
use serde_json::json;

use crate::Global;

/// `caption import`
#[derive(Args)]
pub(crate) struct Import {
    /// The checkpoint, such as BEST_checkpoint_coco_5_cap_per_img_5_min_word_freq.pth.tar.
    #[arg(value_name = "CKPT")]
    checkpoint: PathBuf,
    /// The word map it was trained with, such as WORDMAP_coco_5_cap_per_img_5_min_word_freq.json.
    #[arg(long, value_name = "FILE")]
    wordmap: PathBuf,
    /// Folder for the run.
    #[arg(long, value_name = "RUN")]
    out: PathBuf,
}

impl Import {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        let out = self.out.display();
        ensure!(!self.out.join("captioner.json").exists(), "{out}: holds a captioner; choose another folder");
        let imported = tutorial(&self.checkpoint, &self.wordmap, &global.device()?)?;
        imported.captioner.save(&self.out)?;
        let words = imported.captioner.words().len();
        let decoder = &imported.captioner.config().decoder;
        let mut stdout = std::io::stdout().lock();
        if global.json {
            let said = json!({
                "run": self.out, "epoch": imported.epoch, "bleu4": imported.bleu4, "words": words, "decoder": decoder,
            });
            return Ok(writeln!(stdout, "{said}")?);
        }
        writeln!(stdout, "{out}: {words} words, {}", about(decoder))?;
        if let (Some(epoch), Some(bleu4)) = (imported.epoch, imported.bleu4) {
            writeln!(stdout, "epoch {epoch}, BLEU-4 {bleu4:.4} by its own account")?;
        }
        Ok(())
    }
}

fn about(decoder: &DecoderConfig) -> String {
    match decoder {
        DecoderConfig::Attend { grid, sizes } => {
            format!("attention over {grid} x {grid} positions, state of {}", sizes.hidden)
        }
        DecoderConfig::ShowAndTell(sizes) => format!("no attention, state of {}", sizes.hidden),
    }
}
