//! `sensorium vision`: name what a picture shows, resize one, take feature maps.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use burn::tensor::Device;
use sensorium_core::draw::heatmap::Overlay;
use sensorium_core::draw::sheet::{Row, Sheet, Tile};
use sensorium_core::files::write_atomic;
use sensorium_core::weights::read;
use sensorium_vision::efficientnet::{labels, top_classes};
use sensorium_vision::io::{self, Decoding};
use sensorium_vision::resize::{Filter, resize};
use sensorium_vision::transforms::to_tensor;
use sensorium_vision::{Encoder, EncoderConfig, grad_cam};
use serde::Serialize;

use crate::arrays::{check_ending, write_numbers};
use crate::pictures::{expand, make_folder, write_heat_maps};

/// The verbs of `sensorium vision`.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum VisionCommand {
    /// Name what pictures show, on the 1,000 ImageNet classes.
    Classify {
        /// Pictures, or folders of them.
        #[arg(required = true, value_name = "IMG")]
        pictures: Vec<PathBuf>,
        /// How many classes to show.
        #[arg(long, default_value_t = 5)]
        top: usize,
        /// Folder for what speaks for each class shown, after Grad-CAM: NAME.png, NAME.npy and NAME.json for each
        /// picture.
        #[arg(long, value_name = "DIR")]
        heatmap: Option<PathBuf>,
        /// With --heatmap: the layer whose map is weighed; by default the last with a map.
        #[arg(long, requires = "heatmap")]
        layer: Option<String>,
        #[command(flatten)]
        network: Network,
    },
    /// Resize a picture as Pillow does, byte for byte. Transparency is dropped.
    Resize {
        /// The picture.
        #[arg(value_name = "IMG")]
        picture: PathBuf,
        /// The new size in pixels.
        #[arg(long, value_name = "WxH", value_parser = parse_size)]
        size: (u32, u32),
        /// box, bilinear, hamming, bicubic or lanczos.
        #[arg(long, default_value = "bicubic")]
        filter: Filter,
        /// The picture to write, .png or .jpg.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Take a feature map of pictures to `[picture, channel, row, column]` numbers.
    Features {
        /// Pictures, or folders of them.
        #[arg(required = true, value_name = "IMG")]
        pictures: Vec<PathBuf>,
        /// A layer of the network: of EfficientNet-Lite0 stem, block0 to block15, features, pooled or logits.
        #[arg(long, default_value = "pooled")]
        layer: String,
        /// The numbers to write, .safetensors or .npy; the pictures' names go beside them, into FILE.ids.json.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        #[command(flatten)]
        network: Network,
    },
}

/// Which image encoder.
#[derive(clap::Args, Debug, Serialize)]
pub(crate) struct Network {
    /// The image encoder, as torchvision and timm call it: resnet18 to resnet152, vgg11 to vgg19 and vgg11_bn to
    /// vgg19_bn, efficientnet_b0, efficientnet_lite0 to efficientnet_lite4.
    #[arg(long, value_name = "NAME", default_value = "efficientnet_lite0")]
    encoder: String,
    /// The encoder's weights: a torch file or safetensors. EfficientNet-Lite0's are bundled.
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
}

impl Network {
    /// The network with its weights, and what it is.
    pub(crate) fn load(&self, device: &Device) -> Result<(EncoderConfig, Encoder)> {
        let config = EncoderConfig::named(&self.encoder)?;
        let network = match (&self.weights, self.encoder.as_str()) {
            (Some(path), _) => config.init(device).load(read(path)?)?,
            (None, "efficientnet_lite0") => Encoder::lite0_imagenet(device)?,
            (None, name) => anyhow::bail!("--encoder {name}: its weights are not bundled; give a file with --weights"),
        };
        Ok((config, network))
    }
}

/// The last layer with a map, a height and a width.
pub(crate) fn last_map(network: &Encoder) -> String {
    let has_map = |layer: &String| !["pooled", "logits"].contains(&layer.as_str());
    network.layers().into_iter().rfind(has_map).expect("an encoder has maps")
}

/// Pictures that are decoded and run at a time.
const BATCH: usize = 32;

/// Runs a verb on `device`. With `json`, what is printed is JSON.
pub(crate) fn run(command: VisionCommand, device: &Device, json: bool) -> Result<()> {
    match command {
        VisionCommand::Classify { pictures, top, heatmap, layer, network } => {
            let (pictures, network) = (expand(&pictures)?, network.load(device)?);
            if let Some(folder) = &heatmap {
                make_folder(folder, &pictures)?;
            }
            let layer = layer.unwrap_or_else(|| last_map(&network.1));
            let heat_maps = heatmap.map(|folder| HeatMaps { folder, layer });
            let classified = classify(&pictures, top, &network, heat_maps.as_ref(), device)?;
            print(&classified, json)
        }
        VisionCommand::Resize { picture, size: (width, height), filter, out } => {
            let resized = resize(&io::read(&picture, &Decoding::default())?, width, height, filter);
            Ok(io::write(&out, &resized)?)
        }
        VisionCommand::Features { pictures, layer, out, network } => {
            check_ending(&out)?;
            features(&expand(&pictures)?, &layer, &out, &network.load(device)?, device, json)
        }
    }
}

fn parse_size(text: &str) -> Result<(u32, u32), String> {
    let size =
        text.split_once(['x', 'X']).and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    match size {
        Some((width, height)) if width > 0 && height > 0 && u64::from(width) * u64::from(height) <= io::MAX_PIXELS => {
            Ok((width, height))
        }
        Some(_) => Err(format!("no side may be 0, and {} pixels are the most", io::MAX_PIXELS)),
        None => Err("two numbers are needed, such as 320x200".to_string()),
    }
}

