//! Losses that pull matching pairs together and push others apart.
//!
//! Row `i` of one batch and row `i` of the other are a pair. Losses over a whole batch take the matrix of similarities
//! (`scores`, or `logits` once scaled) with the pairs on its diagonal; [`cosine_similarity_matrix`] makes it. Where a
//! batch may hold the same thing twice, `false_negatives` marks (true) the entries off the diagonal that must not count
//! as negatives; the diagonal itself always counts as a pair.
//!
//! Every loss is a tensor of one element.
//!
//! ```
//! use burn::tensor::{Distribution, Tensor};
//! use sensorium_core::loss::{ClipLoss, cosine_similarity_matrix, vsepp};
//!
//! let device = sensorium_core::device::parse("flex")?;
//! let images = Tensor::<2>::random([8, 16], Distribution::Default, &device);
//! let words = Tensor::<2>::random([8, 16], Distribution::Default, &device);
//! let scores = cosine_similarity_matrix(images, words);
//! let hinge = vsepp(scores.clone(), 0.2, None);
//! let clip = ClipLoss::init(&device).forward(scores, None);
//! assert_eq!((hinge.dims(), clip.dims()), ([1], [1]));
//! # Ok::<(), sensorium_core::Error>(())
//! ```

mod contrastive;
mod pairs;
mod ranking;
mod similarity;

pub use contrastive::{ClipLoss, SigLipLoss, clip, info_nce, siglip};
pub use pairs::{cosine_embedding, cosine_embedding_sum, triplet_cosine, triplet_margin};
pub use ranking::{vse0, vsepp};
pub use similarity::{cosine_similarity_matrix, l2_normalize, order_similarity_matrix};

use burn::tensor::{Bool, Tensor, assert_shape};

/// The entries off the diagonal that `false_negatives` marks, once it is sure that `scores` is `[pairs, pairs]`.
fn left_out(scores: &Tensor<2>, false_negatives: Option<Tensor<2, Bool>>) -> Option<Tensor<2, Bool>> {
    let [rows, columns] = scores.dims();
    assert!(rows == columns, "pairs stand on the diagonal of a square matrix, not of {rows} × {columns}");
    false_negatives.map(|marked| {
        assert_shape!(marked, [rows, rows]);
        marked.bool_and(off_diagonal(scores))
    })
}

/// True everywhere but on the diagonal.
fn off_diagonal(scores: &Tensor<2>) -> Tensor<2, Bool> {
    Tensor::<2, Bool>::diag_mask(scores.dims(), 0, &scores.device())
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::nn::sample::values;

    /// The 3 × 3 matrix with known losses: rows are images, columns captions.
    fn known(device: &Device) -> Tensor<2> {
        Tensor::from_data([[0.8, 0.5, 0.3], [0.6, 0.7, 0.75], [0.2, 0.4, 0.9]], device)
    }

    fn check(loss: Tensor<1>, want: f32, what: &str) {
        let got = values(&loss)[0];
        assert!((got - want).abs() < 2e-6 * want.abs().max(1.0), "{what}: {got}, not {want}");
    }

    #[test]
    fn every_backend_gives_the_known_losses() {
        for (name, device) in crate::device::built() {
            let scores = known(&device);
            check(vse0(scores.clone(), 0.2, None), 0.40, name);
            check(vsepp(scores.clone(), 0.2, None), 0.30, name);
            let logits = scores.clone() / 0.07;
            check(info_nce(logits.clone(), None), 0.401284, name);
            check(info_nce(logits.clone().transpose(), None), 0.078634, name);
            check(clip(logits, None), 0.239959, name);
            check(siglip(scores * 10.0 - 10.0, None), 2.198752, name);
        }
    }

    #[test]
    fn a_marked_pair_is_as_if_it_were_far_apart() {
        let device = crate::device::parse("flex").unwrap();
        let marked = Tensor::from_data([[true, false, false], [false, false, true], [false, false, false]], &device);
        let apart = Tensor::from_data([[0.8, 0.5, 0.3], [0.6, 0.7, -1000.0], [0.2, 0.4, 0.9]], &device);
        type Loss = fn(Tensor<2>, Option<Tensor<2, Bool>>) -> Tensor<1>;
        let losses: [(&str, Loss); 5] = [
            ("vse0", |s, m| vse0(s, 0.2, m)),
            ("vsepp", |s, m| vsepp(s, 0.2, m)),
            ("info_nce", info_nce),
            ("clip", clip),
            ("siglip", siglip),
        ];
        for (name, loss) in losses {
            let want = values(&loss(apart.clone(), None))[0];
            check(loss(known(&device), Some(marked.clone())), want, name);
            assert_ne!(
                values(&loss(known(&device), None)),
                values(&loss(known(&device), Some(marked.clone()))),
                "{name}"
            );
        }
    }

    #[test]
    #[should_panic(expected = "square matrix, not of 2 × 3")]
    fn a_matrix_that_is_not_square_panics() {
        let device = crate::device::parse("flex").unwrap();
        vse0(Tensor::zeros([2, 3], &device), 0.2, None);
    }
}
