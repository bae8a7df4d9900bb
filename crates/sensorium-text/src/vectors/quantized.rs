//! Word vectors in less memory: a byte a number, or a byte for several numbers at once.

use std::path::Path;

use burn::tensor::{DType, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use sensorium_core::Error;
use sensorium_core::weights::{TensorMap, parse_safetensors, write_safetensors};

use super::cursor::Parsed;
use super::mapped::map_file;
use super::safetensors::{with_words, words_of};
use super::words::WordList;
use super::{WordVectors, check_dim};
use crate::Result;

/// Word vectors with a byte a number: each row has its own scale, so that its largest number becomes 127 or -127.
///
/// A number comes back off by at most half a step, 1/254 of the largest in its row. A quarter of the memory of f32.
#[derive(Debug, Clone, PartialEq)]
pub struct Int8Vectors {
    words: WordList,
    dim: usize,
    scales: Vec<f32>,
    values: Vec<i8>,
}

impl Int8Vectors {
    pub(super) const FORMAT: &str = "safetensors file of 8-bit word vectors";
    /// By these tensors a file is known.
    pub(super) const TENSORS: [&str; 2] = ["values", "scales"];

    /// Rounds each number to the nearest step of its row.
    pub fn quantize(vectors: &WordVectors) -> Self {
        let rows = vectors.values().chunks_exact(vectors.dim());
        let scales: Vec<f32> = rows.clone().map(scale).collect();
        // Casts saturate; and 0 / 0, in a row of zeros, becomes 0.
        let values = rows.zip(&scales).flat_map(|(row, scale)| row.iter().map(move |v| (v / scale).round() as i8));
        Self { dim: vectors.dim(), values: values.collect(), words: vectors.words.clone(), scales }
    }

    /// The words, in the order of their rows.
    pub fn words(&self) -> &[String] {
        self.words.words()
    }

    /// Numbers in a vector, at least 1.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The row of a word, if there is one.
    pub fn index(&self, word: &str) -> Option<usize> {
        self.words.index(word)
    }

    /// The vector at `index`, [`dim`](Self::dim) numbers.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, index: usize) -> Vec<f32> {
        let row = &self.values[index * self.dim..][..self.dim];
        row.iter().map(|value| f32::from(*value) * self.scales[index]).collect()
    }

    /// All vectors as f32.
    pub fn dequantize(&self) -> WordVectors {
        let values = (0..self.words.len()).flat_map(|index| self.row(index)).collect();
        WordVectors { words: self.words.clone(), dim: self.dim, values }
    }

    /// Writes a safetensors file: `values`, int8 `[words, dim]`, and `scales`, f32 `[words]`, by which they are
    /// multiplied; the words are a JSON list in the metadata.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let mut file = with_words(path.as_ref(), self.words())?;
        file.insert("values", TensorData::new(self.values.clone(), [self.words.len(), self.dim]));
        file.insert("scales", TensorData::new(self.scales.clone(), [self.words.len()]));
        Ok(write_safetensors(path, &file)?)
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    /// If the file cannot be read, a tensor is missing or of another shape, or a scale is negative or not finite.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        read_with(path.as_ref(), Self::FORMAT, Self::from_file)
    }

    fn from_file(file: &TensorMap) -> Parsed<Self> {
        let words = words_of(file)?;
        let ([rows, dim], values) = tensor(file, "values", DType::I8)?;
        let ([scale_count], scales) = tensor(file, "scales", DType::F32)?;
        check_dim(dim)?;
        if values.iter::<i8>().any(|value| value == i8::MIN) {
            return Err("'values' holds -128, must be -127 to 127".to_string());
        }
        if [rows, scale_count] != [words.len(); 2] {
            return Err(format!("{} words, but {rows} rows and {scale_count} scales", words.len()));
        }
        let scales: Vec<f32> = scales.iter::<f32>().collect();
        match scales.iter().position(|scale| !is_scale(scale)) {
            Some(at) => Err(format!("{}: its scale is {}", words.place(at), scales[at])),
            None => Ok(Self { words, dim, scales, values: values.iter::<i8>().collect() }),
        }
    }
}