/// A picture's likeliest classes.
#[derive(Serialize)]
struct Classified<'a> {
    file: &'a Path,
    top: Vec<Named>,
}

#[derive(Serialize)]
struct Named {
    class: usize,
    name: &'static str,
    probability: f64,
    logit: f32,
}

fn classify<'a>(
    pictures: &'a [PathBuf],
    top: usize,
    network: &(EncoderConfig, Encoder),
    heat_maps: Option<&HeatMaps>,
    device: &Device,
) -> Result<Vec<Classified<'a>>> {
    let labels = labels();
    let preprocess = network.0.preprocess();
    let folded = network.1.fold();
    let mut classified = Vec::new();
    for files in pictures.chunks(BATCH) {
        let decoded = decode(files)?;
        let logits = folded.forward(preprocess.batch(&decoded, device));
        for ((file, picture), classes) in files.iter().zip(&decoded).zip(top_classes(logits, top)) {
            let named = classes.into_iter().map(|class| Named {
                class: class.class,
                name: labels[class.class],
                probability: class.probability,
                logit: class.logit,
            });
            let named = Classified { file, top: named.collect() };
            if let Some(heat_maps) = heat_maps {
                heat_maps.draw(&named, picture, network, device)?;
            }
            classified.push(named);
        }
    }
    Ok(classified)
}

/// Draws what speaks for the classes of pictures, after Grad-CAM.
struct HeatMaps {
    folder: PathBuf,
    layer: String,
}

/// What `NAME.json` says of `NAME.npy`.
#[derive(Serialize)]
struct Spoke<'a> {
    #[serde(flatten)]
    classified: &'a Classified<'a>,
    layer: &'a str,
    /// Of `NAME.npy`: classes, rows, columns.
    shape: [usize; 3],
}

impl HeatMaps {
    /// Draws a picture's, over the part of it that the network sees.
    fn draw(
        &self,
        classified: &Classified,
        picture: &io::RgbImage,
        (config, network): &(EncoderConfig, Encoder),
        device: &Device,
    ) -> Result<()> {
        let preprocess = config.preprocess();
        let seen = preprocess.picture(picture);
        let input = to_tensor(std::slice::from_ref(&seen), &preprocess.normalise, device);
        let (mut numbers, mut shape) = (vec![], [classified.top.len(), 0, 0]);
        let mut tiles = vec![Tile::picture(seen.clone())];
        for Named { class, name, probability, .. } in &classified.top {
            // One class at a time, so that memory does not grow with their number.
            let heat = grad_cam::heat(network, input.clone(), &[*class], &self.layer)?;
            let [_, rows, columns] = heat.dims();
            let heat: Vec<f32> = heat.into_data().iter().collect();
            let over = Overlay::default().over(&seen, &heat, [rows, columns]);
            tiles.push(Tile::picture(over).caption(format!("{name} {:.0} %", 100.0 * probability)));
            shape = [classified.top.len(), rows, columns];
            numbers.extend(heat);
        }
        let title = classified.file.file_name().unwrap_or_default().to_string_lossy();
        let sheet = Sheet::new(title).columns(6).tile(168).row(Row::tiles(tiles)).draw();
        let about = Spoke { classified, layer: &self.layer, shape };
        write_heat_maps(&self.folder, classified.file, &sheet, (&numbers, shape), &about)
    }
}

fn print(classified: &[Classified], json: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(classified)?)?;
        return Ok(());
    }
    for Classified { file, top } in classified {
        writeln!(out, "{}", file.display())?;
        for Named { class, name, probability, .. } in top {
            writeln!(out, "  {:6.2} %  {class:3}  {name}", 100.0 * probability)?;
        }
    }
    Ok(())
}

fn features(
    pictures: &[PathBuf],
    layer: &str,
    out: &Path,
    (config, network): &(EncoderConfig, Encoder),
    device: &Device,
    json: bool,
) -> Result<()> {
    let preprocess = config.preprocess();
    let network = network.fold();
    let (mut numbers, mut shape) = (Vec::new(), [0; 4]);
    for files in pictures.chunks(BATCH) {
        let map = network.features(preprocess.batch(&decode(files)?, device), &[layer])?.remove(0);
        shape = map.dims();
        numbers.extend(map.into_data().iter::<f32>());
    }
    shape[0] = pictures.len();
    write_numbers(out, layer, numbers, &shape)?;
    let ids = out.with_added_extension("ids.json");
    write_atomic(&ids, &serde_json::to_vec_pretty(pictures)?)?;
    let mut stdout = std::io::stdout().lock();
    match json {
        true => writeln!(stdout, "{}", serde_json::json!({"out": out, "ids": ids, "layer": layer, "shape": shape}))?,
        false => writeln!(stdout, "{}: {layer} {shape:?}; names in {}", out.display(), ids.display())?,
    }
    Ok(())
}

fn decode(files: &[PathBuf]) -> Result<Vec<io::RgbImage>> {
    files.iter().map(|file| Ok(io::read(file, &Decoding::default())?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_two_numbers_within_the_limit() {
        assert_eq!(parse_size("320x200"), Ok((320, 200)));
        assert!(parse_size("320").unwrap_err().contains("320x200"));
        assert!(parse_size("0x5").is_err() && parse_size("100000x100000").unwrap_err().contains("67108864"));
    }
}
