//! What a decoder foretells in training, and what it reads there.

use burn::tensor::{Int, Tensor};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::attend::Foretold;
use crate::decode::{NextWords, Row, drawn};

/// The words that a decoder foretells of a batch of captions.
pub(crate) struct Practice {
    /// `[words, vocab]`
    pub(crate) logits: Tensor<2>,
    /// The words that the captions have there `[words]`.
    pub(crate) targets: Tensor<1, Int>,
    /// The place in the batch of each word's caption.
    pub(crate) caption_of: Vec<usize>,
    /// Where it looked; `None` of a decoder without attention.
    pub(crate) looks: Option<Looks>,
}

/// Where a decoder looked, as [`Foretold`] has it.
pub(crate) struct Looks {
    /// `[batch, steps, positions]`
    pub(crate) attention: Tensor<3>,
    /// `[batch, steps]`
    pub(crate) drawn: Tensor<2>,
    /// The place in the batch of each row's caption.
    pub(crate) order: Vec<usize>,
}

impl From<Foretold> for Practice {
    fn from(foretold: Foretold) -> Self {
        let live = |step: usize| foretold.lengths.iter().take_while(|length| **length > step).count();
        let steps = foretold.lengths.first().copied().unwrap_or(0);
        let of_step = |step| foretold.order[..live(step)].iter().copied();
        Self {
            caption_of: (0..steps).flat_map(of_step).collect(),
            logits: foretold.logits,
            targets: foretold.targets,
            looks: Some(Looks { attention: foretold.attention, drawn: foretold.drawn, order: foretold.order }),
        }
    }
}

/// What is read in place of `captions`: each word with a probability of `own_words` the decoder's own, the caption's
/// otherwise. `start` knows the captions' pictures, in order.
pub(crate) fn mixed<D: NextWords>(
    decoder: &D,
    start: D::State,
    captions: &[Vec<u32>],
    own_words: f64,
    rng: &mut ChaCha8Rng,
) -> Vec<Vec<u32>> {
    let mut read = captions.to_vec();
    let mut live: Vec<usize> = (0..captions.len()).collect();
    let mut from = live.clone();
    let mut state = start;
    for place in 1.. {
        // The last number of a caption, its end, is never read.
        let kept = live.iter().zip(&from).filter(|(caption, _)| captions[**caption].len() > place + 1);
        (live, from) = kept.map(|(caption, row)| (*caption, *row)).unzip();
        if live.is_empty() {
            break;
        }
        let row = |(caption, from): (&usize, &usize)| Row { from: *from, word: read[*caption][place - 1] };
        let rows: Vec<Row> = live.iter().zip(&from).map(row).collect();
        let (next, followers) = decoder.next(&state, &rows);
        for (caption, log_probs) in live.iter().zip(followers.log_probs.chunks_exact(decoder.vocab())) {
            if rng.random_bool(own_words) {
                read[*caption][place] = drawn(log_probs.iter().map(|log_prob| log_prob.exp()), rng) as u32;
            }
        }
        state = next;
        from = (0..live.len()).collect();
    }
    read
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::decode::tests::Table;

    #[test]
    fn own_words_come_as_often_as_asked_and_never_at_the_ends() {
        let table = Table::random(2, 40, 5);
        let captions = vec![vec![3, 3, 3, 3, 3, 1], vec![7, 7, 1]];
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let read = |own_words, rng: &mut ChaCha8Rng| mixed(&table, table.start(), &captions, own_words, rng);
        assert_eq!(read(0.0, &mut rng), captions);
        let mut changed = 0;
        for _ in 0..500 {
            let read = read(0.5, &mut rng);
            assert_eq!((read[0][0], read[0][5], read[1][0], read[1][2]), (3, 1, 7, 1));
            changed += (1..5).filter(|place| read[0][*place] != 3).count();
        }
        // Half of 2,000, but for the draws that happen to be the caption's word.
        assert!((900..1050).contains(&changed), "{changed}");
    }

    #[test]
    fn own_words_follow_from_what_was_read() {
        let table = Table::random(1, 4, 9);
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut counts = [[0.0f32; 4]; 4];
        for _ in 0..8000 {
            let read = mixed(&table, table.start(), &[vec![0, 2, 3, 1]], 1.0, &mut rng).remove(0);
            counts[read[1] as usize][read[2] as usize] += 1.0;
        }
        for (word, counts) in counts.iter().enumerate() {
            let all: f32 = counts.iter().sum();
            for (next, count) in counts.iter().enumerate().filter(|_| all > 500.0) {
                let want = table.row(0, word as u32)[next].exp();
                assert!((count / all - want).abs() < 0.06, "{word} {next}: {} {want}", count / all);
            }
        }
    }
}