/// The step of a row. The step of the very largest numbers is rounded down, so that 127 steps stay finite.
fn scale(row: &[f32]) -> f32 {
    let scale = row.iter().fold(0.0f32, |largest, value| largest.max(value.abs())) / f32::from(i8::MAX);
    if is_scale(&scale) { scale } else { scale.next_down() }
}

fn is_scale(scale: &f32) -> bool {
    *scale >= 0.0 && (scale * f32::from(i8::MAX)).is_finite()
}

/// What `parse` makes of the tensors of a file; its errors name the file and the `format`.
fn read_with<T>(path: &Path, format: &'static str, parse: impl FnOnce(&TensorMap) -> Parsed<T>) -> Result<T> {
    let file = parse_safetensors(path, &map_file(path)?)?;
    Ok(parse(&file).map_err(|reason| Error::format(path, format, reason))?)
}

/// The tensor `name` of a file and its shape.
fn tensor<'f, const D: usize>(file: &'f TensorMap, name: &str, dtype: DType) -> Parsed<([usize; D], &'f TensorData)> {
    let tensor = file.get(name).ok_or_else(|| format!("it has no tensor '{name}'"))?;
    match tensor.shape().as_slice().try_into() {
        Ok(shape) if tensor.dtype() == dtype => Ok((shape, tensor)),
        _ => Err(format!("'{name}' is {:?} {:?}, must be {dtype:?} of {D} axes", tensor.dtype(), tensor.shape())),
    }
}

/// How a [`ProductQuantizer`] is fitted.
#[derive(Debug, Clone, PartialEq)]
pub struct ProductQuantizerConfig {
    /// Parts of a vector that are quantized each on its own, a byte each. Must divide the dimension.
    pub subquantizers: usize,
    /// Centroids of each part, 1 to 256, and at most as many as there are words.
    pub centroids: usize,
    /// Passes of k-means.
    pub iterations: usize,
    /// Which words the centroids begin with.
    pub seed: u64,
}

impl ProductQuantizerConfig {
    /// 256 centroids, 20 passes, seed 0.
    pub fn new(subquantizers: usize) -> Self {
        Self { subquantizers, centroids: 256, iterations: 20, seed: 0 }
    }

    /// For any vectors: a part for every two numbers where the dimension is even, else for its smallest divisor, and as
    /// many centroids as the words allow.
    pub fn for_vectors(vectors: &WordVectors) -> Self {
        let width = (2..=vectors.dim()).find(|width| vectors.dim().is_multiple_of(*width)).unwrap_or(1);
        Self { centroids: vectors.len().clamp(1, 256), ..Self::new(vectors.dim() / width) }
    }

    fn validate(&self, vectors: &WordVectors) -> Result<()> {
        let fail = |field: &str, value: usize, rule: String| Err(Error::config(field, value, rule).into());
        let dim = vectors.dim();
        if self.subquantizers == 0 || !dim.is_multiple_of(self.subquantizers) {
            return fail("subquantizers", self.subquantizers, format!("must divide the dimension, {dim}"));
        }
        let most = vectors.len().min(256);
        if !(1..=most).contains(&self.centroids) {
            return fail("centroids", self.centroids, format!("must be 1 to {most} for {} words", vectors.len()));
        }
        Ok(())
    }
}

/// Product quantization (Jégou, Douze and Schmid 2011): a vector is cut into parts, and of each part the number of the
/// nearest of at most 256 centroids is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct ProductQuantizer {
    dim: usize,
    subquantizers: usize,
    centroids: usize,
    /// `[subquantizers, centroids, dim / subquantizers]`
    codebooks: Vec<f32>,
}

