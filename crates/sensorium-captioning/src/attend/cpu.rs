//! Show, Attend and Tell for searching on a CPU.
//!
//! The backend's matrix products are made for many rows and rearrange the weights each time; a search has a few rows a
//! step and reads all weights for them. Here the weights are laid out once.

use std::sync::Arc;

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use sensorium_core::{device, weights};

use super::few_rows::FewRows;
use super::{AttentionDecoder, AttentionState, Focus, numbers};
use crate::decode::{Followers, NextWords, Row};

/// An [`AttentionDecoder`] for searching, in kernels of this crate's own; made by [`AttentionDecoder::on_cpu`].
#[derive(Debug)]
pub struct CpuDecoder {
    decoder: AttentionDecoder,
    /// `[vocab, embedding]`
    embedding: Vec<f32>,
    decoder_att: FewRows,
    /// The layer from where map and state meet to a score: its weights, its bias.
    full_att: (Vec<f32>, f32),
    f_beta: FewRows,
    /// From a word's vector, what was seen and the hidden state to the gates.
    cell: FewRows,
    fc: FewRows,
}

/// What a [`CpuDecoder`] knows after the words so far.
#[derive(Debug, Clone)]
pub struct CpuState {
    pictures: Arc<Vec<Seen>>,
    /// Each row's picture.
    picture_of: Vec<usize>,
    /// `[rows, hidden]`
    hidden: Vec<f32>,
    /// `[rows, hidden]`
    cell: Vec<f32>,
}

/// What a decoder sees of a picture.
#[derive(Debug)]
struct Seen {
    /// From weights of the positions to features.
    map: FewRows,
    /// `[positions, attention]`
    projected: Vec<f32>,
}

impl AttentionDecoder {
    /// This decoder for searching, where a CPU backend holds it; `None` where another does. Takes the time of some steps,
    /// and the weights' memory once more.
    pub fn on_cpu(&self) -> Option<CpuDecoder> {
        if !self.devices().iter().all(device::on_cpu) {
            return None;
        }
        let both = |layer: &Linear| {
            let bias = layer.bias.as_ref().expect("every layer of this decoder has a bias");
            (numbers(layer.weight.val()), numbers(bias.val()))
        };
        let layer = |linear| {
            let (weights, bias) = both(linear);
            FewRows::new(&weights, &bias)
        };
        let (full_att, full_bias) = both(&self.attention.full_att);
        let cell = weights::tensors_of(&self.decode_step);
        let of_cell = |name| cell.f32s(name).expect("a tensor of an LSTM cell");
        let bias: Vec<f32> = of_cell("bias_ih").iter().zip(of_cell("bias_hh")).map(|(ih, hh)| ih + hh).collect();
        let gates = ["weight_ih", "weight_hh"].map(|name| turned(&of_cell(name), bias.len())).concat();
        Some(CpuDecoder {
            embedding: numbers(self.embedding.weight.val()),
            decoder_att: layer(&self.attention.decoder_att),
            full_att: (full_att, full_bias[0]),
            f_beta: layer(&self.f_beta),
            cell: FewRows::new(&gates, &bias),
            fc: layer(&self.fc),
            decoder: self.clone(),
        })
    }
}

/// `[outputs, inputs]` to `[inputs, outputs]`.
fn turned(weights: &[f32], outputs: usize) -> Vec<f32> {
    let inputs = weights.len() / outputs;
    (0..inputs).flat_map(|input| weights[input..].iter().step_by(inputs).copied()).collect()
}

impl CpuDecoder {
    /// As [`AttentionDecoder::start`].
    pub fn start(&self, maps: Tensor<3>) -> CpuState {
        let [count, positions, features] = maps.dims();
        let AttentionState { maps, projected, lstm, pictures } = self.decoder.start(maps);
        let (maps, projected) = (numbers(maps), numbers(projected));
        let seen = |picture: usize| Seen {
            map: FewRows::new(&maps[picture * positions * features..][..positions * features], &vec![0.0; features]),
            projected: projected[picture * (projected.len() / count)..][..projected.len() / count].to_vec(),
        };
        CpuState {
            pictures: Arc::new((0..count).map(seen).collect()),
            picture_of: pictures,
            hidden: numbers(lstm.hidden),
            cell: numbers(lstm.cell),
        }
    }

