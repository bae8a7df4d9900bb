//! Golden fixtures: reference numbers made with PyTorch, librosa, OpenCV and others, each `NAME.json` with its
//! `NAME.safetensors`, in one folder an area.
//!
//! Tests walk `$SENSORIUM_GOLDEN_DIR/<area>`, or the crate's own `tests/golden/<area>` where that is not set. What a
//! fixture is (its family) and which crate answers for it stand in one table here, so that no fixture of a family
//! that exists goes by unhandled.

use std::path::{Path, PathBuf};

use burn::tensor::{DType, TensorData};
use serde_json::Value;

/// The folders that hold fixtures.
pub const AREAS: [&str; 6] = ["vision", "captioning", "joint", "audio", "text", "3d"];

/// A family: in `area`, the fixtures whose file name starts with `name_starts` and whose `what` holds `says`.
struct Family {
    area: &'static str,
    name_starts: &'static str,
    says: &'static str,
    family: &'static str,
    owner: &'static str,
}

/// Families that no crate here implements yet.
const AWAITED: &str = "awaited";

const fn family(
    area: &'static str,
    name_starts: &'static str,
    says: &'static str,
    family: &'static str,
    owner: &'static str,
) -> Family {
    Family { area, name_starts, says, family, owner }
}

/// The first row that fits a fixture names it. An empty string fits everything.
const FAMILIES: &[Family] = &[
    family("joint", "", "cross-modal losses", "losses", "sensorium-core"),
    family("joint", "", "image-text retrieval measures", "retrieval", "sensorium-core"),
    family("joint", "", "torch.nn.GRU", "gru", "sensorium-core"),
    family("joint", "", "torch.nn.LSTM", "lstm", "sensorium-core"),
    family("joint", "", "VSE++ encoders", "vse_encoders", "sensorium-text"),
    family("joint", "", "VQA", "vqa_accuracy", AWAITED),
    family("captioning", "", "what must come out of the checkpoint files", "checkpoint", "sensorium-core"),
    family("captioning", "", "soft-attention caption decoder", "attention_decoder", "sensorium-captioning"),
    family("captioning", "", "a decoder that never emits", "attention_never_ends", "sensorium-captioning"),
    family("captioning", "", "attention decoder at tutorial size", "attention_formula", "sensorium-captioning"),
    family("captioning", "", "Show-and-Tell LSTM", "show_and_tell", "sensorium-captioning"),
    family("captioning", "", "caption metrics by pycocoevalcap", "caption_metrics", "sensorium-captioning"),
    family("captioning", "", "METEOR 1.5 by its jar", "meteor", "sensorium-captioning"),
    family("captioning", "", "Stanford PTBTokenizer", "ptb_tokenizer", "sensorium-captioning"),
    family("vision", "", "Image.resize", "pil_resize", "sensorium-vision"),
    family("vision", "", "adaptive_avg_pool2d", "adaptive_avg_pool", "sensorium-vision"),
    family("vision", "", "EfficientNet-Lite0 with its real", "efficientnet_real", "sensorium-vision"),
    family("vision", "", "EfficientNet-Lite layout", "efficientnet_slim", "sensorium-vision"),
    family("vision", "", "torchvision", "torchvision_encoder", "sensorium-vision"),
    family("vision", "", "timm", "torchvision_encoder", "sensorium-vision"),
    family("audio", "", "librosa.stft,", "stft", "sensorium-audio"),
    family("audio", "", "librosa.istft(", "istft", "sensorium-audio"),
    family("audio", "", "Spectral convergence", "griffin_lim", "sensorium-audio"),
    family("audio", "", "librosa.filters.mel:", "mel_filters", "sensorium-audio"),
    family("audio", "", "librosa.feature.melspectrogram (power=2", "mel_db_mfcc", "sensorium-audio"),
    family("audio", "", "torchaudio.compliance.kaldi", "kaldi", "sensorium-audio"),
    family("audio", "", "whisper.audio.log_mel_spectrogram", "whisper", "sensorium-audio"),
    family("audio", "", "torchaudio.functional.resample", "torchaudio_resample", "sensorium-audio"),
    family("audio", "", "Decoded samples of", "wav_decode", "sensorium-audio"),
    family("audio", "", "Real Resemblyzer voice encoder", "resemblyzer", "sensorium-audio"),
    family("audio", "", "Resemblyzer 0.1.4 pretrained", "resemblyzer_weights", "sensorium-audio"),
    family("audio", "", "silero-vad 16 kHz on", "silero_vad", "sensorium-audio"),
    family("audio", "", "silero-vad 6.2.3 16 kHz weights", "silero_vad_weights", "sensorium-audio"),
    family("audio", "", "SoundNet-8 geometry", "soundnet", "sensorium-audio"),
    family("audio", "", "Speech2Face voice encoder", "speech2face", "sensorium-audio"),
    family("text", "", "The same vectors in", "vector_files", "sensorium-text"),
    family("text", "", "gensim evaluate_word_pairs", "word_evaluation", "sensorium-text"),
    family("text", "", "fastText binary", "fasttext", "sensorium-text"),
    family("text", "", "word2vec.c semantics", "w2v_updates", "sensorium-text"),
    family("text", "", "Huffman codes", "huffman", "sensorium-text"),
    family("text", "", "Subsampling keep probabilities", "vocab_stats", "sensorium-text"),
    family("3d", "", "", "3d", AWAITED),
];