impl ProductQuantizer {
    /// Finds the centroids of each part by k-means. The same vectors and settings give the same centroids.
    ///
    /// # Errors
    /// [`Error::Config`] if a setting does not fit the vectors.
    pub fn fit(vectors: &WordVectors, config: &ProductQuantizerConfig) -> Result<Self> {
        config.validate(vectors)?;
        let ProductQuantizerConfig { subquantizers, centroids, .. } = *config;
        let width = vectors.dim() / subquantizers;
        let mut codebooks = Vec::with_capacity(centroids * vectors.dim());
        for part in 0..subquantizers {
            let rows = vectors.values().chunks_exact(vectors.dim());
            let points: Vec<f32> = rows.flat_map(|row| &row[part * width..][..width]).copied().collect();
            let mut random = ChaCha8Rng::seed_from_u64(config.seed);
            random.set_stream(part as u64);
            codebooks.extend(k_means(&points, width, centroids, config.iterations, &mut random));
        }
        Ok(Self { dim: vectors.dim(), subquantizers, centroids, codebooks })
    }

    /// Numbers in a vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Bytes in a code.
    pub fn subquantizers(&self) -> usize {
        self.subquantizers
    }

    /// The nearest centroid of each part of `vector`, [`subquantizers`](Self::subquantizers) bytes.
    ///
    /// # Panics
    /// If `vector` has not [`dim`](Self::dim) numbers.
    pub fn encode(&self, vector: &[f32]) -> Vec<u8> {
        assert_eq!(vector.len(), self.dim, "the length of a vector to encode");
        let parts = vector.chunks_exact(self.width()).zip(self.codebooks.chunks_exact(self.centroids * self.width()));
        parts.map(|(part, codebook)| nearest(part, codebook) as u8).collect()
    }

    /// The vector of which `code` is the code, put together from centroids.
    ///
    /// # Panics
    /// If `code` has not [`subquantizers`](Self::subquantizers) bytes or names a centroid that does not exist.
    pub fn decode(&self, code: &[u8]) -> Vec<f32> {
        assert_eq!(code.len(), self.subquantizers, "the length of a code");
        let width = self.width();
        let codebooks = self.codebooks.chunks_exact(self.centroids * width);
        codebooks
            .zip(code)
            .flat_map(|(codebook, code)| &codebook[usize::from(*code) * width..][..width])
            .copied()
            .collect()
    }

    fn width(&self) -> usize {
        self.dim / self.subquantizers
    }
}

/// Lloyd's algorithm from distinct points of `points`, `[points, width]`; gives `[centroids, width]`. A centroid to
/// which no point is nearest stays where it is.
fn k_means(points: &[f32], width: usize, centroids: usize, iterations: usize, random: &mut ChaCha8Rng) -> Vec<f32> {
    let first = rand::seq::index::sample(random, points.len() / width, centroids);
    let mut codebook: Vec<f32> = first.iter().flat_map(|index| &points[index * width..][..width]).copied().collect();
    let mut assigned = Vec::new();
    for _ in 0..iterations {
        let nearest: Vec<usize> = points.par_chunks_exact(width).map(|point| nearest(point, &codebook)).collect();
        if nearest == assigned {
            break;
        }
        move_to_means(&mut codebook, points, width, &nearest);
        assigned = nearest;
    }
    codebook
}

