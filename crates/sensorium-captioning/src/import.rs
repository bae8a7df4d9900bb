//! Checkpoints of sgrvinod's PyTorch captioning tutorial.
//!
//! Such a file is a pickled dict of whole modules: `encoder`, whose `resnet` is a list of a ResNet's parts without its
//! head, and `decoder`; beside them the epoch, the BLEU-4 score and the optimisers. Files that hold the two modules'
//! state dicts instead are read as well. Nothing in a file is run.

use std::collections::BTreeSet;
use std::path::Path;

use burn::tensor::{Device, TensorData};
use sensorium_core::Error as CoreError;
use sensorium_core::weights::{TensorMap, TorchFile};
use sensorium_vision::EncoderConfig;
use sensorium_vision::resize::Filter;
use sensorium_vision::resnet::{Block, ResNetConfig};
use sensorium_vision::transforms::{Normalise, Preprocess, Size};

use crate::attend::AttentionDecoderConfig;
use crate::captioner::{Captioner, CaptionerConfig, CaptionerTensors, DecoderConfig};
use crate::{Result, WordMap};

/// A captioner that was trained elsewhere, and what its file says of it.
#[derive(Debug)]
pub struct Imported {
    /// The captioner.
    pub captioner: Captioner,
    /// The epoch of the checkpoint, counted from 0.
    pub epoch: Option<i64>,
    /// The BLEU-4 score of that epoch on the validation pictures, 0 to 1.
    pub bleu4: Option<f64>,
}

/// Positions along a side where a file does not say, as the tutorial's encoder has them.
const GRID: usize = 14;

/// Reads a checkpoint of the tutorial and the word map it was trained with. The running statistics of the batch norms
/// are the checkpoint's, which the tutorial's training lets drift from the published ones.
///
/// # Errors
/// If a file cannot be read or is of another kind, a tensor is missing, left over or of another shape, or the word map
/// has not as many words as the decoder; the message names the file and the key.
pub fn tutorial(checkpoint: impl AsRef<Path>, word_map: impl AsRef<Path>, device: &Device) -> Result<Imported> {
    let words = WordMap::read(word_map)?;
    from_file(&TorchFile::read(&checkpoint)?, checkpoint.as_ref(), words, device)
}

fn from_file(file: &TorchFile, path: &Path, words: WordMap, device: &Device) -> Result<Imported> {
    let root = file.root();
    let module = |name: &str| {
        root.get(name).ok_or_else(|| {
            let keys: Vec<&str> = root.entries().filter_map(|(key, _)| key.as_str()).collect();
            let reason = match keys.is_empty() {
                true => format!("it is no dict with an entry '{name}'"),
                false => format!("it has no entry '{name}' but {}", listed(&keys)),
            };
            CoreError::format(path, "checkpoint of the captioning tutorial", reason)
        })
    };
    let (encoder, decoder) = (module("encoder")?, module("decoder")?);
    let grid = encoder.get("enc_image_size").and_then(|size| size.as_i64());
    let dropout = decoder.get("_modules").and_then(|modules| modules.get("dropout")?.get("p")?.as_f64());
    let (encoder, decoder) = (resnet_names(encoder.tensors()?)?, decoder.tensors()?);
    let sizes = AttentionDecoderConfig::of_tensors(&decoder)?;
    let config = CaptionerConfig {
        encoder: EncoderConfig::ResNet(resnet_sizes(&encoder)?),
        layers: vec!["layer4".to_string()],
        components: None,
        preprocess: Preprocess {
            size: Size::Exact { width: 256, height: 256 },
            filter: Filter::Bilinear,
            crop: None,
            normalise: Normalise::IMAGENET,
        },
        decoder: DecoderConfig::Attend {
            grid: grid.map_or(GRID, |grid| usize::try_from(grid).unwrap_or(0)),
            sizes: match dropout {
                Some(dropout) => sizes.with_dropout(dropout),
                None => sizes,
            },
        },
    };
    let tensors = CaptionerTensors { encoder, components: None, decoder };
    Ok(Imported {
        captioner: Captioner::new(config, tensors, words, device)?,
        epoch: root.get("epoch").and_then(|epoch| epoch.as_i64()),
        bleu4: root.get("bleu-4").and_then(|score| score.as_f64()),
    })
}

fn listed(keys: &[&str]) -> String {
    const MOST: usize = 12;
    let mut list: Vec<String> = keys.iter().take(MOST).map(|key| format!("'{}'", key.escape_debug())).collect();
    if keys.len() > MOST {
        list.push(format!("{} more", keys.len() - MOST));
    }
    list.join(", ")
}