/// One fixture: what it says of itself, and its tensors.
#[derive(Debug)]
pub struct Fixture {
    /// The folder it stands in, such as `joint`.
    pub area: &'static str,
    /// The file name without `.json`.
    pub name: String,
    /// The family, which decides what a test builds.
    pub family: &'static str,
    /// The JSON beside the tensors: `config`, `tolerance`, `what` and more.
    pub meta: Value,
    folder: PathBuf,
    tensors: Vec<u8>,
}

/// The fixtures that crate `owner` answers for. `manifest_dir` is its `env!("CARGO_MANIFEST_DIR")`.
///
/// # Panics
/// If the folder or an area in it is missing, a fixture belongs to no family, a file is unreadable, or nothing is
/// found for the crate: a golden test that finds nothing must fail.
pub fn owned_by(owner: &str, manifest_dir: &str) -> Vec<Fixture> {
    let given = std::env::var_os("SENSORIUM_GOLDEN_DIR").map(PathBuf::from);
    let root = given.clone().unwrap_or_else(|| Path::new(manifest_dir).join("tests/golden"));
    let mut mine = Vec::new();
    for area in AREAS {
        let owns_some = FAMILIES.iter().any(|row| row.area == area && row.owner == owner);
        let folder = root.join(area);
        if !owns_some || (given.is_none() && !folder.exists()) {
            continue;
        }
        mine.extend(fixtures_in(area, &folder).into_iter().filter(|(row, _)| row.owner == owner).map(|(_, f)| f));
    }
    assert!(!mine.is_empty(), "no fixture for {owner} under {}", root.display());
    mine
}

fn fixtures_in(area: &'static str, folder: &Path) -> Vec<(&'static Family, Fixture)> {
    let listing = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<PathBuf> = listing.map(|entry| entry.expect("a readable folder").path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "json"));
    files.sort();
    files.into_iter().map(|json| read_fixture(area, folder, &json)).collect()
}

fn read_fixture(area: &'static str, folder: &Path, json: &Path) -> (&'static Family, Fixture) {
    let name = json.file_stem().expect("a file name").to_string_lossy().into_owned();
    let text = std::fs::read_to_string(json).unwrap_or_else(|e| panic!("{}: {e}", json.display()));
    let meta: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", json.display()));
    let row = classify(area, &name, meta["what"].as_str().unwrap_or(""))
        .unwrap_or_else(|| panic!("{}: no family in the table of golden fixtures fits it", json.display()));
    let tensors = std::fs::read(json.with_extension("safetensors")).unwrap_or_default();
    (row, Fixture { area, name, family: row.family, meta, folder: folder.to_path_buf(), tensors })
}

fn classify(area: &str, name: &str, what: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|row| row.area == area && name.starts_with(row.name_starts) && what.contains(row.says))
}