fn move_to_means(codebook: &mut [f32], points: &[f32], width: usize, assigned: &[usize]) {
    let mut sums = vec![0.0f64; codebook.len()];
    let mut counts = vec![0u32; codebook.len() / width];
    for (point, centroid) in points.chunks_exact(width).zip(assigned) {
        counts[*centroid] += 1;
        sums[centroid * width..].iter_mut().zip(point).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    let means = codebook.chunks_exact_mut(width).zip(sums.chunks_exact(width)).zip(&counts);
    for ((centroid, sums), count) in means.filter(|(_, count)| **count > 0) {
        centroid.iter_mut().zip(sums).for_each(|(value, sum)| *value = (sum / f64::from(*count)) as f32);
    }
}

/// The centroid with the smallest distance to `point`; of equal ones the first.
fn nearest(point: &[f32], codebook: &[f32]) -> usize {
    let distance = |centroid: &[f32]| point.iter().zip(centroid).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
    let mut best = (0, f32::INFINITY);
    for (index, centroid) in codebook.chunks_exact(point.len()).enumerate() {
        let distance = distance(centroid);
        if distance < best.1 {
            best = (index, distance);
        }
    }
    best.0
}

/// Word vectors of a few bytes each, by a [`ProductQuantizer`].
#[derive(Debug, Clone, PartialEq)]
pub struct ProductVectors {
    words: WordList,
    quantizer: ProductQuantizer,
    /// `[words, subquantizers]`
    codes: Vec<u8>,
}

impl ProductVectors {
    pub(super) const FORMAT: &str = "safetensors file of product-quantized word vectors";
    /// By these tensors a file is known.
    pub(super) const TENSORS: [&str; 2] = ["codebooks", "codes"];

    /// Fits a quantizer to the vectors and encodes them.
    ///
    /// # Errors
    /// [`Error::Config`] if a setting does not fit the vectors.
    pub fn quantize(vectors: &WordVectors, config: &ProductQuantizerConfig) -> Result<Self> {
        let quantizer = ProductQuantizer::fit(vectors, config)?;
        let codes =
            vectors.values().par_chunks_exact(vectors.dim()).flat_map_iter(|row| quantizer.encode(row)).collect();
        Ok(Self { words: vectors.words.clone(), quantizer, codes })
    }

    /// The words, in the order of their rows.
    pub fn words(&self) -> &[String] {
        self.words.words()
    }

    /// The quantizer, which can encode other vectors too.
    pub fn quantizer(&self) -> &ProductQuantizer {
        &self.quantizer
    }

    /// The row of a word, if there is one.
    pub fn index(&self, word: &str) -> Option<usize> {
        self.words.index(word)
    }

    /// The vector at `index`, as its code tells it.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, index: usize) -> Vec<f32> {
        let length = self.quantizer.subquantizers;
        self.quantizer.decode(&self.codes[index * length..][..length])
    }

    /// All vectors as f32.
    pub fn dequantize(&self) -> WordVectors {
        let values = (0..self.words.len()).flat_map(|index| self.row(index)).collect();
        WordVectors { words: self.words.clone(), dim: self.quantizer.dim, values }
    }

    /// Writes a safetensors file: `codebooks`, f32 `[subquantizers, centroids, dim / subquantizers]`, and `codes`, uint8
    /// `[words, subquantizers]`; the words are a JSON list in the metadata.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let ProductQuantizer { subquantizers, centroids, ref codebooks, .. } = self.quantizer;
        let mut file = with_words(path.as_ref(), self.words())?;
        let shape = [subquantizers, centroids, self.quantizer.width()];
        file.insert("codebooks", TensorData::new(codebooks.clone(), shape));
        file.insert("codes", TensorData::new(self.codes.clone(), [self.words.len(), subquantizers]));
        Ok(write_safetensors(path, &file)?)
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    /// If the file cannot be read, a tensor is missing or of another shape, a centroid is not finite, or a code names a
    /// centroid that does not exist.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        read_with(path.as_ref(), Self::FORMAT, Self::from_file)
    }

    fn from_file(file: &TensorMap) -> Parsed<Self> {
        let words = words_of(file)?;
        let ([subquantizers, centroids, width], codebooks) = tensor(file, "codebooks", DType::F32)?;
        let ([rows, length], codes) = tensor(file, "codes", DType::U8)?;
        if subquantizers == 0 || width == 0 || !(1..=256).contains(&centroids) {
            return Err(format!("'codebooks' has the shape [{subquantizers}, {centroids}, {width}]"));
        }
        if rows != words.len() || length != subquantizers {
            let due = words.len();
            return Err(format!("'codes' has the shape [{rows}, {length}], must be [{due}, {subquantizers}]"));
        }
        let codebooks: Vec<f32> = codebooks.iter::<f32>().collect();
        if let Some(value) = codebooks.iter().find(|value| !value.is_finite()) {
            return Err(format!("'codebooks' holds {value}"));
        }
        let codes: Vec<u8> = codes.iter::<u8>().collect();
        if let Some(at) = codes.iter().position(|code| usize::from(*code) >= centroids) {
            return Err(format!("{}: centroid {} of {centroids}", words.place(at / length), codes[at]));
        }
        let quantizer = ProductQuantizer { dim: subquantizers * width, subquantizers, centroids, codebooks };
        Ok(Self { words, quantizer, codes })
    }
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    /// Vectors of real words, the 4,000 most frequent of the bundled ones.
    fn real() -> WordVectors {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/glove-6b-50d-40k.safetensors");
        let all = read(path).unwrap();
        WordVectors::new(all.words()[..4000].to_vec(), all.dim(), all.values()[..4000 * all.dim()].to_vec()).unwrap()
    }

    /// The share of the vectors' squared length that is lost.
    fn loss(vectors: &WordVectors, decoded: &WordVectors) -> f64 {
        let squares = |values: &mut dyn Iterator<Item = f32>| values.map(|value| f64::from(value).powi(2)).sum::<f64>();
        let mut errors = vectors.values().iter().zip(decoded.values()).map(|(a, b)| a - b);
        squares(&mut errors) / squares(&mut vectors.values().iter().copied())
    }

    #[test]
    fn a_byte_a_number_is_off_by_half_a_step() {
        let vectors = real();
        let quantized = Int8Vectors::quantize(&vectors);
        for (index, row) in vectors.values().chunks_exact(vectors.dim()).enumerate() {
            let step = row.iter().fold(0.0f32, |largest, value| largest.max(value.abs())) / 127.0;
            let decoded = quantized.row(index);
            let close = row.iter().zip(&decoded).all(|(a, b)| (a - b).abs() <= 0.5001 * step);
            assert!(close, "{row:?} became {decoded:?}");
        }
        let lost = loss(&vectors, &quantized.dequantize());
        assert!(lost < 2e-4, "{lost}");
    }

    #[test]
    fn extreme_rows_stay_finite() {
        let values = vec![0.0, 0.0, f32::MAX, -f32::MAX, f32::from_bits(1), 1e-38, -1.0, 127.0];
        let words = ["zero", "large", "small", "whole"].map(String::from).to_vec();
        let decoded = Int8Vectors::quantize(&WordVectors::new(words, 2, values).unwrap()).dequantize();
        assert!(decoded.values().iter().all(|value| value.is_finite()));
        assert_eq!(decoded.get("zero"), Some([0.0, 0.0].as_slice()));
        assert_eq!(decoded.get("whole"), Some([-1.0, 127.0].as_slice()));
    }

    #[test]
    fn more_bytes_a_vector_lose_less() {
        let vectors = real();
        let losses = [5, 10, 25].map(|subquantizers| {
            let config = ProductQuantizerConfig { iterations: 8, ..ProductQuantizerConfig::new(subquantizers) };
            loss(&vectors, &ProductVectors::quantize(&vectors, &config).unwrap().dequantize())
        });
        assert!(losses[0] < 0.19 && losses[1] < 0.085 && losses[2] < 0.007, "{losses:?}");
    }

    #[test]
    fn as_many_centroids_as_words_lose_nothing() {
        let words: Vec<String> = (0..7).map(|word| word.to_string()).collect();
        let vectors = WordVectors::new(words, 4, (0..28).map(|i| (i * i % 31) as f32).collect()).unwrap();
        let config = ProductQuantizerConfig { centroids: 7, ..ProductQuantizerConfig::new(2) };
        let quantized = ProductVectors::quantize(&vectors, &config).unwrap();
        assert_eq!(quantized.dequantize(), vectors);
        assert_eq!(quantized.quantizer().decode(&quantized.quantizer().encode(vectors.row(3))), vectors.row(3));
    }

    #[test]
    fn one_seed_gives_one_quantizer() {
        let vectors = real();
        let fit = |seed| {
            let config =
                ProductQuantizerConfig { centroids: 16, iterations: 3, seed, ..ProductQuantizerConfig::new(2) };
            ProductQuantizer::fit(&vectors, &config).unwrap()
        };
        assert_eq!(fit(1), fit(1));
        assert_ne!(fit(1), fit(2));
    }

    #[test]
    fn both_forms_come_back_from_their_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let int8 = Int8Vectors::quantize(&real());
        int8.write(&path).unwrap();
        assert_eq!(Int8Vectors::read(&path).unwrap(), int8);
        assert!(ProductVectors::read(&path).unwrap_err().to_string().contains("it has no tensor 'codebooks'"));

        let config = ProductQuantizerConfig { centroids: 4, iterations: 1, ..ProductQuantizerConfig::new(5) };
        let product = ProductVectors::quantize(&real(), &config).unwrap();
        product.write(&path).unwrap();
        assert_eq!(ProductVectors::read(&path).unwrap(), product);
        assert!(Int8Vectors::read(&path).unwrap_err().to_string().contains("it has no tensor 'values'"));
    }

    #[test]
    fn files_that_break_a_rule_say_why() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let words = vec!["a".to_string(), "b".to_string()];
        for (values, scales, reason) in [
            (vec![1i8, 2], vec![1.0f32, -1.0], "word 2, 'b': its scale is -1"),
            (vec![1, 2], vec![f32::MAX, 1.0], "word 1, 'a': its scale is 340282350000"),
            (vec![1, -128], vec![1.0, 1.0], "'values' holds -128"),
            (vec![1, 2], vec![1.0], "2 words, but 2 rows and 1 scales"),
        ] {
            let mut file = with_words(&path, &words).unwrap();
            file.insert("scales", TensorData::new(scales.clone(), [scales.len()]));
            file.insert("values", TensorData::new(values, [2, 1]));
            write_safetensors(&path, &file).unwrap();
            let error = Int8Vectors::read(&path).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}, where {reason} was expected");
        }
        for (codebooks, codes, shape, reason) in [
            (vec![1.0f32, 2.0], vec![0u8, 2], [2, 1], "word 2, 'b': centroid 2 of 2"),
            (vec![1.0, f32::NAN], vec![0, 1], [2, 1], "'codebooks' holds NaN"),
            (vec![1.0, 2.0], vec![0, 1], [1, 2], "'codes' has the shape [1, 2], must be [2, 1]"),
        ] {
            let mut file = with_words(&path, &words).unwrap();
            file.insert("codebooks", TensorData::new(codebooks, [1, 2, 1]));
            file.insert("codes", TensorData::new(codes, shape));
            write_safetensors(&path, &file).unwrap();
            let error = ProductVectors::read(&path).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}, where {reason} was expected");
        }
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let vectors = WordVectors::new(vec!["a".into(), "b".into()], 4, vec![0.0; 8]).unwrap();
        for (subquantizers, centroids, reason) in [
            (3, 2, "subquantizers = 3: must divide the dimension, 4"),
            (0, 2, "subquantizers = 0"),
            (2, 3, "centroids = 3: must be 1 to 2 for 2 words"),
            (2, 0, "centroids = 0"),
        ] {
            let config = ProductQuantizerConfig { centroids, ..ProductQuantizerConfig::new(subquantizers) };
            let error = ProductQuantizer::fit(&vectors, &config).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}, where {reason} was expected");
        }
    }
}