    /// How a row whose state asks for `asked` `[attention]` weighs the positions of a picture.
    fn weights(&self, seen: &Seen, asked: &[f32]) -> Vec<f32> {
        let (weights, bias) = &self.full_att;
        let mut scores = vec![*bias; seen.projected.len() / asked.len()];
        Arch::new().dispatch(Meet { projected: &seen.projected, asked, weights, scores: &mut scores });
        let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        scores.iter_mut().for_each(|score| *score = (*score - highest).exp());
        let sum: f32 = scores.iter().sum();
        scores.iter_mut().for_each(|score| *score /= sum);
        scores
    }

    /// What the rows of one picture see of it, which weigh its positions so `[rows, positions]`.
    fn see(&self, seen: &Seen, weights: &[f32], positions: usize) -> Vec<f32> {
        match self.decoder.focus {
            Focus::Soft => seen.map.run(weights),
            Focus::Hard => {
                let mut likeliest = vec![0.0; weights.len()];
                for (row, likeliest) in weights.chunks_exact(positions).zip(likeliest.chunks_exact_mut(positions)) {
                    let higher = |best: usize, place: usize| if row[place] > row[best] { place } else { best };
                    likeliest[(0..positions).fold(0, higher)] = 1.0;
                }
                seen.map.run(&likeliest)
            }
        }
    }
}

impl NextWords for CpuDecoder {
    type State = CpuState;

    fn vocab(&self) -> usize {
        self.decoder.vocab()
    }

