//! The names that other libraries give this network's tensors.

use sensorium_core::weights::TensorMap;

/// Whose names a file has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Library {
    EfficientNetPytorch,
    Timm,
    Torchvision,
}

impl Library {
    /// The library that wrote `tensors`, told by the first convolution's name.
    pub(super) fn of(tensors: &TensorMap) -> Self {
        match () {
            () if tensors.get("conv_stem.weight").is_some() => Self::Timm,
            () if tensors.get("features.0.0.weight").is_some() => Self::Torchvision,
            () => Self::EfficientNetPytorch,
        }
    }
}

/// The names of a file.
pub(crate) struct Names {
    library: Library,
    /// Each block's stage and place in it.
    places: Vec<(usize, usize)>,
    /// Whether each block begins with an expanding convolution.
    expands: Vec<bool>,
    stages: usize,
}

impl Names {
    /// A library's names for blocks in stages of `repeats`.
    pub(super) fn new(library: Library, repeats: &[usize], expands: Vec<bool>) -> Self {
        let places = repeats.iter().enumerate().flat_map(|(stage, count)| (0..*count).map(move |index| (stage, index)));
        Self { library, places: places.collect(), expands, stages: repeats.len() }
    }

    /// The file's name for this network's `name`.
    pub(crate) fn in_file(&self, name: &str) -> String {
        let mut segments = name.split('.');
        let (Some(part), Some(kind)) = (segments.next(), segments.next_back()) else { return name.to_string() };
        let Some(index) = segments.next() else { return format!("{}.{kind}", self.part(part)) };
        let index: usize = index.parse().expect("blocks are numbered");
        let inside = segments.collect::<Vec<_>>().join(".");
        format!("{}.{kind}", self.block_part(index, &inside))
    }

    /// Outside of the blocks.
    fn part(&self, part: &str) -> String {
        let head = self.stages + 1;
        match (self.library, part) {
            (Library::EfficientNetPytorch, part) => format!("_{part}"),
            (Library::Timm, "bn0") => "bn1".to_string(),
            (Library::Timm, "bn1") => "bn2".to_string(),
            (Library::Timm, "fc") => "classifier".to_string(),
            (Library::Timm, part) => part.to_string(),
            (Library::Torchvision, "conv_stem") => "features.0.0".to_string(),
            (Library::Torchvision, "bn0") => "features.0.1".to_string(),
            (Library::Torchvision, "conv_head") => format!("features.{head}.0"),
            (Library::Torchvision, "bn1") => format!("features.{head}.1"),
            (Library::Torchvision, _) => "classifier.1".to_string(),
        }
    }

    /// Inside of a block.
    fn block_part(&self, index: usize, part: &str) -> String {
        let (stage, place) = self.places[index];
        let expands = self.expands[index];
        let after_expand = usize::from(expands);
        match self.library {
            Library::EfficientNetPytorch => {
                let part = part.replace("squeeze.reduce", "se_reduce").replace("squeeze.expand", "se_expand");
                format!("_blocks.{index}._{part}")
            }
            Library::Timm => {
                let part = match part {
                    "expand_conv" => "conv_pw",
                    "bn0" => "bn1",
                    "depthwise_conv" => "conv_dw",
                    "bn1" if expands => "bn2",
                    "squeeze.reduce" => "se.conv_reduce",
                    "squeeze.expand" => "se.conv_expand",
                    "project_conv" if expands => "conv_pwl",
                    "project_conv" => "conv_pw",
                    "bn2" if expands => "bn3",
                    part => part,
                };
                format!("blocks.{stage}.{place}.{part}")
            }
            Library::Torchvision => {
                let part = match part {
                    "expand_conv" => "0.0".to_string(),
                    "bn0" => "0.1".to_string(),
                    "depthwise_conv" => format!("{after_expand}.0"),
                    "bn1" => format!("{after_expand}.1"),
                    "squeeze.reduce" => format!("{}.fc1", after_expand + 1),
                    "squeeze.expand" => format!("{}.fc2", after_expand + 1),
                    "project_conv" => format!("{}.0", after_expand + 2),
                    _ => format!("{}.1", after_expand + 2),
                };
                format!("features.{}.{place}.block.{part}", stage + 1)
            }
        }
    }
}