/// The encoder's tensors under torchvision's names: `resnet.0.weight` is `conv1.weight`.
fn resnet_names(tensors: TensorMap) -> Result<TensorMap> {
    let part = |number: &str| match number {
        "0" => Some("conv1".to_string()),
        "1" => Some("bn1".to_string()),
        "4" | "5" | "6" | "7" => Some(format!("layer{}", number.parse::<u8>().ok()? - 3)),
        _ => None,
    };
    let renamed = tensors.rename(|name| {
        let known = name.strip_prefix("resnet.").and_then(|rest| {
            let (number, rest) = rest.split_once('.')?;
            Some(format!("{}.{rest}", part(number)?))
        });
        // What has no place keeps its name, and loading names it as left over.
        Some(known.unwrap_or_else(|| name.to_string()))
    });
    Ok(renamed?)
}

/// The sizes of the ResNet that the tensors are of.
fn resnet_sizes(tensors: &TensorMap) -> Result<ResNetConfig> {
    let fail = |reason: String| CoreError::Weights { path: tensors.source().to_path_buf(), reason };
    let first = tensors.get("conv1.weight").map(TensorData::shape).map(|shape| shape.to_vec());
    let Some([width, _, _, _]) = first.as_deref() else {
        return Err(fail(format!("encoder: 'resnet.0.weight' must have 4 axes, but is {first:?}")).into());
    };
    let mut blocks = [0; 4];
    for (stage, count) in (1..).zip(&mut blocks) {
        let prefix = format!("layer{stage}.");
        let of_stage = tensors.names().filter_map(|name| name.strip_prefix(&prefix)?.split('.').next());
        *count = of_stage.collect::<BTreeSet<_>>().len();
        if *count == 0 {
            return Err(fail(format!("encoder: no tensor begins with 'resnet.{}.'", stage + 3)).into());
        }
    }
    let block = match tensors.get("layer1.0.conv3.weight") {
        Some(_) => Block::Bottleneck,
        None => Block::Basic,
    };
    let most = 1 << 12;
    if *width > most || blocks.iter().any(|count| *count > most) {
        return Err(fail(format!("encoder: a ResNet of width {width} with {blocks:?} blocks is beyond belief")).into());
    }
    Ok(ResNetConfig { block, blocks, width: *width, classes: 0 })
}

#[cfg(test)]
mod tests {
    use sensorium_core::device;

    use super::*;

    fn map(names: &[&str]) -> TensorMap {
        let mut map = TensorMap::new("BEST.pth.tar");
        for name in names {
            map.insert(*name, TensorData::new(vec![0.0f32; 4], [2, 2, 1, 1]));
        }
        map
    }

    #[test]
    fn parts_get_the_names_of_torchvision() {
        let names = ["resnet.0.weight", "resnet.1.bias", "resnet.4.0.conv1.weight", "resnet.7.2.bn3.weight", "odd.x"];
        let renamed = resnet_names(map(&names)).unwrap();
        let want = ["conv1.weight", "bn1.bias", "layer1.0.conv1.weight", "layer4.2.bn3.weight", "odd.x"];
        assert_eq!(renamed.names().collect::<Vec<_>>(), want);
    }

    #[test]
    fn sizes_that_cannot_be_told_are_named() {
        for (names, part) in [
            (vec!["layer1.0.conv1.weight"], "'resnet.0.weight'"),
            (vec!["conv1.weight", "layer1.0.conv1.weight"], "'resnet.5.'"),
        ] {
            let fault = resnet_sizes(&map(&names)).unwrap_err().to_string();
            assert!(fault.contains("BEST.pth.tar") && fault.contains(part), "{fault}");
        }
    }

    #[test]
    fn other_files_are_refused() {
        let device = device::parse("flex").unwrap();
        let words = || WordMap::build([["a"].as_slice()].into_iter(), 0);
        // A pickle of the text "x", in the legacy container's frame, is not what torch.save writes.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("WORDMAP.json");
        words().write(&path).unwrap();
        let checkpoint = folder.path().join("x.pth.tar");
        std::fs::write(&checkpoint, b"\x80\x02X\x01\x00\x00\x00x.").unwrap();
        let fault = tutorial(&checkpoint, &path, &device).unwrap_err().to_string();
        assert!(fault.contains("x.pth.tar"), "{fault}");
        assert!(tutorial(folder.path().join("none"), &path, &device).is_err());
    }
}