    fn next(&self, state: &CpuState, rows: &[Row]) -> (CpuState, Followers) {
        let size = state.hidden.len() / state.picture_of.len();
        let picked = |of_rows: &[f32]| -> Vec<f32> {
            rows.iter().flat_map(|row| &of_rows[row.from * size..][..size]).copied().collect()
        };
        let (mut hidden, mut cell) = (picked(&state.hidden), picked(&state.cell));
        let picture_of: Vec<usize> = rows.iter().map(|row| state.picture_of[row.from]).collect();

        let asked = self.decoder_att.run(&hidden);
        let asked = asked.par_chunks_exact(asked.len() / rows.len()).zip(&picture_of);
        let weights: Vec<Vec<f32>> =
            asked.map(|(asked, picture)| self.weights(&state.pictures[*picture], asked)).collect();
        let positions = weights[0].len();
        let weights = weights.concat();
        // The rows of a picture stand together and read its map at one time.
        let mut seen = vec![];
        let mut left = weights.as_slice();
        for rows in picture_of.chunk_by(|a, b| a == b) {
            let (these, rest) = left.split_at(rows.len() * positions);
            seen.extend(self.see(&state.pictures[rows[0]], these, positions));
            left = rest;
        }

        let gate = self.f_beta.run(&hidden);
        let features = seen.len() / rows.len();
        let width = self.embedding.len() / self.vocab();
        let mut read = Vec::with_capacity(rows.len() * (width + features + size));
        for (place, row) in rows.iter().enumerate() {
            read.extend_from_slice(&self.embedding[row.word as usize * width..][..width]);
            let of_row = place * features..(place + 1) * features;
            read.extend(gate[of_row.clone()].iter().zip(&seen[of_row]).map(|(gate, seen)| sigmoid(*gate) * seen));
            read.extend_from_slice(&hidden[place * size..][..size]);
        }
        let gates = self.cell.run(&read);
        let rows_of_state = hidden.par_chunks_exact_mut(size).zip(cell.par_chunks_exact_mut(size));
        rows_of_state.zip(gates.par_chunks_exact(4 * size)).for_each(|((hidden, cell), gates)| {
            for (place, (hidden, cell)) in hidden.iter_mut().zip(cell).enumerate() {
                let [input, forget, candidate, output] = std::array::from_fn(|gate| gates[gate * size + place]);
                *cell = sigmoid(forget) * *cell + sigmoid(input) * candidate.tanh();
                *hidden = sigmoid(output) * cell.tanh();
            }
        });

        let mut log_probs = self.fc.run(&hidden);
        log_probs.par_chunks_exact_mut(self.vocab()).for_each(log_softmax);
        let state = CpuState { pictures: state.pictures.clone(), picture_of, hidden, cell };
        (state, Followers { log_probs, attention: Some(weights) })
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

fn log_softmax(logits: &mut [f32]) {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = logits.iter().map(|logit| (logit - highest).exp()).sum();
    let all = highest + sum.ln();
    logits.iter_mut().for_each(|logit| *logit -= all);
}

/// Adds to each position's score how a state meets it there: the sum of `max(projected + asked, 0) * weights`.
struct Meet<'a> {
    /// `[positions, attention]`
    projected: &'a [f32],
    /// `[attention]`
    asked: &'a [f32],
    /// `[attention]`
    weights: &'a [f32],
    /// `[positions]`
    scores: &'a mut [f32],
}

impl WithSimd for Meet<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let zero = simd.splat_f32s(0.0);
        let (asked, last_asked) = S::as_simd_f32s(self.asked);
        let (weights, last_weights) = S::as_simd_f32s(self.weights);
        for (score, projected) in self.scores.iter_mut().zip(self.projected.chunks_exact(self.asked.len())) {
            let (projected, last_projected) = S::as_simd_f32s(projected);
            let mut sum = zero;
            for ((projected, asked), weights) in projected.iter().zip(asked).zip(weights) {
                let meeting = simd.max_f32s(simd.add_f32s(*projected, *asked), zero);
                sum = simd.mul_add_e_f32s(meeting, *weights, sum);
            }
            *score += simd.reduce_sum_f32s(sum);
            for ((projected, asked), weight) in last_projected.iter().zip(last_asked).zip(last_weights) {
                *score += (projected + asked).max(0.0) * weight;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::AttentionDecoderConfig;
    use super::super::tests::waves;
    use super::*;
    use crate::decode::{BeamSearch, Limits};

    /// Sizes that fill no register, and more than one.
    fn sizes() -> [AttentionDecoderConfig; 2] {
        let small = AttentionDecoderConfig::new(9, 4).with_attention(5).with_embedding(6).with_hidden(7);
        let wide = AttentionDecoderConfig::new(130, 52).with_attention(40).with_embedding(17).with_hidden(50);
        [small, wide]
    }

    #[test]
    fn it_foretells_what_the_decoder_foretells() {
        for (name, device) in device::built() {
            for config in sizes() {
                for focus in [Focus::Soft, Focus::Hard] {
                    let decoder = config.clone().with_focus(focus).init(&device);
                    let Some(cpu) = decoder.on_cpu() else {
                        assert!(!device::is_cpu(name), "{name} is a CPU");
                        continue;
                    };
                    let maps = waves([3, 6, config.features], &device);
                    // Pictures of one, three and no rows; rows that go on from any of their picture's.
                    let first = [Row { from: 0, word: 1 }, Row { from: 2, word: 3 }, Row { from: 2, word: 4 }];
                    let second = [(0, 5), (1, 8), (2, 0), (2, 2), (1, 7)].map(|(from, word)| Row { from, word });
                    let (mut state, mut cpu_state) = (decoder.start(maps.clone()), cpu.start(maps));
                    for rows in [&first[..], &second] {
                        let (next, want) = decoder.next(&state, rows);
                        let (cpu_next, got) = cpu.next(&cpu_state, rows);
                        assert_near(&got.log_probs, &want.log_probs, "log-probabilities");
                        assert_near(&got.attention.unwrap(), &want.attention.unwrap(), "attention");
                        (state, cpu_state) = (next, cpu_next);
                    }
                }
            }
        }
    }

    fn assert_near(got: &[f32], want: &[f32], what: &str) {
        assert_eq!(got.len(), want.len(), "{what}");
        assert!(got.iter().zip(want).all(|(got, want)| (got - want).abs() < 1e-5), "{what}: {got:?} {want:?}");
    }

    #[test]
    fn a_search_finds_the_same() {
        let device = device::parse("flex").unwrap();
        for config in sizes() {
            let decoder = config.init(&device);
            let cpu = decoder.on_cpu().unwrap();
            let maps = waves([4, 6, config.features], &device);
            let limits = Limits { max_steps: 9, ..Limits::tutorial(7, 8) };
            let search = BeamSearch::new(3);
            let want = search.search(&decoder, decoder.start(maps.clone()), 4, &limits);
            let got = search.search(&cpu, cpu.start(maps), 4, &limits);
            for (got, want) in got.iter().zip(&want) {
                assert_eq!(got.best().words, want.best().words);
                assert!((got.best().score - want.best().score).abs() < 1e-4);
            }
        }
    }
}