impl Fixture {
    /// The path of a file beside the fixture, named relative to its area.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.join(relative)
    }

    /// The tensor called `name`.
    ///
    /// # Panics
    /// If the fixture has no such tensor.
    pub fn tensor(&self, name: &str) -> TensorData {
        let archive = self.archive();
        let view = archive.tensor(name).unwrap_or_else(|e| panic!("{}: {name}: {e}", self.name));
        let dtype = match view.dtype() {
            safetensors::Dtype::F32 => DType::F32,
            safetensors::Dtype::F16 => DType::F16,
            safetensors::Dtype::F64 => DType::F64,
            safetensors::Dtype::I64 => DType::I64,
            safetensors::Dtype::I32 => DType::I32,
            safetensors::Dtype::I16 => DType::I16,
            safetensors::Dtype::U8 => DType::U8,
            other => panic!("{}: {name}: no test reads {other:?} yet", self.name),
        };
        TensorData::from_bytes_vec(view.data().to_vec(), view.shape().to_vec(), dtype)
    }

    /// The tensor called `name` as f32, row-major.
    pub fn f32s(&self, name: &str) -> Vec<f32> {
        self.tensor(name).iter::<f32>().collect()
    }

    /// The tensor called `name` as integers, row-major.
    pub fn ints(&self, name: &str) -> Vec<i64> {
        self.tensor(name).iter::<i64>().collect()
    }

    /// The shape of the tensor called `name`.
    pub fn shape(&self, name: &str) -> Vec<usize> {
        self.tensor(name).shape().to_vec()
    }

    /// Whether there is a tensor called `name`.
    pub fn has(&self, name: &str) -> bool {
        self.archive().tensor(name).is_ok()
    }

    /// The names of all tensors, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.archive().names().into_iter().map(|n| n.to_string()).collect();
        names.sort();
        names
    }

    /// A non-negative whole number of `config`.
    pub fn size(&self, key: &str) -> usize {
        self.meta["config"][key].as_u64().unwrap_or_else(|| panic!("{}: config.{key} is no number", self.name)) as usize
    }

    /// `atol` and `rtol` of `tolerance` (with an empty key) or `tolerance.KEY`.
    pub fn tolerance(&self, key: &str) -> (f64, f64) {
        let at = if key.is_empty() { &self.meta["tolerance"] } else { &self.meta["tolerance"][key] };
        let read = |bound: &str| at[bound].as_f64().unwrap_or_else(|| panic!("{}: tolerance.{key}.{bound}", self.name));
        (read("atol"), read("rtol"))
    }

    fn archive(&self) -> safetensors::SafeTensors<'_> {
        safetensors::SafeTensors::deserialize(&self.tensors)
            .unwrap_or_else(|e| panic!("{}/{}.safetensors: {e}", self.folder.display(), self.name))
    }
}

/// Asserts `|got - want| <= atol + rtol * |want|` for every element.
///
/// # Panics
/// If the lengths differ or an element is off; the message names the worst one.
pub fn assert_close(got: &[f32], want: &[f32], (atol, rtol): (f64, f64), what: &str) {
    assert_eq!(got.len(), want.len(), "{what}: {} values, {} expected", got.len(), want.len());
    let excess = |(g, w): (&f32, &f32)| {
        let (g, w) = (f64::from(*g), f64::from(*w));
        let over = (g - w).abs() - (atol + rtol * w.abs());
        if over.is_nan() { f64::INFINITY } else { over }
    };
    let worst = got.iter().zip(want).map(excess).enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
    if let Some((at, over)) = worst.filter(|(_, over)| *over > 0.0) {
        panic!(
            "{what}: element {at} is {} but must be {} (atol {atol}, rtol {rtol}; {over:.3e} too far)",
            got[at], want[at]
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_fixture_has_no_family() {
        assert!(classify("joint", "new", "something never heard of").is_none());
        assert_eq!(classify("joint", "losses_z", "cross-modal losses and their gradients").unwrap().family, "losses");
    }

    #[test]
    #[should_panic(expected = "element 1 is 2.5 but must be 2")]
    fn a_value_outside_the_tolerance_fails() {
        assert_close(&[1.0, 2.5], &[1.0, 2.0], (0.1, 0.1), "x");
    }

    #[test]
    #[should_panic]
    fn nan_is_never_close() {
        assert_close(&[f32::NAN], &[0.0], (1.0, 1.0), "x");
    }
}
